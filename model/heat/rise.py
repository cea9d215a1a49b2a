"""RISE: random masks, each weighed by how likely the word stays under it."""

from __future__ import annotations

from ..families.base import Capability
from ..geometry.grid import ImageGrid
from ..internals.subject import Subject, grid_of
from ..late import torch, without_gradients
from ..progress import batches
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat

MASKS, CELLS, KEPT, SEED = 128, 4, 0.5, 0


@heat_methods.add
class Rise:
    slug = "rise"
    title = "RISE"
    measures = "How likely the word is, on average, under random masks that show the patch, less the average of all masks."
    paper = (
        "Petsiuk et al. 1806.07421 on visual features: coarse random grids, shifted and smoothed; "
        "hidden parts become the mean token."
    )
    cost = "passes"
    depends_on = "occurrence"
    layered = False
    needs = frozenset({Capability.GRID})

    @without_gradients
    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        masks = smooth_masks(grid_of(subject), MASKS)
        away = subject.features - subject.nothing
        chances = []
        for part in batches(MASKS, subject.batch_rows, run):
            shown = subject.nothing + masks[part, :, None].to(away) * away
            chances.append(subject.said(words, shown).exp())
        chance = torch.cat(chances)
        seen = masks / masks.sum(0).clamp(min=1e-6)
        scores = (seen * chance[:, None]).sum(0) - chance.mean()
        note = f"{MASKS} masks of {CELLS} x {CELLS} cells, seed {SEED}"
        return heat(subject, scores, "probability", choice, signed=True, note=note)


def smooth_masks(grid: ImageGrid, count: int) -> torch.Tensor:
    """Masks from 0 (hidden) to 1 (shown) at every token: each view has its own coarse grid. float32 [count, T].

    Queries of a resampler, which have no places, are shown or hidden one by one.
    """
    random = torch.Generator().manual_seed(SEED)
    if grid.mixing is not None:
        return (torch.rand(count, grid.tokens, generator=random) < KEPT).float()
    found = torch.ones(count, grid.tokens)
    cell = torch.from_numpy(grid.cell)
    start = 0
    for view in grid.views:
        many = view.rows * view.cols
        coarse = (torch.rand(count, 1, CELLS + 1, CELLS + 1, generator=random) < KEPT).float()
        size = (-(-view.rows // CELLS) * (CELLS + 1), -(-view.cols // CELLS) * (CELLS + 1))
        large = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)[:, 0]
        down = torch.randint(0, size[0] - view.rows + 1, (count,), generator=random)
        right = torch.randint(0, size[1] - view.cols + 1, (count,), generator=random)
        cut = torch.stack([m[d : d + view.rows, r : r + view.cols] for m, d, r in zip(large, down, right, strict=True)])
        inside = (cell >= start) & (cell < start + many)
        found[:, inside] = cut.reshape(count, -1)[:, cell[inside] - start]
        start += many
    return found
