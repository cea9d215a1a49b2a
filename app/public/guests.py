"""Whose page asks, on a public page, and what is theirs in the log.

A browser keeps a random key in its own storage and shows it once, when its page opens; from then on the server knows
the page by the state that Gradio holds for it, which nobody else can name. Programs have no such storage: to them the
id of a session is the key, and whoever names it may go on with it. The log knows keys by their hash alone.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Collection
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from gradio.context import LocalContext

from ..log import cleanup, rows
from ..log.store import Store

PROGRAM = "program"
"""Owner of sessions that programs began: whoever names such a session has its key."""
KEY_CHARACTERS = 32
LEFT_S = 60.0
"""How long turns that are not to be kept stay when the last page of their browser is closed: a reload needs less."""
IDLE_S = 900.0
"""How long they stay on a page that is open, and does nothing: not every page that is gone is heard to go."""


class Guests:
    """The visitors of a public page. Used from many threads. `clock` counts seconds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self._clock = store, clock
        self._pages: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._closed: WeakSet[Any] = WeakSet()
        self._named: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
        self._seen: dict[str, float] = {}
        self._left: dict[str, float] = {}
        self._lock = threading.Lock()

    def enter(self, key: Any) -> str:
        """A page opens and shows its browser's key; the key it is to keep, a new one where it has none."""
        known = key if isinstance(key, str) and len(key) == KEY_CHARACTERS and key.isalnum() else secrets.token_hex(16)
        page = LocalContext.blocks_config.get(None)
        assert page is not None, "a page opens by an event of its own"
        with self._lock:
            self._pages[page] = _owner(known)
            self._opened(page)
        return known

    def leave(self) -> None:
        """The page is closed, or has lost its connection. One that asks for something afterwards is open again."""
        page = LocalContext.blocks_config.get(None)
        with self._lock:
            owner = self._pages.get(page) if page is not None else None
            if owner is None:
                return
            self._closed.add(page)
            if all(page in self._closed for page, other in self._pages.items() if other == owner):
                self._left[owner] = self._clock()

    def here(self) -> str:
        """The owner on whose behalf this thread works now; somebody unheard of where no page was opened."""
        page = LocalContext.blocks_config.get(None)
        if page is None:
            return _owner(secrets.token_hex(16))
        with self._lock:
            if page in self._pages:
                self._opened(page)
            return self._pages.setdefault(page, _owner(secrets.token_hex(16)))

    def _opened(self, page: Any) -> None:
        """A page is there and does something."""
        owner = self._pages[page]
        self._closed.discard(page)
        self._left.pop(owner, None)
        self._seen[owner] = self._clock()

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
        """From now on this visitor's turns stay, or go when the visitor does."""
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

    def sweep(self, everything: bool = False) -> int:
        """Delete the sessions of visitors who do not want theirs kept and have left, or `everything` of theirs; how many."""
        found = self.store.read("SELECT s.id, s.owner FROM guests g CROSS JOIN sessions s ON s.owner = g.id WHERE g.kept = 0")
        gone = [row["id"] for row in found if everything or self._is_gone(row["owner"])]
        for session in gone:
            cleanup.delete_session(self.store, session)
        self._forget_idle()
        return len(gone)

    def _is_gone(self, owner: str) -> bool:
        """Whether that visitor has closed all pages, or done nothing for long. One nobody has seen here is gone."""
        with self._lock:
            now, never = self._clock(), float("-inf")
            return now - self._left.get(owner, now) >= LEFT_S or now - self._seen.get(owner, never) >= IDLE_S

    def _forget_idle(self) -> None:
        """What is remembered of visitors does not grow for ever."""
        with self._lock:
            now = self._clock()
            for owner in [owner for owner, at in self._seen.items() if now - at >= IDLE_S]:
                del self._seen[owner]
                self._left.pop(owner, None)


def _owner(key: str) -> str:
    return hashlib.sha256(f"fovea guest {key}".encode()).hexdigest()[:32]
