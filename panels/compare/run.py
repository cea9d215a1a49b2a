"""A comparison being made: all columns heard from one generator, ten times a second; behind a veil where it is blind."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from model import ColumnEvent, ColumnFailed, WorkbenchError
from model.events import Finished, Spent
from model.recorder import new_id
from studies.comparison import Comparison, Side

from ..base.bench import Bench
from ..base.turn import UPDATE_S, TurnProgress, heard
from .requests import Asking, Entrant, entrant

log = logging.getLogger(__name__)
PANEL = "compare"
KIND, NAME = "compare", "spent"
"""What is kept with each run: what it took beside the others, and the setting it was asked under."""


@dataclass(frozen=True)
class Heard:
    """One column so far."""

    entrant: Entrant
    progress: TurnProgress
    spent: Spent | None = None

    @property
    def failed(self) -> bool:
        return bool(self.progress.error)


def run(bench: Bench, asked: Asking, again: Sequence[Entrant] = ()) -> Iterator[tuple[Heard, ...]]:
    """Ask all columns, or these once more. Yields them at most ten times a second, and once when all have ended.

    The comparison is written down before the core is asked, so that a blind one is sealed from its first word on.
    Raises LogError where a blind one cannot be written down: its vote would have no place.
    """
    ids = [new_id() for _ in asked.settings]
    columns = tuple(again) or tuple(entrant(bench, one, asked.prompt, id) for one, id in zip(asked.settings, ids))
    written = Comparison(
        asked.group, asked.session, asked.prompt.question, asked.kind, asked.blind, False,
        tuple(Side(c.run, c.label, c.setting.plain(c.error)) for c in columns), "",
    )  # fmt: skip
    try:
        bench.history.begin_comparison(written)
    except WorkbenchError:
        if asked.blind:
            raise
        log.warning("A comparison was not logged.", exc_info=True)
    found = {i: Heard(c, TurnProgress(c.run, stage="Starting", error=c.error, done=bool(c.error))) for i, c in enumerate(columns)}
    yield tuple(found.values())
    ready = [i for i, c in enumerate(columns) if c.column is not None]
    if ready:
        try:
            yield from _answers(bench, asked, found, ready)
        except WorkbenchError:  # refused at the door: a comparison of which nothing was asked is none
            bench.history.forget_comparison(asked.group)
            raise
    yield tuple(found.values())


def _answers(bench: Bench, asked: Asking, found: dict[int, Heard], ready: Sequence[int]) -> Iterator[tuple[Heard, ...]]:
    """What the columns that can be asked say; `found` is filled as they do."""
    begun = shown = time.monotonic()
    columns = [column for i in ready if (column := found[i].entrant.column) is not None]
    events = bench.core.side_by_side(columns, panel=PANEL, session=asked.session, group=asked.group)
    with closing(events):
        for event in events:
            i = ready[event.column]
            found[i] = _after(found[i], event, time.monotonic() - begun)
            if found[i].progress.finished is not None or time.monotonic() - shown >= UPDATE_S:
                shown = time.monotonic()
                yield tuple(found.values())
    for one in (found[i] for i in ready):
        if one.spent is not None:
            _keep(bench, one)


def _after(one: Heard, event: ColumnEvent | ColumnFailed, elapsed_s: float) -> Heard:
    if isinstance(event, ColumnFailed):
        return replace(one, progress=replace(one.progress, stage="", error=event.error, done=True))
    if isinstance(event.event, Spent):
        return replace(one, spent=event.event)
    progress = heard(one.progress, event.event, elapsed_s)
    if isinstance(event.event, Finished):
        progress = replace(progress, stage="", done=True)
    return replace(one, progress=progress)


def _keep(bench: Bench, one: Heard) -> None:
    """What a column took is kept with its run. A log that cannot be written is no reason to lose the answer."""
    try:
        bench.history.keep(one.entrant.run, KIND, NAME, b"", asdict(one.spent) if one.spent else {})
    except WorkbenchError as error:
        log.warning("What a column took was not logged: %s", error)


def kept_spent(bench: Bench, run_id: str) -> Spent | None:
    """What a logged column took; None where it was not kept, or where an import brought something else by that name."""
    meta = next((artifact.meta for artifact in bench.history.kept(run_id, KIND) if artifact.name == NAME), {})
    numbers: dict[str, Any] = {part.name: meta.get(part.name) for part in fields(Spent)}
    return Spent(**numbers) if all(type(number) in (int, float) for number in numbers.values()) else None


def veiled(columns: Sequence[Heard]) -> list[str]:
    """What a blind comparison may show: every answer as far as the slowest unfinished one is, character by character.

    So neither who is first nor who is quick can be seen; what was said shows once all have ended.
    """
    writing = [one for one in columns if not one.progress.done]
    if not writing:
        return [one.progress.answer for one in columns]
    far = min(len(one.progress.answer) for one in writing)
    return [one.progress.answer[:far] for one in columns]


def veiled_stage(columns: Sequence[Heard], elapsed_s: float) -> str:
    """One sentence for all columns of a blind comparison while they are being written."""
    if all(one.progress.done for one in columns):
        return ""
    return f"All {len(columns)} are being asked, {elapsed_s:.0f} s. Shown as far as the slowest is."
