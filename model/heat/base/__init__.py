"""What a heat method is, and what it gives: one score per visual token, not yet a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from ...families.base import Capability
from ...geometry.grid import ImageGrid
from ...internals.subject import Subject
from ...progress import Run as Run

Reduce = Literal["mean", "max"]
Cost = Literal["trace", "backward", "passes"]
DependsOn = Literal["occurrence", "word", "picture"]
"""A map of the word where it stands; of the word, the same wherever it stands; of the picture alone, whatever was said."""
SAME = {"occurrence": "", "word": " The same wherever the word stands.", "picture": " The same for every word."}


@dataclass(frozen=True)
class Choice:
    """What of a method is asked for. `layer` and `head` None mean over all; `reduce` is how they are put together.

    `rows` "predicting" is the position whose scores chose the word, "reading" the word's own position.
    `without` are visual tokens set aside before anything is averaged: attention sinks, when a user removes them.
    """

    layer: int | None = None
    head: int | None = None
    reduce: Reduce = "mean"
    rows: Literal["predicting", "reading"] = "predicting"
    without: tuple[int, ...] = ()


@dataclass(frozen=True)
class Heat:
    """Scores of T visual tokens for a word. `scores` float32 [T], un-normalised, in `unit`.

    `signed` scores are shown in colours that diverge from zero. `note` says what was averaged, and what
    the method found out about itself (a completeness gap, say). `mass` is the share of attention on the
    picture, for methods that read attention.
    """

    scores: np.ndarray = field(repr=False)
    grid: ImageGrid = field(repr=False)
    unit: str
    signed: bool = False
    note: str = ""
    mass: float | None = None


@runtime_checkable
class HeatMethod(Protocol):
    """One way of scoring visual tokens for answer tokens. A class with no state.

    `measures` is one sentence for the user: what a high score means, without a claim about reasons.
    `paper` is where the method is from and how this departs from it. `layered` methods obey a choice of
    layer and head. `cost` says what they take: nothing beyond the trace, a backward pass a word, or
    many forward passes. `depends_on` is what a map is of: a baseline that ignores the words says "picture".
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    measures: ClassVar[str]
    paper: ClassVar[str]
    cost: ClassVar[Cost]
    depends_on: ClassVar[DependsOn]
    layered: ClassVar[bool]
    needs: ClassVar[frozenset[Capability]]

    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        """Scores for the answer tokens at these indices together. Raises Unsupported, Interrupted."""


def measured_by(method: HeatMethod) -> str:
    """What a method measures, and for what its map is the same."""
    return method.measures + SAME[method.depends_on]
