"""Sessions in the log: begun, listed, named, and where their chat stands."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from model.errors import InputError
from model.recorder import new_id
from panels.base.records import Deleted, Json, Session

from . import cleanup, rows
from .access import LogPart

_SESSIONS = """
    SELECT s.id, s.name, s.started_at, s.ended_at, s.app_version, s.client, s.current_run_id, s.settings, s.runs, s.last_at,
        (SELECT q.text FROM runs r JOIN messages q ON q.id = r.prompt_id WHERE r.session_id = s.id
            ORDER BY r.started_at LIMIT 1) AS question
    FROM sessions s"""


class SessionLog(LogPart):
    """Sessions, one by one and as a list."""

    def sessions(self, limit: int = 100, among: Collection[str] | None = None) -> list[Session]:
        """The sessions, the one used last first; only those `among` these ids, where they are given."""
        seen = self.access.only()
        ids = seen if among is None else among if seen is None else set(among) & set(seen)
        where = "" if ids is None else "WHERE s.id IN (SELECT value FROM json_each(:ids))"
        found = self.store.read(
            f"{_SESSIONS} {where} ORDER BY s.last_at DESC, s.rowid DESC LIMIT :limit",
            {"limit": limit, "ids": json.dumps(list(ids or ()))},
        )
        return [_session(row) for row in found]

    def session(self, id: str) -> Session:
        missing = f"There is no session {id!r}. It may have been deleted."
        return _session(self._one(f"{_SESSIONS} WHERE s.id = ?", [self.access.session(id)], missing))

    def new_session(self, name: str = "", client: str = "") -> str:
        """The id of a session that begins now."""
        id = new_id()
        with self.store.write() as db:
            rows.add(db, "sessions", {"id": id, "started_at": rows.now(), "name": name, "client": client})
        return id

    def rename(self, session: str, name: str) -> None:
        self._change(session, {"name": name})

    def keep_settings(self, session: str, settings: Json) -> None:
        """Replaces what the session remembers of its settings. Plain JSON values only."""
        self._change(session, {"settings": rows.to_json(dict(settings))})

    def current(self, session: str) -> str | None:
        """The run the chat stands at, None at the start or for a session that is not in the log."""
        found = self.store.read("SELECT current_run_id FROM sessions WHERE id = ?", [session])
        return found[0]["current_run_id"] if found and self.access.sees_session(session) else None

    def set_current(self, session: str, run_id: str | None) -> None:
        """Moves the chat to that turn, or to the start."""
        self.access.session(session)
        if run_id is not None:
            self._one(
                "SELECT id FROM runs WHERE id = ? AND session_id = ?",
                [run_id, session],
                f"There is no run {run_id!r} in this session. It may have been deleted; choose another turn.",
            )
        self._change(session, {"current_run_id": run_id})

    def delete_session(self, id: str) -> Deleted:
        """Deletes a session with its runs, and the messages and pictures that nothing else refers to."""
        return cleanup.delete_session(self.store, self.access.session(id))

    def _change(self, session: str, row: Mapping[str, Any]) -> None:
        self.access.session(session)
        with self.store.write() as db:
            if not rows.change(db, "sessions", session, row):
                raise InputError(f"There is no session {session!r}. It may have been deleted; begin a new one.")


def _session(row: Mapping[str, Any]) -> Session:
    texts = {name: row[name] or "" for name in ("name", "app_version", "client", "question")}
    return Session(**{**row, **texts, "settings": json.loads(row["settings"] or "{}")})
