"""Maps of the Patches panel as they are kept with their turn, listed in Sessions, opened again, taken along as files."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from model.internals.features import STAGES, features_at, similarities
from model.internals.subject import Subject
from model.progress import Run

from ..base.bench import Bench
from ..base.maps.overlay import pictures_json
from ..base.maps.page import MapPage
from ..base.maps.saved_maps import line, meta_of, name_of, write_down
from .maps import TITLES, Made, place_of
from .requests import Question, Turn, placed

KIND = "patches"
MOST_TOKENS = 2048
"""Beyond it the similarities of all pairs are left out of a file: they follow from the features."""
MOST_BYTES = 2**25
"""Attention of all heads is put into a file up to this size; beyond it, its mean over heads."""
KINDS: Mapping[str, tuple[type, ...]] = {
    "tokens": (list,), "stage": (str,), "layer": (int, type(None)), "typed": (str,), "partner": (str,), "way": (str,),
    "head": (int, type(None)), "aside": (bool,), "word": (int,), "depth": (int,),
}  # fmt: skip
"""What a kept map may name, and of which types. The numbers are checked when it is made again."""


def keep_made(bench: Bench, turn: Turn, made: Made) -> bool:
    """Write a map down with its turn; False where the log does not take it."""
    numbers = f"float32 {list(made.values.shape)}, one for each picture token, little endian"
    meta = made.what | {
        "title": made.title,
        "unit": made.unit,
        "signed": made.signed,
        "note": made.note,
        "scores": "JSON: [[depth, [[word, probability], ...]], ...]" if made.what["map"] == "says" else numbers,
        "checkpoint": turn.checkpoint.to_json(),
    }
    return write_down(bench, turn.run, KIND, name_of(made.what, "map"), made.data, meta)


def kept_patch_maps(history: Any, run_id: str) -> list[dict[str, str]]:
    """The maps of a turn as Sessions lists them."""
    found = []
    for artifact in history.kept(run_id, KIND):
        if _read(artifact.meta) is not None:
            title, note = (str(artifact.meta.get(name) or "") for name in ("title", "note"))
            found.append(line(KIND, artifact.name, title or "A map of patches", note))
    return found


def patch_map_to_open(history: Any, run_id: str, name: str) -> dict[str, Any] | None:
    """What a kept map is of, for the page to show again; None where it is gone or not to be read."""
    meta = meta_of(history, run_id, KIND, name)
    return None if meta is None else _read(meta)


def _read(meta: Mapping[str, Any]) -> dict[str, Any] | None:
    """The request in what was written of a map; an import may have brought anything."""
    kind = meta.get("map")
    if not isinstance(kind, str) or kind not in TITLES:
        return None
    found = {name: meta[name] for name in KINDS if name in meta}
    if any(type(value) not in KINDS[name] for name, value in found.items()):
        return None
    if any(type(token) is not int or token < 0 for token in found.get("tokens", [])):
        return None
    return {"map": kind, **found}


# --- files ---------------------------------------------------------------------------------------


def arrays(subject: Subject, run: Run, asked: Question, made: Made) -> dict[str, np.ndarray]:
    """What goes into the file: raw values, un-normalised, and `about`, a JSON text that says what they are."""
    stage, layer = asked.one_of("features", STAGES), asked.number("features_layer", -1, 10_000)
    features, grid, trace = features_at(subject, stage, layer), made.grid, subject.trace()
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
        "map": made.what | {"title": made.title, "unit": made.unit, "note": made.note},
    }
    found = {
        "features": features.values, "cells": grid.cells(), "owners": grid.owners(), "cell": grid.cell,
        "chosen": np.array(asked.tokens(subject)), "shown": made.values,
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


def numbers_file(found: dict[str, np.ndarray]) -> str:
    """An NPZ file in base64."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **found)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def page_file(subject: Subject, run: Run, made: Made, picture: str) -> str:
    """A page of Markdown on one map, with the figure beside it as `picture`."""
    title, measures = TITLES[made.what["map"]]
    parts = [("Question", subject.prompt.question), ("Answer", "".join(token.text for token in subject.trace().tokens))]
    if "typed" in made.what:
        parts.append(("The word the patches are compared with", made.what["typed"]))
    elif made.what["map"] == "used":
        parts.append(("The map is of this word", subject.trace().tokens[made.what["word"]].text))
    facts = [
        f"checkpoint: `{subject.vlm.checkpoint.name}`",
        f"measures: {measures}",
        f"unit: {made.unit}; {made.note or 'no note'}",
        *([_chosen(subject, made.what["tokens"])] if "tokens" in made.what else []),
    ]
    return MapPage(title, parts, facts, placed(subject), made.values, made.unit, subject.prompt.images).text(picture)


def _chosen(subject: Subject, tokens: list[int]) -> str:
    place = place_of(placed(subject), tokens, subject.prompt.images)
    return f"patches chosen: {place}; tokens {', '.join(map(str, tokens))}"
