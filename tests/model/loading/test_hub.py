"""The Hub client against a small server that stands in for the Hub, and what each of its answers becomes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from huggingface_hub import constants, errors

from model.checkpoint import Checkpoint, parse_spec
from model.core import Core
from model.errors import (
    BrokenCheckpoint,
    CheckpointError,
    GatedCheckpoint,
    NoNetwork,
    NotAVisionLanguageModel,
    RemoteCode,
    UnknownCheckpoint,
    UnsafeWeights,
)
from model.events import Loading
from model.loading import hub
from model.loading.files import Files
from model.loading.hub import Fetching
from model.options import Options
from model.prompt import ask

ROOT = Path(__file__).resolve().parents[3]
COMMIT = "a" * 40


class Repositories:
    """What the stand-in has: repositories as folders, and answers other than that of success."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}
        self.refusals: dict[str, tuple[int, dict[str, str]]] = {}
        self.asked: list[str] = []
        self.hold: threading.Event | None = None
        """Files larger than 100 kB are sent half, and the rest when this is set."""


class Handler(BaseHTTPRequestHandler):
    repositories: Repositories

    def log_message(self, *args: Any) -> None:
        return None

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = unquote(urlparse(self.path).path)
        self.repositories.asked.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        repo = "/".join(parts[2:4] if parts[:2] == ["api", "models"] else parts[:2])
        for name, (status, headers) in self.repositories.refusals.items():
            if name in path:
                return self._send(status, b"{}", headers)
        folder = self.repositories.folders.get(repo)
        if folder is None:
            return self._send(401, b'{"error": "Invalid username or password."}', {"X-Error-Code": "RepoNotFound"})
        revision = next((parts[i + 1] for i, part in enumerate(parts[:-1]) if part in ("revision", "tree", "resolve")), "main")
        if revision not in ("main", COMMIT):
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if parts[:2] == ["api", "models"]:
            return self._send(200, json.dumps(self._listing(folder, "tree" in parts)).encode(), {})
        return self._file(folder / "/".join(parts[4:]), body)

    def _listing(self, folder: Path, tree: bool) -> Any:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        rows = [
            {"type": "file", "path": path.relative_to(folder).as_posix(), "size": path.stat().st_size, "oid": "0" * 40}
            for path in files
        ]
        if tree:
            return rows
        siblings = [{"rfilename": row["path"], "size": row["size"], "blobId": row["oid"]} for row in rows]
        return {"id": "x/y", "modelId": "x/y", "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "siblings": siblings}

    def _file(self, path: Path, body: bool) -> None:
        if not path.is_file():
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        data = path.read_bytes()
        etag = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        self._send(200, data, etag, body)

    def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool = True) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if not body or self.command == "HEAD":
            return
        half = len(data) // 2 if len(data) > 100_000 and self.repositories.hold else len(data)
        self.wfile.write(data[:half])
        self.wfile.flush()
        if half < len(data):
            assert self.repositories.hold.wait(20)
            self.wfile.write(data[half:])


@pytest.fixture
def server() -> Iterator[tuple[str, Repositories]]:
    repositories = Repositories()
    handler = type("Answering", (Handler,), {"repositories": repositories})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", repositories
    running.shutdown()
    running.server_close()


@pytest.fixture
def the_hub(server: tuple[str, Repositories], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repositories:
    """The stand-in as this process's Hub, with an empty cache."""
    address, repositories = server
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)  # it tries again and again, ever later
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return repositories


def find(text: str) -> list[Any]:
    return list(hub.find(parse_spec(text)))


def test_a_repository_is_fetched_checked_and_answers(the_hub: Repositories, folder_of: Callable[[str], Path]) -> None:
    folder = the_hub.folders["tiny/llava"] = folder_of("llava_clip")
    core, spec = Core(), parse_spec("tiny/llava")
    steps = [step for step in core.load(spec) if isinstance(step, Loading)]
    assert steps[0].text == "Looking for llava"
    assert any(step.text.startswith("Downloading") for step in steps)
    assert steps[-1] == Loading("llava is ready", 1.0)
    local = parse_spec(str(folder))
    list(core.load(local))
    one, other = (list(core.generate(s, ask("Is it?"), Options(max_new_tokens=4))) for s in (spec, local))
    assert one[-1].text == other[-1].text
    asked = len(the_hub.asked)
    assert list(core.load(spec)) == []
    assert len(the_hub.asked) == asked, "what is loaded is not looked for again"


def test_progress_is_told_in_bytes_while_they_come(
    the_hub: Repositories, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    the_hub.folders["tiny/llava"] = folder_of("llava_clip")
    monkeypatch.setattr(hub, "POLL_S", 0.02)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    the_hub.hold = threading.Event()
    total = sum(path.stat().st_size for path in folder_of("llava_clip").iterdir())
    told: list[Fetching] = []
    for step in hub.find(parse_spec("tiny/llava")):
        if isinstance(step, Files):
            files = step
            continue
        told.append(step)
        if not the_hub.hold.is_set() and step.done > 100_000:
            half = step
            the_hub.hold.set()
    assert {step.total for step in told} == {total}
    assert [step.done for step in told] == sorted(step.done for step in told)
    assert 100_000 < half.done < 0.9 * total
    config = (folder_of("llava_clip") / "config.json").stat().st_size
    assert told[-1].done == total - config, "the config was there already"
    assert files.weights[0].name == "model.safetensors"


def test_only_safe_files_are_fetched(the_hub: Repositories, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = the_hub.folders["tiny/llava"] = shutil.copytree(folder_of("llava_clip"), tmp_path / "repo")
    for name in ("pytorch_model.bin", "modeling_evil.py", "weights.pt", "consolidated.00.safetensors", "onnx/model.onnx"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "original").mkdir()
    shutil.copy(folder / "model.safetensors", folder / "original" / "model.safetensors")
    files = find("tiny/llava")[-1]
    fetched = {path.relative_to(files.folder).as_posix() for path in files.folder.rglob("*") if path.is_file()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= fetched
    assert not any(name.endswith((".bin", ".py", ".pt", ".onnx")) or "original" in name for name in fetched)
    assert "consolidated.00.safetensors" not in fetched


@pytest.mark.parametrize(
    ("refusal", "error", "said"),
    [
        ((403, {"X-Error-Code": "GatedRepo"}), GatedCheckpoint, r"a/b is gated\. Accept its licence .* or set HF_TOKEN"),
        ((401, {"X-Error-Code": "GatedRepo"}), GatedCheckpoint, "a/b is gated"),
        ((404, {"X-Error-Code": "RepoNotFound"}), UnknownCheckpoint, r"There is no a/b on the Hub, or .*Built in: tiny-llava"),
        ((401, {}), UnknownCheckpoint, "There is no a/b on the Hub"),
        ((404, {"X-Error-Code": "RevisionNotFound"}), UnknownCheckpoint, "a/b has no revision 'main'"),
        ((403, {}), NoNetwork, r"The Hub answered with an error for a/b: .*403.*Try again later"),
        ((400, {}), NoNetwork, "The Hub answered with an error for a/b"),
        ((418, {}), NoNetwork, "The Hub answered with an error for a/b"),
    ],
)  # fmt: skip
def test_each_refusal_of_the_hub_has_a_sentence(
    refusal: tuple[int, dict[str, str]], error: type[Exception], said: str, the_hub: Repositories
) -> None:
    the_hub.refusals["a/b"] = refusal
    core = Core()
    for attempt in (
        lambda: find("a/b"),
        lambda: core.capabilities(parse_spec("a/b")),
        lambda: list(core.load(parse_spec("a/b"))),
    ):
        with pytest.raises(error, match=said) as told:
            attempt()
        assert "\n" not in str(told.value)
        assert str(told.value).endswith(".")


def test_a_gate_in_front_of_the_weights_alone_is_a_gate(the_hub: Repositories, folder_of: Callable[[str], Path]) -> None:
    the_hub.folders["a/b"] = folder_of("llava_clip")
    the_hub.refusals["model.safetensors"] = (403, {"X-Error-Code": "GatedRepo"})
    with pytest.raises(GatedCheckpoint, match="a/b is gated"):
        find("a/b")
    del the_hub.refusals["model.safetensors"]
    assert isinstance(find("a/b")[-1], Files), "once the licence is accepted it goes on from there"


def test_a_revision_is_looked_for_and_said_to_be_missing(the_hub: Repositories, folder_of: Callable[[str], Path]) -> None:
    the_hub.folders["a/b"] = folder_of("llava_clip")
    with pytest.raises(UnknownCheckpoint, match=r"a/b has no revision 'v9'\. Its branches and commits are at"):
        find("a/b@v9")
    assert find(f"a/b@{COMMIT}")[-1].folder.name == COMMIT
    assert find("a/b@main")[-1].folder.name == COMMIT


@pytest.mark.parametrize(
    ("config", "error", "said"),
    [
        ({"model_type": "bert"}, NotAVisionLanguageModel, "is a bert"),
        ({"model_type": "cogvlm", "auto_map": {"AutoModel": "x.Y"}}, RemoteCode, "its own Python code"),
        (None, BrokenCheckpoint, "has no config.json"),
        ("{", BrokenCheckpoint, "damaged"),
    ],
)
def test_a_repository_of_another_kind_is_refused_before_its_weights_are_fetched(
    config: Any, error: type[Exception], said: str, the_hub: Repositories, tmp_path: Path
) -> None:
    folder = the_hub.folders["a/b"] = tmp_path / "repo"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    if config is not None:
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    with pytest.raises(error, match=said):
        find("a/b")
    assert not any("resolve" in line and "safetensors" in line for line in the_hub.asked)


@pytest.mark.parametrize("weights", ["pytorch_model.bin", None])
def test_pickles_are_refused_before_they_are_fetched(weights: str | None, the_hub: Repositories, tmp_path: Path) -> None:
    folder = the_hub.folders["a/b"] = tmp_path / "repo"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llava"}')
    if weights:
        (folder / weights).write_bytes(b"x")
    with pytest.raises(UnsafeWeights, match=r"nothing was downloaded") as told:
        find("a/b")
    assert (weights or "no safetensors file") in str(told.value)


def test_a_hub_that_cannot_be_reached_is_said(the_hub: Repositories, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    for text in ("a/b", "a/b@main", f"a/b@{COMMIT}"):
        with pytest.raises(
            NoNetwork, match=r"a/b is not on this machine, .* cannot be reached\. Connect .*Built in and offline: tiny"
        ):
            find(text)


def test_what_was_fetched_once_is_there_without_the_hub(
    the_hub: Repositories, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    the_hub.folders["a/b"] = folder_of("llava_clip")
    Core().capabilities(parse_spec("a/b"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(NoNetwork, match="a/b is not on this machine, or only in part"):
        find("a/b")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    fetched = find("a/b")[-1]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(the_hub.asked)
    assert find("a/b")[-1] == fetched
    assert Core().capabilities(parse_spec("a/b"))
    assert len(the_hub.asked) == asked
    with pytest.raises(NoNetwork, match="c/d is not on this machine"):
        find("c/d")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert find("a/b")[-1] == fetched, "nor does it matter that it went away"


def test_a_full_disk_is_said(the_hub: Repositories, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    the_hub.folders["a/b"] = folder_of("llava_clip")
    real = hub.snapshot_download

    def full(*args: Any, **more: Any) -> str:
        if "tqdm_class" in more:
            raise OSError(28, "No space left on device")
        return real(*args, **more)

    monkeypatch.setattr(hub, "snapshot_download", full)
    with pytest.raises(BrokenCheckpoint, match=r"could not be stored: .*No space left on device\. Check the free disk space"):
        find("a/b")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (errors.OfflineModeIsEnabled("offline"), NoNetwork, "cannot be reached"),
        (ConnectionError("reset"), NoNetwork, "cannot be reached"),
        (errors.LocalEntryNotFoundError("nowhere"), NoNetwork, "cannot be reached"),
        (errors.HFValidationError("bad id"), UnknownCheckpoint, "There is no folder a/b; it was moved or deleted"),
        (errors.EntryNotFoundError("no file x"), BrokenCheckpoint, "lacks a file it should have: no file x"),
        (PermissionError(13, "Permission denied"), BrokenCheckpoint, "could not be stored"),
        (RuntimeError("something odd\nand a traceback"), CheckpointError, r"could not be fetched: something odd\. Try"),
        (TimeoutError(), BrokenCheckpoint, "could not be stored: TimeoutError"),
        (UnsafeWeights("as it is."), UnsafeWeights, "as it is"),
    ],
)  # fmt: skip
def test_whatever_the_client_raises_becomes_one_sentence(
    error: Exception, kind: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **more: Any) -> str:
        raise error

    monkeypatch.setattr(hub, "snapshot_download", fail)
    with pytest.raises(kind, match=said) as told:
        list(hub.find(Checkpoint("b", "a/b")))
    assert "\n" not in str(told.value)


PROGRAM = """
import sys
from model import open_core, parse_spec, WorkbenchError
for text in sys.argv[1:]:
    try:
        core = open_core(text)
        print("ready", core.loaded()[0].family)
    except WorkbenchError as error:
        print(type(error).__name__, error)
"""


def program(tmp_path: Path, *texts: str, **environment: str) -> list[str]:
    """What a program of its own says, with the real environment variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_", "PYTEST"))}
    kept |= {"HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1", "no_proxy": "127.0.0.1", **environment}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, *texts], cwd=ROOT, env=kept, capture_output=True, text=True, check=True, timeout=120
    )
    assert "Traceback" not in run.stderr, run.stderr
    return run.stdout.splitlines()


@pytest.mark.slow
def test_the_real_client_with_real_environment_variables(
    server: tuple[str, Repositories], folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    address, repositories = server
    repositories.folders["tiny/llava"] = folder_of("llava_clip")
    repositories.refusals["gated/one"] = (403, {"X-Error-Code": "GatedRepo"})
    said = program(tmp_path, "tiny/llava", "gated/one", "no/such", "tiny/llava@v9", HF_ENDPOINT=address, HF_HUB_DISABLE_XET="1")
    assert said[0] == "ready LLaVA"
    kinds = [line.split()[0] for line in said[1:]]
    assert kinds == ["GatedCheckpoint", "UnknownCheckpoint", "UnknownCheckpoint"]
    offline = program(tmp_path, "tiny/llava", "no/such", HF_ENDPOINT=address, HF_HUB_OFFLINE="1")
    assert [line.split()[0] for line in offline] == ["ready", "NoNetwork"]
