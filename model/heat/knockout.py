"""Attention knockout: how much less likely a word is when the text may not attend to a patch."""

from __future__ import annotations

from ..families.base import Capability
from ..geometry.regions import WINDOW, shared, windows
from ..internals.knockout import text_cut
from ..internals.subject import Subject, grid_of
from ..late import torch, without_gradients
from ..progress import batches
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat


@heat_methods.add
class Knockout:
    slug = "knockout"
    title = f"Attention knockout, {WINDOW} x {WINDOW}"
    measures = "How many nats less likely the word is when no text may attend to the patches around, in the layers chosen."
    paper = (
        "Geva et al. 2304.14767: edges from all text to a window of visual tokens are cut; "
        "a token's score is the mean of its windows."
    )
    cost = "passes"
    depends_on = "occurrence"
    layered = True
    needs = frozenset({Capability.GRID, Capability.ATTENTION})

    @without_gradients
    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        regions = windows(grid_of(subject))
        layers = None if choice.layer is None else (choice.layer,)
        heads = None if choice.head is None else (choice.head,)
        whole, lost = subject.said(words), []
        for part in batches(len(regions), subject.batch_rows, run):
            cuts = [text_cut(subject, region, layers, heads, sample) for sample, region in enumerate(regions[part])]
            many = subject.features[None].expand(len(cuts), -1, -1)
            lost.append(whole - subject.said(words, many, cuts))
        where = "all layers" if choice.layer is None else f"layer {choice.layer + 1}"
        which = "all heads" if choice.head is None else f"head {choice.head + 1}"
        note = f"{len(regions)} windows cut in {where}, {which}"
        return heat(subject, shared(regions, torch.cat(lost)), "nats lost", choice, signed=True, note=note)
