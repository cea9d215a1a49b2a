"""How much faster the short cuts are, and what the core costs: ratios of one run on one machine.

Measured on a random LLaVA of 77 M parameters with 576 image tokens, built here, so that the figures say
something about checkpoints people use. Its answers mean nothing; its arithmetic is the real thing.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from model import Checkpoint, Core, Message, Options, Prefilled, Prompt, Token, ask, from_image, parse_spec
from model.late import torch
from model.memory import human_bytes

from . import studies
from .base import Report, Tell
from .random_llava import random_llava
from .start_up import PAIRS, served, start_ratios, until_up
from .world.draw import draw
from .world.scene import make_scene
from .world.splits import held_out_seed

NEW_TOKENS = 48
REPEATS = 3
QUESTIONS = 32
ROOT = Path(__file__).resolve().parent.parent


@studies.add
class Throughput:
    """Tokens, first tokens, scores, start-up and memory, as ratios."""

    slug: ClassVar[str] = "throughput"
    title: ClassVar[str] = "Throughput"
    question: ClassVar[str] = "what do the core and the page cost, and what do caches and packed scoring save?"
    options: ClassVar[tuple[str, ...]] = ()

    def measure(self, checkpoints: Sequence[Checkpoint], tell: Tell) -> Report:
        """Measure on the given checkpoint, or on the 77 M random LLaVA. Two to four minutes on two cores."""
        folder = Path(tempfile.mkdtemp(prefix="fovea-throughput-"))
        try:
            spec = checkpoints[0] if checkpoints else parse_spec(str(random_llava(folder / "llava-77m")))
            torch.set_num_threads(1)
            core = Core()
            for _ in core.load(spec):
                pass
            run = _Measurement(core, spec, tell)
            figures = {**run.scores(), **run.second_turn(), **run.generate()}
            core.unload(spec)
            figures |= _server(spec, run.core_rate, tell)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return _report(figures)


class _Measurement:
    """The measurements inside one process, in CPU seconds of it."""

    def __init__(self, core: Core, spec: Checkpoint, tell: Tell) -> None:
        self.core, self.spec, self.tell = core, spec, tell
        self.vlm = core.vlm(spec)
        self.picture = from_image(draw(make_scene(held_out_seed(0)), 512))
        self.core_rate = 0.0

    def scores(self) -> dict[str, float]:
        """32 yes/no questions about one picture: scored at once, against a `generate` call each."""
        prompts = [ask(f"Is there a thing of kind {i} in the image?", self.picture) for i in range(QUESTIONS)]
        answers = [("Yes", "No")] * QUESTIONS
        self.core.score_many(self.spec, prompts[:2], answers[:2])
        self.vlm.forget()
        cold = _cpu(lambda: self.core.score_many(self.spec, prompts, answers))
        cached = _cpu(lambda: self.core.score_many(self.spec, prompts, answers))
        self.tell(f"scored {QUESTIONS} questions in {cold:.2f} CPU s cold, {cached:.2f} with the picture cached")
        apart = self.core.worker.call(lambda: _cpu(lambda: self._each_bare(prompts)))
        self.tell(f"{QUESTIONS} generate calls took {apart:.2f} CPU s")
        return {"score32_speedup_cold": apart / cold, "score32_speedup_cached": apart / cached}

    def second_turn(self) -> dict[str, float]:
        """Time to the first token of a second turn, without and with what the first left."""
        first = ask("What is in the picture?", self.picture)
        said = self._first_token(first, "a")[1]
        second = Prompt((*first.messages, Message("assistant", (said,)), Message("user", ("And what color is it?",))))
        with_reuse, without = [], []
        for i in range(REPEATS):
            self._first_token(first, f"s{i}")
            with_reuse.append(self._first_token(second, f"s{i}")[0])
            self.vlm.forget()
            without.append(self._first_token(second, "")[0])
        fresh, reused = statistics.median(without), statistics.median(with_reuse)
        self.tell(f"second turn's first token: {fresh:.0f} ms fresh, {reused:.0f} ms with reuse")
        return {"second_turn_first_token_speedup": fresh / reused}

    def generate(self) -> dict[str, float]:
        """Decoding through the core against bare `generate`, taken in turns."""
        prompt = ask("Describe the image.", self.picture)
        through, bare = [], []
        for _ in range(REPEATS):
            self.vlm.forget()
            through.append(_cpu(lambda: list(self.core.generate(self.spec, prompt, Options(max_new_tokens=NEW_TOKENS)))))
            self.vlm.forget()
            bare.append(self.core.worker.call(lambda: _cpu(lambda: self._bare(prompt, NEW_TOKENS))))
        ratio = statistics.median(bare) / statistics.median(through)
        self.core_rate = NEW_TOKENS / self._wall(prompt)
        self.tell(
            f"{NEW_TOKENS} tokens: {statistics.median(through):.2f} CPU s through the core, {statistics.median(bare):.2f} bare"
        )
        return {"core_vs_generate": ratio}

    def _wall(self, prompt: Prompt) -> float:
        times = []
        for _ in range(REPEATS):
            self.vlm.forget()
            start = time.perf_counter()
            list(self.core.generate(self.spec, prompt, Options(max_new_tokens=NEW_TOKENS)))
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    def _each_bare(self, prompts: Sequence[Prompt]) -> None:
        for prompt in prompts:
            self._bare(prompt, 4)

    def _bare(self, prompt: Prompt, count: int) -> None:
        parts = self.vlm.parts
        parts.pictures.drop_if(lambda key: True)
        with torch.inference_mode():
            tensors = self.vlm.prepare(prompt).tensors
            parts.model.generate(**tensors, max_new_tokens=count, do_sample=False)

    def _first_token(self, prompt: Prompt, session: str) -> tuple[float, str]:
        first_ms, text = 0.0, ""
        for event in self.core.generate(self.spec, prompt, Options(max_new_tokens=2), session=session):
            if isinstance(event, Prefilled):
                first_ms = event.ms
            elif isinstance(event, Token):
                text += event.text
        return first_ms, text or "a"


def _server(spec: Checkpoint, core_rate: float, tell: Tell) -> dict[str, float]:
    """Start the program as a user does; measure start-up, a chat over the API, and peak memory."""
    found = start_ratios(tell)
    with served(OMP_NUM_THREADS="1") as (process, address):
        until_up(address, process)
        rate = _api_rate(address, spec)
        peak = _peak_bytes(process.pid)
    tell(f"over the API {rate:.1f} tokens/s, through the core {core_rate:.1f}")
    return {"api_vs_core": rate / core_rate, **found, "peak_memory_bytes": peak}


def _api_rate(address: str, spec: Checkpoint) -> float:
    from gradio_client import Client

    client = Client(address, verbose=False)
    from gradio_client import handle_file

    with tempfile.NamedTemporaryFile(suffix=".png", delete=False) as file:
        draw(make_scene(held_out_seed(0)), 512).save(file, "PNG")
    ask_once = dict(images=[handle_file(file.name)], checkpoint=spec.source, max_new_tokens=NEW_TOKENS, api_name="/chat_ask")
    client.predict(question="Describe the image.", **ask_once)  # loads it
    times = []
    for i in range(REPEATS):
        start = time.perf_counter()
        found = client.predict(question=f"Describe the image, {i}.", **ask_once)
        times.append((time.perf_counter() - start) / max(1, found["new_tokens"]))
    os.unlink(file.name)
    return 1 / statistics.median(times)


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _cpu(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def _report(f: dict[str, float]) -> Report:
    rows = [
        (
            "32 yes/no answers scored, against 32 `generate` calls",
            f"{f['score32_speedup_cold']:.1f} x cheaper",
            "CPU time, nothing cached",
        ),
        ("the same with the picture in the encoder cache", f"{f['score32_speedup_cached']:.1f} x cheaper", "CPU time"),
        ("first token of a second turn with reuse", f"{f['second_turn_first_token_speedup']:.1f} x sooner", "median of 3"),
        (
            "decoding through the core against bare `generate`",
            f"{f['core_vs_generate']:.2f} x",
            "tokens per CPU second, medians of 3 in turns",
        ),
        ("chat over the page's API against the core", f"{f['api_vs_core']:.2f} x", "tokens per second of a whole call"),
        _start_row("first page", f["first_page_vs_imports"], f["first_page_vs_imports_cpu"]),
        _start_row("first answer about a picture", f["first_answer_vs_imports"], f["first_answer_vs_imports_cpu"]),
        (
            "peak memory of the program",
            human_bytes(f["peak_memory_bytes"]),
            "both built-in checkpoints and the 77 M one, after four chats",
        ),
    ]
    figures = {k: round(v, 3) if isinstance(v, float) else v for k, v in f.items()}
    return Report(
        "Throughput", rows, json.loads(json.dumps(figures)), ["Random LLaVA, 77 M parameters, 576 image tokens, one thread."]
    )


def _start_row(what: str, wall: float, cpu: float) -> tuple[str, str, str]:
    return (
        f"start to {what}, against importing torch, transformers and gradio",
        f"{wall:.2f} x",
        f"wall time, {cpu:.2f} x in CPU time; medians of {PAIRS} pairs, two built-in checkpoints",
    )
