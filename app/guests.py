"""Whose page asks, on a public page, and what is theirs in the log.

A browser keeps a random key in its own storage and shows it once, when its page opens; from then on the server knows
the page by the state that Gradio holds for it, which nobody else can name. Programs have no such storage: to them the
id of a session is the key, and whoever names it may go on with it. The log knows keys by their hash alone.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Collection
from datetime import datetime, timedelta, timezone
from typing import Any
from weakref import WeakKeyDictionary

from gradio.context import LocalContext

from . import cleanup, rows
from .store import Store

PROGRAM = "program"
"""Owner of sessions that programs began: whoever names such a session has its key."""
KEY_CHARACTERS = 32
UNKEPT_S = 3600
"""How long turns that are not to be kept stay after the last one: a chat needs those before it."""


class Guests:
    """The visitors of a public page. Used from many threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._pages: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._named: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def enter(self, key: Any) -> str:
        """A page opens and shows its browser's key; the key it is to keep, a new one where it has none."""
        known = key if isinstance(key, str) and len(key) == KEY_CHARACTERS and key.isalnum() else secrets.token_hex(16)
        page = LocalContext.blocks_config.get(None)
        assert page is not None, "a page opens by an event of its own"
        with self._lock:
            self._pages[page] = _owner(known)
        return known

    def here(self) -> str:
        """The owner on whose behalf this thread works now; somebody unheard of where no page was opened."""
        page = LocalContext.blocks_config.get(None)
        if page is None:
            return _owner(secrets.token_hex(16))
        with self._lock:
            return self._pages.setdefault(page, _owner(secrets.token_hex(16)))

    def named(self) -> Collection[str]:
        """The sessions of programs that this connection has named."""
        page = LocalContext.blocks_config.get(None)
        with self._lock:
            return set(self._named.get(page, ())) if page is not None else set()

    def name(self, session: str) -> None:
        """This connection has named a program's session, and may go on with it."""
        page = LocalContext.blocks_config.get(None)
        if page is not None:
            with self._lock:
                self._named.setdefault(page, set()).add(session)

    # --- what is kept --------------------------------------------------------------------------

    def keeps(self) -> bool:
        """Whether this visitor's turns stay in the log."""
        found = self.store.read("SELECT kept FROM guests WHERE id = ?", [self.here()])
        return not found or bool(found[0]["kept"])

    def keep(self, wanted: bool) -> None:
        """From now on this visitor's turns stay, or go an hour after the last one."""
        with self.store.write() as db:
            db.execute("INSERT OR REPLACE INTO guests (id, kept, changed_at) VALUES (?, ?, ?)",
                       [self.here(), int(wanted), rows.now()])  # fmt: skip

    def own(self) -> list[str]:
        """The ids of this visitor's sessions, the newest first."""
        found = self.store.read("SELECT id FROM sessions WHERE owner = ? ORDER BY started_at DESC", [self.here()])
        return [row["id"] for row in found] + sorted(self.named())

    def forget(self) -> int:
        """Delete all that is this visitor's; how many sessions went."""
        own = self.own()
        for session in own:
            cleanup.delete_session(self.store, session)
        return len(own)

    def sweep(self, idle_s: float = UNKEPT_S) -> int:
        """Delete the sessions of visitors who do not want theirs kept, `idle_s` after the last turn; how many."""
        before = (datetime.now(timezone.utc) - timedelta(seconds=idle_s)).isoformat(timespec="microseconds")
        found = self.store.read(
            """SELECT s.id FROM sessions s JOIN guests g ON g.id = s.owner WHERE g.kept = 0
            AND coalesce((SELECT max(started_at) FROM runs WHERE session_id = s.id), s.started_at) < ?""",
            [before],
        )
        for row in found:
            cleanup.delete_session(self.store, row["id"])
        return len(found)


def _owner(key: str) -> str:
    return hashlib.sha256(f"fovea guest {key}".encode()).hexdigest()[:32]
