"""Heat of two answers on one picture: each by the same method, laid on the picture's pixels where their grids differ.

Both maps are logged with their turns, as each came from its method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from model import Prompt
from model.errors import InputError
from model.heat import heat_methods
from model.heat.base import Choice, Heat
from model.prompt import picture_names

from ..attention.requests import MAX_ID, MAX_WORDS, method_of
from ..attention.workshop import heat_by
from ..base.bench import Bench, explained
from ..base.components import PictureUrls
from ..base.jobs import Desk
from ..base.maps.looks import Look, look_at
from ..base.maps.overlay import packed, pictures_view
from .saved import keep_pair

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


class HeatTable:
    """Answers the page's questions about heat of two columns. Each question says what it is about."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.desk, self.urls = bench, Desk(), PictureUrls()

    def answer(self, given: Any) -> dict[str, Any]:
        """{pictures, scores: [packed, packed], unit, signed, note}, or {error: a sentence}."""
        try:
            if not isinstance(given, dict) or given.get("what") != "heat":
                raise InputError("The page sent no usable request. Reload it and try again.")
            return self._heat(given)
        except Exception as error:  # told where it was asked for
            return {"error": explained(error)}

    def _heat(self, given: dict[str, Any]) -> dict[str, Any]:
        runs, words, slug = _texts(given.get("runs")), _words(given.get("words")), method_of(given.get("method"))
        looks = [look_at(self.bench, run) for run in runs]
        key = str(given.get("key", ""))[:MAX_ID]
        heats = [self._map(key, look, slug, chosen) for look, chosen in zip(looks, words, strict=True)]
        keep_pair(self.bench, looks, heats, words, slug)
        asked = max((look.prompt for look in looks), key=lambda prompt: sum(w * h for w, h in _sizes(prompt)))
        found = side_by_side(heats[0], heats[1], _sizes(asked))
        grid = heats[0].grid
        if found.rasters is None:
            pictures = pictures_view(grid, looks[0].prompt.images, self.urls)
        else:
            pictures = [
                {
                    "url": self.urls.of(part), "name": part.name, "label": label, "time_s": part.time_s,
                    "size": list(part.image.size),
                    "views": [{"box": [0.0, 0.0, *map(float, part.image.size)], "rows": rows, "cols": cols, "name": "picture"}],
                }
                for part, label, (cols, rows) in zip(asked.images, picture_names(asked.images), found.rasters, strict=True)
            ]  # fmt: skip
        notes = [f"{heat_methods[slug].title}, {found.note}.", *dict.fromkeys(heat.note for heat in heats if heat.note)]
        return {
            "error": "", "pictures": pictures, "scores": [packed(scores) for scores in found.scores], "unit": found.unit,
            "signed": found.signed, "note": " ".join(notes),
        }  # fmt: skip

    def _map(self, key: str, look: Look, slug: str, words: tuple[int, ...]) -> Heat:
        if max(words) >= len(look.answer):
            raise InputError(
                f"That answer has {len(look.answer)} tokens; token {max(words) + 1} was asked for. Choose one of it."
            )
        work = partial(heat_by, slug=slug, words=words, choice=Choice())
        return self.desk.done(key, self.bench.core.examine(look.checkpoint, look.prompt, look.answer, work))


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


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) != 2 or any(not isinstance(one, str) for one in value):
        raise InputError("Heat of two answers needs two of them. Open the comparison again.")
    return [one[:MAX_ID] for one in value]


def _words(value: Any) -> list[tuple[int, ...]]:
    lists = value if isinstance(value, list) and len(value) == 2 else [None]
    if not all(isinstance(one, list) and 0 < len(one) <= MAX_WORDS for one in lists):
        raise InputError("Choose a word of each answer first.")
    if any(type(k) is not int or k < 0 for one in lists for k in one):
        raise InputError("Words are numbered from 0. Choose one of those shown.")
    return [tuple(sorted(set(one))) for one in lists]
