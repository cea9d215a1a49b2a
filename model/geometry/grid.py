"""Where visual tokens look: one geometry for crops, padding, tiles, merged patches and resamplers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .boxes import Box


@dataclass(frozen=True, slots=True)
class View:
    """One picture the encoder saw: the whole image, a crop, a tile or a frame.

    `box` is the part of the source image it shows, (x0, y0, x1, y1) in source pixels, y down; it
    reaches outside the image where the processor padded. `rows` x `cols` is the grid after merging.
    """

    box: tuple[float, float, float, float]
    rows: int
    cols: int
    image: int = 0
    name: str = "image"

    def cells(self) -> np.ndarray:
        """Source-pixel boxes of the cells, row by row. float64 [rows * cols, 4], (x0, y0, x1, y1)."""
        x0, y0, x1, y1 = self.box
        xs, ys = np.linspace(x0, x1, self.cols + 1), np.linspace(y0, y1, self.rows + 1)
        left, top = np.meshgrid(xs[:-1], ys[:-1])
        right, bottom = np.meshgrid(xs[1:], ys[1:])
        return np.stack([left, top, right, bottom], -1).reshape(-1, 4)


@dataclass(frozen=True)
class ImageGrid:
    """Where each of T visual tokens looks.

    `cell` int64 [T] indexes the concatenated cells of `views`; -1 has no place (a newline or row
    marker). `sizes` are (width, height) of each source image. `mixing` float32 [T, cells] is set for
    connectors that mix places; its rows sum to 1. `exact` is False where the layout is a guess.
    """

    views: tuple[View, ...]
    cell: np.ndarray = field(repr=False)
    sizes: tuple[tuple[int, int], ...]
    mixing: np.ndarray | None = field(default=None, repr=False)
    exact: bool = True

    def __post_init__(self) -> None:
        cells = sum(view.rows * view.cols for view in self.views)
        assert self.cell.ndim == 1, f"cells of tokens have shape {self.cell.shape}, not [T]"
        assert self.cell.max(initial=-1) < cells, f"a token looks at cell {self.cell.max()} of {cells}"

    @property
    def tokens(self) -> int:
        return len(self.cell)

    def cells(self) -> np.ndarray:
        """Boxes of all cells of all views, float64 [cells, 4] in source pixels."""
        return np.concatenate([view.cells() for view in self.views]) if self.views else np.zeros((0, 4))

    def owners(self) -> np.ndarray:
        """Which source image each cell belongs to. int64 [cells]."""
        return np.concatenate([np.full(v.rows * v.cols, v.image) for v in self.views]) if self.views else np.zeros(0, np.int64)

    def homes(self) -> np.ndarray:
        """The cell each token stands for: its own, or the one it draws on most where places are mixed. int64 [T], -1 for none."""
        return self.cell if self.mixing is None or not self.mixing.shape[1] else self.mixing.argmax(1)

    def tokens_of(self, cells: Sequence[int]) -> np.ndarray:
        """Which tokens look at one of these cells; where places are mixed, those that draw on one more than any other does.

        bool [T]. A cell that there is not has none.
        """
        wanted = np.asarray([cell for cell in cells if 0 <= cell < len(self.cells())], np.int64)
        if self.mixing is None:
            return np.isin(self.cell, wanted)
        found = np.zeros(self.tokens, bool)
        found[self.mixing[:, wanted].argmax(0)] = True
        return found

    def per_cell(self, scores: np.ndarray) -> np.ndarray:
        """Token scores [T] as cell scores float64 [cells]; nan where no token looks."""
        scores = np.asarray(scores, np.float64)
        assert scores.shape == self.cell.shape, f"{scores.shape} scores for {self.cell.shape} tokens"
        if self.mixing is not None:
            return scores @ self.mixing
        total, count = np.zeros(len(self.cells())), np.zeros(len(self.cells()))
        placed = self.cell >= 0
        np.add.at(total, self.cell[placed], scores[placed])
        np.add.at(count, self.cell[placed], 1)
        return np.where(count > 0, total, np.nan)

    def paint(self, scores: np.ndarray, image: int = 0, *, size: tuple[int, int] | None = None) -> np.ndarray:
        """Token scores [T] on the pixels of a source image: float32 [H, W], nan where the model saw nothing.

        Where views overlap, a pixel is the mean of the cells over it. `size` (width, height) paints at
        another size than the source's. A pixel belongs to the cell that holds its centre.
        """
        width, height = self.sizes[image]
        w, h = size or (width, height)
        values = self.per_cell(scores)
        heat, count = np.zeros((h, w)), np.zeros((h, w))
        for (x0, y0, x1, y1), value, owner in zip(self.cells(), values, self.owners(), strict=True):
            if owner != image or np.isnan(value):
                continue
            left, right = _pixels(x0, x1, w / width, w)
            top, bottom = _pixels(y0, y1, h / height, h)
            heat[top:bottom, left:right] += value
            count[top:bottom, left:right] += 1
        return np.where(count > 0, heat / np.maximum(count, 1), np.nan).astype(np.float32)

    def tokens_in(self, box: Box, image: int = 0) -> np.ndarray:
        """Indices of the tokens that look at a cell which overlaps a box drawn on a source image. int64, ascending."""
        cells, owners = self.cells(), self.owners()
        overlap = (
            (np.minimum(cells[:, 2], box.x1) > np.maximum(cells[:, 0], box.x0))
            & (np.minimum(cells[:, 3], box.y1) > np.maximum(cells[:, 1], box.y0))
            & (owners == image)
        )
        return np.flatnonzero(self.tokens_of(np.flatnonzero(overlap).tolist()))

    def outline(self, token: int) -> list[Box]:
        """The boxes a token looks at, in source pixels: one, or none for a token without a place."""
        cell = int(self.cell[token])
        return [] if cell < 0 else [Box(*(float(v) for v in self.cells()[cell]))]

    def unseen(self, image: int = 0) -> np.ndarray:
        """Which pixels of a source image no view shows. bool [H, W]."""
        return np.isnan(self.paint(np.zeros(self.tokens), image)) if self.mixing is None else self._outside(image)

    def _outside(self, image: int) -> np.ndarray:
        width, height = self.sizes[image]
        hidden = np.ones((height, width), bool)
        for view in (v for v in self.views if v.image == image):
            left, right = _pixels(view.box[0], view.box[2], 1, width)
            top, bottom = _pixels(view.box[1], view.box[3], 1, height)
            hidden[top:bottom, left:right] = False
        return hidden


def _pixels(start: float, end: float, scale: float, limit: int) -> tuple[int, int]:
    """The pixels whose centres lie in [start, end) after scaling, clipped to the image."""
    first, last = np.ceil(start * scale - 0.5 - 1e-9), np.ceil(end * scale - 0.5 - 1e-9)
    return int(np.clip(first, 0, limit)), int(np.clip(last, 0, limit))


def joined(pictures: Sequence[tuple[Sequence[View], np.ndarray]], sizes: Sequence[tuple[int, int]]) -> ImageGrid | None:
    """The grid of several pictures' tokens, one picture after the other; None where there are none.

    Each comes with its views and the cell of each of its tokens, int64 [t], counted from its first view; -1 has no place.
    """
    if not pictures:
        return None
    cells, start = [], 0
    for views, cell in pictures:
        cells.append(np.where(cell >= 0, cell + start, -1))
        start += sum(view.rows * view.cols for view in views)
    return ImageGrid(tuple(view for views, _ in pictures for view in views), np.concatenate(cells), tuple(sizes))
