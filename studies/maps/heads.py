"""Localisation heads: the one head whose attention alone shows where things are.

Chosen with masks, on half of the cases, and scored on the other half. Or found without masks, after Kang et al.
2503.06287: of the heads that look at the picture at all, the one that most often has its attention in one place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from model import ImageGrid

from .localisation import Target, located

CANDIDATES = 10
"""So many heads of the least spatial entropy count for each case, as in the paper."""


def lifts(maps: np.ndarray, on: Target) -> np.ndarray:
    """Lift of every head's map [L, H, T]. float64 [L, H]."""
    return np.array([[located(head, on).lift for head in layer] for layer in maps])


def best_head(found: Sequence[np.ndarray]) -> tuple[int, int]:
    """The (layer, head) of the highest mean lift, from the [L, H] of each case."""
    mean = np.mean(found, axis=0)
    layer, head = np.unravel_index(int(mean.argmax()), mean.shape)
    return int(layer), int(head)


def found_head(maps: Sequence[np.ndarray], grids: Sequence[ImageGrid]) -> tuple[tuple[int, int], float]:
    """The head found without masks from each case's maps [L, H, T], and the share of cases it was a candidate in."""
    votes: Counter[tuple[int, int]] = Counter()
    for heads, grid in zip(maps, grids, strict=True):
        votes.update(candidates(heads, grid))
    (head, count), *_ = votes.most_common(1)
    return head, count / len(maps)


def candidates(maps: np.ndarray, grid: ImageGrid) -> list[tuple[int, int]]:
    """Heads above the elbow of image mass, least spatial entropy first, then most mass; at most a quarter of all. [L, H, T]."""
    mass = maps.sum(-1)
    above = mass > elbow(mass.reshape(-1))
    looking = [(int(i), int(j)) for i, j in np.argwhere(above if above.any() else mass >= 0)]
    entropy = {at: spatial_entropy(_raster(maps[at], grid)) for at in looking}
    limit = min(CANDIDATES, max(1, mass.size // 4))
    return sorted(entropy, key=lambda at: (entropy[at], -mass[at]))[:limit]


def elbow(values: np.ndarray) -> float:
    """The value at which the ascending curve of values is farthest below the line between its ends."""
    ascending = np.sort(values)
    line = np.linspace(ascending[0], ascending[-1], len(ascending))
    return float(ascending[int((line - ascending).argmax())])


def _raster(scores: np.ndarray, grid: ImageGrid) -> np.ndarray:
    """A map as a picture of as many pixels as its first view has cells."""
    view = grid.views[0]
    return np.nan_to_num(grid.paint(scores, size=(view.cols, view.rows)))


def spatial_entropy(values: np.ndarray) -> float:
    """Entropy in nats of the mass of the 8-connected parts of what is above the mean [H, W]. 0 is one part."""
    above = np.maximum(values - values.mean(), 0)
    mass = np.array([above[part].sum() for part in parts(above > 0)])
    shares = mass[mass > 0] / mass.sum() if len(mass) else np.ones(1)
    return float(-(shares * np.log(shares)).sum())


def parts(mask: np.ndarray) -> list[np.ndarray]:
    """The 8-connected parts of a mask, bool [H, W] each."""
    left, found = mask.copy(), []
    while left.any():
        part = np.zeros_like(mask)
        part[tuple(np.argwhere(left)[0])] = True
        while True:
            grown = _grown(part) & mask
            if (grown == part).all():
                break
            part = grown
        found.append(part)
        left &= ~part
    return found


def _grown(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    height, width = mask.shape
    return np.logical_or.reduce([padded[i : i + height, j : j + width] for i in range(3) for j in range(3)])
