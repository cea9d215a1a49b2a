"""Where a map falls against a mask: mass, lift, pointing hit and AUROC, at the resolution of tokens.

A cell counts by the share of it that the mask covers, so nothing hangs on how a mask is rounded to the
grid. What is measured is where a map is, not whether the place mattered: that is `curves`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from model import ImageGrid

from ..metrics import auroc

HIT_COVER = 0.25
"""A map's highest cell is a hit if the mask covers so much of it, or half as much as of the cell it covers most."""


@dataclass(frozen=True)
class Target:
    """A mask as the cells of one picture see it.

    `cells` int64 [N] are those a token looks at, in the order of `ImageGrid.cells`. `cover` float64 [N] is the share
    of each that the mask covers, 0 to 1. `area` is their mean: the lift of a map is its mass over this.
    """

    grid: ImageGrid = field(repr=False)
    cells: np.ndarray = field(repr=False)
    cover: np.ndarray = field(repr=False)

    @property
    def area(self) -> float:
        return float(self.cover.mean())

    @property
    def own(self) -> np.ndarray:
        """Cells of the object: covered at least half as much as the cell it covers most. bool [N]."""
        return (self.cover > 0) & (self.cover >= self.cover.max() / 2)

    def values(self, scores: np.ndarray) -> np.ndarray:
        """Token scores [T] at the cells. float64 [N]."""
        return self.grid.per_cell(scores)[self.cells]


@dataclass(frozen=True)
class Located:
    """How a map lies on a mask. `mass` and `auroc` are 0 to 1, `lift` is 1 for a map that ignores the mask."""

    mass: float
    lift: float
    hit: float
    auroc: float


def target(grid: ImageGrid, mask: np.ndarray, image: int = 0) -> Target:
    """The cells of a picture under a mask, bool [H, W] of that picture."""
    width, height = grid.sizes[image]
    assert mask.shape == (height, width), f"a mask of {mask.shape} for a picture of {width} x {height}"
    seen = ~np.isnan(grid.per_cell(np.zeros(grid.tokens)))
    cover = box_means(mask.astype(np.float64), grid.cells())
    cells = np.flatnonzero(seen & (grid.owners() == image) & ~np.isnan(cover))
    return Target(grid, cells, cover[cells])


def box_means(values: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Means of pixel values [H, W] over boxes [N, 4], exact for parts of pixels. float64 [N]; nan for boxes outside."""
    height, width = values.shape
    total = np.zeros((height + 1, width + 1))
    total[1:, 1:] = values.cumsum(0).cumsum(1)
    x0, x1 = (np.clip(boxes[:, i], 0, width) for i in (0, 2))
    y0, y1 = (np.clip(boxes[:, i], 0, height) for i in (1, 3))

    def upto(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        left, top = np.minimum(x.astype(int), width - 1), np.minimum(y.astype(int), height - 1)
        u, v = x - left, y - top
        above = (1 - u) * total[top, left] + u * total[top, left + 1]
        below = (1 - u) * total[top + 1, left] + u * total[top + 1, left + 1]
        return (1 - v) * above + v * below

    area = (x1 - x0) * (y1 - y0)
    whole = upto(x1, y1) - upto(x0, y1) - upto(x1, y0) + upto(x0, y0)
    return np.where(area > 0, whole / np.maximum(area, 1e-12), np.nan)


def located(scores: np.ndarray, on: Target) -> Located:
    """Mass, lift, hit and AUROC of token scores [T].

    Mass is the share of the map's positive part, each cell counted by its cover; a map without one has none anywhere,
    and counts as even. A hit: the object covers a quarter of the highest cell. AUROC: the object's own cells against
    those it does not touch, the rim between left out.
    """
    values = on.values(scores)
    mass = share(values, on.cover)
    best = np.flatnonzero(values == values.max())
    enough, clear = min(HIT_COVER, on.cover.max() / 2), on.own | (on.cover == 0)
    return Located(mass, mass / on.area, float((on.cover[best] >= enough).mean()), auroc(values[clear], on.own[clear]))


def share(values: np.ndarray, cover: np.ndarray) -> float:
    """The share of the positive part of values [N] that lies under a cover [N]."""
    positive = np.maximum(values, 0)
    return float((positive * cover).sum() / positive.sum()) if positive.sum() > 0 else float(cover.mean())


def evenness(values: np.ndarray) -> float:
    """Entropy of the positive part over that of an even map: 1 is flat, 0 is a single cell."""
    positive = np.maximum(values, 0)
    if positive.sum() <= 0 or len(values) < 2:
        return 1.0
    parts = positive[positive > 0] / positive.sum()
    return float(-(parts * np.log(parts)).sum() / np.log(len(values)))
