"""What a study is: a question, a measurement, a report that prints itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from model import Checkpoint

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What a study found. `rows` are (what, value, how it was measured); `figures` the same as numbers, for machines."""

    title: str
    rows: Sequence[tuple[str, str, str]]
    figures: Mapping[str, Any]
    notes: Sequence[str] = field(default=())
    about: str = ""
    """What was studied, where a study is kept for each of several things: a checkpoint's name."""

    def table(self) -> str:
        """The rows as a Markdown table, with the notes below."""
        lines = ["| what | value | how |", "|---|---:|---|", *(f"| {what} | {value} | {how} |" for what, value, how in self.rows)]
        return "\n".join([f"**{self.title}**", "", *lines, *(f"\n{note}" for note in self.notes)])


@dataclass(frozen=True)
class Trial:
    """One thing a resumable study asks of one checkpoint. `key` is a hash of the rest: the point to resume at."""

    key: str
    checkpoint: Checkpoint
    condition: str
    item: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of a trial. `run_id` is its model call in the log, `error` a sentence where it failed."""

    output: str
    scores: Mapping[str, float]
    run_id: str | None = None
    error: str | None = None


class TrialLog(Protocol):
    """Where trials are kept, so that a study can go on where it stopped. `app.log.trials.Trials` keeps them in SQLite."""

    def plan(self, study: str, trials: Iterable[Trial]) -> int: ...
    def done(self, study: str) -> set[str]: ...
    def record(self, study: str, trial: Trial, outcome: Outcome) -> None: ...
    def table(self, study: str) -> Sequence[Mapping[str, Any]]: ...


@runtime_checkable
class Study(Protocol):
    """One file in `studies/`. `question` says what it answers; `measure` may take minutes and tells its progress.

    `options` name what else `measure` takes, as keywords.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    options: ClassVar[tuple[str, ...]]

    def measure(self, checkpoints: Sequence[Checkpoint], tell: Tell, **options: Any) -> Report: ...
