"""Greedy regions: which region, shown next, makes the word most likely, and missing, least."""

from __future__ import annotations

from ..families.base import Capability
from ..geometry.regions import blocks
from ..internals.subject import Subject, grid_of
from ..late import torch, without_gradients
from ..progress import batches
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat

REGIONS = 64
"""At most so many regions, whose side in tokens follows; their square is what it costs."""
ENOUGH = 0.98


@heat_methods.add
class Greedy:
    slug = "greedy"
    title = "Greedy regions"
    measures = "The order in which regions are best shown so that they alone say the word, and the rest without them does not."
    paper = (
        "EAGLE, 2509.22496: each step takes the region with the largest p(shown) + 1 - p(left). "
        "Stops when the shown part says all."
    )
    cost = "passes"
    depends_on = "occurrence"
    layered = False
    needs = frozenset({Capability.GRID})

    @without_gradients
    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        grid = grid_of(subject)
        side = next(side for side in range(1, grid.tokens + 1) if len(blocks(grid, side)) <= REGIONS)
        regions = blocks(grid, side)
        whole = float(subject.said(words).exp()[0])
        shown = torch.zeros(grid.tokens, dtype=torch.bool)
        scores, left, steps = torch.zeros(grid.tokens), list(range(len(regions))), 0
        while left:
            run.step(len(regions) - len(left), len(regions))
            with_it, without_it, best = self._best(subject, words, shown | regions[left], run)
            taken = left.pop(best)
            shown = shown | regions[taken]
            scores[regions[taken]] = (len(regions) - steps) / len(regions)
            steps += 1
            if with_it >= ENOUGH * whole and without_it <= (1 - ENOUGH) * whole + 0.02:
                break
        run.step(1, 1)
        note = f"{steps} of {len(regions)} regions of {side} x {side} patches, best first; the others are 0"
        return heat(subject, scores, "rank", choice, note=note)

    def _best(self, subject: Subject, words: tuple[int, ...], tried: torch.Tensor, run: Run) -> tuple[float, float, int]:
        """p(shown), p(left) and index of the row of `tried`, bool [N, T], with the largest p(shown) + 1 - p(left).

        p(shown) is at most 1, so rows whose p(left) leaves them no chance are not asked about it.
        """
        without = self._chances(subject, words, ~tried, run)
        shown, gain = torch.zeros(len(tried)), torch.full((len(tried),), -torch.inf)
        for likely in without.argsort().split(subject.batch_rows):
            if float(gain.max()) > float(2 - without[likely[0]]):
                break
            part = likely.sort().values  # neighbours share more of the prompt
            shown[part] = self._chances(subject, words, tried[part], run)
            gain[part] = shown[part] + 1 - without[part]
        best = int(gain.argmax())
        return float(shown[best]), float(without[best]), best

    def _chances(self, subject: Subject, words: tuple[int, ...], keep: torch.Tensor, run: Run) -> torch.Tensor:
        quiet = Run(run.stop)
        return torch.cat(
            [subject.said(words, subject.hidden(keep[part])).exp() for part in batches(len(keep), subject.batch_rows, quiet)]
        )
