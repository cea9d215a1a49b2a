"""Raw attention: the decoder's weights from a word's row to the visual tokens."""

from __future__ import annotations

from ..families.base import Capability
from ..internals.subject import Subject, grid_of
from ..internals.trace import Want
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat, reduced


@heat_methods.add
class RawAttention:
    slug = "attention"
    title = "Raw attention"
    measures = (
        "The share of the word's attention that falls on each patch. Attention moves information; it does not say what was used."
    )
    paper = "The softmax weights themselves, of rows recomputed in float32. Mean or largest over layers and heads."
    cost = "trace"
    depends_on = "occurrence"
    layered = True
    needs = frozenset({Capability.GRID, Capability.ATTENTION})

    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        grid_of(subject)
        trace = subject.trace(Want(rows=choice.rows), run.stop)
        assert trace.attention is not None, "the trace has the attention that was wanted"
        assert trace.image_mass is not None, "and its share on the picture"
        scores, note = reduced(trace.attention[:, :, list(words)].mean(2), choice)
        mass, _ = reduced(trace.image_mass[:, :, list(words)].mean(2), Choice(choice.layer, choice.head))
        return heat(subject, scores, "attention", choice, note=note, mass=float(mass))
