"""Comparisons and the votes on them. The runs of a comparison are in `runs`, with its id as their group.

A blind comparison is sealed until its vote, or until it is revealed without one: then `History` tells neither which
checkpoint gave which of its answers, nor what would give that away: times, tokens, scaled pictures, who has ended first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from model.errors import InputError
from studies.comparison import BAD, LETTERS, REASONS, TIE, Comparison, Side, Vote

from . import rows
from .store import Store

RATER = "local"
SEALED = "This answer is part of a blind comparison that waits for its vote. Vote in Compare, or reveal it there."
HIDDEN = "hidden until the vote"
MAX_LISTED = 10_000
VEIL = "LEFT JOIN comparisons k ON k.id = r.group_id AND k.blind AND k.revealed_at IS NULL"
"""Joined to runs `r`: `k` is the sealed comparison that a run is of, NULL for every other run."""
WRITING = """(k.id IS NOT NULL AND json_array_length(k.columns)
    > (SELECT count(*) FROM runs o WHERE o.group_id = k.id AND o.status != 'running'))"""
"""Whether a column of the sealed comparison `k` has not ended. Until all have, none shows an answer."""


def begin(store: Store, comparison: Comparison) -> None:
    """Write a comparison down before its columns are asked. Raises LogError."""
    row = {"id": comparison.id, "session_id": comparison.session or None, "question": comparison.question,
           "kind": comparison.kind, "blind": int(comparison.blind), "columns": _columns_json(comparison.columns),
           "created_at": comparison.created_at or rows.now()}  # fmt: skip
    with store.write() as db:
        if comparison.session:
            rows.add(db, "sessions", {"id": comparison.session, "started_at": row["created_at"]})
        rows.add(db, "comparisons", row)


def one(store: Store, id: str) -> Comparison:
    """The comparison of that id. Raises InputError where there is none."""
    found = store.read(f"{_ALL} WHERE k.id = ?", [id])
    if not found:
        raise InputError("There is no such comparison. It may have been deleted.")
    return _comparison(found[0])


def of_session(store: Store, session: str, limit: int) -> list[Comparison]:
    """The comparisons of a session, the newest first."""
    where = "WHERE k.session_id = ? ORDER BY k.created_at DESC, k.rowid DESC LIMIT ?"
    return [_comparison(row) for row in store.read(f"{_ALL} {where}", [session, limit])]


def pictures(store: Store, id: str) -> list[str]:
    """The sha256 of the pictures its columns were asked about, as large as any column got them.

    A column may get them scaled down. Which one does is not told by these.
    """
    found = store.read(
        """SELECT r.id, i.image_id, m.width * m.height AS pixels FROM runs r JOIN message_images i ON i.message_id = r.prompt_id
        JOIN images m ON m.id = i.image_id WHERE r.group_id = ? ORDER BY r.id, i.position""",
        [id],
    )
    asked: dict[str, list[tuple[int, str]]] = {}
    for row in found:
        asked.setdefault(row["id"], []).append((row["pixels"], row["image_id"]))
    return [image for _, image in max(asked.values(), default=[])]


def sealed_runs(store: Store) -> int:
    """How many runs of sealed comparisons the log holds."""
    sql = "SELECT count(*) AS n FROM comparisons k JOIN runs r ON r.group_id = k.id WHERE k.blind AND k.revealed_at IS NULL"
    return store.read(sql)[0]["n"]


def is_sealed(store: Store, run_id: str) -> bool:
    """Whether that run is of a sealed comparison."""
    return bool(store.read(f"SELECT 1 FROM runs r {VEIL} WHERE r.id = ? AND k.id IS NOT NULL", [run_id]))


def reveal(store: Store, id: str) -> None:
    """Tell the names from now on. Revealing again changes nothing."""
    with store.write() as db:
        db.execute("UPDATE comparisons SET revealed_at = ? WHERE id = ? AND revealed_at IS NULL", [rows.now(), id])


def vote(store: Store, id: str, outcome: str, reasons: Sequence[str] = (), waited_ms: float | None = None) -> Comparison:
    """Write a vote down and reveal. The last vote on an open comparison counts; one on a blind one is final.

    Raises InputError for an outcome or a reason that there is not, and for a second vote where the first was blind.
    """
    held = one(store, id)
    if not held.allows(outcome):
        known = ", ".join((*LETTERS[: len(held.columns)], TIE, BAD))
        raise InputError(f"A vote is one of {known}, not {outcome[:40]!r}.")
    unknown = [reason for reason in reasons if reason not in REASONS]
    if unknown:
        raise InputError(f"There is no reason {unknown[0][:40]!r}. Known: {', '.join(REASONS)}.")
    with store.write() as db:
        sealed = db.execute("SELECT blind AND revealed_at IS NULL FROM comparisons WHERE id = ?", [id]).fetchone()
        if sealed is None:
            raise InputError("This comparison was deleted meanwhile.")
        before = db.execute("SELECT blind FROM votes WHERE comparison_id = ? AND rater = ?", [id, RATER]).fetchone()
        if before is not None and before[0]:
            raise InputError("A blind vote was cast on this comparison, and the names are known now. It stays as it is.")
        row = {"comparison_id": id, "rater": RATER, "outcome": outcome, "reasons": rows.to_json(list(dict.fromkeys(reasons))),
               "blind": int(sealed[0]), "waited_ms": waited_ms, "voted_at": rows.now()}  # fmt: skip
        db.execute("DELETE FROM votes WHERE comparison_id = ? AND rater = ?", [id, RATER])
        rows.add(db, "votes", row)
        db.execute("UPDATE comparisons SET revealed_at = ? WHERE id = ? AND revealed_at IS NULL", [rows.now(), id])
    return one(store, id)


def votes(store: Store, session: str = "") -> list[Vote]:
    """All votes, or those of one session, the oldest first."""
    found = store.read(
        """SELECT v.*, k.session_id, k.kind, k.question, k.columns FROM votes v JOIN comparisons k ON k.id = v.comparison_id
        WHERE :session = '' OR k.session_id = :session ORDER BY v.voted_at, v.rowid LIMIT :most""",
        {"session": session, "most": MAX_LISTED},
    )
    return [_vote(row) for row in found]


_ALL = f"""SELECT k.*, v.outcome, v.reasons FROM comparisons k
    LEFT JOIN votes v ON v.comparison_id = k.id AND v.rater = '{RATER}'"""


def _columns_json(columns: Sequence[Side]) -> str:
    return rows.to_json([{"run": c.run, "label": c.label, "setup": dict(c.setup)} for c in columns])


def _columns(text: str) -> tuple[Side, ...]:
    return tuple(Side(c["run"], c["label"], c["setup"]) for c in json.loads(text))


def _comparison(row: Mapping[str, Any]) -> Comparison:
    return Comparison(
        row["id"], row["session_id"] or "", row["question"] or "", row["kind"] or "", bool(row["blind"]),
        row["revealed_at"] is not None, _columns(row["columns"]), row["created_at"], row["outcome"] or "",
        tuple(json.loads(row["reasons"] or "[]")),
    )  # fmt: skip


def _vote(row: Mapping[str, Any]) -> Vote:
    labels = tuple(column.label for column in _columns(row["columns"]))
    outcome = row["outcome"]
    winner = outcome if outcome in (TIE, BAD) else labels[LETTERS.index(outcome)]
    return Vote(
        row["comparison_id"], row["session_id"] or "", row["voted_at"], bool(row["blind"]), row["kind"] or "",
        row["question"] or "", labels, outcome, winner, tuple(json.loads(row["reasons"] or "[]")), row["waited_ms"],
    )  # fmt: skip
