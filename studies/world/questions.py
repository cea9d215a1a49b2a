"""Questions about a scene with their truth, in ordinary English.

`ask` makes one question of a kind, or says that the scene allows none. A question keeps what it is
about (indices into `scene.things`), how its answer was balanced, and whether its wording is trained.
Yes/no kinds are balanced: yes or no is drawn first, then a question that has that answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from . import locations
from .scene import COLOUR_WEIGHTS, COLOURS, NEVER_TRAINED, SHAPE_WEIGHTS, SHAPES, SIDE, SIZES, TEXTURES, Scene, Thing
from .wordings import HELD_OUT, SIDES, TRAINED, as_typed

MARGIN = 100
"""Centres closer than this along an axis, in scene units, are not asked to be left, right, above or below."""

POPULAR = 16
"""How many of the most frequent colour x shape pairs serve as popular negatives."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question put to one scene, with the truth."""

    kind: str
    text: str
    answer: str
    things: tuple[int, ...] = ()
    variant: str = ""
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A question before it is worded: slots for the wording, the answer, what it is about."""

    slots: Mapping[str, str]
    answer: str
    things: tuple[int, ...] = ()
    variant: str = ""


@dataclass(frozen=True)
class Asker:
    """What a question maker may use. `pool` is "trained" or "never": which colour x shape pairs absent things may have.

    `about` fixes the thing asked about, where a kind asks about one thing; a thing that the scene does not hold
    leaves nothing to ask.
    """

    rng: random.Random
    scene: Scene
    pool: str = "trained"
    about: int | None = None
    things: Sequence[Thing] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "things", self.scene.things)

    def pick(self) -> int | None:
        if self.about is not None:
            return self.about if self.about < len(self.things) else None
        return self.rng.randrange(len(self.things)) if self.things else None

    def order(self) -> list[int]:
        """Indices of the things in random order, or only the one asked about."""
        if self.about is not None:
            return [self.about] if self.about < len(self.things) else []
        return self.rng.sample(range(len(self.things)), len(self.things))


Maker = Callable[[Asker], Draft | None]
MAKERS: dict[str, Maker] = {}


def _makes(kind: str) -> Callable[[Maker], Maker]:
    def register(maker: Maker) -> Maker:
        MAKERS[kind] = maker
        return maker

    return register


def ask(
    rng: random.Random,
    scene: Scene,
    kind: str,
    *,
    held_out: bool = False,
    typed: bool = False,
    pool: str = "trained",
    about: int | None = None,
) -> Question | None:
    """A question of `kind` about `scene`, or None where the scene allows none.

    `held_out` words it in a way no training question uses; `typed` roughens it with `as_typed`.
    Raises KeyError for an unknown kind.
    """
    draft = MAKERS[kind](Asker(rng, scene, pool, about))
    if draft is None:
        return None
    text = rng.choice((HELD_OUT if held_out else TRAINED)[kind]).format(**draft.slots)
    text = text[0].upper() + text[1:]
    return Question(kind, as_typed(rng, text) if typed else text, draft.answer, draft.things, draft.variant, held_out)


def follow(rng: random.Random, scene: Scene, first: Question, *, typed: bool = False) -> Question | None:
    """A second turn about the one thing the first question was about, calling it "it"."""
    if len(first.things) != 1 or first.kind not in ("exist", "colour", "shape", "size", "texture", "where", "find"):
        return None
    thing = scene.things[first.things[0]]
    told = {"colour": "color", "shape": "shape", "size": "size", "texture": "pattern", "where": "place"}.get(first.kind)
    choices = {
        "color": (("What color is it?", "And its color?", "Which color does it have?"), thing.colour),
        "shape": (("What shape is it?", "And its shape?", "Which shape does it have?"), thing.shape),
        "size": (("What size is it?", "Is it small or large?", "And its size?"), thing.size),
        "pattern": (("What pattern does it have?", "And its texture?", "Is it plain, striped or dotted?"), thing.texture),
        "place": (("Where is it?", "In which part of the image is it?"), region(thing)),
    }
    words = first.text.lower().split()
    open_facts = [name for name, (_, fact) in choices.items() if name != told and fact not in words]
    if not open_facts:
        return None
    texts, answer = choices[rng.choice(open_facts)]
    text = rng.choice(texts)
    return Question("follow", as_typed(rng, text) if typed else text, answer, first.things)


# --- words for things -------------------------------------------------------------------------


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


def _name(asker: Asker, index: int, *, hide: Sequence[str] = ()) -> str | None:
    found = names(asker.scene, index, hide=hide)
    return asker.rng.choice(found[:4]) if found else None


def _named(asker: Asker, *, hide: Sequence[str] = (), but: int | None = None) -> tuple[int, str] | None:
    for index in asker.order():
        if index != but and (name := _name(asker, index, hide=hide)):
            return index, name
    return None


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


def _yes(truth: bool) -> str:
    return "Yes" if truth else "No"


# --- one maker per kind -----------------------------------------------------------------------


@_makes("describe")
def _describe(asker: Asker) -> Draft:
    scene = asker.scene
    order = sorted(range(len(scene.things)), key=lambda i: (scene.things[i].x, scene.things[i].y))
    parts = [article(full_name(scene.things[i])) for i in order]
    listing = "an empty scene" if not parts else parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    answer = f"{listing[0].upper()}{listing[1:]} on a {scene.background} background."
    if scene.label is not None:
        answer += f" The text says {scene.label.text}."
    return Draft({}, answer, tuple(order))


@_makes("exist")
def _exist(asker: Asker) -> Draft | None:
    rng, scene = asker.rng, asker.scene
    if rng.random() < 0.5:
        index = asker.pick()
        if index is None:
            return None
        thing = scene.things[index]
        choice = rng.random() if asker.about is None else 0.0
        if choice < 0.6:
            words = " ".join(thing.pair)
        elif choice < 0.75:
            words = thing.shape
        elif choice < 0.88:
            words = thing.colour + " object"
        else:
            words = full_name(thing)
        return Draft(_exist_slots(words), "Yes", (index,), "yes")
    variant = rng.choice(("random", "popular", "adversarial"))
    if variant == "random" and asker.pool == "trained" and rng.random() < 0.4:
        words = _absent_half(rng, scene)
    else:
        words = absent(rng, scene, variant, asker.pool)
    return Draft(_exist_slots(words), "No", (), variant) if words else None


def _exist_slots(words: str) -> dict[str, str]:
    return {"a": article(words), "some": plural(words)}


def _absent_half(rng: random.Random, scene: Scene) -> str | None:
    shapes = [s for s in SHAPES if all(t.shape != s for t in scene.things)]
    colours = [c for c in COLOURS if all(t.colour != c for t in scene.things)]
    return rng.choice(shapes) if rng.random() < 0.5 and shapes else rng.choice(colours) + " object" if colours else None


def _attribute(kind: str, fact: str) -> Maker:
    def make(asker: Asker) -> Draft | None:
        found = _named(asker, hide=(fact,))
        if found is None:
            return None
        index, name = found
        return Draft({"the": "the " + name}, getattr(asker.things[index], fact), (index,))

    MAKERS[kind] = make
    return make


_attribute("colour", "colour")
_attribute("shape", "shape")


@_makes("size")
def _size(asker: Asker) -> Draft | None:
    return _wanted(asker, "size", SIZES)


@_makes("texture")
def _texture(asker: Asker) -> Draft | None:
    return _wanted(asker, "texture", TEXTURES)


def _wanted(asker: Asker, fact: str, values: Sequence[str]) -> Draft | None:
    """A question on `fact`, about a thing with a value drawn evenly from `values` where there is one."""
    wanted = asker.rng.choice(values)
    for index in sorted(asker.order(), key=lambda i: getattr(asker.things[i], fact) != wanted):
        if name := _name(asker, index, hide=(fact,)):
            return Draft({"the": "the " + name}, getattr(asker.things[index], fact), (index,))
    return None


def _some_kind(asker: Asker) -> tuple[str, tuple[int, ...]]:
    """A kind of thing ("red objects", "circles", "red circles"), mostly one that is there, and which things it is."""
    rng, things = asker.rng, asker.things
    there = bool(things) and rng.random() < 0.75
    colour = rng.choice(things).colour if there else rng.choice(tuple(COLOURS))
    shape = rng.choice(things).shape if there else rng.choice(SHAPES)
    by = rng.random()
    if by < 0.45:
        return f"{colour} objects", tuple(i for i, t in enumerate(things) if t.colour == colour)
    if by < 0.9 or (colour, shape) in NEVER_TRAINED:
        return plural(shape), tuple(i for i, t in enumerate(things) if t.shape == shape)
    return plural(f"{colour} {shape}"), tuple(i for i, t in enumerate(things) if t.pair == (colour, shape))


@_makes("count")
def _count(asker: Asker) -> Draft:
    if asker.rng.random() < 0.35:
        everything = tuple(range(len(asker.things)))
        return Draft({"some": "objects"}, str(len(everything)), everything, "all")
    words, which = _some_kind(asker)
    return Draft({"some": words}, str(len(which)), which, "kind")


@_makes("where")
def _where(asker: Asker) -> Draft | None:
    found = _named(asker)
    if found is None:
        return None
    return Draft({"the": "the " + found[1]}, region(asker.things[found[0]]), (found[0],))


@_makes("relation")
def _relation(asker: Asker) -> Draft | None:
    first = _named(asker)
    second = _named(replace(asker, about=None), but=first[0]) if first else None
    if first is None or second is None:
        return None
    a, b = asker.things[first[0]], asker.things[second[0]]
    truth = asker.rng.random() < 0.5
    sides = [side for side in SIDES if on_side(a, b, side) is truth]
    if not sides:
        return None
    side = asker.rng.choice(sides)
    slots = {"the": "the " + first[1], "other": "the " + second[1], "side": asker.rng.choice(SIDES[side])}
    return Draft(slots, _yes(truth), (first[0], second[0]), side)


@_makes("beside")
def _beside(asker: Asker) -> Draft | None:
    found = _named(asker)
    if found is None or len(asker.things) < 2:
        return None
    index, name = found
    options = []
    for side in SIDES:
        verdicts = {i: on_side(t, asker.things[index], side) for i, t in enumerate(asker.things) if i != index}
        if None in verdicts.values():
            continue
        there = [i for i, truth in verdicts.items() if truth]
        if len(there) == 1 or (not there and asker.rng.random() < 0.2):
            options.append((side, there))
    if not options:
        return None
    side, there = asker.rng.choice(options)
    answer = article(" ".join(asker.things[there[0]].pair)) if there else "Nothing"
    slots = {"other": "the " + name, "side": asker.rng.choice(SIDES[side])}
    return Draft(slots, answer, (*there, index), side)


@_makes("read")
def _read(asker: Asker) -> Draft | None:
    label = asker.scene.label
    if label is None:
        return Draft({}, "There is no text.", (), "none") if asker.rng.random() < 0.08 else None
    return Draft({}, label.text, (), "number" if label.text.isdigit() else "word")


@_makes("find")
def _find(asker: Asker) -> Draft | None:
    if asker.about is None and asker.rng.random() < 0.12:
        words = absent(asker.rng, asker.scene, asker.rng.choice(("random", "popular", "adversarial")), asker.pool)
        return Draft({"the": "the " + words}, f"There is no {words}.", (), "absent") if words else None
    found = _named(asker)
    if found is None:
        return None
    index, name = found
    return Draft({"the": "the " + name}, f"{locations.to_tokens(asker.things[index].box)} {name}", (index,), "present")


@_makes("find_all")
def _find_all(asker: Asker) -> Draft | None:
    if asker.rng.random() < 0.35:
        words, which = "objects", tuple(range(len(asker.things)))
    else:
        words, which = _some_kind(asker)
    if not which:
        return Draft({"some": words}, f"There are no {words}.", (), "absent") if asker.rng.random() < 0.3 else None
    which = tuple(sorted(which, key=lambda i: (asker.things[i].x, asker.things[i].y)))
    said = [f"{locations.to_tokens(asker.things[i].box)} {' '.join(asker.things[i].pair)}" for i in which]
    return Draft({"some": words}, " ; ".join(said), which, "present")


@_makes("at_box")
def _at_box(asker: Asker) -> Draft | None:
    index = asker.pick()
    if index is None:
        return None
    thing = asker.things[index]
    return Draft({"box": locations.to_tokens(thing.box)}, article(full_name(thing)), (index,))


@_makes("background")
def _background(asker: Asker) -> Draft:
    return Draft({}, asker.scene.background)


@_makes("more")
def _more(asker: Asker) -> Draft | None:
    truth = asker.rng.random() < 0.5
    for _ in range(12):
        (some, a), (others, b) = _some_kind(asker), _some_kind(asker)
        if len(a) != len(b) and (len(a) > len(b)) is truth and not set(a) & set(b):
            return Draft({"some": some, "others": others}, _yes(truth), (*a, *b))
    return None


@_makes("same")
def _same(asker: Asker) -> Draft | None:
    truth = asker.rng.random() < 0.5
    for _ in range(8):
        attribute = asker.rng.choice(("color", "shape", "size"))
        fact = {"color": "colour"}.get(attribute, attribute)
        first = _named(asker, hide=(fact,))
        second = _named(asker, hide=(fact,), but=first[0]) if first else None
        if first is None or second is None:
            continue
        a, b = asker.things[first[0]], asker.things[second[0]]
        if (getattr(a, fact) == getattr(b, fact)) is truth:
            slots = {"the": "the " + first[1], "other": "the " + second[1], "attribute": attribute}
            return Draft(slots, _yes(truth), (first[0], second[0]), attribute)
    return None
