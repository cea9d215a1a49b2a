"""Logit lens on visual tokens: where the picture's own patches say the word."""

from __future__ import annotations

from ..families.base import Capability
from ..internals.lens import depths, word_probabilities
from ..internals.subject import Subject, grid_of
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat


@heat_methods.add
class LogitLens:
    slug = "logit_lens"
    title = "Logit lens"
    measures = "How likely the decoder finds the word at each patch itself, at the depth where it is likeliest, or at one depth."
    paper = (
        "2410.07149 and 2410.02762: final norm and output matrix on the states of visual tokens; "
        "largest over depths unless one is chosen."
    )
    cost = "trace"
    depends_on = "word"
    layered = True
    needs = frozenset({Capability.GRID, Capability.ATTENTION})

    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        grid_of(subject)
        at = depths(subject)[1:] if choice.layer is None else (choice.layer + 1,)
        found = word_probabilities(subject, [subject.answer_ids[k] for k in words], at).mean(-1)  # [depths, T]
        note = f"largest over {len(at)} layers" if choice.layer is None else f"after layer {choice.layer + 1}"
        return heat(subject, found.max(0), "probability", choice, note=note)
