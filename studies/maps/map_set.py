"""All maps of one answer: every heat method, single heads, and baselines that look at no answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from model import ImageGrid
from model.errors import Unsupported
from model.heat import heat_methods
from model.heat.base import Choice
from model.internals.subject import Subject
from model.progress import Run
from model.prompt import ImagePart

from .localisation import box_means

BASELINES = {
    "random": "Random",
    "centre": "Centre of the picture",
    "edges": "Edges in the picture",
}
HEADS = {
    "best_head": "One head, chosen with masks on the first half",
    "found_head": "One head, found without masks on the first half",
}
CENTRE_WIDTH = 0.25
"""Standard deviation of the centre baseline, as a share of each side."""


@dataclass
class Maps:
    """Maps of one answer by name, float32 [T] each, what each took, and why some are missing."""

    scores: dict[str, np.ndarray] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def maps_of(subject: Subject, words: tuple[int, ...], slugs: Sequence[str], run: Run | None = None) -> Maps:
    """The maps of these methods at their defaults. A method that refuses is listed with its reason."""
    found = Maps()
    for slug in slugs:
        started = time.process_time()
        try:
            found.scores[slug] = heat_methods[slug](subject, words, Choice(), Run((run or Run()).stop)).scores
        except Unsupported as error:
            found.refused[slug] = str(error)
        found.cpu_s[slug] = time.process_time() - started
    return found


def baselines(grid: ImageGrid, picture: ImagePart, seed: int) -> dict[str, np.ndarray]:
    """Maps that know nothing of the answer: noise, nearness to the centre, contrast of the pixels. float64 [T] each."""
    cells = grid.cells()
    width, height = grid.sizes[0]
    x, y = (cells[:, 0] + cells[:, 2]) / 2 / width - 0.5, (cells[:, 1] + cells[:, 3]) / 2 / height - 0.5
    centre = np.exp(-(x**2 + y**2) / (2 * CENTRE_WIDTH**2))
    grey = np.asarray(picture.image.convert("L"), np.float64)
    down, right = np.abs(np.diff(grey, axis=0, append=grey[-1:])), np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    edges = np.nan_to_num(box_means(down + right, cells))
    return {
        "random": np.random.RandomState(seed).random_sample(grid.tokens),
        "centre": _on_tokens(grid, centre),
        "edges": _on_tokens(grid, edges),
    }


def _on_tokens(grid: ImageGrid, values: np.ndarray) -> np.ndarray:
    """Values of cells [cells] at the tokens that look there. float64 [T], 0 for a token without a place."""
    if grid.mixing is not None:
        return grid.mixing @ values
    return np.where(grid.cell >= 0, values[np.maximum(grid.cell, 0)], 0.0)


def head_maps(subject: Subject, words: Sequence[int], run: Run | None = None) -> np.ndarray:
    """Raw attention of every layer and head, mean over the words' rows. float32 [L, H, T]."""
    attention = subject.trace(stop=(run or Run()).stop).attention
    if attention is None:
        raise Unsupported(
            f"The decoder of {subject.vlm.checkpoint.name} does not attend to visual tokens. It has no heads to compare."
        )
    return attention[:, :, list(words)].mean(2)


def titles() -> Mapping[str, str]:
    """Names for people, of methods, single heads and baselines."""
    return {**{slug: heat_methods[slug].title for slug in heat_methods}, **HEADS, **BASELINES}
