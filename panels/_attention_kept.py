"""Maps that were looked at: kept with their turn in the log, listed in Sessions, opened again, taken along as files."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
from typing import Any

import numpy as np

from model.errors import WorkbenchError
from model.heat import heat_methods
from model.heat.base import Choice, Heat

from ._attention_look import Look, Seen
from .base import Bench

log = logging.getLogger(__name__)
KIND = "heat"
BEST = 10


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
    return f"{what['method']}-{hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=8).hexdigest()}"


def keep_map(bench: Bench, look: Look, seen: Seen, heat: Heat, what: dict[str, Any]) -> None:
    """Write a map down with its turn. A log that cannot be written is no reason to lose the map."""
    if not look.run_id:
        return
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
    try:
        bench.history.keep(look.run_id, KIND, name_of(what), heat.scores.astype("<f4").tobytes(), meta)
    except WorkbenchError as error:
        log.warning("A map was not logged: %s", error)


def kept_maps(history: Any, run_id: str) -> list[dict[str, Any]]:
    """The maps of a turn as Sessions lists them: name, and what it is in words."""
    found = []
    for artifact in history.kept(run_id, KIND):
        meta = artifact.meta
        if meta.get("method") in heat_methods:
            title = heat_methods[meta["method"]].title
            more = [str(meta.get("note") or ""), "another answer" if meta.get("typed") else ""]
            found.append(
                {
                    "name": artifact.name,
                    "title": f"{title} of \u201c{meta.get('said', '')}\u201d",
                    "note": ", ".join(filter(None, more)),
                }
            )
    return found


def map_to_open(history: Any, run_id: str, name: str) -> dict[str, Any] | None:
    """What a kept map is of, for the page to show again; None where it is gone."""
    found = next((artifact.meta for artifact in history.kept(run_id, KIND) if artifact.name == name), None)
    if found is None or found.get("method") not in heat_methods:
        return None
    return {part: found.get(part) for part in ("method", "words", "typed", "layer", "head", "reduce", "rows", "without")}


def numbers_file(bench: Bench, look: Look, seen: Seen, heat: Heat, what: dict[str, Any]) -> str:
    """An NPZ file in base64: raw scores, where each lies, and what all of it is."""
    about = what | {
        "checkpoint": look.checkpoint.to_json(),
        "weights": bench.history.run(look.run_id).weights,
        "question": look.prompt.question,
        "pictures": [part.id for part in look.prompt.images],
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
    """A page of Markdown on one map, with the figure beside it as `picture`. What people or models wrote is fenced."""
    method, cells = heat_methods[what["method"]], heat.grid.cells()
    answer = "".join(token.text for token in seen.trace.tokens)
    said = "".join(seen.trace.tokens[k].text for k in what["words"])
    placed = np.flatnonzero(heat.grid.cell >= 0)
    best = placed[np.argsort(-np.abs(heat.scores[placed]), kind="stable")][:BEST]
    rows = [
        f"| {i + 1} | {', '.join(f'{v:.0f}' for v in cells[heat.grid.cell[t]])} | {heat.scores[t]:.4g} |"
        for i, t in enumerate(best)
    ]
    place = "all layers and heads" if what["layer"] is what["head"] is None else heat.note
    return "\n".join(
        [
            f"# {method.title}",
            "",
            f"![The map over the picture]({picture})",
            "",
            "Question:", "", *fenced(look.prompt.question), "",
            "Answer, read with the question:" if not look.typed else "An answer that was typed, read with the question:", "",
            *fenced(answer), "", "The map is of these words:", "", *fenced(said), "",
            f"- checkpoint: `{look.checkpoint.name}`",
            f"- measures: {method.measures}",
            f"- paper: {method.paper}",
            f"- layers and heads: {place}; row: {what['rows']}; unit: {heat.unit}",
            f"- note: {heat.note or 'none'}",
            f"- score on this checkpoint: {score}",
            f"- picture tokens set aside: {', '.join(map(str, what['without'])) or 'none'}",
            "",
            f"The {len(best)} patches with the largest scores, boxes in pixels of their picture (x0, y0, x1, y1):", "",
            f"| | box | {heat.unit} |", "|---|---|---:|", *rows, "",
        ]
    )  # fmt: skip


def fenced(text: str) -> list[str]:
    """Lines that show a text as it is, whatever it holds."""
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in text).split()), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, text, fence]
