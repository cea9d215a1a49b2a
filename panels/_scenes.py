"""Drawn scenes to begin with, questions that suit them, and the truth where it is known."""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

from gradio.utils import get_upload_folder

from model import open_picture
from model.prompt import ImagePart, Prompt
from studies.world.files import from_png, to_png
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


def scene_file(index: int) -> Path:
    """The same scene as a file that the page may attach to a question."""
    part = scene_part(index)
    path = Path(get_upload_folder()) / "scenes" / part.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(part.data)
    return path


@lru_cache(maxsize=256)
def _scene(png: bytes) -> Scene | None:
    return from_png(png)


def scene_of(part: ImagePart) -> Scene | None:
    """The drawn scene a picture is, None where it is none."""
    return _scene(part.data) if part.media_type == "image/png" else None


def suggestions(scene: Scene) -> list[Question]:
    """The questions offered for a scene: of different kinds, the same each time."""
    rng = random.Random(scene.seed)
    found = [ask(rng, scene, kind) for kind in KINDS]
    return [question for question in found if question and (question.kind != "read" or scene.label)]


def truth(prompt: Prompt) -> str:
    """The true answer, where the prompt's one picture is a drawn scene and the question is one of those offered for it."""
    parts = {part.id: part for part in prompt.images}
    scene = scene_of(next(iter(parts.values()))) if len(parts) == 1 else None
    return next((q.answer for q in suggestions(scene) if q.text == prompt.question), "") if scene else ""
