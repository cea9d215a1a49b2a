"""Gradient x attention: weights counted by how the word's probability hangs on them."""

from __future__ import annotations

from ..families.base import Capability
from ..internals.gradients import graded
from ..internals.subject import Subject
from ..late import torch
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat


@heat_methods.add
class GradAttention:
    slug = "grad_attention"
    title = "Gradient x attention"
    measures = "Attention of the word's row to each patch, counted where more of it would make the word likelier."
    paper = "Chefer et al. 2103.15679, rule 5, of the word's row alone: positive parts, heads averaged, layers summed."
    cost = "backward"
    depends_on = "occurrence"
    layered = True
    needs = frozenset({Capability.GRID, Capability.ATTENTION, Capability.GRADIENTS})

    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        shift = -1 if choice.rows == "predicting" else 0
        rows = torch.tensor([subject.start + k + shift for k in words], device=subject.vlm.parts.device)
        layers = graded(subject, words)
        wanted = layers if choice.layer is None else layers[choice.layer : choice.layer + 1]
        columns = subject.visual_columns()
        total = torch.zeros(len(columns), device=columns.device)
        for layer in wanted:
            for _, found, grads in layer.blocks(rows):
                assert grads is not None, "graded layers have gradients"
                heads = (found * grads).clamp(min=0)[..., columns].mean(1)  # [H, T]
                total += heads.mean(0) if choice.head is None else heads[choice.head]
        where = "all layers, summed" if choice.layer is None else f"layer {choice.layer + 1}"
        which = "all heads" if choice.head is None else f"head {choice.head + 1}"
        return heat(subject, total.cpu(), "attention x gradient", choice, note=f"{where}, {which}")
