"""Attention rollout: attention multiplied through all layers, half of it staying where it is."""

from __future__ import annotations

from ..families.base import Capability
from ..internals.gradients import listened, spread
from ..internals.subject import Subject
from ..late import torch
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat


@heat_methods.add
class Rollout:
    slug = "rollout"
    title = "Attention rollout"
    measures = (
        "How much attention reaches each patch through all layers. Much of it is the shape of the causal mask: "
        "the map hardly changes when the weights are made random."
    )
    paper = (
        "Abnar and Zuidema 2005.00928, on the word's row alone: r <- r/2 + r A/2, heads averaged, "
        "from the last layer to the first."
    )
    cost = "trace"
    depends_on = "occurrence"
    layered = False
    needs = frozenset({Capability.GRID, Capability.ATTENTION})

    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        shift = -1 if choice.rows == "predicting" else 0
        relevance = torch.zeros(len(subject.inputs.ids), device=subject.vlm.parts.device)
        relevance[[subject.start + k + shift for k in words]] = 1 / len(words)
        with torch.no_grad():
            found = spread(listened(subject), relevance, lambda weights, _: weights.mean(0) / 2, keep=0.5)
        return heat(subject, found[subject.visual_columns()].cpu(), "share that reaches the patch", choice)
