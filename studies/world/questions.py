"""Questions about a scene with their truth, in ordinary English.

`ask` makes one question of a kind, or says that the scene allows none. A question keeps what it is
about (indices into `scene.things`), how its answer was balanced, and whether its wording is trained.
Yes/no kinds are balanced: yes or no is drawn first, then a question that has that answer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from . import locations
from .phrases import absent, article, full_name, names, near_border, on_side, plural, region
from .scene import COLOURS, NEVER_TRAINED, SHAPES, SIZES, TEXTURES, Scene, Thing
from .wordings import HELD_OUT, READS, SIDES, TRAINED, as_typed


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
    wordings = (HELD_OUT if held_out else TRAINED)[kind]
    if kind == "read":
        wordings = tuple(w for w in wordings if READS.get(w, draft.variant) == draft.variant)
    text = rng.choice(wordings).format(**draft.slots)
    text = text[0].upper() + text[1:]
    return Question(kind, as_typed(rng, text) if typed else text, draft.answer, draft.things, draft.variant, held_out)


def follow(rng: random.Random, scene: Scene, first: Question, *, typed: bool = False) -> Question | None:
    """A second turn about the one thing the first question was about, calling it "it", on a fact not told yet."""
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
    open_facts = [name for name, (_, fact) in choices.items() if name != told and not re.search(rf"\b{fact}", first.text.lower())]
    if not open_facts:
        return None
    texts, answer = choices[rng.choice(open_facts)]
    text = rng.choice(texts)
    return Question("follow", as_typed(rng, text) if typed else text, answer, first.things)


def _name(asker: Asker, index: int, *, hide: Sequence[str] = ()) -> str | None:
    found = names(asker.scene, index, hide=hide)
    return asker.rng.choice(found[:4]) if found else None


def _named(asker: Asker, *, hide: Sequence[str] = (), but: int | None = None) -> tuple[int, str] | None:
    for index in asker.order():
        if index != but and (name := _name(asker, index, hide=hide)):
            return index, name
    return None


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
    for index in asker.order():
        if not near_border(asker.things[index]) and (name := _name(asker, index)):
            return Draft({"the": "the " + name}, region(asker.things[index]), (index,))
    return None


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
        if len(there) == 1 or (not there and asker.scene.label is None and asker.rng.random() < 0.2):
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
    """Asked only where both answers are possible, so that neither is likelier."""
    options: dict[bool, list[tuple[str, int, int]]] = {True: [], False: []}
    for attribute, fact in (("color", "colour"), ("shape", "shape"), ("size", "size")):
        nameable = [i for i in range(len(asker.things)) if names(asker.scene, i, hide=(fact,))]
        for a in nameable:
            for b in nameable:
                if a != b:
                    truth = getattr(asker.things[a], fact) == getattr(asker.things[b], fact)
                    options[truth].append((attribute, a, b))
    if not options[True] or not options[False]:
        return None
    truth = asker.rng.random() < 0.5
    attribute = asker.rng.choice(sorted({option[0] for option in options[truth]}))
    _, a, b = asker.rng.choice([option for option in options[truth] if option[0] == attribute])
    hide = ({"color": "colour"}.get(attribute, attribute),)
    first, second = (_name(asker, index, hide=hide) for index in (a, b))
    return Draft({"the": f"the {first}", "other": f"the {second}", "attribute": attribute}, _yes(truth), (a, b), attribute)
