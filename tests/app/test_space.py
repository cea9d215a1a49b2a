"""The repository as a Space and as a container: front matter, pins, paths and commands are what they say they are."""

from __future__ import annotations

import json
import re
import shlex
import urllib.request
from pathlib import Path

import pytest
from program import ROOT, Program, free_port

from app.settings import ENVIRONMENT, from_environment

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCKER = (ROOT / "Dockerfile").read_text(encoding="utf-8")
HOSTING = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
KEYS = {
    "title", "emoji", "colorFrom", "colorTo", "sdk", "python_version", "sdk_version", "suggested_hardware", "app_file",
    "app_port", "base_path", "fullWidth", "header", "short_description", "models", "datasets", "tags", "thumbnail", "pinned",
    "hf_oauth",
    "hf_oauth_scopes", "hf_oauth_expiration_minutes", "disable_embedding", "startup_duration_timeout", "custom_headers",
    "preload_from_hub", "license",
}  # fmt: skip
"""The keys of "Spaces Configuration Reference", and `license`, which every card has."""
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
HARDWARE = {"cpu-basic", "cpu-upgrade", "zero-a10g", "t4-small", "t4-medium", "l4x1", "a10g-small", "a10g-large", "a100-large"}


def front_matter() -> dict[str, str]:
    found = re.match(r"---\n(.*?)\n---\n", README, re.DOTALL)
    assert found, "README begins with front matter"
    pairs = [line.partition(": ") for line in found[1].splitlines()]
    assert all(separator for _, separator, _ in pairs), "one key a line"
    return {key: value.strip().strip('"') for key, _, value in pairs}


def requirements() -> dict[str, str]:
    """Package -> what its line says of its versions."""
    lines = [line.split("#")[0].split(";")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    return {(found := re.match(r"([\w.-]+)(.*)", line))[1].lower(): found[2] for line in lines if line}  # type: ignore[index]


def fits(version: str, wanted: str) -> bool:
    """Whether a version satisfies ">=a,<b"."""

    def number(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in text.split("."))

    for clause in wanted.split(","):
        sign, other = re.fullmatch(r"(>=|<=|==|<|>)([\d.]+)", clause.strip()).groups()  # type: ignore[union-attr]
        a, b = number(version), number(other)
        if not {">=": a >= b, "<=": a <= b, "==": a == b, "<": a < b, ">": a > b}[sign]:
            return False
    return True


class TestTheSpace:
    def test_the_front_matter_has_documented_keys_with_values_that_count(self) -> None:
        found = front_matter()
        assert set(found) <= KEYS, set(found) - KEYS
        assert {"title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "license",
                "pinned", "short_description", "suggested_hardware"} <= set(found)  # fmt: skip
        assert {found["colorFrom"], found["colorTo"]} <= COLOURS
        assert len(found["emoji"]) <= 2
        assert not found["emoji"].isascii()
        assert 0 < len(found["short_description"]) <= 60
        assert (found["sdk"], found["pinned"], found["license"]) == ("gradio", "false", "apache-2.0")
        assert found["header"] in ("default", "mini")
        assert found["suggested_hardware"] in HARDWARE
        assert (ROOT / found["app_file"]).is_file()

    def test_python_is_one_that_spaces_and_zerogpu_have_and_ours_runs_on(self) -> None:
        wanted = front_matter()["python_version"]
        assert wanted == "3.12", "ZeroGPU has 3.10 and 3.12"
        floor = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
        assert floor
        assert fits(wanted, f">={floor[1]}")

    def test_the_pin_of_gradio_agrees_with_the_sdk(self) -> None:
        """The builder installs gradio of sdk_version; a requirement it does not satisfy fails the build."""
        version, wanted = front_matter()["sdk_version"], requirements()
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), "exact, as the builder wants it"
        assert fits(version, wanted["gradio"])
        assert wanted["gradio"].startswith(f">={'.'.join(version.split('.')[:2])}"), "the floor is what the Space runs"

    def test_nothing_is_required_that_the_platform_brings(self) -> None:
        wanted = requirements()
        assert not {"spaces", "huggingface-hub", "huggingface_hub", "torchvision"} & set(wanted)
        assert len(wanted) >= 9
        assert "--" not in (ROOT / "requirements.txt").read_text()

    def test_files_are_small_enough_for_a_space_without_lfs(self) -> None:
        large = [p for p in (ROOT / "assets").rglob("*") if p.is_file() and p.stat().st_size >= 10_000_000]
        assert large == []

    def test_the_program_runs_under_a_spaces_variables(self, tmp_path: Path) -> None:
        """As a script, with what a Space sets: public, on all addresses, its log in DELETE mode where FOVEA_DATA says."""
        port = free_port()
        program = Program(
            tmp_path, port=port, data=tmp_path / "bucket", SPACE_ID="somebody/fovea", SPACE_HOST="somebody-fovea.hf.space",
            ACCELERATOR="none", CPU_CORES="2", MEMORY="16Gi", FOVEA_CHECKPOINTS="tiny-llava",
        )  # fmt: skip
        try:
            assert f"http://0.0.0.0:{port}" in program.words
            with urllib.request.urlopen(f"{program.url}config", timeout=20) as found:
                config = json.load(found)
            assert "This is a public page." in json.dumps(config)
            assert program.history.store.read("PRAGMA journal_mode")[0]["journal_mode"] == "wal", "as this process opened it"
            assert sorted(path.name for path in (tmp_path / "bucket").glob("fovea.db*"))[0] == "fovea.db"
        finally:
            program.end()
        assert "Traceback" not in program.words


def test_a_bucket_is_found_where_a_space_mounts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("os.access", lambda path, mode: asked.append(str(path)) or True)
    assert str(from_environment(environment={"SPACE_ID": "a/b"}).data) == "/data"
    assert str(from_environment(environment={"SPACE_ID": "a/b", "FOVEA_DATA": "/mnt/b"}).data) == "/mnt/b"
    assert asked == ["/data"]
    assert from_environment(environment={}).data.name == "data"
    assert from_environment(environment={"SPACE_ID": "a/b"}).journal == "DELETE"


class TestTheContainer:
    @staticmethod
    def steps() -> list[tuple[str, str]]:
        """(instruction, rest) of the Dockerfile, lines continued put together."""
        text = re.sub(r"\\\n\s*", " ", "\n".join(line for line in DOCKER.splitlines() if not line.startswith("#")))
        return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]  # type: ignore[misc]

    def test_what_it_copies_is_there_and_all_that_runs_is_copied(self) -> None:
        copied = [
            word for name, rest in self.steps() if name == "COPY" for word in rest.split()[:-1] if not word.startswith("--")
        ]
        assert all((ROOT / path).exists() for path in copied), copied
        assert {"app.py", "app", "model", "panels", "studies", "assets", "requirements.txt"} <= set(copied)

    def test_it_runs_the_program_as_user_1000_on_7860(self) -> None:
        steps = self.steps()
        assert [rest for name, rest in steps if name == "USER"] == ["user"]
        assert any("--uid 1000 user" in rest for name, rest in steps if name == "RUN")
        user, installs = ([i for i, (name, rest) in enumerate(steps) if f(name, rest)] for f in
                          (lambda n, r: n == "USER", lambda n, r: n == "RUN" and "pip" in r))  # fmt: skip
        assert user[0] < installs[0], "nothing is installed as root"
        (command,) = (json.loads(rest) for name, rest in steps if name == "CMD")
        assert command == ["python", "app.py"]
        assert [rest for name, rest in steps if name == "EXPOSE"] == ["7860"]
        assert steps[0] == ("FROM", f"python:{front_matter()['python_version']}-slim")

    def test_its_environment_is_one_the_program_understands(self) -> None:
        (rest,) = (rest for name, rest in self.steps() if name == "ENV")
        given = dict(word.partition("=")[::2] for word in shlex.split(rest))
        known = {name for names in ENVIRONMENT for name in names.split(", ")}
        assert {name for name in given if name.startswith("FOVEA_")} <= known
        found = from_environment(environment=given)
        assert (found.host, found.port, str(found.data), found.public) == ("0.0.0.0", 7860, "/data", True)

    def test_torch_is_the_one_required_from_an_index_chosen_by_an_argument(self) -> None:
        assert ("ARG", "TORCH=cpu") in self.steps()
        (install,) = (rest for name, rest in self.steps() if name == "RUN" and "pip" in rest)
        assert "https://download.pytorch.org/whl/${TORCH}" in install
        assert f'"torch{requirements()["torch"]}"' in install

    def test_its_health_check_asks_the_program_for_what_it_answers(self, served: Program) -> None:
        (rest,) = (rest for name, rest in self.steps() if name == "HEALTHCHECK")
        command = json.loads(rest.partition("CMD ")[2])
        assert command[:2] == ["python", "-c"]
        address = re.search(r"http://127.0.0.1:7860(/[\w/]+)", command[2])
        assert address
        with urllib.request.urlopen(served.url.rstrip("/") + address[1], timeout=20) as answer:
            assert answer.status == 200


class TestTheHostingPage:
    def test_the_variables_it_names_are_those_there_are(self) -> None:
        known = {name for names in ENVIRONMENT for name in names.split(", ")}
        assert set(re.findall(r"FOVEA_[A-Z_]+", HOSTING)) <= known

    def test_the_limits_it_names_are_those_that_hold(self) -> None:
        from app.public.guests import IDLE_S, LEFT_S
        from app.public.rate_limit import Limits
        from app.serve import MAX_PUBLIC_UPLOAD, MAX_PUBLIC_WAITING
        from model.running import tasks

        limits = Limits()
        assert f"{limits.calls} calls a minute and {limits.at_once} at once" in HOSTING
        assert f"{limits.new_tokens} new tokens, {limits.seconds:.0f} s of work a call; {MAX_PUBLIC_WAITING} wait" in HOSTING
        assert f"{limits.pixels // 10**6} megapixels, {limits.pictures} pictures a chat" in HOSTING
        assert MAX_PUBLIC_UPLOAD == "25mb"
        assert (LEFT_S, IDLE_S) == (60, 900)
        assert "a minute after the last page of their browser is closed" in " ".join(HOSTING.split())
        assert "15 minutes in which nothing is done" in " ".join(HOSTING.split())
        kinds = {
            "an answer": tasks.AnswerTask,
            "look into an answer": tasks.ExamineTask,
            "scoring": tasks.ScoreTask,
            "preview": tasks.LookTask,
        }
        for words, kind in kinds.items():
            assert re.search(rf"{words}\s+{kind.gpu_s} s", HOSTING), words
