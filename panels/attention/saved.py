"""Maps of the Attention tab as they are kept with their turn, listed in Sessions, opened again, taken along as files."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np

from model.errors import InputError
from model.heat import heat_methods
from model.heat.base import Choice, Heat

from ..base.bench import Bench
from ..base.maps.looks import Look, Seen
from ..base.maps.overlay import pictures_json, sums_of_pictures
from ..base.maps.page import MapPage
from ..base.maps.saved_maps import line, meta_of, write_down
from ..base.maps.saved_maps import name_of as named
from .requests import asked

KIND = "heat"
PARTS = ("method", "words", "typed", "layer", "head", "reduce", "rows", "without")
"""What a map is of: enough to compute it again."""


def asked_for(look: Look, slug: str, words: tuple[int, ...], choice: Choice) -> dict[str, Any]:
    """What a map is of, as plain JSON: enough to compute it again."""
    layered = heat_methods[slug].layered
    return {
        "method": slug,
        "words": list(words),
        "typed": look.typed,
        "layer": choice.layer if layered else None,
        "head": choice.head if layered else None,
        "reduce": choice.reduce,
        "rows": choice.rows,
        "without": list(choice.without),
    }


def name_of(what: dict[str, Any]) -> str:
    """A short name for a map, the same for the same request."""
    return named(what, "method")


def keep_map(bench: Bench, look: Look, seen: Seen, heat: Heat, what: dict[str, Any]) -> None:
    """Write a map down with its turn."""
    said = "".join(seen.trace.tokens[k].text for k in what["words"]).strip()
    meta = what | {
        "said": said[:200],
        "unit": heat.unit,
        "signed": heat.signed,
        "note": heat.note,
        "mass": heat.mass,
        "scores": f"float32 [{len(heat.scores)}], one for each picture token, little endian",
        "checkpoint": look.checkpoint.to_json(),
    }
    write_down(bench, look.run_id, KIND, name_of(what), heat.scores.astype("<f4").tobytes(), meta)


def kept_maps(history: Any, run_id: str) -> list[dict[str, Any]]:
    """The maps of a turn as Sessions lists them: name, and what it is in words."""
    found = []
    for artifact in history.kept(run_id, KIND):
        meta, what = artifact.meta, _read(artifact.meta)
        if what is not None:
            more = [str(meta.get("note") or ""), "another answer" if what["typed"] else ""]
            title = f"{heat_methods[what['method']].title} of \u201c{meta.get('said', '')}\u201d"
            found.append(line(KIND, artifact.name, title, ", ".join(filter(None, more))))
    return found


def map_to_open(history: Any, run_id: str, name: str) -> dict[str, Any] | None:
    """What a kept map is of, for the page to show again; None where it is gone or not to be read."""
    meta = meta_of(history, run_id, KIND, name)
    return None if meta is None else _read(meta)


def _read(meta: Any) -> dict[str, Any] | None:
    """The request in what was written of a map, checked as one of the page is: an import may have brought it."""
    try:
        found = asked({part: meta.get(part) for part in PARTS if meta.get(part) is not None} | {"what": "heat"})
    except InputError:
        return None
    choice = found.choice
    return {
        "method": found.method, "words": list(found.words), "typed": found.typed, "layer": choice.layer, "head": choice.head,
        "reduce": choice.reduce, "rows": choice.rows, "without": list(choice.without),
    }  # fmt: skip


def numbers_file(bench: Bench, look: Look, seen: Seen, heat: Heat, what: dict[str, Any]) -> str:
    """An NPZ file in base64: raw scores, where each lies, and what all of it is."""
    about = what | {
        "checkpoint": look.checkpoint.to_json(),
        "weights": bench.history.run(look.run_id).weights,
        "question": look.prompt.question,
        "pictures": pictures_json(look.prompt.images, sums_of_pictures(heat.grid, heat.scores)),
        "answer": [token.text for token in seen.trace.tokens],
        "unit": heat.unit,
        "note": heat.note,
        "paper": heat_methods[what["method"]].paper,
        "arrays": {
            "scores": "float32 [T], one for each picture token, not normalised",
            "cell": "int64 [T], which cell a token looks at, -1 for none",
            "cells": "float64 [cells, 4], x0 y0 x1 y1 in pixels of the picture that `owners` names",
            "values": "float64 [cells], scores by cell, nan where no token looks",
            "logprobs": "float64 [K], of the answer's tokens",
        },
    }
    grid, buffer = heat.grid, io.BytesIO()
    np.savez_compressed(
        buffer,
        scores=heat.scores,
        cell=grid.cell,
        cells=grid.cells(),
        owners=grid.owners(),
        values=grid.per_cell(heat.scores),
        logprobs=np.array([token.logprob for token in seen.trace.tokens]),
        about=np.array(json.dumps(about)),
    )
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def page_file(look: Look, seen: Seen, heat: Heat, what: dict[str, Any], score: str, picture: str) -> str:
    """A page of Markdown on one map, with the figure beside it as `picture`."""
    method, tokens = heat_methods[what["method"]], seen.trace.tokens
    place = "all layers and heads" if what["layer"] is what["head"] is None else heat.note
    parts = [
        ("Question", look.prompt.question),
        ("An answer that was typed, read with the question" if look.typed else "Answer, read with the question",
         "".join(token.text for token in tokens)),
        ("The map is of these words", "".join(tokens[k].text for k in what["words"])),
    ]  # fmt: skip
    facts = [
        f"checkpoint: `{look.checkpoint.name}`",
        f"measures: {method.measures}",
        f"paper: {method.paper}",
        f"layers and heads: {place}; row: {what['rows']}; unit: {heat.unit}",
        f"note: {heat.note or 'none'}",
        f"score on this checkpoint: {score}",
        f"picture tokens set aside: {', '.join(map(str, what['without'])) or 'none'}",
    ]
    return MapPage(method.title, parts, facts, heat.grid, heat.scores, heat.unit, look.prompt.images).text(picture)
