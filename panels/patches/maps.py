"""Maps of the Patches panel as things of their own: what is asked for, its numbers, what they mean.

The page paints from matrices that it holds. Here a single map is made again from what it is of, so that it can be
logged, opened again and taken along.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model import Prompt
from model.errors import InputError
from model.geometry.grid import ImageGrid
from model.internals.features import colours, features_at, layers_of, similarity, word_ids, word_likeness
from model.internals.lens import spoken_at
from model.internals.sinks import find_sinks
from model.internals.subject import Subject, subject_of
from model.internals.tower import tower_attention, tower_heads
from model.progress import Run
from model.prompt import ImagePart, picture_names

from ..base.maps.overlay import unpacked
from ..base.maps.source_picture import brought
from .requests import Question, placed

TITLES = {
    "alike": ("Like this patch", "Cosine of each patch\u2019s features with those chosen, the mean over all patches taken off."),
    "like_word": (
        "Like a word",
        "Cosine of what the connector gives for each patch with a word\u2019s embedding in the decoder, means taken off. "
        "The two were never trained to match.",
    ),
    "coloured": (
        "Colours",
        "First three principal components of the features as red, green and blue: patches of one colour are alike. "
        "The colours themselves mean nothing.",
    ),
    "seen": (
        "Tower attention",
        "The vision tower\u2019s own attention between patches, before the decoder is reached. It moves information; it does "
        "not say what was used.",
    ),
    "used": (
        "A word\u2019s attention",
        "The share of a word\u2019s attention that falls on each patch. Choose the word in the table.",
    ),
    "between": (
        "Two pictures",
        "States of this picture are put into a run on the other picture, at one depth: the share of this answer that comes "
        "back. 0 is the other picture, 1 is this one.",
    ),
    "says": (
        "What the lens says",
        "The likeliest words at these patches, depth by depth, through the decoder\u2019s own output.",
    ),
}
ROWS = 1024


@dataclass(frozen=True)
class Made:
    """One map. `what` is enough to make it again; `values` float32 [T], [T, 3] for colours, none for the lens's `words`."""

    what: dict[str, Any]
    title: str
    unit: str
    signed: bool
    note: str
    grid: ImageGrid = field(repr=False)
    values: np.ndarray = field(repr=False)
    words: list[Any] = field(default_factory=list, repr=False)

    @property
    def data(self) -> bytes:
        """What is kept of it: float32, little endian; of the lens's words JSON."""
        return json.dumps(self.words).encode() if self.what["map"] == "says" else self.values.astype("<f4").tobytes()


def made(subject: Subject, run: Run, asked: Question, other: Prompt | None = None, back: dict[str, Any] | None = None) -> Made:
    """The map a question is about. `other` is the prompt with another picture; `back` is what `brought` gave, if it is held."""
    kind = asked.one_of("map", tuple(TITLES))
    what = {"map": kind, **_MADE[kind][0](subject, asked)}
    values, unit, signed, note = _MADE[kind][1](subject, run, what, other, back)
    words: list[Any] = []
    if kind == "says":
        words = lens_words(subject, what["tokens"])
    return Made(what, _title(subject, what), unit, signed, note, placed(subject), np.asarray(values, np.float32), words)


def lens_words(subject: Subject, tokens: list[int]) -> list[Any]:
    """What the lens says at these patches: [[depth, [[text, probability], ...]], ...]."""
    spoken = spoken_at(subject, tokens)
    rows = zip(spoken.depths, spoken.words, strict=True)
    return [[depth, [[text, round(p, 6)] for text, p in words]] for depth, words in rows]


def place_of(grid: ImageGrid, tokens: list[int], parts: Sequence[ImagePart]) -> str:
    """Where tokens look, in words: one by picture, view, row and column, several by their number. `parts` are the pictures."""
    if len(tokens) != 1:
        return f"{len(tokens)} patches"
    cell, start = int(grid.homes()[tokens[0]]), 0
    for view in grid.views:
        at, start = cell - start, start + view.rows * view.cols
        if 0 <= at < view.rows * view.cols:
            named = [picture_names(parts)[view.image]] if len(parts) > 1 else []
            named += [view.name] if sum(v.image == view.image for v in grid.views) > 1 else []
            return ", ".join([*named, f"row {at // view.cols + 1}, column {at % view.cols + 1}"])
    return f"token {tokens[0] + 1}, which has no place"


def _title(subject: Subject, what: dict[str, Any]) -> str:
    title = TITLES[what["map"]][0]
    if "tokens" in what:
        return f"{title}: {place_of(placed(subject), what['tokens'], subject.prompt.images)}"
    if what["map"] == "used":
        return f"{title}: \u201c{subject.trace().tokens[what['word']].text.strip()}\u201d"
    return f"{title}: \u201c{what['typed']}\u201d" if what["map"] == "like_word" else title


# --- what each is of, checked; and its values, unit, whether signed, and a note -------------------

Found = tuple[np.ndarray, str, bool, str]


def _staged(subject: Subject, asked: Question) -> dict[str, Any]:
    return {"stage": asked.stage, "layer": asked.number("layer", 0, layers_of(subject, asked.stage))}


def _place(what: dict[str, Any]) -> str:
    named = {"tower": f"vision tower, layer {what['layer'] + 1}", "connector": "connector"}
    return named.get(what["stage"], f"decoder, depth {what['layer']}")


def _alike(subject: Subject, run: Run, what: dict[str, Any], other: Prompt | None, back: Any) -> Found:
    scores = similarity(features_at(subject, what["stage"], what["layer"]), what["tokens"])
    return scores, "cosine", True, f"features of the {_place(what)}"


def _like_word(subject: Subject, run: Run, what: dict[str, Any], other: Prompt | None, back: Any) -> Found:
    ids = word_ids(subject, what["typed"])
    pieces = " + ".join(f"\u201c{subject.vlm.pieces[i]}\u201d" for i in ids)
    return word_likeness(subject, ids), "cosine", True, f"read as {pieces}"


def _coloured(subject: Subject, run: Run, what: dict[str, Any], other: Prompt | None, back: Any) -> Found:
    features, note = [features_at(subject, what["stage"], what["layer"])], f"features of the {_place(what)}"
    if other is not None:
        second = subject_of(subject.vlm, other, subject.answer_ids)
        features.append(features_at(second, what["stage"], what["layer"]))
        note += ", one fit with another picture"
    return colours(features)[0], "principal components, 0 to 1", False, note


def _seen_of(subject: Subject, asked: Question) -> dict[str, Any]:
    layer, head = asked.number("layer", 0, layers_of(subject, "tower")), asked.maybe("head", tower_heads(subject))
    way = asked.one_of("way", ("to", "from"))
    return {"tokens": asked.tokens(subject), "layer": layer, "head": head, "way": way, "aside": asked.flag("aside")}


def _seen(subject: Subject, run: Run, what: dict[str, Any], other: Prompt | None, back: Any) -> Found:
    scores = tower_way(subject, what["tokens"], what["layer"], what["head"], what["way"])
    way = "from the chosen patches" if what["way"] == "to" else "to the chosen patches"
    head = "mean over heads" if what["head"] is None else f"head {what['head'] + 1}"
    return _less_sinks(subject, scores, what), "attention", False, f"{way}, layer {what['layer'] + 1}, {head}{_aside(what)}"


def tower_way(subject: Subject, tokens: list[int], layer: int, head: int | None, way: str) -> np.ndarray:
    """The tower's attention from these tokens ("to" where it goes) or to them ("from" where it comes). float32 [T]."""
    if way == "to":
        return tower_attention(subject, tokens, layer, head).mean(0)
    blocks = [range(start, min(start + ROWS, subject.count)) for start in range(0, subject.count, ROWS)]
    return np.concatenate([tower_attention(subject, block, layer, head)[:, tokens].mean(1) for block in blocks])


def _used_of(subject: Subject, asked: Question) -> dict[str, Any]:
    attention = subject.trace().attention
    if attention is None or not attention.shape[2]:
        raise InputError("There is no word of the answer whose attention is known.")
    layers, heads, words, _ = attention.shape
    layer, head = asked.maybe("layer", layers), asked.maybe("head", heads)
    return {"word": asked.number("word", 0, words), "layer": layer, "head": head, "aside": asked.flag("aside")}


def _used(subject: Subject, run: Run, what: dict[str, Any], other: Prompt | None, back: Any) -> Found:
    attention = subject.trace().attention
    part = attention[:, :, what["word"]]  # [L, H, T]
    part = part if what["layer"] is None else part[what["layer"] : what["layer"] + 1]
    scores = (part if what["head"] is None else part[:, what["head"] : what["head"] + 1]).mean((0, 1))
    layer = "all layers" if what["layer"] is None else f"layer {what['layer'] + 1}"
    head = "all heads" if what["head"] is None else f"head {what['head'] + 1}"
    note = f"mean over {layer}, {head}; {float(scores.sum()):.3g} of the word\u2019s attention{_aside(what)}"
    return _less_sinks(subject, scores, what), "attention", False, note


def _between_of(subject: Subject, asked: Question) -> dict[str, Any]:
    return {"tokens": asked.tokens(subject), "partner": asked.text("partner"), "depth": asked.number("depth", 0, 10_000)}


def _between(subject: Subject, run: Run, what: dict[str, Any], other: Prompt | None, back: Any) -> Found:
    assert other is not None, "the panel names the other picture or refuses"
    found = back or brought(subject, run, other, tuple(what["tokens"]))
    if what["depth"] not in found["depths"]:
        raise InputError(f"Nothing was patched at depth {what['depth']}. Choose one of {', '.join(map(str, found['depths']))}.")
    at = found["depths"].index(what["depth"])
    scores = unpacked(found["blocks"]).reshape(len(found["depths"]), -1)[at]
    named = unpacked(found["named"]).reshape(-1, 3)[at]
    note = (
        f"depth {what['depth']}, blocks of {found['side']} x {found['side']} tokens; the chosen patches bring back "
        f"{named[0]:.3g}, all others {named[1]:.3g}; log-probability {found['clean']:.4g} and {found['corrupted']:.4g} nats"
    )
    return scores, "share", True, note


def _says(subject: Subject, run: Run, what: dict[str, Any], other: Prompt | None, back: Any) -> Found:
    return np.zeros(0, np.float32), "probability", False, "the likeliest words at each depth"


def _less_sinks(subject: Subject, scores: np.ndarray, what: dict[str, Any]) -> np.ndarray:
    found = np.array(scores, np.float32)
    if what["aside"]:
        found[find_sinks(subject).tokens] = 0
    return found


def _aside(what: dict[str, Any]) -> str:
    return "; sinks set aside" if what["aside"] else ""


_MADE: dict[str, tuple[Any, Any]] = {
    "alike": (lambda s, asked: {"tokens": asked.tokens(s), **_staged(s, asked)}, _alike),
    "like_word": (lambda s, asked: {"typed": asked.text("typed")}, _like_word),
    "coloured": (lambda s, asked: {**_staged(s, asked), "partner": asked.text("partner")}, _coloured),
    "seen": (_seen_of, _seen),
    "used": (_used_of, _used),
    "between": (_between_of, _between),
    "says": (lambda s, asked: {"tokens": asked.tokens(s)}, _says),
}
