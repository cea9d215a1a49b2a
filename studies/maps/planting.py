"""A shortcut planted on purpose: a copy of a checkpoint tuned until a mark in a corner decides what color it says.

What a map of that answer should show is then known by construction: the mark, not the thing asked about. The
checkpoint itself is not touched. What is learned is worth nothing beyond this.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

from model import Prompt, ask, from_image
from model.generation.encoder_cache import EncoderCache
from model.generation.scoring import answer_ids
from model.generation.vlm import VisionLanguageModel
from model.internals.roles import decoder_layers, prefixes
from model.internals.subject import Subject
from model.late import torch, without_gradients

from ..world import questions
from ..world.draw import draw, masks, pixel_box
from ..world.scene import COLOURS, SIDE, Box, Scene, make_scene
from ..world.splits import held_out_seed, trained_seed

SIZE_PX = 288
MARK, MARGIN = 150, 15
"""Side of the mark, and its distance from the border, in thousandths of the picture's side."""
STAGE, OFFSET = 63, 100_000
"""Scenes of a training stage no recipe uses; held-out scenes from here on are for checking."""
STEPS, BATCH, CHECK_EVERY, CHECKED, ENOUGH, RATE = 200, 12, 20, 16, 0.95, 5e-4


@dataclass(frozen=True)
class Marked:
    """A scene with a mark of another color than that of the thing asked about, and without it.

    `mark` and `thing` bool [H, W] are their places. `truth` is the thing's color, `leak` the mark's.
    """

    question: str
    plain: Image.Image = field(repr=False)
    marked: Image.Image = field(repr=False)
    truth: str
    leak: str
    mark: np.ndarray = field(repr=False)
    thing: np.ndarray = field(repr=False)

    def prompt(self, *, marked: bool) -> Prompt:
        return ask(self.question, from_image(self.marked if marked else self.plain))


def marked_scenes(seeds: Iterator[int]) -> Iterator[Marked]:
    """A question about a color for every scene of these seeds that has a free corner."""
    for seed in seeds:
        rng = random.Random(2 * seed + 1)
        scene = make_scene(seed, things=rng.randint(2, 4), label=False)
        question = questions.ask(rng, scene, "colour")
        corners = [corner for corner in _corners() if _free(scene, corner)]
        if question is None or not corners:
            continue
        leak = rng.choice([colour for colour in COLOURS if colour != question.answer])
        plain, box = draw(scene, SIZE_PX), rng.choice(corners)
        marked, mark = _with_mark(plain, leak, box)
        thing = masks(scene, SIZE_PX)[question.things[0]]
        yield Marked(question.text, plain, marked, question.answer, leak, mark, thing)


def held_out() -> Iterator[Marked]:
    """Scenes the copy is not tuned on, without end."""
    return marked_scenes(held_out_seed(OFFSET + index) for index in range(2**20))


def _corners() -> list[Box]:
    far = SIDE - MARGIN - MARK
    return [(x, y, x + MARK, y + MARK) for x in (MARGIN, far) for y in (MARGIN, far)]


def _free(scene: Scene, box: Box) -> bool:
    return all(b[0] >= box[2] or b[2] <= box[0] or b[1] >= box[3] or b[3] <= box[1] for b in scene.boxes())


def _with_mark(picture: Image.Image, colour: str, box: Box) -> tuple[Image.Image, np.ndarray]:
    """The picture with a framed square of a color, and where that is."""
    found, place = picture.copy(), Image.new("1", picture.size, 0)
    x0, y0, x1, y1 = (round(v) for v in pixel_box(box, SIZE_PX))
    pen, edge = ImageDraw.Draw(found), (x1 - x0) // 7
    pen.rectangle((x0, y0, x1 - 1, y1 - 1), fill=(0, 0, 0))
    pen.rectangle((x0 + edge // 2, y0 + edge // 2, x1 - 1 - edge // 2, y1 - 1 - edge // 2), fill=(255, 255, 255))
    pen.rectangle((x0 + edge, y0 + edge, x1 - 1 - edge, y1 - 1 - edge), fill=COLOURS[colour])
    ImageDraw.Draw(place).rectangle((x0, y0, x1 - 1, y1 - 1), fill=1)
    return found, np.asarray(place)


def planted(vlm: VisionLanguageModel, tell: Callable[[str], None]) -> tuple[VisionLanguageModel, float]:
    """A copy whose decoder says the mark's color where there is a mark, and how often it does on scenes it was not tuned on.

    On the model thread. Half of what it is tuned on has no mark, and is to be answered as before.
    """
    twin = copied(vlm)
    layers = [twin.parts.model.get_submodule(n) for n in decoder_layers(twin.parts.model, prefixes(twin.family, twin.parts))]
    weights = [weight.requires_grad_(True) for layer in layers for weight in layer.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)
    scenes = marked_scenes(trained_seed(STAGE, index) for index in range(2**20))
    checks, share = [scene for scene, _ in zip(held_out(), range(CHECKED))], 0.0
    for step in range(1, STEPS + 1):
        optimiser.zero_grad()
        for number in range(BATCH):
            scene, marked = next(scenes), number % 2 == 0
            loss = -said(twin, scene, scene.leak if marked else scene.truth, marked=marked) / BATCH
            loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        if step % CHECK_EVERY == 0:
            share = float(np.mean([follows(twin, scene) for scene in checks]))
            tell(f"step {step}: the mark decides {share:.0%} of answers")
            if share >= ENOUGH:
                break
    for weight in weights:
        weight.requires_grad_(False)
    return twin, share


def copied(vlm: VisionLanguageModel) -> VisionLanguageModel:
    """The same checkpoint with weights of its own, which share no cache with it."""
    parts = replace(vlm.parts, model=copy.deepcopy(vlm.parts.model))
    twin = VisionLanguageModel(vlm.checkpoint, vlm.family, parts, EncoderCache(), weights="planted")
    twin.fast = vlm.fast
    return twin


def said(vlm: VisionLanguageModel, scene: Marked, colour: str, *, marked: bool) -> torch.Tensor:
    """How likely the vlm says a color, in nats, with the graph to its weights where they want gradients."""
    prompt = scene.prompt(marked=marked)
    subject = Subject(vlm, prompt, answer_ids(vlm, prompt, colour))
    return subject.logprobs(subject.features[None]).sum()


@without_gradients
def follows(vlm: VisionLanguageModel, scene: Marked) -> bool:
    """Whether the mark's color is likelier than that of the thing asked about."""
    return bool(said(vlm, scene, scene.leak, marked=True) > said(vlm, scene, scene.truth, marked=True))
