"""Another picture beside a turn's own: which there are, and what becomes of an answer when states are patched between the two."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from model import Prompt, open_picture
from model.errors import InputError
from model.internals.activation_patching import blocks_of, patch_states
from model.internals.lens import depths
from model.internals.subject import Subject, subject_of
from model.late import torch
from model.progress import Run
from model.prompt import ImagePart, picture_names
from studies.world.edit import Edit, erase, recolour
from studies.world.files import to_png
from studies.world.phrases import full_name
from studies.world.scene import COLOURS, NEVER_TRAINED, Scene

from ..bench import Bench
from ..components import PictureUrls
from ..scenes import scene_of
from ..truth import asked_about
from ..turn_views import cut, whole
from .overlay import packed

SIDE = 3
"""Blocks that are patched are so many tokens wide and high."""
MAX_DEPTHS = 9
MAX_TURNS = 30
CHOOSE = "Choose another picture from the list first."


@dataclass(frozen=True)
class Partner:
    """Another picture to hold beside one of a turn. `id` names it: "turn <run>", "erase <thing>" or "recolour <thing>"."""

    id: str
    label: str


@dataclass(frozen=True)
class Partners:
    """The reply to `partners`: [id, label] of each picture to choose from."""

    partners: tuple[tuple[str, str], ...]


def partners(bench: Bench, run_id: str, prompt: Prompt) -> list[Partner]:
    """The last picture with one thing changed, of a drawn scene, what is asked about first. Then others of the session."""
    mine = prompt.images[-1]
    scene = scene_of(mine)
    found = [] if scene is None else _edits(scene, asked_about(scene, prompt.question, bench.history.run(run_id).row.answer))
    session = bench.history.run(run_id).row.session
    seen = {mine.id}
    for row in bench.history.search(limit=500):
        if row.session == session and row.images and row.images[-1] not in seen:
            seen.add(row.images[-1])
            found.append(Partner(f"turn {row.id}", f"the picture of: {cut(row.question, 60)}"))
    return found[:MAX_TURNS]


def _edits(scene: Scene, asked: Collection[int]) -> list[Partner]:
    """The scene with one thing changed, for each thing and way; what is asked about first."""
    found = []
    for i in sorted(range(len(scene.things)), key=lambda i: i not in asked):
        thing, colour = scene.things[i], _edited(scene, "recolour", i).after.things[i].colour
        found.append(Partner(f"recolour {i}", f"the {full_name(thing)} in {colour}"))
        found.append(Partner(f"erase {i}", f"without the {full_name(thing)}"))
    return found


def partners_view(bench: Bench, run_id: str, prompt: Prompt) -> Partners:
    return Partners(tuple((partner.id, partner.label) for partner in partners(bench, run_id, prompt)))


def other_picture(bench: Bench, prompt: Prompt, partner: str) -> ImagePart:
    """The picture a partner of a prompt stands for. Raises InputError, PictureError."""
    kind, _, what = partner.partition(" ")
    if kind == "turn":
        images = whole(bench.history.run(what)).images
        if not images:
            raise InputError(CHOOSE)
        return images[-1]
    scene = scene_of(prompt.images[-1])
    if kind in ("erase", "recolour") and scene is not None and what.isdecimal() and int(what) < len(scene.things):
        edit = _edited(scene, kind, int(what))
        return open_picture(to_png(edit.after, prompt.images[-1].image.width), f"{kind} {full_name(edit.thing)}.png").part
    raise InputError(CHOOSE)


def _edited(scene: Scene, kind: str, index: int) -> Edit:
    """The scene with one thing erased, or in the first colour that no thing of its shape has and training knew it in."""
    if kind == "erase":
        return erase(scene, index)
    shape = scene.things[index].shape
    taken = {thing.colour for thing in scene.things if thing.shape == shape}
    return recolour(scene, index, next(c for c in COLOURS if c not in taken and (c, shape) not in NEVER_TRAINED))


def swapped(prompt: Prompt, other: ImagePart) -> Prompt:
    """The prompt with another picture in its last picture's place; in a frame's place it is of the frame's time."""
    last = prompt.images[-1]
    put = replace(other, time_s=last.time_s)
    messages = tuple(replace(m, parts=tuple(put if p == last else p for p in m.parts)) for m in prompt.messages)
    return replace(prompt, messages=messages)


@dataclass(frozen=True)
class OtherPicture:
    """The other picture of a prompt that `swapped` gave. `place` is which of several it stands for, empty for the only one."""

    url: str
    name: str
    place: str


def partner_view(prompt: Prompt, urls: PictureUrls) -> OtherPicture:
    """The other picture of a prompt that `swapped` gave."""
    part, names = prompt.images[-1], picture_names(prompt.images)
    return OtherPicture(urls.of(part), part.name, names[-1] if len(names) > 1 else "")


@dataclass(frozen=True)
class Brought:
    """Shares of an answer that come back when states of its picture are put into a run on the other picture.

    `named` [depths, 3] are for the chosen tokens, all the others, and all; `blocks` [depths, T] for blocks that are `side`
    tokens wide and high; both packed. `clean` and `corrupted` are log-probabilities of the answer with either picture, in nats.
    """

    depths: tuple[int, ...]
    layers: int
    clean: float
    corrupted: float
    named: str
    blocks: str
    side: int


def brought(subject: Subject, run: Run, other: Prompt, tokens: tuple[int, ...]) -> Brought:
    """What patching between the two pictures does, at MAX_DEPTHS depths at most. On the model thread."""
    second = subject_of(subject.vlm, other, subject.answer_ids)
    chosen = torch.zeros(1, subject.count, dtype=torch.bool)
    chosen[0, list(tokens)] = True
    small = blocks_of(subject, SIDE)
    groups = torch.cat([chosen, ~chosen, torch.ones_like(chosen), small])
    every = depths(subject)
    at = sorted({round(d) for d in np.linspace(0, len(every) - 1, min(MAX_DEPTHS, len(every)))})
    found = patch_states(subject, second, at, groups, run)
    of_token = small.int().argmax(0).numpy()  # which block each token is in
    shares = np.where(small.any(0).numpy(), found.share[:, 3:][:, of_token], np.nan)
    named, blocks = packed(found.share[:, :3]), packed(shares)
    return Brought(tuple(at), len(every) - 1, found.clean, found.corrupted, named, blocks, SIDE)
