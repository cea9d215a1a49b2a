"""What answering side by side costs: two columns in turns against one after the other, in ratios of one run.

Each repetition asks both alone and then together, everything from nothing: no picture is encoded, nothing is
kept. Ratios are formed within a repetition and their medians reported, in wall time and in CPU time of the process,
which other programs on the machine change little. Which column goes first changes from one repetition to the next.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from model import Checkpoint, Column, ColumnFailed, Core, Options, Token, ask, from_image, parse_spec
from model.errors import WorkbenchError
from model.events import Event
from model.late import torch

from . import studies
from .base import Report, Tell
from .random_llava import random_llava
from .world.draw import draw
from .world.scene import make_scene
from .world.splits import held_out_seed

NEW_TOKENS = 32
REPETITIONS = 15
LATE = 1.5
"""A first token may come this many times as late as alone, and the other's prompt is read before it."""


@dataclass(frozen=True)
class Moment:
    """Since the question was put, in seconds."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Round:
    """One repetition. Of each column, in order of turns: its first token and its end alone, its first token beside the other."""

    alone_first: tuple[Moment, Moment]
    alone_end: tuple[Moment, Moment]
    beside_first: tuple[Moment, Moment]
    beside_end: Moment


@studies.add
class SideBySideStudy:
    """Two columns in turns, against one after the other."""

    slug: ClassVar[str] = "side-by-side"
    title: ClassVar[str] = "Side by side"
    question: ClassVar[str] = "what do two answers in turns cost, and how long does each wait for its first token?"
    options: ClassVar[tuple[str, ...]] = ()

    def measure(self, checkpoints: Sequence[Checkpoint], tell: Tell) -> Report:
        """Measure on two checkpoints, on one in both columns, or on the 77 M random LLaVA twice. About a minute of CPU time."""
        with _two(checkpoints) as specs:
            torch.set_num_threads(1)
            core = Core()
            for spec in specs:
                for _ in core.load(spec):
                    pass
            _round(core, specs, 2)  # the first run of a program is slower
            rounds = []
            for number in range(REPETITIONS):
                rounds.append(_round(core, specs[:: 1 if number % 2 == 0 else -1], NEW_TOKENS))
                now = rounds[-1]
                apart = now.alone_end[0].cpu_s + now.alone_end[1].cpu_s
                tell(f"{number + 1} of {REPETITIONS}: {now.beside_end.cpu_s:.2f} CPU s in turns, {apart:.2f} one after the other")
        return _report(figures(rounds), [spec.name for spec in specs], bool(checkpoints))


@contextmanager
def _two(checkpoints: Sequence[Checkpoint]) -> Iterator[list[Checkpoint]]:
    if len(checkpoints) > 2:
        raise WorkbenchError(f"{len(checkpoints)} checkpoints were given. Side by side measures two.")
    if checkpoints:
        yield [checkpoints[0], checkpoints[-1]]
        return
    with tempfile.TemporaryDirectory(prefix="fovea-side-") as name:
        yield [parse_spec(str(random_llava(Path(name) / f"llava-77m-{letter}"))) for letter in "ab"]


def _round(core: Core, specs: Sequence[Checkpoint], new_tokens: int) -> Round:
    prompt = ask("Describe the image.", from_image(draw(make_scene(held_out_seed(0)), 512)))
    options = Options(max_new_tokens=new_tokens)
    alone = []
    for spec in specs:
        _forget(core, specs)
        alone.append(_timed((0, event) for event in core.generate(spec, prompt, options, panel="study:side-by-side")))
    _forget(core, specs)
    columns = [Column(spec, prompt, options) for spec in specs]
    beside, end = _timed(_events(core, columns))
    (first, first_end), (second, second_end) = alone
    return Round((first[0], second[0]), (first_end, second_end), (beside[0], beside[1]), end)


def _events(core: Core, columns: Sequence[Column]) -> Iterator[tuple[int, Event]]:
    for told in core.side_by_side(columns, panel="study:side-by-side"):
        if isinstance(told, ColumnFailed):
            raise WorkbenchError(told.error)
        yield told.column, told.event


def _forget(core: Core, specs: Sequence[Checkpoint]) -> None:
    for vlm in {spec.id: core.vlm(spec) for spec in specs}.values():
        core.worker.call(vlm.forget)
        core.worker.call(partial(vlm.parts.pictures.drop_if, lambda key: True))


def _timed(events: Iterable[tuple[int, Event]]) -> tuple[dict[int, Moment], Moment]:
    """When each column's first token came, and when all was said."""
    wall, cpu = time.perf_counter(), time.process_time()
    first: dict[int, Moment] = {}
    for column, event in events:
        if isinstance(event, Token):
            first.setdefault(column, Moment(time.perf_counter() - wall, time.process_time() - cpu))
    return first, Moment(time.perf_counter() - wall, time.process_time() - cpu)


def figures(rounds: Sequence[Round]) -> dict[str, Any]:
    """Medians over repetitions of ratios within each. `first_token_vs_bar` is the later column's; 1 is the bar."""
    found: dict[str, Any] = {"repetitions": len(rounds)}
    for name, unit in (("", "wall_s"), ("cpu_", "cpu_s")):

        def s(moment: Moment, unit: str = unit) -> float:
            return getattr(moment, unit)

        total = [s(r.beside_end) / sum(map(s, r.alone_end)) for r in rounds]
        late = [
            max(s(r.beside_first[i]) / (LATE * s(r.alone_first[i]) + s(r.alone_first[1 - i])) for i in range(2)) for r in rounds
        ]
        found |= {
            f"{name}total_vs_sequential": round(statistics.median(total), 4),
            f"{name}total_range": [round(min(total), 4), round(max(total), 4)],
            f"{name}first_token_vs_bar": round(statistics.median(late), 4),
            f"{name}first_token_range": [round(min(late), 4), round(max(late), 4)],
            f"{name}first_vs_alone": [
                round(statistics.median(s(r.beside_first[i]) / s(r.alone_first[i]) for r in rounds), 4) for i in range(2)
            ],
            f"{name}alone_first_s": round(statistics.median(s(m) for r in rounds for m in r.alone_first), 4),
            f"{name}alone_total_s": round(statistics.median(s(m) for r in rounds for m in r.alone_end), 4),
        }
    return found


def _report(f: dict[str, Any], names: Sequence[str], given: bool) -> Report:
    def pair(name: str, form: str = "{:.2f} x") -> str:
        return f"{form.format(f[f'cpu_{name}'])}, {form.format(f[name])} wall"

    first, second = f["cpu_first_vs_alone"]
    wall_first, wall_second = f["first_vs_alone"]
    low, high = f["cpu_total_range"]
    rows = [
        (
            "two answers in turns, against one after the other",
            pair("total_vs_sequential"),
            f"total time; CPU {low:.2f} to {high:.2f} over {f['repetitions']} repetitions",
        ),
        (
            "first token of the column that goes first, against alone",
            f"{first:.2f} x, {wall_first:.2f} x wall",
            f"alone {f['cpu_alone_first_s']:.2f} CPU s",
        ),
        (
            "first token of the column that goes second, against alone",
            f"{second:.2f} x, {wall_second:.2f} x wall",
            "the other's picture and prompt are read before",
        ),
        (
            f"the later first token, against {LATE} x alone plus the other's prefill",
            pair("first_token_vs_bar"),
            "at most 1 is the bar",
        ),
    ]
    what = " and ".join(names) if given else "Two random LLaVAs of 77 M parameters, 576 image tokens"
    notes = [
        f"{what}; {NEW_TOKENS} tokens, greedy, one thread, nothing cached. Medians of ratios within a repetition: CPU time of "
        "the process, then wall time, which other programs on the machine lengthen."
    ]
    return Report("Side by side", rows, f, notes, "-".join(dict.fromkeys(names)) if given else "")
