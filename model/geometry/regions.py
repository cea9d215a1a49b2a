"""Groups of neighbouring visual tokens: windows around each token, blocks that cover the picture once."""

from __future__ import annotations

import numpy as np

from ..late import torch
from .grid import ImageGrid

WINDOW = 3
"""Side of a hidden window, in tokens. A single token underestimates objects that several tokens show."""


def centres(grid: ImageGrid) -> np.ndarray:
    """The token at the centre of each of `windows`, in their order. int64 [windows]."""
    if grid.mixing is not None:
        return np.arange(grid.tokens)
    return np.concatenate([np.flatnonzero(inside) for inside in _by_view(grid)])


def _by_view(grid: ImageGrid) -> list[np.ndarray]:
    """Which tokens look at each view. bool [T] each."""
    ends = np.cumsum([view.rows * view.cols for view in grid.views])
    return [(grid.cell >= end - v.rows * v.cols) & (grid.cell < end) for end, v in zip(ends, grid.views, strict=True)]


def windows(grid: ImageGrid, side: int = WINDOW) -> torch.Tensor:
    """Tokens around each token that has a place, in its own view; queries of a resampler one by one. bool [windows, T]."""
    if grid.mixing is not None:
        return torch.eye(grid.tokens, dtype=torch.bool)
    found, start = [], 0
    for view, inside in zip(grid.views, _by_view(grid), strict=True):
        at = grid.cell - start
        rows, cols = at // view.cols, at % view.cols
        for token in np.flatnonzero(inside):
            near = (np.abs(rows - rows[token]) <= side // 2) & (np.abs(cols - cols[token]) <= side // 2)
            found.append(inside & near)
        start += view.rows * view.cols
    return torch.from_numpy(np.array(found).reshape(-1, grid.tokens))


def blocks(grid: ImageGrid, side: int) -> torch.Tensor:
    """Tokens of each block of side x side tokens, which together cover every view once. bool [blocks, T].

    Queries of a resampler, which have no places, in groups of as many.
    """
    if grid.mixing is not None:
        group = torch.arange(grid.tokens) // side**2
        return group[None] == torch.arange(int(group[-1]) + 1)[:, None]
    found, start = [], 0
    for view, inside in zip(grid.views, _by_view(grid), strict=True):
        at = grid.cell - start
        rows, cols = at // view.cols // side, at % view.cols // side
        for row in range(-(-view.rows // side)):
            found += [inside & (rows == row) & (cols == col) for col in range(-(-view.cols // side))]
        start += view.rows * view.cols
    return torch.from_numpy(np.array([one for one in found if one.any()]).reshape(-1, grid.tokens))


def shared(regions: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The mean of the values [regions] over the regions [regions, T] that hold a token. float32 [T], 0 outside of all."""
    held = regions.float()
    return (held * values[:, None]).sum(0) / held.sum(0).clamp(min=1)
