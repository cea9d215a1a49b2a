"""What the history gives back: a session, a run in a list, a run in full. Plain data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from model.checkpoint import Checkpoint
from model.events import Token
from model.options import Options
from model.prompt import Prompt

from .comparisons import HIDDEN


@dataclass(frozen=True)
class Session:
    """A session. `question` is the first one asked, `last_at` when it was last used, `runs` how many calls it has."""

    id: str
    name: str
    started_at: str
    ended_at: str | None
    app_version: str
    client: str
    current_run_id: str | None
    settings: Mapping[str, Any]
    runs: int
    last_at: str
    question: str


@dataclass(frozen=True)
class RunRow:
    """A run as a line of a list or a turn of a chat.

    `question` is the text of its last message, `images` the sha256 of that message's pictures. `checkpoint`
    is its name. `rating` is 0 where nobody rated. `model_ms` is reading plus writing, None where the call did not get that far.
    `sealed` runs belong to a blind comparison without a vote: nothing in the row says which checkpoint it was. It began when
    the comparison did, and has no answer until all columns have ended.
    """

    id: str
    session: str
    parent_run_id: str | None
    group: str
    panel: str
    checkpoint_id: str
    checkpoint: str
    question: str
    answer: str
    status: str
    error: str
    started_at: str
    prompt_tokens: int | None
    visual_tokens: int | None
    new_tokens: int | None
    model_ms: float | None
    rating: int
    note: str
    images: tuple[str, ...]
    sealed: bool = False


@dataclass(frozen=True)
class RunRecord:
    """A run with all that is known of it.

    `weights` is the sha256 of the weights it was computed with, empty where unknown. `siblings` are the ids of
    the turns at the same point of the conversation, itself included, in time order. `versions` are the packages
    it ran with. Where `notes` is not empty, `prompt` lacks pictures and is not what was asked.
    """

    row: RunRow
    prompt: Prompt
    checkpoint: Checkpoint
    weights: str
    options: Options
    tokens: tuple[Token, ...] = field(repr=False)
    reason: str | None
    reused_tokens: int | None
    cached_images: int | None
    queued_ms: float | None
    prefill_ms: float | None
    decode_ms: float | None
    siblings: tuple[str, ...]
    versions: Mapping[str, str]
    notes: tuple[str, ...] = ()


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
