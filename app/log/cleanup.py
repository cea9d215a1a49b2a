"""Taking things out of the session log: whole runs and sessions, then whatever only they referred to.

Files are removed in a second transaction, after the rows are gone: a file without a row is swept up the
next time, a row without its file would be a loss.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlite_utils import Database

from model.errors import InputError
from panels.base.records import Deleted, Usage

from .store import FILE, Store

_IDS = "(SELECT value FROM json_each(:ids))"
_UNANSWERED = "NOT EXISTS (SELECT 1 FROM runs WHERE group_id = comparisons.id)"


def delete_runs(store: Store, ids: list[str]) -> Deleted:
    """Deletes these runs; ids that are not there are passed over.

    What followed a deleted turn then follows the turn before it. Trials keep their outcome without the run.
    """
    with store.write() as db:
        runs, messages, images = _delete(db, ids)
    return Deleted(0, runs, messages, images, sweep(store))


def delete_session(store: Store, session: str) -> Deleted:
    """Deletes a session and all its runs. Raises InputError where there is none."""
    with store.write() as db:
        if db.execute("SELECT 1 FROM sessions WHERE id = ?", [session]).fetchone() is None:
            raise InputError(f"There is no session {session!r}. It may have been deleted already.")
        runs, messages, images = _delete(db, _column(db, "SELECT id FROM runs WHERE session_id = ?", [session]))
        _drop_comparisons(db, "session_id = :session", {"session": session})
        db.execute("DELETE FROM sessions WHERE id = ?", [session])
    return Deleted(1, runs, messages, images, sweep(store))


def drop_unasked(store: Store, comparison: str) -> None:
    """Deletes a comparison that has no runs; any other stays."""
    with store.write() as db:
        _drop_comparisons(db, f"id = :id AND {_UNANSWERED}", {"id": comparison})


def sweep(store: Store) -> int:
    """Removes every file that no row names, and says how many bytes they had."""
    with store.write() as db:
        named = set(_column(db, "SELECT id FROM images UNION SELECT id FROM artifacts"))
        store.blobs.drop_partial()
        return sum(store.blobs.delete(sha) for sha in list(store.blobs.names()) if sha not in named)


def usage(store: Store) -> Usage:
    """Counts and sizes as they are now."""
    tables = ("sessions", "runs", "messages", "images", "trials")
    counts = store.read("SELECT " + ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in tables))[0]
    files = [path for path in store.root.glob(f"{FILE}*") if path.is_file()]
    return Usage(**counts, database_bytes=sum(path.stat().st_size for path in files), blob_bytes=store.blobs.size_bytes())


def _delete(db: Database, ids: list[str]) -> tuple[int, int, int]:
    """Deletes runs and says how many runs, messages and images went."""
    chosen = {"ids": json.dumps(ids)}
    groups = _column(db, f"SELECT DISTINCT group_id FROM runs WHERE id IN {_IDS} AND group_id IS NOT NULL", chosen)
    ends = _column(db, f"SELECT prompt_id FROM runs WHERE id IN {_IDS}", chosen)
    ends += _column(db, f"SELECT answer_id FROM runs WHERE id IN {_IDS}", chosen)
    marked = _column(db, f"SELECT image_id FROM boxes WHERE run_id IN {_IDS}", chosen)
    _step_back(db, "runs", "parent_run_id", chosen)
    _step_back(db, "sessions", "current_run_id", chosen)
    for table in ("ratings", "boxes", "artifacts", "run_search"):
        db.execute(f"DELETE FROM {table} WHERE run_id IN {_IDS}", chosen)
    db.execute(f"UPDATE trials SET run_id = NULL WHERE run_id IN {_IDS}", chosen)
    runs = db.execute(f"DELETE FROM runs WHERE id IN {_IDS}", chosen).rowcount
    _drop_comparisons(
        db,
        f"id IN (SELECT value FROM json_each(:groups)) AND {_UNANSWERED}",
        {"groups": json.dumps(groups)},
    )
    messages, pictures = _drop_messages(db, ends)
    return runs, messages, _drop_images(db, [*marked, *pictures])


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


def _drop_images(db: Database, candidates: Iterable[str | None]) -> int:
    """Deletes the rows of those pictures that nothing shows, and of their parents likewise; how many."""
    waiting, count = [id for id in candidates if id], 0
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
            count += db.execute("DELETE FROM images WHERE id = ?", [id]).rowcount
            waiting += [free[0]] if free[0] else []
    return count


def _column(db: Database, sql: str, params: list[str] | dict[str, str] | None = None) -> list[str]:
    return [row[0] for row in db.execute(sql, params or {}).fetchall()]
