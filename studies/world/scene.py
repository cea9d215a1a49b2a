"""What there is in a drawn scene: things, their attributes and places, and a written label.

A scene is plain data. All lengths are integers in thousandths of the canvas side, so a scene is
the same on every machine and can be drawn at any size. Pixels are made in `draw`, questions in
`questions`. Random numbers come from `random.Random` seeded with an integer, whose stream is
fixed across Python versions for the calls used here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from . import letters

SIDE = 1000
"""Length of the canvas side in scene units."""

SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond", "heart", "ring")
COLOURS = {
    "red": (214, 48, 49),
    "blue": (52, 92, 214),
    "green": (46, 160, 74),
    "yellow": (240, 214, 54),
    "orange": (240, 138, 36),
    "purple": (134, 66, 184),
    "pink": (244, 132, 184),
    "cyan": (64, 200, 212),
}
SIZES = ("small", "large")
TEXTURES = ("plain", "striped", "dotted")
BACKGROUNDS = {"white": (240, 240, 238), "gray": (146, 148, 152), "black": (30, 31, 36), "brown": (112, 84, 60)}
WORDS = (
    "CAT", "DOG", "SUN", "STOP", "EXIT", "OPEN", "FISH", "TREE", "BUS", "TAXI", "MILK", "BOOK", "HELP", "SALE", "HOME", "RAIN",
)  # fmt: skip

NEVER_TRAINED = frozenset({
    ("cyan", "square"), ("orange", "star"), ("green", "ring"),
    ("pink", "cross"), ("blue", "diamond"), ("yellow", "heart"),
})  # fmt: skip
"""Colour x shape pairs that no training picture or question holds. They measure composition."""

SHAPE_WEIGHTS = (15, 14, 12, 11, 9, 9, 8, 8)
COLOUR_WEIGHTS = (15, 14, 12, 10, 9, 8, 8, 8)
"""Uneven on purpose: a world with frequent things is a world with a language prior to fall for."""

RADIUS = {"small": (90, 112), "large": (150, 195)}
ROTATIONS = (0, 0, 0, -20, -10, 10, 20)
UPRIGHT = frozenset({"circle", "ring"})
COUNT_WEIGHTS = (2, 10, 18, 22, 20, 16, 12)

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in scene units, y down."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One drawn object. `x`, `y` is its centre, `radius` half its extent before rotation, in scene units."""

    shape: str
    colour: str
    size: str
    texture: str
    x: int
    y: int
    radius: int
    rotation: int = 0
    tint: tuple[int, int, int] = (0, 0, 0)
    phase: int = 0

    @property
    def box(self) -> Box:
        """The tight box around the outline, in scene units."""
        return bounds(self.outline()[0])

    def outline(self) -> list[list[tuple[float, float]]]:
        """Polygons in scene units: the outer edge, then a hole if the shape has one."""
        turn = math.radians(self.rotation)
        cos, sin = math.cos(turn), math.sin(turn)
        return [
            [(self.x + self.radius * (u * cos - v * sin), self.y + self.radius * (u * sin + v * cos)) for u, v in ring]
            for ring in OUTLINES[self.shape]
        ]

    @property
    def pair(self) -> tuple[str, str]:
        return self.colour, self.shape


@dataclass(frozen=True, slots=True)
class Label:
    """A written word or number. (x, y) is the top left corner of its ink, in scene units."""

    text: str
    x: int
    y: int
    width: int
    height: int

    @property
    def box(self) -> Box:
        return self.x, self.y, self.x + self.width, self.y + self.height


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is true of one picture. `things` are ordered as they were placed."""

    things: tuple[Thing, ...]
    label: Label | None
    background: str
    backdrop: str = "flat"
    tint: tuple[int, int, int] = (0, 0, 0)
    seed: int = 0

    def boxes(self) -> list[Box]:
        return [thing.box for thing in self.things]


def make_scene(
    seed: int,
    *,
    things: int | None = None,
    label: bool | None = None,
    pairs: str = "trained",
    must_have: tuple[str, str] | None = None,
) -> Scene:
    """The scene of this seed: 0 to 6 things that do not touch, with a label in 35 % of scenes.

    `things` and `label` fix what is otherwise drawn at random. `pairs` is "trained" (the
    never-trained colour x shape pairs do not occur) or "all". `must_have` makes the first thing one
    of that (colour, shape); a scene drawn empty stays empty. Raises ValueError for an unknown `pairs`.
    """
    if pairs not in ("trained", "all"):
        raise ValueError(f"pairs is 'trained' or 'all', not {pairs!r}.")
    rng = random.Random(seed)
    count = things if things is not None else rng.choices(range(7), COUNT_WEIGHTS)[0]
    count = max(1, count) if must_have else count
    written = rng.random() < 0.35 if label is None else label
    placed = _place_label(rng) if written else None
    taken: list[Box] = [placed.box] if placed else []
    found: list[Thing] = []
    for index in range(count):
        thing = _place_thing(rng, taken, found, pairs, must_have if index == 0 else None)
        if thing is not None:
            found.append(thing)
            taken.append(thing.box)
    return Scene(
        tuple(found),
        placed,
        rng.choice(tuple(BACKGROUNDS)),
        rng.choice(("flat", "down", "across")),
        _tint(rng, 4),
        seed,
    )


def _place_label(rng: random.Random) -> Label:
    text = str(rng.randrange(100)) if rng.random() < 0.5 else rng.choice(WORDS)
    height = rng.randrange(120, 165)
    width = min(letters.width(text, height), SIDE - 40)
    return Label(text, rng.randrange(10, SIDE - width - 10), rng.randrange(10, SIDE - height - 10), width, height)


def _place_thing(
    rng: random.Random,
    taken: list[Box],
    found: Sequence[Thing],
    pairs: str,
    must_have: tuple[str, str] | None,
) -> Thing | None:
    for _ in range(200 if must_have else 30):
        size = rng.choice(SIZES)
        colour, shape = must_have or _pair(rng, found, pairs)
        thing = Thing(
            shape, colour, size,
            texture=rng.choices(TEXTURES, (7, 2, 2))[0],
            x=rng.randrange(SIDE), y=rng.randrange(SIDE), radius=rng.randrange(*RADIUS[size]),
            rotation=0 if shape in UPRIGHT else rng.choice(ROTATIONS),
            tint=_tint(rng, 12), phase=rng.randrange(1000),
        )  # fmt: skip
        if fits(thing.box, taken):
            return thing
    return None


def fits(box: Box, taken: Sequence[Box], gap: float = 12) -> bool:
    """Whether `box` lies on the canvas and at least `gap` units from every box of `taken`."""
    x0, y0, x1, y1 = box
    if x0 < 4 or y0 < 4 or x1 > SIDE - 4 or y1 > SIDE - 4:
        return False
    return all(x1 + gap <= a0 or a1 + gap <= x0 or y1 + gap <= b0 or b1 + gap <= y0 for a0, b0, a1, b1 in taken)


def _pair(rng: random.Random, found: Sequence[Thing], pairs: str) -> tuple[str, str]:
    while True:
        colour = rng.choices(tuple(COLOURS), COLOUR_WEIGHTS)[0]
        shape = rng.choices(SHAPES, SHAPE_WEIGHTS)[0]
        if found and rng.random() < 0.25:  # things that share a colour or a shape make questions harder
            colour = rng.choice(found).colour
        if found and rng.random() < 0.12:
            shape = rng.choice(found).shape
        if pairs == "all" or (colour, shape) not in NEVER_TRAINED:
            return colour, shape


def _tint(rng: random.Random, spread: int) -> tuple[int, int, int]:
    return tuple(rng.randrange(-spread, spread + 1) for _ in range(3))  # type: ignore[return-value]


def bounds(points: Sequence[tuple[float, float]]) -> Box:
    """The tight box around points."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return min(xs), min(ys), max(xs), max(ys)


def _arc(radius: float, steps: int = 72) -> list[tuple[float, float]]:
    return [(radius * math.cos(2 * math.pi * i / steps), radius * math.sin(2 * math.pi * i / steps)) for i in range(steps)]


def _star() -> list[tuple[float, float]]:
    reach = [1.0 if i % 2 == 0 else 0.42 for i in range(10)]
    return [(r * math.sin(i * math.pi / 5), -r * math.cos(i * math.pi / 5)) for i, r in enumerate(reach)]


def _cross(arm: float = 0.32, reach: float = 0.92) -> list[tuple[float, float]]:
    corner = [(-arm, -reach), (arm, -reach), (arm, -arm), (reach, -arm), (reach, arm), (arm, arm)]
    return corner + [(-x, -y) for x, y in corner]


def _heart(steps: int = 80) -> list[tuple[float, float]]:
    points = []
    for i in range(steps):
        t = 2 * math.pi * i / steps
        x = 16 * math.sin(t) ** 3
        y = -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t))
        points.append((x / 17, (y - 2.5) / 15.5))
    return points


OUTLINES: dict[str, list[list[tuple[float, float]]]] = {
    "circle": [_arc(0.94)],
    "ring": [_arc(0.96), _arc(0.5)],
    "square": [[(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)]],
    "diamond": [[(0, -1), (0.72, 0), (0, 1), (-0.72, 0)]],
    "triangle": [[(0, -0.92), (0.92, 0.74), (-0.92, 0.74)]],
    "star": [_star()],
    "cross": [_cross()],
    "heart": [_heart()],
}
"""Outlines with the centre at the origin, y down, inside the unit circle or nearly so."""
