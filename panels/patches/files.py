"""Maps of the Patches panel as they are stored with their turn and taken along as files."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from model import Checkpoint
from model.internals.features import features_at, similarities
from model.internals.subject import Subject

from ..base.maps.overlay import pictures_json
from ..base.maps.page import MapPage
from ..base.records import Json
from .maps import TITLES, Made, place_of
from .requests import Export, LensMap, OfTokens, UsedMap, WordMap, chosen, placed, what_of

KIND = "patches"
MOST_TOKENS = 2048
"""Beyond it the similarities of all pairs are left out of a file: they follow from the features."""
MOST_BYTES = 2**25
"""Attention of all heads is put into a file up to this size; beyond it, its mean over heads."""
Arrays = dict[str, np.ndarray]


def meta_of(made: Made, checkpoint: Checkpoint) -> Json:
    """What is written of a map: what it is of, and what its numbers are."""
    numbers = f"float32 {list(made.scores.values.shape)}, one for each picture token, little endian"
    return {
        **what_of(made.of),
        "title": made.title,
        "unit": made.scores.unit,
        "signed": made.scores.signed,
        "note": made.scores.note,
        "checkpoint": checkpoint.to_json(),
        "scores": "JSON: [[depth, [[word, probability], ...]], ...]" if isinstance(made.of, LensMap) else numbers,
    }


# --- files ---------------------------------------------------------------------------------------


def arrays(subject: Subject, request: Export, made: Made) -> Arrays:
    """What goes into the file: raw values, un-normalised, and `about`, a JSON text that says what they are."""
    features, grid, trace = features_at(subject, request.features, request.features_layer), made.grid, subject.trace()
    about = {
        "checkpoint": subject.vlm.checkpoint.to_json(),
        "weights": subject.vlm.weights,
        "question": subject.prompt.question,
        "answer": [token.text for token in trace.tokens],
        "pictures": pictures_json(subject.prompt.images),
        "stage": features.stage,
        "layer": features.layer,
        "features": "float32 [T, D], as they leave the stage",
        "similarity": "float32 [T, T], cosine with the mean over all patches taken off",
        "attention": "float32 [layers, heads, words, T], softmax over all keys, of the rows that predict the words",
        "cells": "float64 [cells, 4], x0 y0 x1 y1 in pixels of the picture `owners` names",
        "cell": "int64 [T], the cell each visual token looks at, -1 for none",
        "chosen": "int64, the patches that were chosen in the panel",
        "shown": "float32 [T], or [T, 3] for colours: the map that was shown",
        "map": {**what_of(made.of), "title": made.title, "unit": made.scores.unit, "note": made.scores.note},
    }
    found = {
        "features": features.values, "cells": grid.cells(), "owners": grid.owners(), "cell": grid.cell,
        "chosen": np.array(chosen(request.tokens, subject)), "shown": made.scores.values,
    }  # fmt: skip
    if grid.mixing is not None:
        about["mixing"] = "float32 [T, cells], how much of each cell a token holds"
        found["mixing"] = grid.mixing
    if trace.attention is not None:
        whole = trace.attention.nbytes <= MOST_BYTES
        found["attention"] = trace.attention if whole else trace.attention.mean(1)
        if not whole:
            about["attention"] = (
                "float32 [layers, words, T], mean over heads (all of them would be "
                f"{trace.attention.nbytes / 2**20:.0f} MB), of the rows that predict the words"
            )
    if subject.count <= MOST_TOKENS:
        found["similarity"] = similarities(features)
    return found | {"about": np.array(json.dumps(about))}


def page_file(subject: Subject, made: Made, picture: str) -> str:
    """A page of Markdown on one map, with the figure beside it as `picture`."""
    title, measures = TITLES[made.of.map]
    of, scores = made.of, made.scores
    parts = [("Question", subject.prompt.question), ("Answer", "".join(token.text for token in subject.trace().tokens))]
    if isinstance(of, WordMap):
        parts.append(("The word the patches are compared with", of.typed))
    elif isinstance(of, UsedMap):
        parts.append(("The map is of this word", subject.trace().tokens[of.word].text))
    facts = [
        f"checkpoint: `{subject.vlm.checkpoint.name}`",
        f"measures: {measures}",
        f"unit: {scores.unit}; {scores.note or 'no note'}",
        *([_chosen(subject, of.tokens)] if isinstance(of, OfTokens) else []),
    ]
    return MapPage(title, parts, facts, placed(subject), scores.values, scores.unit, subject.prompt.images).text(picture)


def _chosen(subject: Subject, tokens: Sequence[int]) -> str:
    place = place_of(placed(subject), tokens, subject.prompt.images)
    return f"patches chosen: {place}; tokens {', '.join(map(str, tokens))}"
