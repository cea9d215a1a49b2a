"""Files of one map: its arrays, and a page of Markdown in which what people or models wrote is fenced."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.geometry.grid import ImageGrid
from model.prompt import ImagePart, picture_names

from .overlay import sums_of_pictures

BEST = 10


def npz(**arrays: np.ndarray) -> str:
    """An NPZ file of these arrays in base64."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


@dataclass(frozen=True)
class MapPage:
    """What the page says. `parts` are (heading, text that somebody wrote); `facts` are Markdown of our own.

    `values` [T] of the visual tokens, or [T, n] where a map has no order, in `unit`. `pictures` are those of the prompt.
    """

    title: str
    parts: Sequence[tuple[str, str]]
    facts: Sequence[str]
    grid: ImageGrid
    values: np.ndarray
    unit: str
    pictures: Sequence[ImagePart]

    def text(self, picture: str) -> str:
        """The page, with the figure beside it as the file `picture`."""
        written = [line for heading, text in self.parts for line in (f"{heading}:", "", *fenced(text), "")]
        return "\n".join(
            [
                f"# {self.title}", "", f"![The map over the picture]({picture})", "",
                *written, *(f"- {fact}" for fact in self.facts), "", *self._frames(), *self._best(),
            ]
        )  # fmt: skip

    def _frames(self) -> list[str]:
        """What the map comes to on each frame of a video, as a table; nothing where there is none."""
        if self.values.ndim != 1 or all(part.time_s is None for part in self.pictures):
            return []
        named = zip(picture_names(self.pictures), sums_of_pictures(self.grid, self.values), strict=True)
        head = ["Sum of the map over each picture:", "", f"| picture | {self.unit} |", "|---|---:|"]
        return [*head, *(f"| {name} | {value:.4g} |" for name, value in named), ""]

    def _best(self) -> list[str]:
        """The cells with the largest scores as a table."""
        if self.values.ndim != 1:
            return []
        cells, owners, shown = self.grid.cells(), self.grid.owners(), self.grid.per_cell(self.values)
        seen = np.flatnonzero(np.isfinite(shown))
        best = seen[np.argsort(-np.abs(shown[seen]), kind="stable")][:BEST]
        several, names = len(self.grid.sizes) > 1, picture_names(self.pictures)
        rows = [
            f"| {i + 1} | " + (f"{names[owners[c]]} | " if several else "")
            + f"{', '.join(f'{v:.0f}' for v in cells[c])} | {shown[c]:.4g} |"
            for i, c in enumerate(best)
        ]  # fmt: skip
        head = f"| | {'picture | ' if several else ''}box | {self.unit} |"
        where = "boxes in pixels of their picture (x0, y0, x1, y1)"
        rule = "|---|---|---|---:|" if several else "|---|---|---:|"
        return [f"The {len(best)} patches with the largest scores, {where}:", "", head, rule, *rows, ""]


def fenced(text: str) -> list[str]:
    """Lines that show a text as it is, whatever it holds."""
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in text).split()), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, text, fence]
