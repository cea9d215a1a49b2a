"""Occlusion: how much less likely a word is with a window of visual tokens hidden."""

from __future__ import annotations

from ..families.base import Capability
from ..geometry.regions import WINDOW, shared, windows
from ..internals.subject import Subject, grid_of
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import drops, heat


@heat_methods.add
class Occlusion:
    slug = "occlusion"
    title = f"Occlusion, {WINDOW} x {WINDOW}"
    measures = "How many nats less likely the word is when the patches around are replaced by the mean patch."
    paper = (
        "Zeiler and Fergus 1311.2901 on visual features: a window around every token; "
        "a token's score is the mean of those over it."
    )
    cost = "passes"
    depends_on = "occurrence"
    layered = False
    needs = frozenset({Capability.GRID})

    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        regions = windows(grid_of(subject))
        lost = drops(subject, words, regions, run)
        note = f"{len(regions)} windows, each replaced by the mean visual token"
        return heat(subject, shared(regions, lost), "nats lost", choice, signed=True, note=note)
