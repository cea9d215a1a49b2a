"""What the Patches panel shows of an answer, as `patches.js` takes it. Runs on the model thread; gives plain data.

Matrices over all pairs of patches are sent whole where they are small, so that another patch needs no
request; else the rows of the patches asked for, put together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from model import Prompt
from model.errors import Unsupported
from model.geometry.grid import ImageGrid
from model.internals.features import (
    STAGES,
    Features,
    colours,
    features_at,
    layers_of,
    similarities,
    similarity,
    word_ids,
    word_likeness,
)
from model.internals.interventions import Intervention, InterventionKind, effect_of, rewrite
from model.internals.sinks import find_sinks
from model.internals.subject import Subject, subject_of
from model.internals.tower import read_layer, tower_attention, tower_heads
from model.internals.trace import Trace
from model.progress import Run

from ..base.maps.overlay import geometry, packed
from ..base.maps.source_picture import brought
from ..base.turn_views import token_views
from .maps import TITLES, lens_words, tower_way
from .requests import Question, placed

WHOLE = 2**18
"""A matrix of so many numbers is sent whole: a megabyte."""
HIDINGS: tuple[InterventionKind, ...] = ("mean", "cut")
View = Callable[[Subject, Run, Question], dict[str, Any]]


def opened(subject: Subject, run: Run, asked: Question) -> dict[str, Any]:
    """The answer's words, what can be asked of this checkpoint, the sinks, and the patch to begin with."""
    grid, trace = placed(subject), subject.trace()
    sinks = find_sinks(subject)
    return {
        "cell": grid.homes().tolist(),
        "mixing": None if grid.mixing is None else packed(grid.mixing),
        "geometry": geometry(grid),
        "titles": {kind: list(text) for kind, text in TITLES.items()},
        "words": token_views(trace.tokens),
        "stages": {stage: _layers(subject, stage) for stage in STAGES},
        "heads": _tower_heads(subject),
        "decoder": list(trace.attention.shape[:2]) if trace.attention is not None else [0, 0],
        "sinks": {"tower": np.flatnonzero(sinks.tower).tolist(), "decoder": np.flatnonzero(sinks.decoder).tolist()},
        "dimensions": list(sinks.dimensions),
        "whole": WHOLE,
        "first": _first(trace, sinks.tokens),
    }


def _layers(subject: Subject, stage: Any) -> dict[str, Any]:
    """How many layers a stage has and which to begin with, or why it cannot be looked into."""
    try:
        count = layers_of(subject, stage)
        first = {"tower": lambda: read_layer(subject), "connector": lambda: 0, "decoder": lambda: count // 2}[stage]()
        return {"layers": count, "first": first, "why": ""}
    except Unsupported as error:
        return {"layers": 0, "first": 0, "why": str(error)}


def _tower_heads(subject: Subject) -> int:
    try:
        return tower_heads(subject)
    except Unsupported:
        return 0


def _first(trace: Trace, sinks: np.ndarray) -> int:
    """The patch that the answer's words attend to most, sinks set aside."""
    if trace.attention is None or not trace.attention.size:
        return len(trace.visual) // 2
    received = trace.attention.mean((0, 1, 2))
    received[sinks] = -1
    return int(received.argmax())


def alike(subject: Subject, run: Run, asked: Question) -> dict[str, Any]:
    """Cosines between patches at one stage: all of them, or of those asked for with all."""
    features = features_of(subject, asked)
    if subject.count**2 <= WHOLE:
        return {"matrix": packed(similarities(features)), "width": features.values.shape[1]}
    return {"row": packed(similarity(features, asked.tokens(subject))), "width": features.values.shape[1]}


def features_of(subject: Subject, asked: Question) -> Features:
    """Features at the stage and layer a question names."""
    layers = layers_of(subject, asked.stage)
    return features_at(subject, asked.stage, asked.number("layer", 0, layers))


def seen(subject: Subject, run: Run, asked: Question) -> dict[str, Any]:
    """The tower's attention between patches in one layer, of one head or the mean."""
    layer, head = asked.number("layer", 0, layers_of(subject, "tower")), asked.maybe("head", tower_heads(subject))
    if subject.count**2 <= WHOLE:
        return {"matrix": packed(tower_attention(subject, range(subject.count), layer, head))}
    way = asked.one_of("way", ("to", "from"))
    return {"row": packed(tower_way(subject, asked.tokens(subject), layer, head, way))}


def used(subject: Subject, run: Run, asked: Question) -> dict[str, Any]:
    """Attention of the answer's words [K, T] on the patches, mean over layers and heads that are not chosen.

    Where that is large: of one word [T], or [K] on the patches asked for together.
    """
    attention = subject.trace().attention
    if attention is None:
        raise Unsupported(f"The decoder of {subject.vlm.checkpoint.name} keeps no attention over its picture's tokens.")
    layer, head = asked.maybe("layer", attention.shape[0]), asked.maybe("head", attention.shape[1])
    part = attention if layer is None else attention[layer : layer + 1]
    mean = (part if head is None else part[:, head : head + 1]).mean((0, 1))  # [K, T]
    if mean.size <= WHOLE:
        return {"matrix": packed(mean)}
    word = asked.maybe("word", len(mean))
    return {"row": packed(mean[:, asked.tokens(subject)].sum(1) if word is None else mean[word])}


def says(subject: Subject, run: Run, asked: Question) -> dict[str, Any]:
    """The lens at these patches: for each depth the likeliest words with their probability."""
    return {"rows": lens_words(subject, asked.tokens(subject))}


def hidden(subject: Subject, run: Run, asked: Question) -> dict[str, Any]:
    """The answer's log-probabilities before and after hiding these patches, and what would be said instead."""
    found = effect_of(subject, hiding(subject, asked))
    instead = [[token.id, token.text, round(token.logprob, 4)] for token in found.instead]
    return {"before": packed(found.before), "after": packed(found.after), "instead": instead}


def again(subject: Subject, run: Run, asked: Question) -> dict[str, Any]:
    """The answer the model gives with these patches hidden."""
    found = rewrite(subject, hiding(subject, asked), run)
    return {"text": found.text, "ended": found.ended}


def hiding(subject: Subject, asked: Question) -> Intervention:
    """What a question hides, and how."""
    return Intervention(tuple(asked.tokens(subject)), asked.one_of("how", HIDINGS))


def coloured(subject: Subject, run: Run, asked: Question) -> dict[str, Any]:
    """Principal components of this prompt's patches as colours [T, 3], from 0 to 1."""
    return {"colours": packed(colours([features_of(subject, asked)])[0])}


def like_word(subject: Subject, run: Run, asked: Question) -> dict[str, Any]:
    """Cosine of each patch with a word's embedding, and the pieces the word was read as."""
    ids = word_ids(subject, asked.text("word"))
    return {"row": packed(word_likeness(subject, ids)), "pieces": [subject.vlm.pieces[i] for i in ids]}


def joint_colours(subject: Subject, run: Run, asked: Question, other: Prompt) -> tuple[dict[str, Any], ImageGrid]:
    """Colours of this prompt's patches and of the same prompt's with the other picture, of one fit; and that one's grid."""
    second = subject_of(subject.vlm, other, subject.answer_ids)
    first, again = colours([features_of(subject, asked), features_of(second, asked)])
    grid = placed(second)
    mixing = None if grid.mixing is None else packed(grid.mixing)
    return {"colours": packed(first), "other": {"colours": packed(again), "cell": grid.homes().tolist(), "mixing": mixing}}, grid


def between(subject: Subject, run: Run, asked: Question, other: Prompt) -> dict[str, Any]:
    """Shares of the answer that come back when states of the chosen patches are put into a run on the other picture."""
    return brought(subject, run, other, tuple(asked.tokens(subject)))


VIEWS: dict[str, View] = {
    "open": opened, "alike": alike, "seen": seen, "used": used, "says": says, "hidden": hidden, "again": again,
    "coloured": coloured, "like_word": like_word,
}  # fmt: skip
"""By the names the page asks for them."""
