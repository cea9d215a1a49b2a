"""Words for things of a scene: names that fit one thing alone, things that are absent, places."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .scene import COLOUR_WEIGHTS, COLOURS, NEVER_TRAINED, SHAPE_WEIGHTS, SHAPES, SIDE, Scene, Thing

MARGIN = 100
"""Centres closer than this along an axis, in scene units, are not asked to be left, right, above or below."""
BORDER = 25
"""A thing whose centre is this close to a line between ninths of the canvas is not asked where it is."""
POPULAR = 16
"""How many of the most frequent colour x shape pairs serve as popular negatives."""


def article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def plural(words: str) -> str:
    return words + "es" if words.endswith("cross") else words + "s"


def full_name(thing: Thing) -> str:
    """Size, texture unless plain, colour and shape: "small striped red circle"."""
    texture = [] if thing.texture == "plain" else [thing.texture]
    return " ".join([thing.size, *texture, thing.colour, thing.shape])


def names(scene: Scene, index: int, *, hide: Sequence[str] = ()) -> list[str]:
    """Phrases that fit this thing and no other of the scene, without the attributes in `hide`. Shortest first."""
    thing = scene.things[index]
    others = [other for i, other in enumerate(scene.things) if i != index]
    found = []
    for used in (("shape",), ("colour",), ("colour", "shape"), ("size", "shape"), ("texture", "shape"), ("size", "colour"),
                 ("texture", "colour"), ("size", "colour", "shape"), ("texture", "colour", "shape")):  # fmt: skip
        if any(name in hide for name in used) or ("texture" in used and thing.texture == "plain"):
            continue
        if any(all(getattr(other, name) == getattr(thing, name) for name in used) for other in others):
            continue
        words = [getattr(thing, name) for name in ("size", "texture", "colour", "shape") if name in used]
        found.append(" ".join(words if "shape" in used else [*words, "object"]))
    return found


def absent(rng: random.Random, scene: Scene, variant: str, pool: str = "trained") -> str | None:
    """A "colour shape" phrase that no thing of the scene fits, or None.

    "random": any pair; "popular": one of the `POPULAR` most frequent pairs; "adversarial": its
    colour and its shape are both in the scene, never together. `pool` "never" keeps to the
    never-trained pairs, "trained" avoids them.
    """
    have = {thing.pair for thing in scene.things}
    if variant == "adversarial":
        pairs = {(a.colour, b.shape) for a in scene.things for b in scene.things}
    elif variant == "popular":
        pairs = set(_POPULAR_PAIRS)
    else:
        pairs = {(colour, shape) for colour in COLOURS for shape in SHAPES}
    if pool == "never":
        pairs &= NEVER_TRAINED
    else:
        pairs -= NEVER_TRAINED
    free = sorted(pairs - have)
    return " ".join(rng.choice(free)) if free else None


_POPULAR_PAIRS = sorted(
    ((colour, shape) for colour in COLOURS for shape in SHAPES),
    key=lambda p: -COLOUR_WEIGHTS[tuple(COLOURS).index(p[0])] * SHAPE_WEIGHTS[SHAPES.index(p[1])],
)[:POPULAR]


def region(thing: Thing) -> str:
    """Which ninth of the canvas the thing's centre is in: "top left", "center", "bottom right", ..."""
    vertical = ("top", "middle", "bottom")[min(2, thing.y * 3 // SIDE)]
    horizontal = ("left", "center", "right")[min(2, thing.x * 3 // SIDE)]
    if (vertical, horizontal) == ("middle", "center"):
        return "center"
    return f"{vertical} {horizontal}"


def on_side(a: Thing, b: Thing, side: str) -> bool | None:
    """Whether a's centre is on that side of b's. None where they are within `MARGIN` along that axis."""
    gap = a.x - b.x if side in ("left", "right") else a.y - b.y
    if abs(gap) < MARGIN:
        return None
    return gap < 0 if side in ("left", "above") else gap > 0


def near_border(thing: Thing) -> bool:
    """Whether two people could put the thing's centre into different ninths."""
    return any(abs(value - line * SIDE / 3) < BORDER for value in (thing.x, thing.y) for line in (1, 2))
