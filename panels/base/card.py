"""What a tab says about itself beside its name: how it is entered from a turn, what it keeps with one, its elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .records import Json, RunRecord, RunRow

if TYPE_CHECKING:  # a bench holds cards, too
    from .bench import Bench

Place = Literal["chat", "bench", "sessions"]
EVERYWHERE: frozenset[Place] = frozenset({"chat", "bench", "sessions"})
"""Beside each turn of Chat, under what is on the bench, above the turn chosen in Sessions."""
ON_PAGE: frozenset[Place] = frozenset({"chat", "bench"})


def any_turn(record: RunRecord) -> bool:
    return True


def nothing_more(bench: Bench, row: RunRow) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Action:
    """A button of a turn. It opens the tab at that turn; where `opens` is false the tab answers the event itself.

    `text` stands on the button and `title` explains it; buttons stand by `order`. `turns` says which turns have it. `what` names
    what is to be shown of a turn, in the tab's own words; see `Opening`.
    """

    name: str
    text: str
    title: str
    places: frozenset[Place] = EVERYWHERE
    turns: Callable[[RunRecord], bool] = any_turn
    opens: bool = True
    order: int = 50
    what: Callable[[Bench, RunRow], Mapping[str, str]] = nothing_more


@dataclass(frozen=True)
class Element:
    """A custom element of a tab: its markup, and the events that its script triggers.

    `script` is the module of `assets/js` that defines it.
    """

    markup: str
    events: tuple[str, ...] = ()
    script: str = "main.js"


def as_written(meta: Json) -> tuple[str, str]:
    """Title and note of a kept thing as they were written with it, empty where they were not."""
    title, note = meta.get("title"), meta.get("note")
    return (title if isinstance(title, str) else ""), (note if isinstance(note, str) else "")


@dataclass(frozen=True)
class Kept:
    """A kind of thing that a tab keeps with a turn, such as a map.

    `read` gives the request that makes it again, out of what was written of it: an import may have brought anything, and what
    cannot be read (None) is not listed. `described` is what Sessions lists of it: title and note; without a title it is `title`.
    """

    title: str
    read: Callable[[Json], Json | None]
    described: Callable[[Json], tuple[str, str]] = as_written
