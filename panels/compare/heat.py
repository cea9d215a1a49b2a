"""Heat of two answers on one picture: each by the same method, laid on the picture's pixels where their grids differ.

Both maps are logged with their turns, as each came from its method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from model import Prompt
from model.errors import InputError
from model.heat import heat_methods
from model.heat.base import Choice, Heat
from model.prompt import picture_names

from ..base.components import PictureUrls
from ..base.maps.heat import MAX_WORDS, Method, heat_of
from ..base.maps.instrument import Instrument, asked
from ..base.maps.looks import Look, look_at
from ..base.maps.overlay import PictureView, ViewOutline, packed, pictures_view
from ..base.requests import Name, Request, Whole, says
from .saved import keep_pair
from .views import PairReply

RASTER = 128
"""Grids of different shapes are compared on a raster with this longest side."""
EVEN = "times an even map"


@dataclass(frozen=True)
class Pair:
    """Two maps on the same cells. `scores` are float64 [cells] each, nan where one's tokens do not look."""

    scores: tuple[np.ndarray, np.ndarray]
    unit: str
    signed: bool
    note: str
    rasters: tuple[tuple[int, int], ...] | None
    """(columns, rows) of the raster of each picture; None where the cells are the grid's own."""


_TWO = "Heat of two answers needs two of them. Open the comparison again."
_A_WORD = "Choose a word of each answer first."
_NUMBERED = "Words are numbered from 0. Choose one of those shown."
_Words = Annotated[tuple[Annotated[Whole, says(_NUMBERED)], ...], Field(min_length=1, max_length=MAX_WORDS)]


class HeatOfTwo(Request):
    """Words of two answers, to be drawn by one method."""

    runs: Annotated[tuple[Name, ...], Field(min_length=2, max_length=2), says(_TWO)] = Field((), validate_default=True)
    words: Annotated[tuple[_Words, ...], Field(min_length=2, max_length=2), says(_A_WORD)] = Field((), validate_default=True)
    method: Method = Field("", validate_default=True)


def heat(tool: Instrument, request: HeatOfTwo) -> PairReply:
    """Both maps on one scale. Each is stored with its turn."""
    slug, words = request.method, [tuple(sorted(set(chosen))) for chosen in request.words]
    looks = [look_at(tool.bench, run) for run in request.runs]
    heats = [_map(tool, request, look, chosen) for look, chosen in zip(looks, words, strict=True)]
    keep_pair(tool, looks, heats, words, slug)
    prompt = max((look.prompt for look in looks), key=lambda prompt: sum(w * h for w, h in _sizes(prompt)))
    found = side_by_side(heats[0], heats[1], _sizes(prompt))
    if found.rasters is None:
        pictures = pictures_view(heats[0].grid, looks[0].prompt.images, tool.urls)
    else:
        pictures = _on_rasters(prompt, found.rasters, tool.urls)
    notes = [f"{heat_methods[slug].title}, {found.note}.", *dict.fromkeys(heat.note for heat in heats if heat.note)]
    return PairReply(pictures, tuple(packed(scores) for scores in found.scores), found.unit, found.signed, " ".join(notes))


def _map(tool: Instrument, request: HeatOfTwo, look: Look, words: tuple[int, ...]) -> Heat:
    if max(words) >= len(look.answer):
        raise InputError(f"That answer has {len(look.answer)} tokens; token {max(words) + 1} was asked for. Choose one of it.")
    return heat_of(tool, request, look, request.method, words, Choice())


def _on_rasters(prompt: Prompt, rasters: Sequence[tuple[int, int]], urls: PictureUrls) -> list[PictureView]:
    """The pictures of a prompt, each with one view of all its pixels."""
    found = []
    for part, label, (cols, rows) in zip(prompt.images, picture_names(prompt.images), rasters, strict=True):
        width, height = part.image.size
        whole = ViewOutline((0.0, 0.0, float(width), float(height)), rows, cols, "picture")
        found.append(PictureView(urls.of(part), part.name, label, part.time_s, (width, height), (whole,)))
    return found


ANSWERS = {"heat": asked(HeatOfTwo, heat)}
"""By the names the page asks for them."""


def side_by_side(a: Heat, b: Heat, sizes: list[tuple[int, int]]) -> Pair:
    """Two maps of the same method on one scale. `sizes` (width, height) are those of the pictures both were asked about.

    On equal grids they keep their unit. Else a patch of one stands for more of the picture than a patch of the other:
    both are laid on the pictures' pixels and divided by their mean size there, so that 1 is an even map.
    """
    if len(a.grid.sizes) != len(sizes) or len(b.grid.sizes) != len(sizes):
        raise InputError("The two answers are not about the same pictures, so their maps cannot be compared.")
    signed = a.signed or b.signed
    if a.grid.views == b.grid.views and a.grid.sizes == b.grid.sizes:
        scores = a.grid.per_cell(a.scores), b.grid.per_cell(b.scores)
        return Pair(scores, a.unit, signed, "raw values on the same patches", None)
    rasters = tuple(_raster(size) for size in sizes)
    return Pair((_laid(a, rasters), _laid(b, rasters)), EVEN, signed, _shapes(a, b), rasters)


def _laid(heat: Heat, rasters: Sequence[tuple[int, int]]) -> np.ndarray:
    """A map on the pixels of each raster, one after the other, divided by its mean size. float64 [pixels]."""
    painted = [heat.grid.paint(heat.scores, i, size=raster).ravel() for i, raster in enumerate(rasters)]
    return _even(np.concatenate(painted).astype(np.float64))


def _even(painted: np.ndarray) -> np.ndarray:
    """Values divided by their mean size, float64 [pixels]; all 0 where the map is."""
    mean = float(np.nanmean(np.abs(painted))) if np.isfinite(painted).any() else 0.0
    return painted / mean if mean > 0 else painted


def _raster(size: tuple[int, int]) -> tuple[int, int]:
    share = RASTER / max(size)
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def _shapes(a: Heat, b: Heat) -> str:
    first, second = (" and ".join(f"{view.rows} x {view.cols}" for view in heat.grid.views[:3]) for heat in (a, b))
    return f"grids of {first} and {second} patches laid on the picture's pixels, each divided by its mean there"


def _sizes(prompt: Prompt) -> list[tuple[int, int]]:
    return [part.image.size for part in prompt.images]
