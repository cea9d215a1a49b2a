"""Pixels of a scene at any size: an anti-aliased picture, exact masks and boxes.

Everything is drawn from outlines at `SUPERSAMPLE` times the wanted size and reduced by area, so
the drawing a person sees at 512 px and the one a model's processor shrinks are the same drawing.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from . import letters
from .scene import BACKGROUNDS, COLOURS, SIDE, Box, Label, Scene, Thing

SUPERSAMPLE = 3
Colour = tuple[int, int, int]


def draw(scene: Scene, size: int = 512, *, supersample: int = SUPERSAMPLE) -> Image.Image:
    """The picture of a scene. RGB, `size` x `size` pixels. The same bytes for the same scene and Pillow."""
    side = size * supersample
    image = _backdrop(scene, side)
    for thing in scene.things:
        _draw_thing(image, thing, side / SIDE)
    if scene.label is not None:
        _draw_label(image, scene.label, ink_colour(scene.background), side / SIDE)
    return image if supersample == 1 else image.reduce(supersample)


def masks(scene: Scene, size: int = 512) -> np.ndarray:
    """Which pixels show each thing. bool [things, size, size]: more than half of the pixel is covered."""
    found = np.zeros((len(scene.things), size, size), dtype=bool)
    for index, thing in enumerate(scene.things):
        mask = Image.new("L", (size * SUPERSAMPLE, size * SUPERSAMPLE), 0)
        _fill(mask, thing, size * SUPERSAMPLE / SIDE, (0, 0))
        found[index] = np.asarray(mask.reduce(SUPERSAMPLE)) > 127
    return found


def pixel_box(box: Box, size: int) -> Box:
    """A box in scene units as pixels of a `size` x `size` drawing, (x0, y0, x1, y1)."""
    return tuple(value * size / SIDE for value in box)  # type: ignore[return-value]


def _backdrop(scene: Scene, side: int) -> Image.Image:
    base = np.array(BACKGROUNDS[scene.background], np.int16) + np.array(scene.tint, np.int16)
    if scene.backdrop == "flat":
        return Image.new("RGB", (side, side), tuple(int(v) for v in np.clip(base, 0, 255)))
    ramp = np.round(np.linspace(-16, 16, 33)).astype(np.int16)
    strip = np.clip(base[None] + ramp[:, None], 0, 255).astype(np.uint8)  # [33, 3]
    small = Image.fromarray(strip[:, None] if scene.backdrop == "down" else strip[None])
    return small.resize((side, side), Image.Resampling.BILINEAR)


def _draw_thing(image: Image.Image, thing: Thing, scale: float) -> None:
    x0, y0, x1, y1 = thing.box
    left, top = int(x0 * scale) - 2, int(y0 * scale) - 2
    width, height = int(x1 * scale) + 3 - left, int(y1 * scale) + 3 - top
    mask = Image.new("L", (width, height), 0)
    _fill(mask, thing, scale, (left, top))
    r, g, b = (max(0, min(255, c + t)) for c, t in zip(COLOURS[thing.colour], thing.tint, strict=True))
    fill = (r, g, b)
    paint = Image.new("RGB", (width, height), fill)
    if thing.texture != "plain":
        _texture(paint, thing, scale, (left, top), (r * 9 // 20, g * 9 // 20, b * 9 // 20))
    edge = max(1, round(thing.radius * scale * 0.05))
    draw_on = ImageDraw.Draw(paint)
    for ring in thing.outline():
        points = [(x * scale - left, y * scale - top) for x, y in ring]
        draw_on.line([*points, *points[:2]], fill=tuple(c * 7 // 10 for c in fill), width=2 * edge, joint="curve")
    image.paste(paint, (left, top), mask)


def _fill(mask: Image.Image, thing: Thing, scale: float, origin: tuple[int, int]) -> None:
    pen = ImageDraw.Draw(mask)
    for ring, value in zip(thing.outline(), (255, 0), strict=False):
        pen.polygon([(x * scale - origin[0], y * scale - origin[1]) for x, y in ring], fill=value)


def _texture(paint: Image.Image, thing: Thing, scale: float, origin: tuple[int, int], dark: Colour) -> None:
    """Stripes at 45 degrees or a lattice of dots, in `dark`. The period is a share of the thing's radius."""
    pen = ImageDraw.Draw(paint)
    period = max(52.0, thing.radius * 0.42)
    shift = thing.phase / 1000 * period
    cx, cy, r = thing.x, thing.y, thing.radius * 1.1
    steps = int(2 * r / period) + 2

    def at(x: float, y: float) -> tuple[float, float]:
        return x * scale - origin[0], y * scale - origin[1]

    if thing.texture == "striped":
        for i in range(-2 * steps, 2 * steps):
            x = cx - r + shift + i * period
            pen.line([at(x, cy - r), at(x + 2 * r, cy + r)], fill=dark, width=max(1, round(period * scale * 0.3)))
        return
    dot = period * 0.27
    for i in range(-1, steps):
        for j in range(-1, steps):
            x, y = cx - r + shift + i * period + (period / 2 if j % 2 else 0), cy - r + shift + j * period
            pen.ellipse([at(x - dot, y - dot), at(x + dot, y + dot)], fill=dark)


def ink_colour(background: str) -> Colour:
    """The colour letters are written in: dark on light grounds, light on dark ones."""
    return (22, 22, 26) if background in ("white", "gray") else (246, 246, 242)


@lru_cache(maxsize=256)
def _scaled_ink(text: str, width: int, height: int) -> Image.Image:
    return letters.ink(text).resize((width, height), Image.Resampling.BOX if height < 200 else Image.Resampling.BICUBIC)


def _draw_label(image: Image.Image, label: Label, colour: Colour, scale: float) -> None:
    x0, y0, x1, y1 = (round(v * scale) for v in label.box)
    image.paste(colour, (x0, y0), _scaled_ink(label.text, max(1, x1 - x0), max(1, y1 - y0)))
