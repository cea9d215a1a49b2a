"""What a question is, what its maker may use, and where makers are kept by kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .phrases import names
from .scene import Scene, Thing


@dataclass(frozen=True, slots=True)
class Question:
    """A question put to one scene, with the truth."""

    kind: str
    text: str
    answer: str
    things: tuple[int, ...] = ()
    variant: str = ""
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A question before it is worded: slots for the wording, the answer, what it is about."""

    slots: Mapping[str, str]
    answer: str
    things: tuple[int, ...] = ()
    variant: str = ""


@dataclass(frozen=True)
class Asker:
    """What a question maker may use. `pool` is "trained" or "never": which colour x shape pairs absent things may have.

    `about` fixes the thing asked about, where a kind asks about one thing; a thing that the scene does not hold
    leaves nothing to ask.
    """

    rng: random.Random
    scene: Scene
    pool: str = "trained"
    about: int | None = None
    things: Sequence[Thing] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "things", self.scene.things)

    def pick(self) -> int | None:
        if self.about is not None:
            return self.about if self.about < len(self.things) else None
        return self.rng.randrange(len(self.things)) if self.things else None

    def order(self) -> list[int]:
        """Indices of the things in random order, or only the one asked about."""
        if self.about is not None:
            return [self.about] if self.about < len(self.things) else []
        return self.rng.sample(range(len(self.things)), len(self.things))


Maker = Callable[[Asker], Draft | None]
"""Makes one question of its kind, or says that the scene allows none."""
MADE: dict[str, Maker] = {}
"""Kind -> its maker."""


def makes(kind: str) -> Callable[[Maker], Maker]:
    """Keeps the function below it as the maker of a kind."""

    def register(maker: Maker) -> Maker:
        MADE[kind] = maker
        return maker

    return register


def name_of(asker: Asker, index: int, *, hide: Sequence[str] = ()) -> str | None:
    found = names(asker.scene, index, hide=hide)
    return asker.rng.choice(found[:4]) if found else None


def any_named(asker: Asker, *, hide: Sequence[str] = (), but: int | None = None) -> tuple[int, str] | None:
    for index in asker.order():
        if index != but and (name := name_of(asker, index, hide=hide)):
            return index, name
    return None


def yes_no(truth: bool) -> str:
    return "Yes" if truth else "No"
