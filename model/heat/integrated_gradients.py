"""Integrated gradients: what each visual token adds on the straight way from no picture to this one."""

from __future__ import annotations

from ..families.base import Capability
from ..internals.subject import Subject, grid_of
from ..late import torch
from ..progress import batches
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat

STEPS = 16


@heat_methods.add
class IntegratedGradients:
    slug = "integrated_gradients"
    title = "Integrated gradients"
    measures = (
        "How many nats of the word's log-probability each patch adds, going from the mean visual token everywhere to the picture."
    )
    paper = "Sundararajan et al. 1703.01365 on visual features, midpoint rule. The parts sum to the whole up to the gap stated."
    cost = "passes"
    depends_on = "occurrence"
    layered = False
    needs = frozenset({Capability.GRID, Capability.GRADIENTS})

    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        grid_of(subject)
        away = subject.features - subject.nothing
        total = torch.zeros_like(subject.features, dtype=torch.float32)
        shares = ((torch.arange(STEPS, device=away.device) + 0.5) / STEPS)[:, None, None].to(away.dtype)
        with torch.enable_grad():
            for part in batches(STEPS, subject.graph_rows, run):
                at = (subject.nothing + away * shares[part]).detach().requires_grad_(True)  # [steps, T, D]
                total += torch.autograd.grad(subject.said(words, at).sum(), at)[0].float().sum(0) / STEPS
        scores = (total * away.float()).sum(-1)
        with torch.no_grad():
            empty = subject.said(words, subject.nothing.expand_as(subject.features)[None])[0]
            gap = float(scores.sum()) - float(subject.said(words, subject.features[None])[0] - empty)
        note = f"{STEPS} steps; parts sum to {float(scores.sum()):.3g} nats, completeness gap {gap:+.2g}"
        return heat(subject, scores.cpu(), "nats", choice, signed=True, note=note)
