"""Relevancy through the decoder, and on through the vision tower to the patches of pixels."""

from __future__ import annotations

from ..families.base import Capability
from ..internals.gradients import Layer, graded, spread
from ..internals.roles import Role
from ..internals.subject import Subject
from ..late import torch
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat
from .relevancy import positive, start_row


@heat_methods.add
class RelevancyTower:
    slug = "relevancy_tower"
    title = "Relevancy through the tower"
    measures = "As relevancy, followed on through the vision tower: which pixels' patches fed the visual tokens that counted."
    paper = (
        "Chefer et al. 2103.15679 in both stacks. The connector hands each token's relevance to its own patches, in equal parts; "
        "where it reads several layers, all is followed down from the deepest."
    )
    cost = "backward"
    depends_on = "occurrence"
    layered = False
    needs = frozenset({Capability.GRID, Capability.ATTENTION, Capability.GRADIENTS})

    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        layers = graded(subject, words, tower=True)
        decoder = [layer for layer in layers if layer.role is Role.DECODER]
        tokens = spread(decoder, start_row(subject, words), positive)[subject.visual_columns()]
        scores = torch.zeros_like(tokens)
        tower = [layer for layer in layers if layer.role is Role.VISION]
        for places in subject.vlm.family.tower_places(subject.vlm.parts, subject.inputs):
            at = torch.from_numpy(places.positions).to(tokens.device) + places.offset  # [tokens of the tile, patches of a token]
            mine = torch.from_numpy(places.tokens).to(tokens.device)
            relevance = torch.zeros(sum(_lengths(tower, tower[0].layer)), device=tokens.device)
            relevance.index_add_(0, at.reshape(-1), (tokens[mine, None] / at.shape[1]).expand_as(at).reshape(-1))
            found = through_tower(tower, relevance, places.sample)
            scores[mine] = found[at].sum(-1)
        return heat(subject, scores.cpu(), "relevance", choice)


def through_tower(layers: list[Layer], relevance: torch.Tensor, sample: int) -> torch.Tensor:
    """Carry relevance down through the tower's layers: float32 [patches] of one sample of a batch, or of one sequence.

    A tower that takes pictures in one sequence calls attention once for each picture or window of it, in their order.
    """
    for number in sorted({layer.layer for layer in layers}, reverse=True):
        calls = [layer for layer in layers if layer.layer == number]
        pieces = relevance.split(_lengths(layers, number))
        relevance = torch.cat([spread([call], piece, positive, sample=sample) for call, piece in zip(calls, pieces, strict=True)])
    return relevance


def _lengths(layers: list[Layer], number: int) -> list[int]:
    return [layer.call.q.shape[2] for layer in layers if layer.layer == number]
