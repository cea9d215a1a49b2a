"""Relevancy: gradient x attention carried from the word down through all layers of the decoder."""

from __future__ import annotations

from ..families.base import Capability
from ..internals.gradients import graded, spread
from ..internals.roles import Role
from ..internals.subject import Subject
from ..late import torch
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat


def positive(weights: torch.Tensor, grads: torch.Tensor | None) -> torch.Tensor:
    """Rule 5: attention times gradient where positive, mean over heads. [H, R, K] -> [R, K]."""
    assert grads is not None
    return (weights * grads).clamp(min=0).mean(0)


def start_row(subject: Subject, words: tuple[int, ...]) -> torch.Tensor:
    """All relevance at the rows that predict the words. float32 [L]."""
    relevance = torch.zeros(len(subject.inputs.ids), device=subject.vlm.parts.device)
    relevance[[subject.start + k - 1 for k in words]] = 1.0
    return relevance


@heat_methods.add
class Relevancy:
    slug = "relevancy"
    title = "Relevancy"
    measures = "How much each patch reaches the word by attention that raises its probability, through all layers of the decoder."
    paper = "Chefer et al. 2103.15679, rules 5 and 6, on the word's row alone; gradient of the log-probability."
    cost = "backward"
    depends_on = "occurrence"
    layered = False
    needs = frozenset({Capability.GRID, Capability.ATTENTION, Capability.GRADIENTS})

    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        layers = [layer for layer in graded(subject, words) if layer.role is Role.DECODER]
        found = spread(layers, start_row(subject, words), positive)
        return heat(subject, found[subject.visual_columns()].cpu(), "relevance", choice)
