"""What is true of drawn scenes in a prompt, as cells of the model's own grid: each thing's place, and what was asked about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from model.geometry.grid import ImageGrid
from model.prompt import Prompt
from studies.maps.localisation import target
from studies.world.draw import masks, pixel_box
from studies.world.phrases import full_name, names
from studies.world.scene import Scene

from .scenes import scene_of, suggestions


@dataclass(frozen=True)
class TrueThing:
    """A thing of a drawn scene. `box` in pixels of its picture, `cover` float64 [T]: the share of each token's cell it covers."""

    name: str
    picture: int
    box: tuple[float, float, float, float]
    cover: np.ndarray = field(repr=False)
    asked: bool = False


def true_things(prompt: Prompt, grid: ImageGrid, answer: str) -> list[TrueThing]:
    """The things of every drawn scene among the prompt's pictures. Those that question or answer name are `asked`."""
    found = []
    for picture, part in enumerate(prompt.images):
        scene = scene_of(part)
        width, height = part.image.size
        if scene is None or width != height:
            continue
        wanted = asked_about(scene, prompt.question, answer)
        for index, mask in enumerate(masks(scene, width)):
            box = pixel_box(scene.things[index].box, width)
            found.append(TrueThing(full_name(scene.things[index]), picture, box, cover_of(grid, mask, picture), index in wanted))
    return found


def cover_of(grid: ImageGrid, mask: np.ndarray, picture: int) -> np.ndarray:
    """How much of each visual token's place a mask [H, W] covers. float64 [T], 0 for tokens without a place."""
    on = target(grid, mask, picture)
    cells = np.zeros(len(grid.cells()))
    cells[on.cells] = on.cover
    if grid.mixing is not None:
        return grid.mixing @ cells
    return np.where(grid.cell >= 0, cells[np.maximum(grid.cell, 0)], 0.0)


def asked_about(scene: Scene, question: str, answer: str) -> Sequence[int]:
    """Indices of the things a question is about: as the maker of the question knows it, else those it or its answer names."""
    known = next((q.things for q in suggestions(scene) if q.text == question and q.things), None)
    if known is not None:
        return known
    for text in (question, answer):
        named = [i for i in range(len(scene.things)) if any(_says(text, name) for name in names(scene, i))]
        if named:
            return named
    return []


def _says(text: str, name: str) -> bool:
    """Whether a text has the words of a name, in their order, in the singular or plural."""
    words = name.removesuffix(" object").split()
    return re.search(r"\b" + r"\W+".join(map(re.escape, words)) + r"(?:e?s)?\b", text.lower()) is not None
