"""Rows of the log's queries as the records that panels see, and what a sealed comparison hides of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from panels.base.records import RunRow, Session

from .comparisons import HIDDEN

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


def session_row(row: Mapping[str, Any]) -> Session:
    """A row of the sessions' query as a Session."""
    texts = {name: row[name] or "" for name in ("name", "app_version", "client", "question")}
    return Session(**{**row, **texts, "settings": json.loads(row["settings"] or "{}")})
