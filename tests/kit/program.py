"""The program as a user starts it, in a process of its own: `python app.py` on a free port, its words kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration
from zoo import build

from app.log.history import History
from app.log.store import Store

ROOT = Path(__file__).resolve().parents[2]
START_S = 420
END_S = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**more: str) -> dict[str, str]:
    """What the program is started with: nothing of FOVEA from outside, no Hub, one thread as others use the processor."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FOVEA_", "SPACE_", "GRADIO_"))}
    return {**kept, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **more}


class Program:
    """A server process. `words` is all it printed, `url` where it serves, `history` its log as another process sees it."""

    script: tuple[str, ...] = (str(ROOT / "app.py"),)

    def __init__(self, folder: Path, *arguments: str, data: Path | None = None, port: int = 0, **variables: str) -> None:
        self.folder, self.data, self.port = folder, data or folder / "data", port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.uploads = folder / "uploads"
        self._arguments = [*arguments, "--port", str(self.port), "--data", str(self.data)]
        self._variables: Mapping[str, str] = {"GRADIO_TEMP_DIR": str(self.uploads), **variables}
        self._history: History | None = None
        self.start()

    def start(self) -> Program:
        """Start it and wait until it says where it is and has loaded its checkpoints."""
        command = [sys.executable, *self.script, *self._arguments]
        with (self.folder / "words").open("ab") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, cwd=self.folder, env=environment(**self._variables)
            )
        said, deadline = self._said(), time.monotonic() + START_S
        while min(now - before for now, before in zip(self._said(), said, strict=True)) == 0 or not self._answers():
            assert self.process.poll() is None, self.words
            assert time.monotonic() < deadline, self.words
            time.sleep(0.05)
        return self

    def _said(self) -> tuple[int, ...]:
        return self.words.count("Fovea is at"), self.words.count("Loaded: ")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=5):
                return True
        except OSError:
            return False

    @property
    def words(self) -> str:
        path = self.folder / "words"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def alive(self) -> bool:
        return self.process.poll() is None and self._answers()

    @property
    def history(self) -> History:
        if self._history is None:
            self._history = History(Store(self.data))
        return self._history

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal and say how it exited."""
        if self._history is not None:
            self._history.store.close()
            self._history = None
        self.process.send_signal(number)
        return self.process.wait(END_S)


class HeldProgram(Program):
    """Weights are not read before `release` is called; it is started when it says where it is."""

    script = (
        "-c",
        """
import sys, time
from pathlib import Path
from app import cli
from model.running import pool

read = pool.loading.load_parts

def held(checkpoint, files, placement, say):
    say("Reading tokenizer and image processor")
    while not Path("released").exists():
        time.sleep(0.02)
    return read(checkpoint, files, placement, say)

pool.loading.load_parts = held
sys.exit(cli.main(sys.argv[1:]))
""",
    )

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(folder, *arguments, PYTHONPATH=str(ROOT))

    def _said(self) -> tuple[int, ...]:
        return (self.words.count("Fovea is at"),)

    def release(self) -> None:
        (self.folder / "released").touch()


def without_weights(folder: Path) -> Path:
    """A checkpoint whose config is there, and no weights."""
    source, target = build("llava_clip", folder), folder / "half-llava"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.safetensors"))
    return target


def soon_true(holds: Callable[[], bool], seconds: float = 15) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.02)


def endless_llava(folder: Path) -> Path:
    """A random LLaVA that never ends its answer, deep enough to write about a hundred tokens a second."""
    target = folder / "endless-llava"
    if not target.exists():
        source = build("llava_clip", folder)
        config = LlavaConfig.from_pretrained(source)
        config.text_config.num_hidden_layers = 20
        torch.manual_seed(0)
        shutil.copytree(source, target)
        LlavaForConditionalGeneration(config).save_pretrained(target)
        for name in ("config.json", "generation_config.json"):
            written: dict[str, Any] = json.loads((target / name).read_text())
            for part in (written, written.get("text_config", {})):
                part.pop("eos_token_id", None)
            (target / name).write_text(json.dumps(written))
    return target
