"""Drawn scenes to begin with, and questions that suit them."""

from __future__ import annotations

import random
from functools import lru_cache

from model import open_picture
from model.prompt import ImagePart
from studies.world.files import to_png
from studies.world.questions import Question, ask
from studies.world.scene import Scene, make_scene
from studies.world.splits import held_out_seed

SHELF = (47, 64, 16, 34, 4, 60, 26, 49)
"""Held-out scenes on the shelf: few and many things, with and without a label."""
SIZE_PX = 640
KINDS = ("colour", "count", "exist", "find", "describe", "read", "shape", "where")


@lru_cache(maxsize=64)
def scene_part(index: int) -> ImagePart:
    """The index-th held-out scene as a picture for a prompt, carrying its truth."""
    return open_picture(to_png(make_scene(held_out_seed(index)), SIZE_PX), f"drawn scene {index}.png").part


def suggestions(scene: Scene, count: int = 3) -> list[Question]:
    """The questions offered for a scene: of different kinds, the same each time."""
    rng = random.Random(scene.seed)
    found: list[Question] = []
    for kind in KINDS:
        question = ask(rng, scene, kind)
        if question is not None and (kind != "read" or scene.label):
            found.append(question)
    return found[: max(count, 1)]
