"""How long until the program's first page and first answer, against bare imports of its packages: one start after the other."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .base import Tell
from .world.files import to_png
from .world.scene import make_scene
from .world.splits import held_out_seed

PAIRS = 5
IMPORTS = "import torch, transformers, gradio, time; print(time.process_time(), flush=True)"
ROOT = Path(__file__).resolve().parent.parent
LOOK_S = 0.02
"""How often the page is asked for until it is there."""
NEW_TOKENS = 8
BOUND = "fovea-start-up"


@dataclass(frozen=True)
class Took:
    """Until something: seconds by the clock, and CPU seconds of the process, 0 where the system does not tell."""

    wall_s: float
    cpu_s: float


def start_ratios(tell: Tell, pairs: int = PAIRS) -> dict[str, float]:
    """First page and first answer over imports: medians of ratios within a pair, by the clock and in CPU time.

    A first pair is not counted: it writes bytecode, and brings files into memory.
    """
    ratios: dict[str, list[float]] = {}
    for index in range(-1, pairs):
        imports = _imports()
        page, answer = _first_page_and_answer()
        if index < 0:
            continue
        for name, took in (("first_page", page), ("first_answer", answer)):
            ratios.setdefault(f"{name}_vs_imports", []).append(took.wall_s / imports.wall_s)
            ratios.setdefault(f"{name}_vs_imports_cpu", []).append(took.cpu_s / imports.cpu_s)
        tell(f"start {index + 1}: imports {imports.wall_s:.2f} s, page {page.wall_s:.2f} s, answer {answer.wall_s:.2f} s")
    return {name: statistics.median(found) for name, found in ratios.items()}


def _imports() -> Took:
    """Up to the last import: what the interpreter takes to end is left out."""
    begun = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", IMPORTS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        cpu_s = float(process.stdout.readline())
        return Took(time.perf_counter() - begun, cpu_s)


def _first_page_and_answer() -> tuple[Took, Took]:
    """With the checkpoints it loads by itself, of which the first is asked about a picture as soon as the page is there."""
    begun = time.perf_counter()
    with served() as (process, address):
        until_up(address, process, LOOK_S)
        page = Took(time.perf_counter() - begun, _cpu_s(process.pid))
        _ask(address)
        return page, Took(time.perf_counter() - begun, _cpu_s(process.pid))


@contextmanager
def served(**variables: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The program as a user starts it, without settings of this environment's: its process, and where it will be."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOVEA_")}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="fovea-start-") as folder:
        command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--data", str(Path(folder) / "data")]
        kept["GRADIO_TEMP_DIR"] = str(Path(folder) / "uploads")
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env={**kept, **variables})
        try:
            yield process, f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait(60)


def until_up(address: str, process: subprocess.Popen[Any], look_s: float = 0.1, limit_s: float = 180) -> None:
    """Wait for the whole page. Raises RuntimeError where the program ends, or serves nothing."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The program ended with status {process.returncode} before it served.")
        try:
            with urllib.request.urlopen(address, timeout=30) as page:
                page.read()
                return
        except OSError:
            time.sleep(look_s)
    raise RuntimeError(f"Nothing was served within {limit_s:.0f} s.")


def _ask(address: str) -> None:
    """One question about a drawn scene over the API, without a client's own questions about the API."""
    head = f'--{BOUND}\r\nContent-Disposition: form-data; name="files"; filename="scene.png"\r\nContent-Type: image/png\r\n\r\n'
    body = head.encode() + to_png(make_scene(held_out_seed(0))) + f"\r\n--{BOUND}--\r\n".encode()
    (path,) = json.loads(_sent(f"{address}gradio_api/upload", body, f"multipart/form-data; boundary={BOUND}"))
    picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
    asked = {"question": "What is in the picture?", "images": [picture], "max_new_tokens": NEW_TOKENS}
    call = f"{address}gradio_api/call"
    event = json.loads(_sent(f"{call}/v2/chat_ask", json.dumps(asked).encode(), "application/json"))["event_id"]
    with urllib.request.urlopen(f"{call}/chat_ask/{event}", timeout=300) as answer:
        said = answer.read().decode()
    if "event: complete" not in said:
        raise RuntimeError(f"The program did not answer: {said[-300:]}")


def _sent(address: str, body: bytes, kind: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(address, body, {"Content-Type": kind}), timeout=60) as answer:
        return bytes(answer.read())


def _cpu_s(pid: int) -> float:
    """CPU seconds of a running process, from Linux's /proc."""
    status = Path(f"/proc/{pid}/stat")
    if not status.exists():
        return 0.0
    fields = status.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
