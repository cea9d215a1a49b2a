"""Maps of the Patches panel as things of their own: what is asked for, its numbers, what they mean.

The page paints from matrices that it holds. Here a single map is made again from what it is of, so that it can be
logged, opened again and taken along.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from model import Prompt
from model.errors import InputError
from model.geometry.grid import ImageGrid
from model.internals.features import Stage, colours, features_at, layers_of, similarity, word_ids, word_likeness
from model.internals.lens import spoken_at
from model.internals.sinks import find_sinks
from model.internals.subject import Subject, subject_of
from model.internals.tower import tower_attention, tower_heads
from model.progress import Run
from model.prompt import ImagePart, picture_names

from ..base.maps.heat import marked
from ..base.maps.overlay import unpacked
from ..base.maps.source_picture import Brought, brought
from ..base.requests import within
from .requests import (
    AlikeMap,
    BetweenMap,
    ColourMap,
    LensMap,
    MapOf,
    TowerMap,
    UsedMap,
    Way,
    WordMap,
    chosen,
    placed,
)

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
LensRow = tuple[int, list[tuple[str, float]]]
"""A depth, and the likeliest words there with their probability."""


@dataclass(frozen=True)
class PatchScores:
    """A map's numbers, float32 [T] or [T, 3] for colours, and what they are."""

    values: np.ndarray = field(repr=False)
    unit: str
    signed: bool
    note: str


@dataclass(frozen=True)
class Made:
    """One map. `of` is enough to make it again; the lens's has no `scores.values` but `words`."""

    of: MapOf
    title: str
    scores: PatchScores
    grid: ImageGrid = field(repr=False)
    words: list[LensRow] = field(default_factory=list, repr=False)

    @property
    def data(self) -> bytes:
        """What is kept of it: float32, little endian; of the lens's words JSON."""
        if isinstance(self.of, LensMap):
            return json.dumps(self.words).encode()
        return np.asarray(self.scores.values, "<f4").tobytes()


def made(subject: Subject, run: Run, of: MapOf, other: Prompt | None = None, back: Brought | None = None) -> Made:
    """A map by itself. `other` is the prompt with another picture; `back` is what `brought` gave, if it is held.

    Raises InputError where it names a patch, word, layer or head that there is not, or nothing was patched at its depth.
    """
    match of:
        case AlikeMap():
            scores = _alike(subject, of)
        case WordMap():
            scores = _like_word(subject, of)
        case ColourMap():
            scores = _coloured(subject, of, other)
        case TowerMap():
            scores = _tower(subject, of)
        case UsedMap():
            scores = _used(subject, of)
        case BetweenMap():
            assert other is not None, "the panel names the other picture or refuses"
            scores = _between(of, back or brought(subject, run, other, tuple(chosen(of.tokens, subject))))
        case LensMap():
            scores = PatchScores(np.zeros(0, np.float32), "probability", False, "the likeliest words at each depth")
    words = lens_words(subject, chosen(of.tokens, subject)) if isinstance(of, LensMap) else []
    scores = replace(scores, note=marked(subject, scores.note))
    return Made(of, _title(subject, of), scores, placed(subject), words)


def lens_words(subject: Subject, tokens: Sequence[int]) -> list[LensRow]:
    """What the lens says at these patches, depth by depth."""
    spoken = spoken_at(subject, tokens)
    rows = zip(spoken.depths, spoken.words, strict=True)
    return [(depth, [(text, round(p, 6)) for text, p in words]) for depth, words in rows]


def place_of(grid: ImageGrid, tokens: Sequence[int], parts: Sequence[ImagePart]) -> str:
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


def _title(subject: Subject, of: MapOf) -> str:
    title = TITLES[of.map][0]
    match of:
        case UsedMap():
            return f"{title}: \u201c{subject.trace().tokens[of.word].text.strip()}\u201d"
        case WordMap():
            return f"{title}: \u201c{of.typed}\u201d"
        case ColourMap():
            return title
    return f"{title}: {place_of(placed(subject), of.tokens, subject.prompt.images)}"


# --- the numbers of each, with what they are -----------------------------------------------------


def _stage(subject: Subject, stage: Stage, layer: int) -> str:
    """A stage and layer in words. Raises InputError for a layer that there is not."""
    within("layer", layer, layers_of(subject, stage))
    named = {"tower": f"vision tower, layer {layer + 1}", "connector": "connector"}
    return f"features of the {named.get(stage, f'decoder, depth {layer}')}"


def _alike(subject: Subject, of: AlikeMap) -> PatchScores:
    tokens, note = chosen(of.tokens, subject), _stage(subject, of.stage, of.layer)
    return PatchScores(similarity(features_at(subject, of.stage, of.layer), tokens), "cosine", True, note)


def _like_word(subject: Subject, of: WordMap) -> PatchScores:
    ids = word_ids(subject, of.typed)
    pieces = " + ".join(f"\u201c{subject.vlm.pieces[i]}\u201d" for i in ids)
    return PatchScores(word_likeness(subject, ids), "cosine", True, f"read as {pieces}")


def _coloured(subject: Subject, of: ColourMap, other: Prompt | None) -> PatchScores:
    note = _stage(subject, of.stage, of.layer)
    features = [features_at(subject, of.stage, of.layer)]
    if other is not None:
        features.append(features_at(subject_of(subject.vlm, other, subject.answer_ids), of.stage, of.layer))
        note += ", one fit with another picture"
    return PatchScores(colours(features)[0], "principal components, 0 to 1", False, note)


def _tower(subject: Subject, of: TowerMap) -> PatchScores:
    tokens, layer = chosen(of.tokens, subject), within("layer", of.layer, layers_of(subject, "tower"))
    if of.head is not None:
        within("head", of.head, tower_heads(subject))
    way = "from the chosen patches" if of.way == "to" else "to the chosen patches"
    head = "mean over heads" if of.head is None else f"head {of.head + 1}"
    values = _less_sinks(subject, tower_way(subject, tokens, layer, of.head, of.way), of.aside)
    return PatchScores(values, "attention", False, f"{way}, layer {layer + 1}, {head}{_aside(of.aside)}")


def tower_way(subject: Subject, tokens: Sequence[int], layer: int, head: int | None, way: Way) -> np.ndarray:
    """The tower's attention from these tokens ("to" where it goes) or to them ("from" where it comes). float32 [T]."""
    if way == "to":
        return tower_attention(subject, tokens, layer, head).mean(0)
    blocks = [range(start, min(start + ROWS, subject.count)) for start in range(0, subject.count, ROWS)]
    return np.concatenate([tower_attention(subject, block, layer, head)[:, list(tokens)].mean(1) for block in blocks])


def _used(subject: Subject, of: UsedMap) -> PatchScores:
    attention = subject.trace().attention
    if attention is None or not attention.shape[2]:
        raise InputError("There is no word of the answer whose attention is known.")
    part = attention[:, :, within("word", of.word, attention.shape[2])]  # [L, H, T]
    if of.layer is not None:
        at = within("layer", of.layer, len(part))
        part = part[at : at + 1]
    if of.head is not None:
        at = within("head", of.head, part.shape[1])
        part = part[:, at : at + 1]
    scores = part.mean((0, 1))
    layer = "all layers" if of.layer is None else f"layer {of.layer + 1}"
    head = "all heads" if of.head is None else f"head {of.head + 1}"
    note = f"mean over {layer}, {head}; {float(scores.sum()):.3g} of the word\u2019s attention{_aside(of.aside)}"
    return PatchScores(_less_sinks(subject, scores, of.aside), "attention", False, note)


def _between(of: BetweenMap, found: Brought) -> PatchScores:
    if of.depth not in found.depths:
        raise InputError(f"Nothing was patched at depth {of.depth}. Choose one of {', '.join(map(str, found.depths))}.")
    at = found.depths.index(of.depth)
    named = unpacked(found.named).reshape(-1, 3)[at]
    note = (
        f"depth {of.depth}, blocks of {found.side} x {found.side} tokens; the chosen patches bring back "
        f"{named[0]:.3g}, all others {named[1]:.3g}; log-probability {found.clean:.4g} and {found.corrupted:.4g} nats"
    )
    return PatchScores(unpacked(found.blocks).reshape(len(found.depths), -1)[at], "share", True, note)


def _less_sinks(subject: Subject, scores: np.ndarray, aside: bool) -> np.ndarray:
    found = np.array(scores, np.float32)
    if aside:
        found[find_sinks(subject).tokens] = 0
    return found


def _aside(aside: bool) -> str:
    return "; sinks set aside" if aside else ""
