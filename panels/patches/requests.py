"""What a page asks about the patches of a logged turn: checked, and worked on for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from model import Checkpoint, Prompt
from model.errors import InputError, Unsupported
from model.geometry.grid import ImageGrid
from model.internals.features import Stage
from model.internals.subject import Subject
from model.progress import Run

from ..base.bench import Bench
from ..base.turn_views import whole

T = TypeVar("T")
MAX_TEXT = 200


@dataclass(frozen=True)
class Question:
    """One question of the page, which may hold anything. Each reader raises InputError for what cannot be used."""

    given: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A text, empty where it is missing."""
        value = self.given.get(name, "")
        if not isinstance(value, str):
            raise InputError(f"The page sent no usable {name!r}. Reload it and try again.")
        return value[:MAX_TEXT]

    def number(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from `low` to below `high`."""
        value = self.given.get(name, default)
        if type(value) is not int or not low <= value < high:
            raise InputError(f"The {name} is {str(value)[:40]!r}. Choose a whole number from {low} to {high - 1}.")
        return value

    def maybe(self, name: str, high: int) -> int | None:
        """A whole number from 0 to below `high`, None for all."""
        return None if self.given.get(name) is None else self.number(name, 0, high)

    def flag(self, name: str) -> bool:
        """True or false, false where it is missing."""
        value = self.given.get(name, False)
        if type(value) is not bool:
            raise InputError(f"The page sent no usable {name!r}. Reload it and try again.")
        return value

    def one_of(self, name: str, known: Sequence[str]) -> Any:
        """A name out of those known."""
        value = self.given.get(name)
        if value not in known:
            raise InputError(f"The {name} is {str(value)[:40]!r}. Choose one of {', '.join(known)}.")
        return value

    def tokens(self, subject: Subject) -> list[int]:
        """Indices of visual tokens, at least one, ascending."""
        value = self.given.get("tokens")
        if not isinstance(value, list) or not value or any(type(t) is not int or not 0 <= t < subject.count for t in value):
            raise InputError(f"No patch is chosen that this answer has; there are {subject.count}. Click one.")
        return sorted(set(value))

    @property
    def stage(self) -> Stage:
        return self.one_of("stage", get_args(Stage))


@dataclass(frozen=True)
class Turn:
    """A logged turn as it is looked into: the same prompt, and the answer's own tokens."""

    run: str
    checkpoint: Checkpoint
    prompt: Prompt
    answer: tuple[int, ...]


def turn_of(bench: Bench, run_id: str) -> Turn:
    """The turn of this id. Raises InputError where it has no picture or is not answered, PictureError, CheckpointError."""
    record = bench.history.run(run_id)
    prompt = whole(record)
    if not prompt.images:
        raise InputError("This turn has no picture, so there are no patches to look at. Attach one in Chat and ask again.")
    if record.row.status == "running":
        raise InputError("This answer is still being written. Its patches can be looked at when it is done.")
    answer = tuple(token.id for token in record.tokens)
    return Turn(run_id, bench.allowed(record.checkpoint), Prompt(prompt.messages, prompt.answer_prefix), answer)


def placed(subject: Subject) -> ImageGrid:
    """Where the visual tokens look. Raises Unsupported where that is not known."""
    if subject.inputs.grid is None:
        raise Unsupported(
            f"It is not known where the visual tokens of {subject.vlm.checkpoint.name} look. Choose another checkpoint."
        )
    return subject.inputs.grid


def events_of(bench: Bench, turn: Turn, work: Callable[[Subject, Run], T]) -> Any:
    """What the core says while it works on a turn; the last is a Found."""
    return bench.core.examine(turn.checkpoint, turn.prompt, turn.answer, work)
