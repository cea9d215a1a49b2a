"""Taking things out of the session log: whole runs and sessions, then whatever only they referred to.

Files are removed in a second transaction, after the rows are gone: a file without a row is swept up some
time, a row without its file would be a loss.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlite_utils import Database

from model.errors import InputError
from panels.base.records import Deleted, Usage

from .store import FILE, Store

MOST_LOOKED_AT = 1000
"""So many files are looked at, each time something is deleted, for those that nothing names."""
_IDS = "(SELECT value FROM json_each(:ids))"
_UNNAMED = "NOT EXISTS (SELECT 1 FROM images WHERE id = value) AND NOT EXISTS (SELECT 1 FROM artifacts WHERE id = value)"
_UNANSWERED = "NOT EXISTS (SELECT 1 FROM runs WHERE group_id = comparisons.id)"


def delete_runs(store: Store, ids: list[str]) -> Deleted:
    """Deletes these runs; ids that are not there are passed over.

    What followed a deleted turn then follows the turn before it. Trials keep their outcome without the run.
    """
    with store.write() as db:
        gone = _delete(db, ids)
    return Deleted(0, gone.runs, gone.messages, gone.images, sweep(store, gone.files))


def delete_session(store: Store, session: str) -> Deleted:
    """Deletes a session and all its runs. Raises InputError where there is none."""
    with store.write() as db:
        if db.execute("SELECT 1 FROM sessions WHERE id = ?", [session]).fetchone() is None:
            raise InputError(f"There is no session {session!r}. It may have been deleted already.")
        gone = _delete(db, _column(db, "SELECT id FROM runs WHERE session_id = ?", [session]))
        _drop_comparisons(db, "session_id = :session", {"session": session})
        db.execute("DELETE FROM sessions WHERE id = ?", [session])
    return Deleted(1, gone.runs, gone.messages, gone.images, sweep(store, gone.files))


def drop_unasked(store: Store, comparison: str) -> None:
    """Deletes a comparison that has no runs; any other stays."""
    with store.write() as db:
        _drop_comparisons(db, f"id = :id AND {_UNANSWERED}", {"id": comparison})


def sweep(store: Store, files: Iterable[str]) -> int:
    """Removes those of these files that no row names; says how many bytes they had.

    With them goes what a process that died has left in some of the folders: in all where there is little, else in the
    next ones, so that a log of any size is gone through in a while.
    """
    with store.write() as db:
        found = {*files, *store.blobs.some(MOST_LOOKED_AT)}
        free = _column(db, f"SELECT value FROM json_each(:ids) WHERE {_UNNAMED}", {"ids": json.dumps(sorted(found))})
        return sum(map(store.blobs.delete, free))


def usage(store: Store) -> Usage:
    """Counts and sizes as they are now. `blob_bytes` are those of the files that rows name."""
    totals = {row["name"]: row["value"] for row in store.read("SELECT name, value FROM totals")}
    files = [path for path in store.root.glob(f"{FILE}*") if path.is_file()]
    return Usage(**totals, database_bytes=sum(path.stat().st_size for path in files))


@dataclass(frozen=True)
class _Gone:
    """What a transaction deleted: how many rows, and files that perhaps nothing names any more."""

    runs: int
    messages: int
    images: int
    files: set[str]


def _delete(db: Database, ids: list[str]) -> _Gone:
    """Deletes runs with all that nothing else refers to."""
    chosen = {"ids": json.dumps(ids)}
    groups = _column(db, f"SELECT DISTINCT group_id FROM runs WHERE id IN {_IDS} AND group_id IS NOT NULL", chosen)
    ends = _column(db, f"SELECT prompt_id FROM runs WHERE id IN {_IDS}", chosen)
    ends += _column(db, f"SELECT answer_id FROM runs WHERE id IN {_IDS}", chosen)
    marked = _column(db, f"SELECT image_id FROM boxes WHERE run_id IN {_IDS}", chosen)
    _step_back(db, "runs", "parent_run_id", chosen)
    _step_back(db, "sessions", "current_run_id", chosen)
    files = set(_column(db, f"SELECT id FROM artifacts WHERE run_id IN {_IDS}", chosen))
    for table in ("ratings", "boxes", "artifacts"):
        db.execute(f"DELETE FROM {table} WHERE run_id IN {_IDS}", chosen)
    db.execute(f"UPDATE trials SET run_id = NULL WHERE run_id IN {_IDS}", chosen)
    runs = db.execute(f"DELETE FROM runs WHERE id IN {_IDS}", chosen).rowcount
    _drop_comparisons(
        db,
        f"id IN (SELECT value FROM json_each(:groups)) AND {_UNANSWERED}",
        {"groups": json.dumps(groups)},
    )
    messages, pictures = _drop_messages(db, ends)
    images = _drop_images(db, [*marked, *pictures])
    return _Gone(runs, messages, len(images), files | images)


def _drop_comparisons(db: Database, where: str, params: dict[str, str]) -> None:
    """Deletes comparisons with the votes on them: those whose answers are gone."""
    db.execute(f"DELETE FROM votes WHERE comparison_id IN (SELECT id FROM comparisons WHERE {where})", params)
    db.execute(f"DELETE FROM comparisons WHERE {where}", params)


def _step_back(db: Database, table: str, column: str, chosen: dict[str, str]) -> None:
    """Points what refers to a run about to go to the run before it, until none does."""
    kept = f"AND id NOT IN {_IDS}" if table == "runs" else ""
    sql = f"""UPDATE {table} SET {column} = (SELECT before.parent_run_id FROM runs before WHERE before.id = {table}.{column})
        WHERE {column} IN {_IDS} {kept}"""
    while db.execute(sql, chosen).rowcount > 0:
        continue


def _drop_messages(db: Database, ends: Iterable[str | None]) -> tuple[int, set[str]]:
    """Deletes these messages and those before them as far as nothing builds on them; how many, and their pictures."""
    waiting, count, pictures = [id for id in ends if id], 0, set()
    while waiting:
        id = waiting.pop()
        free = db.execute(
            """SELECT parent_id FROM messages WHERE id = :id
            AND NOT EXISTS (SELECT 1 FROM messages WHERE parent_id = :id)
            AND NOT EXISTS (SELECT 1 FROM runs WHERE prompt_id = :id)
            AND NOT EXISTS (SELECT 1 FROM runs WHERE answer_id = :id)""",
            {"id": id},
        ).fetchone()
        if free is None:
            continue
        pictures |= set(_column(db, "SELECT image_id FROM message_images WHERE message_id = ?", [id]))
        db.execute("DELETE FROM message_images WHERE message_id = ?", [id])
        db.execute("DELETE FROM messages WHERE id = ?", [id])
        count += 1
        waiting += [free[0]] if free[0] else []
    return count, pictures


def _drop_images(db: Database, candidates: Iterable[str | None]) -> set[str]:
    """Deletes the rows of those pictures that nothing shows, and of their parents likewise; their ids."""
    waiting, gone = [id for id in candidates if id], set()
    while waiting:
        id = waiting.pop()
        free = db.execute(
            """SELECT parent_id FROM images WHERE id = :id
            AND NOT EXISTS (SELECT 1 FROM message_images WHERE image_id = :id)
            AND NOT EXISTS (SELECT 1 FROM boxes WHERE image_id = :id)
            AND NOT EXISTS (SELECT 1 FROM images WHERE parent_id = :id)""",
            {"id": id},
        ).fetchone()
        if free is not None:
            db.execute("DELETE FROM images WHERE id = ?", [id])
            gone.add(id)
            waiting += [free[0]] if free[0] else []
    return gone


def _column(db: Database, sql: str, params: list[str] | dict[str, str] | None = None) -> list[str]:
    return [row[0] for row in db.execute(sql, params or {}).fetchall()]
