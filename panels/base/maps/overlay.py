"""Heat over pictures, from arrays to what `assets/js/drawing/heatmap.js` draws. Nothing is normalised here.

A map travels as one float32 per cell of all views of all pictures, in base64: hover, opacity, scales and
colours need no further request. What a cell is, the page knows from `pictures_view`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.geometry.grid import ImageGrid, View
from model.heat.base import Heat
from model.prompt import ImagePart, picture_names

from ..components import PictureUrls
from ..records import Json


@dataclass(frozen=True)
class ViewOutline:
    """One view of a picture: its box x0 y0 x1 y1 in pixels, and how many rows and columns of cells it has."""

    box: tuple[float, float, float, float]
    rows: int
    cols: int
    name: str


@dataclass(frozen=True)
class PictureView:
    """A picture to draw maps on. `size` is (width, height) in pixels; `time_s` of a frame is in seconds."""

    url: str
    name: str
    label: str
    time_s: float | None
    size: tuple[int, int]
    views: tuple[ViewOutline, ...]


@dataclass(frozen=True)
class HeatView:
    """One map: `scores` are those of all cells, packed; `mass` is the share of attention on the pictures where it is one."""

    scores: str
    unit: str
    signed: bool
    note: str
    mass: float | None


def packed(values: np.ndarray) -> str:
    """Numbers as `floats` of heatmap.js reads them: float32, little endian, in base64."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode("ascii")


def unpacked(text: str) -> np.ndarray:
    """The float32 numbers that `packed` put into a text."""
    return np.frombuffer(base64.b64decode(text), "<f4")


def pictures_view(grid: ImageGrid, parts: Sequence[ImagePart], urls: PictureUrls) -> list[PictureView]:
    """The pictures of a prompt with their views, in the order of the grid's cells."""
    assert len(parts) == len(grid.sizes), f"{len(parts)} pictures for a grid over {len(grid.sizes)}"
    order = [view.image for view in grid.views]
    assert order == sorted(order), f"views of pictures {order} are not in order, so cells could not be numbered"
    return [
        PictureView(urls.of(part), part.name, label, part.time_s, size, tuple(outline(v) for v in grid.views if v.image == i))
        for i, (part, label, size) in enumerate(zip(parts, picture_names(parts), grid.sizes, strict=True))
    ]


def outline(view: View) -> ViewOutline:
    x0, y0, x1, y1 = map(float, view.box)
    return ViewOutline((x0, y0, x1, y1), view.rows, view.cols, view.name)


def heat_view(heat: Heat) -> HeatView:
    """A map as it came from its method: nothing is normalised."""
    return HeatView(packed(heat.grid.per_cell(heat.scores)), heat.unit, heat.signed, heat.note, heat.mass)


def sums_of_pictures(grid: ImageGrid, scores: np.ndarray) -> np.ndarray:
    """What a map comes to on each picture: the sum over its cells, float64 [pictures]. Tokens without a place count nowhere."""
    cells = np.nan_to_num(grid.per_cell(scores), nan=0.0)
    return np.bincount(grid.owners(), weights=cells, minlength=len(grid.sizes))


def pictures_json(parts: Sequence[ImagePart], sums: np.ndarray | None = None) -> list[Json]:
    """The pictures of a prompt in plain JSON: id, what each is called, a frame's time in seconds, a map's sum on it."""
    names = zip(picture_names(parts), parts, strict=True)
    named: list[Json] = [{"id": part.id, "name": name, "time_s": part.time_s} for name, part in names]
    return named if sums is None else [{**one, "sum": float(value)} for one, value in zip(named, sums, strict=True)]


def tokens_of_cells(grid: ImageGrid, cells: Sequence[int]) -> np.ndarray:
    """Which visual tokens look at these cells, or draw on them most. bool [T]."""
    return grid.tokens_of(cells)


def cells_of_tokens(grid: ImageGrid, tokens: Sequence[int]) -> list[int]:
    """The cells these visual tokens stand for; tokens without a place have none."""
    homes = grid.homes()
    return sorted({int(homes[t]) for t in tokens} - {-1})


def geometry(grid: ImageGrid) -> str:
    """What there is to know about how tokens lie on the picture; empty where nothing."""
    parts = []
    if grid.mixing is not None:
        parts.append(f"{grid.tokens} query tokens without a place of their own, shown through the connector's mixing.")
    if not grid.exact:
        parts.append("The layout of this checkpoint's patches is a guess that was not confirmed.")
    if any(grid.unseen(i).any() for i in range(len(grid.sizes))):
        parts.append("Hatched: parts of the picture the model never saw.")
    if any(sum(view.image == i for view in grid.views) > 1 for i in range(len(grid.sizes))):
        parts.append("Dashed: the edges of the views the picture was cut into. Where views overlap, their mean is drawn.")
    return " ".join(parts)
