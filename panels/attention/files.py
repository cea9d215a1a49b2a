"""Maps of the Attention tab as files to take along: numbers, and a page of Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from model.heat import heat_methods
from model.heat.base import Heat, measured_by

from ..base.bench import Bench
from ..base.maps.heat import OfMethod
from ..base.maps.looks import Look, Seen
from ..base.maps.overlay import pictures_json, sums_of_pictures
from ..base.maps.page import MapPage, npz


def numbers_file(bench: Bench, look: Look, seen: Seen, heat: Heat, what: Mapping[str, object]) -> str:
    """An NPZ file in base64: raw scores, where each lies, and what all of it is."""
    about = {
        **what,
        "checkpoint": look.checkpoint.to_json(),
        "weights": bench.history.run(look.run_id).weights,
        "question": look.prompt.question,
        "pictures": pictures_json(look.prompt.images, sums_of_pictures(heat.grid, heat.scores)),
        "answer": [token.text for token in seen.trace.tokens],
        "unit": heat.unit,
        "note": heat.note,
        "paper": heat_methods[str(what["method"])].paper,
        "arrays": {
            "scores": "float32 [T], one for each picture token, not normalised",
            "cell": "int64 [T], which cell a token looks at, -1 for none",
            "cells": "float64 [cells, 4], x0 y0 x1 y1 in pixels of the picture that `owners` names",
            "values": "float64 [cells], scores by cell, nan where no token looks",
            "logprobs": "float64 [K], of the answer's tokens",
        },
    }
    return npz(
        scores=heat.scores,
        cell=heat.grid.cell,
        cells=heat.grid.cells(),
        owners=heat.grid.owners(),
        values=heat.grid.per_cell(heat.scores),
        logprobs=np.array([token.logprob for token in seen.trace.tokens]),
        about=np.array(json.dumps(about)),
    )


def page_file(look: Look, seen: Seen, heat: Heat, request: OfMethod, score: str, picture: str) -> str:
    """A page of Markdown on one map, with the figure beside it as `picture`."""
    method, tokens = heat_methods[request.method], seen.trace.tokens
    everywhere = not method.layered or (request.layer is None and request.head is None)
    parts = [
        ("Question", look.prompt.question),
        ("An answer that was typed, read with the question" if look.typed else "Answer, read with the question",
         "".join(token.text for token in tokens)),
        ("The map is of these words", "".join(tokens[k].text for k in request.words)),
    ]  # fmt: skip
    facts = [
        f"checkpoint: `{look.checkpoint.name}`",
        f"measures: {measured_by(method)}",
        f"paper: {method.paper}",
        f"layers and heads: {'all layers and heads' if everywhere else heat.note}; row: {request.rows}; unit: {heat.unit}",
        f"note: {heat.note or 'none'}",
        f"score on this checkpoint: {score}",
        f"picture tokens set aside: {', '.join(map(str, request.without)) or 'none'}",
    ]
    return MapPage(method.title, parts, facts, heat.grid, heat.scores, heat.unit, look.prompt.images).text(picture)
