"""What a blind comparison hides of its runs until the vote, or until it is revealed without one: it is sealed.

Rows of runs become records here and nowhere else, so that none can be read around it. Hidden are which checkpoint gave an
answer and what would give that away: times, tokens, scaled pictures, who ended first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from panels.base.records import RunRow

from .store import Store

SEALED = "This answer is part of a blind comparison that waits for its vote. Vote in Compare, or reveal it there."
HIDDEN = "hidden until the vote"
VEIL = "LEFT JOIN comparisons k ON k.id = r.group_id AND k.blind AND k.revealed_at IS NULL"
"""Joined to runs `r`: `k` is the sealed comparison that a run is of, NULL for every other run."""
WRITING = """(k.id IS NOT NULL AND json_array_length(k.columns)
    > (SELECT count(*) FROM runs o WHERE o.group_id = k.id AND o.status != 'running'))"""
"""Whether a column of the sealed comparison `k` has not ended. Until all have, none shows an answer."""

_TEXTS = ("session", "group", "checkpoint_id", "checkpoint", "question", "answer", "error", "note")
_MASK = {"checkpoint": HIDDEN, "checkpoint_id": "", "model_ms": None, "new_tokens": None, "prompt_tokens": None,
         "visual_tokens": None, "error": "", "images": ()}  # fmt: skip
_UNFINISHED = {"status": "running", "answer": ""}


def run_row(row: Mapping[str, Any]) -> RunRow:
    """A row of the runs' query as a RunRow: no NULL where a text is expected."""
    texts = {name: row[name] or "" for name in _TEXTS}
    found = {**row, **texts, "rating": row["rating"] or 0, "images": tuple(json.loads(row["images"]))}
    hidden = (_MASK if row["sealed"] else {}) | (_UNFINISHED if found.pop("writing") else {})
    return RunRow(**{**found, **hidden, "sealed": bool(row["sealed"])})


def in_order(rows: Iterable[RunRow], newest_first: bool = False) -> list[RunRow]:
    """Rows in time order. Columns of a sealed comparison stand as their ids do, whichever was asked first."""
    by_id = sorted(rows, key=lambda row: row.id if row.sealed else "")
    return sorted(by_id, key=lambda row: row.started_at, reverse=newest_first)


def is_sealed(store: Store, run_id: str) -> bool:
    """Whether that run is of a sealed comparison."""
    return bool(store.read(f"SELECT 1 FROM runs r {VEIL} WHERE r.id = ? AND k.id IS NOT NULL", [run_id]))
