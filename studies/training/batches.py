"""Training samples of the drawn world: which pictures and questions each stage sees.

Sample i of a stage is a function of (stage, i) alone, so a run can be resumed at any step and split
over any number of processes without changing what is seen.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ..world import several, smalltalk
from ..world.draw import draw
from ..world.questions import MAKERS, Question, ask, follow
from ..world.scene import BACKGROUNDS, COLOURS, SHAPES, SIZES, TEXTURES, Scene, make_scene
from ..world.splits import trained_seed
from ..world.wordings import mistyped
from .packing import Conversation, Exchange, PackedText, Packer
from .patches import patch_facts
from .sizes import PictureSize
from .tokenizer import SYSTEM_PROMPTS

MIXTURE = {
    "describe": 1.0,
    "exist": 2.4,
    "colour": 1.1,
    "shape": 1.7,
    "size": 0.6,
    "texture": 0.9,
    "count": 2.2,
    "where": 0.8,
    "relation": 2.2,
    "beside": 0.9,
    "read": 1.6,
    "find": 2.2,
    "find_all": 0.7,
    "at_box": 1.2,
    "background": 0.25,
    "more": 0.8,
    "same": 1.1,
}
"""How often each kind is asked in instruction tuning."""
assert set(MIXTURE) == set(MAKERS)

FOLLOW_UP, CHAT, BLIND, SHIFTED = 0.25, 0.035, 0.035, 0.15
"""Shares of conversations with a second turn, of small talk, with no picture attached, and moved on in position."""
MAX_SHIFT = 500
MISTYPED = 0.1
KEY_WORDS = frozenset(
    word for name in (*SHAPES, *COLOURS, *SIZES, *TEXTURES, *BACKGROUNDS) for word in (name, name + "s", name + "es")
) | frozenset(("left", "right", "above", "below", "over", "under", "higher", "lower", "first", "second", "than", "same"))
"""Words a question turns on. They are never mistyped in training."""
SYSTEM_SHARE = 0.06
TWO_EVERY = 8
"""Every so many steps, rows hold two pictures: together, or the second coming with a later turn."""


@dataclass
class Batch:
    """One step's data. `pixels` float32 [B, 3, H, W] normalised, or None for text alone.

    `classes` and `boxes` are facts of patches, `token_classes` and `token_boxes` of image tokens.
    """

    pixels: torch.Tensor | None
    text: PackedText | None
    classes: torch.Tensor | None = None
    boxes: torch.Tensor | None = None
    token_classes: torch.Tensor | None = None
    token_boxes: torch.Tensor | None = None
    background: torch.Tensor | None = None
    scenes: Sequence[Scene] = ()


def pixels(scene: Scene, size: PictureSize, noise: np.random.RandomState | None) -> np.ndarray:
    """The scene as its processor would hand it over, float32 [3, H, W]. With `noise`, roughened for training.

    Drawn at three times the longer side and resized with the processor's own filter, which equals a
    512 px drawing put through the processor to within a grey level or two. Where `size` is not square
    the scene is stretched to it: all that is true of it stays true.
    """
    factor = 3 if noise is None else noise.randint(3, 5)
    picture = draw(scene, max(size.width_px, size.height_px) * factor, supersample=1)
    picture = picture.resize((size.width_px, size.height_px), Image.Resampling.BICUBIC)
    values = np.asarray(picture, np.float32).transpose(2, 0, 1) / 255
    if noise is not None:
        values = values * noise.uniform(0.92, 1.08) + noise.uniform(-0.04, 0.04)
        values = values + noise.normal(0, noise.uniform(0, 0.025), values.shape).astype(np.float32)
    return ((np.clip(values, 0, 1) - size.mean) / size.std).astype(np.float32)


class Batches:
    """Makes the batches of every stage. Stages are numbered; see `stages.STAGES`.

    Every other step takes pictures of the first size, the steps between one of the others.
    """

    def __init__(self, packer: Packer, sizes: Sequence[PictureSize]) -> None:
        self.packer, self.sizes = packer, sizes

    def size(self, stage: int, step: int) -> PictureSize:
        """The size of all pictures of a step."""
        if step % 2 == 0 or len(self.sizes) == 1:
            return self.sizes[0]
        return random.Random(trained_seed(stage, step)).choice(self.sizes[1:])

    def tower(self, stage: int, indices: Sequence[int], step: int = 0) -> Batch:
        """Crowded pictures with the facts of every patch."""
        scenes = [
            make_scene(trained_seed(stage, i), things=3 + (i * 7) % 4 if i % 8 else None, label=i % 2 == 0) for i in indices
        ]
        return self._seen(scenes, stage, indices, None, self.size(stage, step))

    def language(self, stage: int, indices: Sequence[int]) -> Batch:
        """Text alone: scenes described in words, then questions that the words answer."""
        rows = []
        for i in indices:
            rng = random.Random(trained_seed(stage, i))
            talks: list[Conversation] = []
            for number in range(5):
                scene = make_scene(trained_seed(stage, 5 * i + number))
                told = _question(rng, scene, "describe").answer
                kinds = rng.sample(
                    ("exist", "colour", "shape", "size", "texture", "count", "more", "same", "background", "read"), 2
                )
                for kind in kinds:
                    if question := ask(rng, scene, kind, typed=True):
                        talks.append(Conversation((Exchange(kind, f"{told} {question.text}", question.answer),)))
                talks.append(Conversation((Exchange("describe", _question(rng, scene, "describe").text, told),)))
                if rng.random() < 0.3:
                    talk = smalltalk.chat(rng, typed=True)
                    talks.append(Conversation((Exchange("chat", talk.text, talk.answer),)))
            rows.append(self.packer.row(talks, self.sizes[0], pictures=0))
        return Batch(None, self.packer.batch(rows))

    def align(self, stage: int, indices: Sequence[int], step: int = 0) -> Batch:
        """Pictures with captions: what a connector is aligned on."""
        scenes, rows, size = [], [], self.size(stage, step)
        for i in indices:
            seed = trained_seed(stage, i)
            rng = random.Random(seed + 1)
            scene = make_scene(seed)
            asked = [_question(rng, scene, "describe") for _ in range(3)]
            asked += [q for _ in range(6) if (q := ask(rng, scene, rng.choice(("at_box", "background", "read")), typed=True))]
            rows.append(self.packer.row([Conversation((_turn(q),)) for q in asked], size))
            scenes.append(scene)
        return self._seen(scenes, stage, indices, self.packer.batch(rows), size)

    def instruct(self, stage: int, indices: Sequence[int], step: int = 1) -> Batch:
        """Pictures with conversations of every kind; at every `TWO_EVERY`th step, two pictures a row."""
        scenes, rows, numbers, size = [], [], [], self.size(stage, step // TWO_EVERY + step)
        for i in indices:
            seed = trained_seed(stage, i)
            rng = random.Random(seed + 1)
            scene = make_scene(seed, label=i % 2 == 0)
            system = rng.choice(SYSTEM_PROMPTS) if rng.random() < SYSTEM_SHARE else ""
            if step % TWO_EVERY:
                rows.append(self.packer.row(conversations(rng, scene), size, system=system))
                scenes.append(scene)
                numbers.append(i)
                continue
            both = [scene, make_scene(trained_seed(stage + 1, i), label=i % 3 == 0)]
            later = step % (2 * TWO_EVERY) == 0
            between = _turn(_first(rng, both[0])) if later else None
            rows.append(self.packer.row(of_two(rng, both, later), size, pictures=2, between=between))
            scenes += both
            numbers += [i, i + 2**33]
        return self._seen(scenes, stage, numbers, self.packer.batch(rows), size)

    def _seen(
        self, scenes: Sequence[Scene], stage: int, indices: Sequence[int], text: PackedText | None, size: PictureSize
    ) -> Batch:
        noises = [np.random.RandomState((stage * 7_919 + i) % 2**32) for i in indices]
        images = np.stack([pixels(scene, size, noise) for scene, noise in zip(scenes, noises, strict=True)])
        facts = [patch_facts(scene, size.width_px, size.height_px, size.patch_px) for scene in scenes]
        coarse = facts
        if size.merge > 1:
            coarse = [patch_facts(scene, size.width_px, size.height_px, size.token_px) for scene in scenes]
        return Batch(
            torch.from_numpy(images),
            text,
            torch.from_numpy(np.stack([f.classes for f in facts])),
            torch.from_numpy(np.stack([f.boxes for f in facts])),
            torch.from_numpy(np.stack([f.classes for f in coarse])),
            torch.from_numpy(np.stack([f.boxes for f in coarse])),
            torch.tensor([f.background for f in facts]),
            scenes,
        )


def conversations(rng: random.Random, scene: Scene, count: int = 30) -> list[Conversation]:
    """Conversations about a scene in the mixture's proportions: some with a second turn, some blind, some small talk."""
    talks: list[Conversation] = []
    kinds = rng.choices(tuple(MIXTURE), tuple(MIXTURE.values()), k=count)
    for kind in kinds:
        draw_of = rng.random()
        if draw_of < CHAT:
            talk = smalltalk.chat(rng, typed=True)
            talks.append(Conversation((_turn(talk),), blind=rng.random() < 0.5))
            continue
        question = ask(rng, scene, kind, typed=True)
        if question is None:
            continue
        if draw_of < CHAT + BLIND:
            talks.append(_blind(rng, scene, question))
            continue
        turns = [_turn(question, rng)]
        if rng.random() < FOLLOW_UP:
            after = follow(rng, scene, question, typed=True) if rng.random() < 0.6 else None
            after = after or ask(rng, scene, rng.choice(kinds), typed=True)
            if after is not None:
                turns.append(_turn(after))
        talks.append(Conversation(tuple(turns), shift=rng.randrange(MAX_SHIFT) if rng.random() < SHIFTED else 0))
    return talks


def of_two(rng: random.Random, scenes: Sequence[Scene], later: bool, count: int = 40) -> list[Conversation]:
    """Conversations about two pictures. Where the second came `later`, a question that names none is about it."""
    talks: list[Conversation] = []
    for kind in rng.choices(tuple(MIXTURE), tuple(MIXTURE.values()), k=count):
        draw_of = rng.random()
        index = rng.randrange(2)
        if draw_of < 0.15:
            question = several.which(rng, scenes, typed=True)
        elif later and draw_of < 0.65:
            question = ask(rng, scenes[1], kind, typed=True)
        else:
            plain = ask(rng, scenes[index], kind)
            question = several.about(rng, plain, index, typed=True) if plain else None
        if question is not None:
            talks.append(Conversation((_turn(question),)))
    return talks


def _first(rng: random.Random, scene: Scene) -> Question:
    """A first turn about a picture, of a kind that can be asked of any scene."""
    return _question(rng, scene, rng.choice(("describe", "count", "background")))


def _blind(rng: random.Random, scene: Scene, question: Question) -> Conversation:
    """A question with no picture: either a scene told in words, or the honest answer that there is none."""
    if question.kind in ("exist", "colour", "shape", "size", "texture", "count", "more", "same") and rng.random() < 0.4:
        told = _question(rng, scene, "describe").answer
        return Conversation((Exchange(question.kind, f"{told} {question.text}", question.answer),), blind=True)
    return Conversation((Exchange("no_picture", question.text, smalltalk.NO_PICTURE),), blind=True)


def _question(rng: random.Random, scene: Scene, kind: str) -> Question:
    question = ask(rng, scene, kind, typed=True)
    assert question is not None, f"{kind} can be asked of any scene"
    return question


def _turn(question: Question, rng: random.Random | None = None) -> Exchange:
    """A question as a turn; with `rng`, one in ten has a slip of the finger."""
    text = mistyped(rng, question.text, KEY_WORDS) if rng is not None and rng.random() < MISTYPED else question.text
    return Exchange(question.kind, text, question.answer)
