"""Questions about a scene with their truth, in ordinary English.

`ask` makes one question of a kind, or says that the scene allows none. A question keeps what it is
about (indices into `scene.things`), how its answer was balanced, and whether its wording is trained.
The makers of the kinds stand in `about_one` and `about_many`.
"""

from __future__ import annotations

import random
import re

from . import about_many, about_one
from .asking import MADE, Asker, Question
from .phrases import region
from .scene import Scene
from .wordings import HELD_OUT, READS, TRAINED, as_typed

__all__ = ["MAKERS", "Asker", "Question", "about_many", "about_one", "ask", "follow"]
MAKERS = {kind: MADE[kind] for kind in TRAINED}
"""Kind -> its maker, in the order of the wordings."""


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
