"""Questions about one of several pictures, and which of two pictures shows something."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from .asking import Question
from .phrases import article
from .scene import COLOURS, NEVER_TRAINED, SHAPES, Scene
from .wordings import as_typed

ORDINALS = ("first", "second")
FRAMES = {
    "trained": (
        "In the {which} picture: {question}",
        "Look at the {which} picture. {question}",
        "About the {which} image: {question}",
        "{question} I ask about the {which} picture.",
        "The {which} picture: {question}",
        "In the {which} image, {question}",
    ),
    "held_out": ("Considering only the {which} drawing: {question}", "{question} I mean the {which} one."),
}
WHICH = {
    "trained": (
        "Which picture has {a}?",
        "Which image shows {a}?",
        "In which picture is there {a}?",
        "Where is {a}, in the first or the second picture?",
        "Is {a} in the first or the second picture?",
        "Which of the two pictures contains {a}?",
    ),
    "held_out": ("I look for {a}. Which picture should I open?", "Tell me the picture that has {a}."),
}


def about(rng: random.Random, question: Question, index: int, *, held_out: bool = False, typed: bool = False) -> Question:
    """The question put to the index-th of two pictures."""
    frame = rng.choice(FRAMES["held_out" if held_out else "trained"])
    text = frame.format(which=ORDINALS[index], question=question.text)
    return replace(question, text=as_typed(rng, text) if typed else text, held_out=held_out)


def which(rng: random.Random, scenes: Sequence[Scene], *, held_out: bool = False, typed: bool = False) -> Question | None:
    """Which of two pictures shows a thing that one of them has and the other has not; None where there is no such thing."""
    index = rng.randrange(2)
    here = {thing.pair for thing in scenes[index].things} - NEVER_TRAINED
    there = {thing.pair for thing in scenes[1 - index].things}
    options = [" ".join(pair) for pair in sorted(here - there)]
    shapes = {s for _, s in here} - {s for _, s in there}
    colours = {c for c, _ in here} - {c for c, _ in there}
    options += [s for s in SHAPES if s in shapes] + [f"{c} object" for c in COLOURS if c in colours]
    if not options:
        return None
    text = rng.choice(WHICH["held_out" if held_out else "trained"]).format(a=article(rng.choice(options)))
    return Question("which", as_typed(rng, text) if typed else text, ORDINALS[index], (), ORDINALS[index], held_out)
