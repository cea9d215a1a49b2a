"""Two pictures at once: which others can stand beside a turn's, colours fitted jointly, states patched from one to the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from model import Prompt, open_picture
from model.errors import InputError
from model.lens import depths
from model.looking import subject_of
from model.patches import colours
from model.patching import blocks_of, patch_states
from model.progress import Run
from model.prompt import ImagePart
from model.subject import Subject
from studies.world.edit import Edit, erase, recolour
from studies.world.files import to_png
from studies.world.phrases import full_name
from studies.world.scene import COLOURS, NEVER_TRAINED, Scene

from ._html import PictureUrls
from ._overlay import packed, pictures_view
from ._patches_asked import Question, Turn, placed, turn_of
from ._patches_views import features_of
from ._runs_view import cut
from ._scenes import scene_of
from .base import Bench

SIDE = 3
"""Blocks that are patched are so many tokens wide and high."""
MAX_DEPTHS = 9
MAX_TURNS = 30


@dataclass(frozen=True)
class Partner:
    """Another picture to hold beside one of a turn. `id` names it: "turn <run>", "erase <thing>" or "recolour <thing>"."""

    id: str
    label: str


def partners(bench: Bench, turn: Turn) -> list[Partner]:
    """The last picture's scene with one thing changed, where it is a drawn scene; then other pictures of the session."""
    mine = turn.prompt.images[-1]
    scene = scene_of(mine)
    found = []
    for i, thing in enumerate(scene.things if scene else ()):
        colour = _edited(scene, "recolour", i).after.things[i].colour
        found.append(Partner(f"recolour {i}", f"the {full_name(thing)} in {colour}"))
        found.append(Partner(f"erase {i}", f"without the {full_name(thing)}"))
    record = bench.history.run(turn.run)
    rows = bench.history.search(limit=500)
    seen = {mine.id}
    for row in rows:
        if row.session == record.row.session and row.images and row.images[-1] not in seen:
            seen.add(row.images[-1])
            found.append(Partner(f"turn {row.id}", f"the picture of: {cut(row.question, 60)}"))
    return found[:MAX_TURNS]


def other_picture(bench: Bench, turn: Turn, partner: str) -> ImagePart:
    """The picture a partner stands for. Raises InputError, PictureError."""
    kind, _, what = partner.partition(" ")
    if kind == "turn":
        return turn_of(bench, what).prompt.images[-1]
    scene = scene_of(turn.prompt.images[-1])
    if kind in ("erase", "recolour") and scene is not None and what.isdecimal() and int(what) < len(scene.things):
        edit = _edited(scene, kind, int(what))
        return open_picture(to_png(edit.after, turn.prompt.images[-1].image.width), f"{kind} {full_name(edit.thing)}.png").part
    raise InputError("Choose another picture from the list first.")


def _edited(scene: Scene, kind: str, index: int) -> Edit:
    """The scene with one thing erased, or in the first colour that no thing of its shape has and training knew it in."""
    if kind == "erase":
        return erase(scene, index)
    shape = scene.things[index].shape
    taken = {thing.colour for thing in scene.things if thing.shape == shape}
    return recolour(scene, index, next(c for c in COLOURS if c not in taken and (c, shape) not in NEVER_TRAINED))


def swapped(prompt: Prompt, other: ImagePart) -> Prompt:
    """The prompt with another picture in its last picture's place."""
    last = prompt.images[-1].id
    messages = tuple(
        replace(m, parts=tuple(other if isinstance(p, ImagePart) and p.id == last else p for p in m.parts))
        for m in prompt.messages
    )
    return replace(prompt, messages=messages)


def joint_colours(subject: Subject, other: ImagePart, asked: Question, urls: PictureUrls) -> dict[str, Any]:
    """Colours of this prompt's patches and of the same prompt's with the other picture, of one fit."""
    second = subject_of(subject.vlm, swapped(subject.prompt, other), subject.answer_ids)
    first, again = colours([features_of(subject, asked), features_of(second, asked)])
    grid = placed(second)
    return {
        "colours": packed(first),
        "other": {"colours": packed(again), "cell": grid.cell.tolist(),
                  "pictures": pictures_view(grid, second.prompt.images, urls)},
    }  # fmt: skip


def between(subject: Subject, other: ImagePart, asked: Question, run: Run) -> dict[str, Any]:
    """Shares of the answer that come back when states of this picture are put into a run on the other.

    `named` [depths, 3] are for the chosen patches, all the others, and all; `blocks` [depths, T] for small blocks.
    """
    second = subject_of(subject.vlm, swapped(subject.prompt, other), subject.answer_ids)
    chosen = torch.zeros(1, subject.count, dtype=torch.bool)
    chosen[0, asked.tokens(subject)] = True
    small = blocks_of(subject, SIDE)
    groups = torch.cat([chosen, ~chosen, torch.ones_like(chosen), small])
    every = depths(subject)
    at = sorted({round(d) for d in np.linspace(0, len(every) - 1, min(MAX_DEPTHS, len(every)))})
    found = patch_states(subject, second, at, groups, run)
    of_token = small.int().argmax(0).numpy()  # which block each token is in
    shares = np.where(small.any(0).numpy(), found.share[:, 3:][:, of_token], np.nan)
    return {
        "depths": at, "layers": len(every) - 1, "clean": found.clean, "corrupted": found.corrupted,
        "named": packed(found.share[:, :3]), "blocks": packed(shares), "side": SIDE,
    }  # fmt: skip
