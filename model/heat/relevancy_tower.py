"""Relevancy through the decoder, and on through the vision tower to the patches of pixels."""

from __future__ import annotations

import torch

from ..families.base import Capability
from ..gradients import Layer, graded, spread
from ..roles import Role
from ..subject import Subject
from . import heat_methods
from ._common import heat
from .base import Choice, Heat, Run
from .relevancy import positive, start_row


@heat_methods.add("relevancy_tower")
class RelevancyTower:
    slug = "relevancy_tower"
    title = "Relevancy through the tower"
    measures = "As relevancy, followed on through the vision tower: which pixels' patches fed the visual tokens that counted."
    paper = (
        "Chefer et al. 2103.15679 in both stacks. The connector hands each token's relevance to its own patches, in equal parts."
    )
    cost = "backward"
    layered = False
    needs = frozenset({Capability.GRID, Capability.ATTENTION, Capability.GRADIENTS})

    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        layers = graded(subject, words, tower=True)
        decoder = [layer for layer in layers if layer.role is Role.DECODER]
        tokens = spread(decoder, start_row(subject, words), positive)[subject.visual_columns()]
        scores = torch.zeros_like(tokens)
        family, parts = subject.vlm.family, subject.vlm.parts
        for picture, places in enumerate(family.tower_places(parts, subject.inputs)):
            tower, sample = _of_picture([layer for layer in layers if layer.role is Role.VISION], picture)
            relevance = torch.zeros(tower[0].call.q.shape[2], device=tokens.device)
            at = torch.from_numpy(places.positions).to(tokens.device)  # [tokens of the picture, patches of a token]
            mine = torch.from_numpy(places.tokens).to(tokens.device)
            relevance.index_add_(0, at.reshape(-1), (tokens[mine, None] / at.shape[1]).expand_as(at).reshape(-1))
            found = spread(tower, relevance, positive, sample=sample)
            scores[mine] = found[at].sum(-1)
        return heat(subject, scores.cpu(), "relevance", choice)


def _of_picture(layers: list[Layer], picture: int) -> tuple[list[Layer], int]:
    """The tower's calls for one picture, and its place in their batch: towers take pictures as samples, or one call each."""
    if layers[0].call.q.shape[0] > 1:
        return layers, picture
    numbers = {layer.layer for layer in layers}
    by_layer = [[layer for layer in layers if layer.layer == number] for number in sorted(numbers)]
    return [calls[picture] for calls in by_layer], 0
