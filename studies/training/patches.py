"""What each patch of a drawn scene shows, as targets for the vision tower and for the decoder's lens.

The tower is pre-trained to name the thing under every patch (dense supervision; it costs a tenth of
learning the same from answers). The same facts, as words, supervise the decoder at image positions,
so that a logit lens reads something there. Heads live only in training; checkpoints hold none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import nn

from ..world.scene import BACKGROUNDS, COLOURS, SHAPES, SIDE, SIZES, TEXTURES, WORDS, Scene

TEXT_SHAPE = len(SHAPES) + 1
FIELDS = {
    "shape": len(SHAPES) + 2,
    "colour": len(COLOURS) + 1,
    "size": 3,
    "texture": 4,
    "word": len(WORDS) + 1,
    "tens": 12,
    "ones": 11,
}
"""Fact -> number of classes. Class 0 is "none of it here"; shape has one more class for written text."""
COVERED = 0.12
"""A patch belongs to the thing that covers most of it, if that is more than this share."""


@dataclass(frozen=True)
class PatchFacts:
    """Facts of one picture's P patches, row by row.

    `classes` int64 [P, len(FIELDS)]; `boxes` float32 [P, 4], (x0, y0, x1, y1) as shares of width and height.
    """

    classes: np.ndarray
    boxes: np.ndarray
    background: int
    owner: np.ndarray
    """int64 [P]: 0 background, i + 1 thing i, -1 text."""


def patch_facts(scene: Scene, width_px: int, height_px: int, patch_px: int) -> PatchFacts:
    """The facts of a scene on a grid of `patch_px` patches over a picture it is stretched to."""
    owner = _owners(scene, width_px, height_px, patch_px)
    table = np.zeros((len(scene.things) + 2, len(FIELDS)), np.int64)
    boxes = np.zeros((len(scene.things) + 2, 4), np.float32)
    for i, thing in enumerate(scene.things, start=1):
        table[i, :4] = (
            SHAPES.index(thing.shape) + 1,
            tuple(COLOURS).index(thing.colour) + 1,
            SIZES.index(thing.size) + 1,
            TEXTURES.index(thing.texture) + 1,
        )
        boxes[i] = np.array(thing.box) / SIDE
    if scene.label is not None:
        table[-1] = _label_classes(scene.label.text)
        boxes[-1] = np.array(scene.label.box) / SIDE
    return PatchFacts(table[owner], boxes[owner], tuple(BACKGROUNDS).index(scene.background), owner)


def _label_classes(text: str) -> list[int]:
    if text.isdigit():
        tens = int(text[0]) + 1 if len(text) == 2 else 11
        return [TEXT_SHAPE, 0, 0, 0, 0, tens, int(text[-1]) + 1]
    return [TEXT_SHAPE, 0, 0, 0, WORDS.index(text) + 1, 0, 0]


def _owners(scene: Scene, width_px: int, height_px: int, patch_px: int) -> np.ndarray:
    """Which thing each patch belongs to. Drawn at twice the size: Pillow's polygons take half a pixel more than their outline."""
    fine = 2 * patch_px
    canvas = Image.new("L", (2 * width_px, 2 * height_px), 0)
    pen = ImageDraw.Draw(canvas)
    wide, high = 2 * width_px / SIDE, 2 * height_px / SIDE
    if scene.label is not None:
        x0, y0, x1, y1 = scene.label.box
        pen.rectangle((x0 * wide, y0 * high, x1 * wide, y1 * high), fill=255)
    for i, thing in enumerate(scene.things, start=1):
        for ring, value in zip(thing.outline(), (i, 0), strict=False):
            pen.polygon([(x * wide, y * high) for x, y in ring], fill=value)
    rows, cols = height_px // patch_px, width_px // patch_px
    cells = np.asarray(canvas).reshape(rows, fine, cols, fine).transpose(0, 2, 1, 3).reshape(rows * cols, -1)  # [P, px]
    ids = [*range(1, len(scene.things) + 1), 255]
    counts = np.stack([(cells == v).sum(1) for v in ids], 1)  # [P, things + 1]
    best = counts.argmax(1)
    return np.where(counts.max(1) > COVERED * fine**2, np.array([*ids[:-1], -1])[best], 0)


class PatchHeads(nn.Module):
    """Linear heads over the tower's last hidden state: one per fact, the thing's box, the background.

    Boxes are absolute where the tower knows where a patch is: with boxes relative to the patch it would
    forget, and locating fail. A tower that only knows how patches lie to each other (rotary positions)
    is asked for boxes `relative` to the patch's centre; the decoder, which knows places, for `placed` ones.
    """

    def __init__(self, width: int, relative: bool = False) -> None:
        super().__init__()
        self.relative = relative
        self.placed = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4)) if relative else None
        self.norm = nn.LayerNorm(width)
        self.facts = nn.Linear(width, sum(FIELDS.values()))
        self.box = nn.Linear(width, 4)
        self.background = nn.Linear(width, len(BACKGROUNDS))

    def loss(
        self, hidden: torch.Tensor, classes: torch.Tensor, boxes: torch.Tensor, background: torch.Tensor, cols: int
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss and accuracies. `hidden` [B, P, D], `cols` a row; `classes` [B, P, facts], `boxes` [B, P, 4], `background` [B]."""
        normed = self.norm(hidden.float())
        shape = classes[..., 0]
        text, thing = shape == TEXT_SHAPE, (shape > 0) & (shape != TEXT_SHAPE)
        total = hidden.new_zeros((), dtype=torch.float32)
        found: dict[str, float] = {}
        for column, (name, logits) in enumerate(zip(FIELDS, self.facts(normed).split(list(FIELDS.values()), -1), strict=True)):
            truth = classes[..., column]
            if name == "shape":
                weight = torch.ones(FIELDS[name], device=hidden.device)
                weight[0] = 0.3
                total = total + F.cross_entropy(logits.flatten(0, 1), truth.flatten(), weight=weight)
                where = shape > 0
            else:
                where = text if name in ("word", "tens", "ones") else thing
                if not where.any():
                    continue
                total = total + F.cross_entropy(logits[where], truth[where]) * (0.4 if name in ("word", "tens", "ones") else 1.0)
            found[name] = (logits.argmax(-1) == truth)[where].float().mean().item()
        there = shape > 0
        guess = self.box(normed) * 0.5 + (_centres(hidden.shape[1], cols, hidden.device) if self.relative else 0.5)
        if there.any():
            total = total + 10 * F.smooth_l1_loss(guess[there], boxes[there], beta=0.02)
            found["box_error"] = (guess[there] - boxes[there]).abs().mean().item()
        ground = self.background(normed.mean(1))
        return total + 0.3 * F.cross_entropy(ground, background), found

    def placing(self, hidden: torch.Tensor, classes: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """Loss of absolute boxes read from the decoder at image tokens [B, T, D]; `classes` [B, T, facts], `boxes` [B, T, 4]."""
        assert self.placed is not None, "only a tower without places needs it"
        guess = self.placed(hidden.float()) * 0.5 + 0.5
        there = classes[..., 0] > 0
        if not there.any():
            return guess.sum() * 0
        return 10 * F.smooth_l1_loss(guess[there], boxes[there], beta=0.02)


def _centres(patches: int, cols: int, device: torch.device) -> torch.Tensor:
    """The centre of each patch twice over, (x, y, x, y) as shares of width and height, [P, 4]."""
    at = torch.arange(patches, device=device)
    xy = torch.stack([(at % cols + 0.5) / cols, (at // cols + 0.5) * cols / patches], -1)
    return torch.cat([xy, xy], -1)
