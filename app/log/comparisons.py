"""Comparisons and the votes on them. The runs of a comparison are in `runs`, with its id as their group.

A blind comparison is sealed until its vote, or until it is revealed without one: see `sealing`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlite_utils import Database

from model.errors import InputError
from studies.comparison import BAD, GONE, LETTERS, REASONS, TIE, Comparison, Side, Vote

from . import cleanup, rows
from .access import LogPart

RATER = "local"
MAX_LISTED = 10_000
UNANSWERED = "A column has no answer yet, or failed, so there is nothing to vote on."
FINAL = "A blind vote was cast on this comparison, and the names are known now. It stays as it is."
_VOTED = f"comparisons k LEFT JOIN votes v ON v.comparison_id = k.id AND v.rater = '{RATER}'"
_ALL = f"SELECT k.*, v.outcome, v.reasons FROM {_VOTED}"
_STANDING = f"""SELECT k.*, v.outcome, v.reasons, v.blind AS voted_blind,
        (SELECT count(DISTINCT r.id) FROM json_each(k.columns) c JOIN runs r ON r.id = json_extract(c.value, '$.run')
            WHERE r.group_id = k.id AND r.status IN ('done', 'stopped')) AS answered
    FROM {_VOTED} WHERE k.id = ?"""


class ComparisonLog(LogPart):
    """Answers side by side, and what was voted on them."""

    def begin_comparison(self, comparison: Comparison) -> None:
        """Writes a comparison down before its columns are asked, each as a run with its id as the group."""
        session = self.access.session(comparison.session)
        row = {"id": comparison.id, "session_id": session or None, "question": comparison.question,
               "kind": comparison.kind, "blind": int(comparison.blind), "columns": _columns_json(comparison.columns),
               "created_at": comparison.created_at or rows.now()}  # fmt: skip
        with self.store.write() as db:
            if session:
                rows.add(db, "sessions", {"id": session, "started_at": row["created_at"]})
            rows.add(db, "comparisons", row)

    def comparison(self, id: str) -> Comparison:
        return self._seen(_comparison(self._one(f"{_ALL} WHERE k.id = ?", [id], GONE)))

    def comparisons(self, session: str, limit: int = 100) -> list[Comparison]:
        """The comparisons of a session, the newest first."""
        if not self.access.sees_session(session):
            return []
        where = "WHERE k.session_id = ? ORDER BY k.created_at DESC, k.rowid DESC LIMIT ?"
        return [_comparison(row) for row in self.store.read(f"{_ALL} {where}", [session, limit])]

    def pictures_of(self, comparison: str) -> list[str]:
        """The sha256 of the pictures its columns were asked about, as large as any column got them.

        A column may get them scaled down. Which one does is not told by these.
        """
        if not self._sees(comparison):
            return []
        found = self.store.read(
            """SELECT r.id, i.image_id, m.width * m.height AS pixels FROM runs r
            JOIN message_images i ON i.message_id = r.prompt_id JOIN images m ON m.id = i.image_id
            WHERE r.group_id = ? ORDER BY r.id, i.position""",
            [comparison],
        )
        asked: dict[str, list[tuple[int, str]]] = {}
        for row in found:
            asked.setdefault(row["id"], []).append((row["pixels"], row["image_id"]))
        return [image for _, image in max(asked.values(), default=[])]

    def forget_comparison(self, comparison: str) -> None:
        """Takes a comparison out again of which no column was asked; any other stays."""
        if self._sees(comparison):
            cleanup.drop_unasked(self.store, comparison)

    def reveal(self, comparison: str) -> None:
        """Tells from now on which column was which. Revealing again changes nothing."""
        if self._sees(comparison):
            with self.store.write() as db:
                _reveal(db, comparison)

    def vote(self, comparison: str, outcome: str, reasons: Iterable[str] = (), waited_ms: float | None = None,
             session: str | None = None) -> Comparison:  # fmt: skip
        """Votes, and reveals. The last vote on an open comparison counts; one on a blind one is final.

        It must be of that session, where one is named. Whether it may be voted on is decided in the transaction that writes
        the vote, so of two votes at once on a blind one the second is refused. Raises InputError for a comparison with a
        column that has no answer, for an outcome or a reason that there is not, and for a vote on what is decided.
        """
        given = tuple(dict.fromkeys(reasons))
        with self.store.write() as db:
            held = _held(db, comparison)
            if session is not None and held.comparison.session != session:
                raise InputError(GONE)
            self._seen(held.comparison)
            _check(held, outcome, given)
            row = {"comparison_id": comparison, "rater": RATER, "outcome": outcome, "reasons": rows.to_json(list(given)),
                   "blind": int(held.comparison.sealed), "waited_ms": waited_ms, "voted_at": rows.now()}  # fmt: skip
            db.execute("DELETE FROM votes WHERE comparison_id = ? AND rater = ?", [comparison, RATER])
            rows.add(db, "votes", row)
            _reveal(db, comparison)
        return replace(held.comparison, outcome=outcome, reasons=given, revealed=True)

    def votes(self, session: str = "") -> list[Vote]:
        """All votes, or those of one session, the oldest first."""
        only = self.access.only()
        among = [session] if session else only
        if among is not None and only is not None:
            among = [id for id in among if id in only]
        found = self.store.read(
            f"""SELECT v.*, k.session_id, k.kind, k.question, k.columns FROM votes v JOIN comparisons k ON k.id = v.comparison_id
            WHERE {"1" if among is None else "k.session_id IN (SELECT value FROM json_each(:among))"}
            ORDER BY v.voted_at, v.rowid LIMIT :most""",
            {"among": json.dumps(among or []), "most": MAX_LISTED},
        )
        return [_vote(row) for row in found]

    def _sees(self, id: str) -> bool:
        """Whether that comparison is there and may be seen."""
        found = self.store.read("SELECT session_id FROM comparisons WHERE id = ?", [id])
        return bool(found) and self.access.sees_session(found[0]["session_id"] or "")

    def _seen(self, comparison: Comparison) -> Comparison:
        """The comparison itself. Raises InputError where it is of a session that may not be seen."""
        if not self.access.sees_session(comparison.session):
            raise InputError(GONE)
        return comparison


@dataclass(frozen=True)
class _Held:
    """A comparison as it stands in a transaction. `unanswered` are its columns without an answer."""

    comparison: Comparison
    unanswered: int
    final: bool


def _held(db: Database, id: str) -> _Held:
    cursor = db.execute(_STANDING, [id])
    found = cursor.fetchone()
    if found is None:
        raise InputError(GONE)
    row = dict(zip((column[0] for column in cursor.description), found, strict=True))
    comparison = _comparison(row)
    return _Held(comparison, len(comparison.columns) - row["answered"], bool(row["voted_blind"]))


def _check(held: _Held, outcome: str, reasons: Sequence[str]) -> None:
    """Raises InputError for what may not be voted."""
    if not held.comparison.allows(outcome):
        known = ", ".join((*LETTERS[: len(held.comparison.columns)], TIE, BAD))
        raise InputError(f"A vote is one of {known}, not {outcome[:40]!r}.")
    unknown = [reason for reason in reasons if reason not in REASONS]
    if unknown:
        raise InputError(f"There is no reason {unknown[0][:40]!r}. Known: {', '.join(REASONS)}.")
    if held.final:
        raise InputError(FINAL)
    if held.unanswered:
        raise InputError(UNANSWERED)


def _reveal(db: Database, id: str) -> None:
    db.execute("UPDATE comparisons SET revealed_at = ? WHERE id = ? AND revealed_at IS NULL", [rows.now(), id])


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
