"""Drawn scenes to begin with, questions that suit them, and the truth where it is known."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from gradio.utils import get_upload_folder

from model import open_picture
from model.prompt import ImagePart, Prompt
from studies.world.files import from_png, to_png
from studies.world.film import make_film
from studies.world.questions import Question, ask
from studies.world.scene import Scene, make_scene
from studies.world.several import ORDINALS
from studies.world.splits import held_out_seed

SHELF = (47, 64, 16, 34, 4, 60, 26)
"""Held-out scenes on the shelf: few and many things, with and without a label."""
SIZE_PX = 640
FILM_SEED, FILM_TIMES_S = 5, (0.0, 5.0)
"""A film of which as many frames are shown as the built-in checkpoints were trained on pictures."""
FILM_THING = ("red", "diamond")
FILM_QUESTION = "Which of the two pictures contains a red diamond?"
KINDS = ("colour", "count", "exist", "find", "describe", "read", "shape", "where")


@lru_cache(maxsize=64)
def scene_part(index: int) -> ImagePart:
    """The index-th held-out scene as a picture for a prompt, carrying its truth."""
    return open_picture(to_png(make_scene(held_out_seed(index)), SIZE_PX), f"drawn scene {index}.png").part


@lru_cache(maxsize=1)
def film_frames() -> tuple[ImagePart, ...]:
    """The film on the shelf: frames of it with their times, each carrying its truth."""
    film = make_film(FILM_SEED)
    pictures = (open_picture(to_png(film.at(time_s), SIZE_PX), "drawn film.png").part for time_s in FILM_TIMES_S)
    return tuple(replace(part, time_s=time_s) for part, time_s in zip(pictures, FILM_TIMES_S, strict=True))


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
    """The true answer, where the prompt is what is offered here: the film, or one drawn scene with a question of its own."""
    if prompt.question == FILM_QUESTION and prompt.images == film_frames():
        scenes = [scene_of(part) for part in prompt.images]
        return next(word for word, scene in zip(ORDINALS, scenes, strict=True) if scene and _has(scene, FILM_THING))
    parts = {part.id: part for part in prompt.images}
    scene = scene_of(next(iter(parts.values()))) if len(parts) == 1 else None
    return next((q.answer for q in suggestions(scene) if q.text == prompt.question), "") if scene else ""


def _has(scene: Scene, pair: tuple[str, str]) -> bool:
    return any(thing.pair == pair for thing in scene.things)
