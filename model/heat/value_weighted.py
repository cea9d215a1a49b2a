"""Value-weighted attention: how long the vector is that each visual token adds to a word's state."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import Unsupported
from ..families.base import Capability
from ..internals.gradients import Layer, listened
from ..internals.subject import Subject
from ..late import torch, without_gradients
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat

OUT = ("o_proj", "out_proj", "proj", "dense")


@heat_methods.add
class ValueWeighted:
    slug = "value_weighted"
    title = "Value-weighted attention"
    measures = "How much each patch adds to the word's state: attention times the length of what it carries. Sinks carry little."
    paper = (
        "Kobayashi et al. 2004.10102: the norm of the summed, transformed values. "
        "Summed over layers, not normalised by the residual."
    )
    cost = "trace"
    depends_on = "occurrence"
    layered = True
    needs = frozenset({Capability.GRID, Capability.ATTENTION})

    @without_gradients
    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        shift = -1 if choice.rows == "predicting" else 0
        rows = torch.tensor([subject.start + k + shift for k in words], device=subject.vlm.parts.device)
        layers = listened(subject)
        wanted = layers if choice.layer is None else layers[choice.layer : choice.layer + 1]
        scores = np.sum([self._added(subject, layer, rows, choice.head) for layer in wanted], axis=0)
        where = "all layers, summed" if choice.layer is None else f"layer {choice.layer + 1}"
        which = "all heads" if choice.head is None else f"head {choice.head + 1}"
        return heat(subject, scores, "length of the added vector", choice, note=f"{where}, {which}")

    def _added(self, subject: Subject, layer: Layer, rows: torch.Tensor, head: int | None) -> np.ndarray:
        """Norms of what each visual token adds in one layer, mean over rows. float32 [T]."""
        columns = subject.visual_columns()
        heads, width = layer.call.q.shape[1], layer.call.v.shape[-1]
        out = _projection(subject.vlm.parts.model.get_submodule(layer.call.name))
        groups = heads // layer.call.v.shape[1]
        total = torch.zeros(len(columns), device=columns.device)
        for _, found, _ in layer.blocks(rows):
            for row in range(found.shape[1]):
                added = torch.zeros(len(columns), out.shape[0], device=columns.device)
                for h in range(heads) if head is None else (head,):
                    moved = layer.call.v[0, h // groups, columns].float() @ out[:, h * width : (h + 1) * width].float().T
                    added += found[h, row, columns, None] * moved
                total = total + added.norm(dim=-1)
        return (total / len(rows)).cpu().numpy()


def _projection(module: Any) -> torch.Tensor:
    """The matrix [D, heads * width] that carries an attention module's heads back to the state."""
    for name in OUT:
        weight = getattr(getattr(module, name, None), "weight", None)
        if weight is not None and weight.is_floating_point():
            return weight
    raise Unsupported(f"{type(module).__name__} has no plain output projection to weigh values with. Choose raw attention.")
