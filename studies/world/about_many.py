"""Questions about several things: all of them, how many, which of two groups is larger, how two stand to each other.

Yes/no kinds are balanced: yes or no is drawn first, then a question that has that answer.
"""

from __future__ import annotations

from dataclasses import replace

from . import locations
from .asking import Asker, Draft, any_named, makes, name_of, yes_no
from .phrases import article, full_name, names, on_side, plural
from .scene import COLOURS, NEVER_TRAINED, SHAPES
from .wordings import SIDES


@makes("describe")
def _describe(asker: Asker) -> Draft:
    scene = asker.scene
    order = sorted(range(len(scene.things)), key=lambda i: (scene.things[i].x, scene.things[i].y))
    parts = [article(full_name(scene.things[i])) for i in order]
    listing = "an empty scene" if not parts else parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    answer = f"{listing[0].upper()}{listing[1:]} on a {scene.background} background."
    if scene.label is not None:
        answer += f" The text says {scene.label.text}."
    return Draft({}, answer, tuple(order))


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


@makes("count")
def _count(asker: Asker) -> Draft:
    if asker.rng.random() < 0.35:
        everything = tuple(range(len(asker.things)))
        return Draft({"some": "objects"}, str(len(everything)), everything, "all")
    words, which = _some_kind(asker)
    return Draft({"some": words}, str(len(which)), which, "kind")


@makes("relation")
def _relation(asker: Asker) -> Draft | None:
    first = any_named(asker)
    second = any_named(replace(asker, about=None), but=first[0]) if first else None
    if first is None or second is None:
        return None
    a, b = asker.things[first[0]], asker.things[second[0]]
    truth = asker.rng.random() < 0.5
    sides = [side for side in SIDES if on_side(a, b, side) is truth]
    if not sides:
        return None
    side = asker.rng.choice(sides)
    slots = {"the": "the " + first[1], "other": "the " + second[1], "side": asker.rng.choice(SIDES[side])}
    return Draft(slots, yes_no(truth), (first[0], second[0]), side)


@makes("beside")
def _beside(asker: Asker) -> Draft | None:
    found = any_named(asker)
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


@makes("find_all")
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


@makes("more")
def _more(asker: Asker) -> Draft | None:
    truth = asker.rng.random() < 0.5
    for _ in range(12):
        (some, a), (others, b) = _some_kind(asker), _some_kind(asker)
        if len(a) != len(b) and (len(a) > len(b)) is truth and not set(a) & set(b):
            return Draft({"some": some, "others": others}, yes_no(truth), (*a, *b))
    return None


@makes("same")
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
    first, second = (name_of(asker, index, hide=hide) for index in (a, b))
    return Draft({"the": f"the {first}", "other": f"the {second}", "attribute": attribute}, yes_no(truth), (a, b), attribute)
