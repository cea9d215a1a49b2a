"""LLaVA's tiles ("anyres"): the picture fitted into a canvas of tiles, and which cells are left when its padding is dropped.

The arithmetic follows transformers to the pixel: `select_best_resolution`, `get_patch_output_size`, centred pasting,
`unpad_image` on the raster of patches. A tower whose patches do not fill a tile leaves a border of each tile unseen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...geometry.grid import View
from ...geometry.views import tile_name
from ...late import transformers
from . import SeenPicture, TowerPlaces


@dataclass(frozen=True)
class Tile:
    """One tile of a canvas. `view` shows its cells that are kept, none of them where it is None; `box` is all of it.

    `cells` int64 [n] are the kept cells' numbers in the tile's own raster of side x side, row by row.
    """

    view: View | None
    box: tuple[float, float, float, float]
    cells: np.ndarray


@dataclass(frozen=True)
class Raster:
    """The kept cells of all tiles as the decoder reads them: `cell` int64 [rows, cols], numbered tile after tile.

    `box` is what they show together, in source pixels.
    """

    tiles: tuple[Tile, ...]
    cell: np.ndarray
    box: tuple[float, float, float, float]


def raster(size: tuple[int, int], pinpoints: Sequence[Sequence[int]], tile_px: int, patch_px: int, image: int = 0) -> Raster:
    """How a (width, height) source lies on the canvas that suits it best; `pinpoints` are canvases (height, width)."""
    width, height = size
    high, wide = transformers.image_processing_utils.select_best_resolution((height, width), [tuple(one) for one in pinpoints])
    new_width, new_height = _fitted(width, height, wide, high)
    side, x_scale, y_scale = tile_px // patch_px, width / new_width, height / new_height
    left_px, top_px = (wide - new_width) // 2, (high - new_height) // 2
    down, across = high // tile_px, wide // tile_px
    top, left = _dropped(width, height, down * side, across * side)
    cell, tiles, start = np.full((down * side, across * side), -1), [], 0

    def box(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        return (x0 - left_px) * x_scale, (y0 - top_px) * y_scale, (x1 - left_px) * x_scale, (y1 - top_px) * y_scale

    def edge(at: int) -> int:
        """Where on the canvas a row or column of patches begins."""
        return at // side * tile_px + at % side * patch_px

    def end(at: int) -> int:
        """Where the row or column before `at` ends."""
        return edge(at - 1) + patch_px

    for r in range(down):
        for c in range(across):
            rows = range(max(top, r * side), max(top, min(down * side - top, (r + 1) * side)))
            cols = range(max(left, c * side), max(left, min(across * side - left, (c + 1) * side)))
            kept = np.array([(y - r * side) * side + x - c * side for y in rows for x in cols], np.int64)
            view = None
            if len(kept):
                cell[rows.start : rows.stop, cols.start : cols.stop] = start + np.arange(len(kept)).reshape(len(rows), len(cols))
                shown = box(edge(cols.start), edge(rows.start), end(cols.stop), end(rows.stop))
                view = View(shown, len(rows), len(cols), image, tile_name(r, c))
                start += len(kept)
            tiles.append(Tile(view, box(c * tile_px, r * tile_px, (c + 1) * tile_px, (r + 1) * tile_px), kept))
    left_over = cell[top : down * side - top, left : across * side - left]
    whole = box(edge(left), edge(top), end(across * side - left), end(down * side - top))
    return Raster(tuple(tiles), left_over, whole)


def _fitted(width: int, height: int, wide: int, high: int) -> tuple[int, int]:
    """The picture's own size on the canvas, (width, height)."""
    if wide / width < high / height:
        return wide, min(math.ceil(height * (wide / width)), high)
    return min(math.ceil(width * (high / height)), wide), high


def _dropped(width: int, height: int, rows: int, cols: int) -> tuple[int, int]:
    """How many rows are dropped above and below, or columns left and right, as holding nothing but padding: (rows, columns)."""
    if width / height > cols / rows:
        return (rows - int(round(height * (cols / width), 7))) // 2, 0
    return 0, (cols - int(round(width * (rows / height), 7))) // 2


def seen_tiles(pixels: np.ndarray, tiles: Raster, size: tuple[int, int], image: int) -> list[SeenPicture]:
    """What a tower sees of one (width, height) picture: `pixels` uint8 [1 + tiles, H, W, 3], the whole of it first."""
    found = [SeenPicture(pixels[0], image, "the whole picture", (0.0, 0.0, float(size[0]), float(size[1])))]
    for n, (own, tile) in enumerate(zip(pixels[1:], tiles.tiles, strict=True)):
        found.append(SeenPicture(own, image, tile.view.name if tile.view else f"tile {n + 1}, padding", tile.box))
    return found


def tile_places(pictures: Sequence[tuple[np.ndarray, Sequence[np.ndarray]]], shift: int = 0) -> list[TowerPlaces]:
    """Which patch of its tile each token is. Line breaks are none.

    Each picture comes with the cell of each of its tokens, int64 [t], and for each of its tiles the patches, int64 [n], that
    its cells are; `shift` tokens stand before a tile's patches in the tower.
    """
    found, token, sample = [], 0, 0
    for i, (cell, tiles) in enumerate(pictures):
        start = 0
        for patches in tiles:
            order = np.flatnonzero((cell >= start) & (cell < start + len(patches)))
            found.append(TowerPlaces(order + token, patches[cell[order] - start][:, None] + shift, picture=i, sample=sample))
            start, sample = start + len(patches), sample + 1
        token += len(cell)
    return found
