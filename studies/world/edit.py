"""Counterfactual pairs: one thing of a scene is erased, recoloured, moved or swapped, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from .scene import COLOURS, NEVER_TRAINED, SHAPES, SIDE, Box, Scene, Thing, fits


@dataclass(frozen=True, slots=True)
class Edit:
    """A scene before and after one change. `changed` are boxes in scene units; no pixel outside them differs."""

    kind: str
    before: Scene
    after: Scene
    index: int
    changed: tuple[Box, ...]

    @property
    def thing(self) -> Thing:
        """The changed thing as it was."""
        return self.before.things[self.index]


def erase(scene: Scene, index: int) -> Edit:
    """The scene without this thing."""
    rest = scene.things[:index] + scene.things[index + 1 :]
    return Edit("erase", scene, replace(scene, things=rest), index, (scene.things[index].box,))


def recolour(scene: Scene, index: int, colour: str) -> Edit:
    """The same scene with this thing in another colour. Raises ValueError for an unknown or the same colour."""
    if colour not in COLOURS or colour == scene.things[index].colour:
        raise ValueError(f"Recolour to another of {', '.join(COLOURS)}, not {colour!r}.")
    return _changed("recolour", scene, index, replace(scene.things[index], colour=colour))


def move(scene: Scene, index: int, x: int, y: int) -> Edit:
    """The same scene with this thing centred elsewhere. Raises ValueError where it would touch something."""
    return _changed("move", scene, index, replace(scene.things[index], x=x, y=y))


def swap(scene: Scene, index: int, shape: str) -> Edit:
    """The same scene with a thing of another shape in this one's place, all else equal."""
    if shape not in SHAPES or shape == scene.things[index].shape:
        raise ValueError(f"Swap for another of {', '.join(SHAPES)}, not {shape!r}.")
    return _changed("swap", scene, index, replace(scene.things[index], shape=shape))


def _changed(kind: str, scene: Scene, index: int, thing: Thing) -> Edit:
    others = [other.box for i, other in enumerate(scene.things) if i != index]
    if scene.label is not None:
        others.append(scene.label.box)
    if not fits(thing.box, others, gap=2):
        raise ValueError(f"The {thing.colour} {thing.shape} does not fit at ({thing.x}, {thing.y}).")
    things = (*scene.things[:index], thing, *scene.things[index + 1 :])
    return Edit(kind, scene, replace(scene, things=things), index, (scene.things[index].box, thing.box))


def random_edit(rng: random.Random, scene: Scene, kind: str) -> Edit | None:
    """An edit of this kind ("erase", "recolour", "move" or "swap") that is possible, or None.

    The result never holds a never-trained colour x shape pair that the scene did not hold.
    """
    if not scene.things:
        return None
    tries: dict[str, Callable[[int], Edit]] = {
        "erase": lambda i: erase(scene, i),
        "recolour": lambda i: recolour(scene, i, rng.choice(tuple(COLOURS))),
        "move": lambda i: move(scene, i, rng.randrange(SIDE), rng.randrange(SIDE)),
        "swap": lambda i: swap(scene, i, rng.choice(SHAPES)),
    }
    attempt = tries[kind]
    for _ in range(40):
        try:
            edit = attempt(rng.randrange(len(scene.things)))
        except ValueError:  # it does not fit there, or is no change: draw again
            continue
        if kind == "erase" or edit.after.things[edit.index].pair not in NEVER_TRAINED or kind == "move":
            return edit
    return None
