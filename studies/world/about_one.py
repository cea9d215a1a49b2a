"""Questions about one thing, or one fact of a scene: is it there, what is it like, where is it, what is written.

Yes/no kinds are balanced: yes or no is drawn first, then a question that has that answer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from . import locations
from .asking import MADE, Asker, Draft, Maker, any_named, makes, name_of
from .phrases import absent, article, full_name, near_border, plural, region
from .scene import COLOURS, SHAPES, SIZES, TEXTURES, Scene


@makes("exist")
def _exist(asker: Asker) -> Draft | None:
    rng, scene = asker.rng, asker.scene
    if rng.random() < 0.5:
        index = asker.pick()
        if index is None:
            return None
        thing = scene.things[index]
        choice = rng.random() if asker.about is None else 0.0
        if choice < 0.6:
            used: tuple[str, ...] = ("colour", "shape")
        elif choice < 0.75:
            used = ("shape",)
        elif choice < 0.88:
            used = ("colour",)
        else:
            used = ("size", "colour", "shape") if thing.texture == "plain" else ("size", "texture", "colour", "shape")
        words = " ".join(getattr(thing, name) for name in used)
        fits = tuple(i for i, other in enumerate(scene.things) if all(getattr(other, n) == getattr(thing, n) for n in used))
        return Draft(_exist_slots(words if "shape" in used else words + " object"), "Yes", fits, "yes")
    for variant in rng.sample(("random", "popular", "adversarial"), 3):  # the first that this scene allows
        if variant == "random" and asker.pool == "trained" and rng.random() < 0.4:
            words_ = _absent_half(rng, scene)
        else:
            words_ = absent(rng, scene, variant, asker.pool)
        if words_:
            return Draft(_exist_slots(words_), "No", (), variant)
    return None


def _exist_slots(words: str) -> dict[str, str]:
    return {"a": article(words), "some": plural(words)}


def _absent_half(rng: random.Random, scene: Scene) -> str | None:
    shapes = [s for s in SHAPES if all(t.shape != s for t in scene.things)]
    colours = [c for c in COLOURS if all(t.colour != c for t in scene.things)]
    return rng.choice(shapes) if rng.random() < 0.5 and shapes else rng.choice(colours) + " object" if colours else None


def _attribute(kind: str, fact: str) -> Maker:
    def make(asker: Asker) -> Draft | None:
        found = any_named(asker, hide=(fact,))
        if found is None:
            return None
        index, name = found
        return Draft({"the": "the " + name}, getattr(asker.things[index], fact), (index,))

    MADE[kind] = make
    return make


_attribute("colour", "colour")
_attribute("shape", "shape")


@makes("size")
def _size(asker: Asker) -> Draft | None:
    return _wanted(asker, "size", SIZES)


@makes("texture")
def _texture(asker: Asker) -> Draft | None:
    return _wanted(asker, "texture", TEXTURES)


def _wanted(asker: Asker, fact: str, values: Sequence[str]) -> Draft | None:
    """A question on `fact`, about a thing with a value drawn evenly from `values` where there is one."""
    wanted = asker.rng.choice(values)
    for index in sorted(asker.order(), key=lambda i: getattr(asker.things[i], fact) != wanted):
        if name := name_of(asker, index, hide=(fact,)):
            return Draft({"the": "the " + name}, getattr(asker.things[index], fact), (index,))
    return None


@makes("where")
def _where(asker: Asker) -> Draft | None:
    for index in asker.order():
        if not near_border(asker.things[index]) and (name := name_of(asker, index)):
            return Draft({"the": "the " + name}, region(asker.things[index]), (index,))
    return None


@makes("read")
def _read(asker: Asker) -> Draft | None:
    label = asker.scene.label
    if label is None:
        return Draft({}, "There is no text.", (), "none") if asker.rng.random() < 0.08 else None
    return Draft({}, label.text, (), "number" if label.text.isdigit() else "word")


@makes("find")
def _find(asker: Asker) -> Draft | None:
    if asker.about is None and asker.rng.random() < 0.12:
        words = absent(asker.rng, asker.scene, asker.rng.choice(("random", "popular", "adversarial")), asker.pool)
        return Draft({"the": "the " + words}, f"There is no {words}.", (), "absent") if words else None
    found = any_named(asker)
    if found is None:
        return None
    index, name = found
    return Draft({"the": "the " + name}, f"{locations.to_tokens(asker.things[index].box)} {name}", (index,), "present")


@makes("at_box")
def _at_box(asker: Asker) -> Draft | None:
    index = asker.pick()
    if index is None:
        return None
    thing = asker.things[index]
    return Draft({"box": locations.to_tokens(thing.box)}, article(full_name(thing)), (index,))


@makes("background")
def _background(asker: Asker) -> Draft:
    return Draft({}, asker.scene.background)
