"""Reads questions about drawn scenes back into what they ask, with no code of `studies.world.questions`.

The tests' own understanding of the English: a phrase such as "small striped red circle" or "red
things", and which things of a scene fit it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from studies.world.scene import COLOURS, SHAPES, SIZES, TEXTURES, Scene, Thing

PLURALS = {"circles": "circle", "squares": "square", "triangles": "triangle", "stars": "star", "crosses": "cross"}
PLURALS |= {"diamonds": "diamond", "hearts": "heart", "rings": "ring"}
ANY_ONE = {"object", "thing", "item"}
ANY_SOME = {"objects", "things", "items", "shapes"}
ADJECTIVES = {name: "colour" for name in COLOURS} | {name: "size" for name in SIZES} | {name: "texture" for name in TEXTURES}
SIDE_WORDS = {"left": "left", "right": "right", "above": "above", "over": "above", "higher": "above"}
SIDE_WORDS |= {"below": "below", "under": "below", "lower": "below"}


@dataclass(frozen=True)
class Phrase:
    """Words for things. `start` and `end` are where in the sentence's words it stands."""

    adjectives: tuple[str, ...]
    shape: str | None
    plural: bool
    start: int
    end: int

    def fits(self, thing: Thing) -> bool:
        told = all(getattr(thing, ADJECTIVES[word]) == word for word in self.adjectives)
        return told and self.shape in (None, thing.shape)

    def found(self, scene: Scene) -> list[int]:
        """Indices of the things it fits."""
        return [index for index, thing in enumerate(scene.things) if self.fits(thing)]

    @property
    def pair(self) -> tuple[str, str] | None:
        """Its (colour, shape), where it names both."""
        colours = [word for word in self.adjectives if word in COLOURS]
        return (colours[0], self.shape) if colours and self.shape else None


def words_of(text: str) -> list[str]:
    """The words of a sentence in lower case, and its location tokens."""
    return re.findall(r"<loc\d{4}>|[a-z]+", text.lower())


def phrases(words: list[str]) -> list[Phrase]:
    """Every phrase for things, in order. A bare "object" names nothing and is left out; bare "objects" are all."""
    found = []
    start = 0
    for position, word in enumerate(words):
        if word in ADJECTIVES:
            continue
        adjectives = tuple(words[start:position])
        shape = word if word in SHAPES else PLURALS.get(word)
        if shape or word in ANY_SOME or (word in ANY_ONE and adjectives):
            found.append(Phrase(adjectives, shape, word in PLURALS or word in ANY_SOME, start, position + 1))
        start = position + 1
    return found


def outside(words: list[str], found: list[Phrase]) -> list[str]:
    """The words that are in no phrase."""
    return [word for i, word in enumerate(words) if not any(p.start <= i < p.end for p in found)]


def fact_asked(words: list[str]) -> str:
    """Which attribute a question about one thing wants."""
    rest = set(outside(words, phrases(words)))
    if rest & {"color", "colour", "colored"}:
        return "colour"
    if rest & {"pattern", "texture", "plain", "filled"}:
        return "texture"
    if rest & {"size", "big", "large", "small"}:
        return "size"
    return "shape"


def boxes_of(text: str) -> list[tuple[float, float, float, float]]:
    """Boxes written as location tokens y0 x0 y1 x1 in 1024ths, as (x0, y0, x1, y1) in 1000ths."""
    numbers = [int(n) / 1.024 for n in re.findall(r"<loc(\d{4})>", text)]
    assert len(numbers) % 4 == 0, text
    return [(x0, y0, x1, y1) for y0, x0, y1, x1 in zip(*[iter(numbers)] * 4, strict=True)]


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    both = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
