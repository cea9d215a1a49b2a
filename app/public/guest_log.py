"""The log as a visitor of a public page sees it: their own sessions, and nothing that tells of others.

It stands where panels expect the whole log, so that a handler cannot forget to ask whose a turn is. What belongs to
somebody else is answered in the words for what is not there. A turn that was shared by link can be copied into a
session of one's own (`open_shared`); the original stays out of reach.
"""

from __future__ import annotations

from model.errors import InputError
from model.recorder import new_id
from panels.base.records import RunRow

from ..log import rows
from ..log.access import Access
from ..log.history import History
from ..log.sealing import SEALED
from ..log.store import Store
from .guests import PROGRAM, Guests

_OWNER = """SELECT coalesce(s.owner, g.owner) AS owner, coalesce(r.session_id, f.session_id) AS session
    FROM runs r LEFT JOIN sessions s ON s.id = r.session_id
    LEFT JOIN runs f ON f.id = r.group_id LEFT JOIN sessions g ON g.id = f.session_id WHERE r.id = ?"""
_COPIED = ("checkpoint_id", "panel", "prompt_id", "answer_id", "answer_prefix", "answer_tokens", "status", "error", "options",
           "finish_reason", "prompt_tokens", "visual_tokens", "new_tokens", "queued_ms", "prefill_ms", "decode_ms", "tokens",
           "versions", "reused_tokens", "cached_images")  # fmt: skip
MOST_SESSIONS = 1000


class GuestAccess(Access):
    """What the visitor whose page asks may see: sessions they own, and those of programs that they have named."""

    def __init__(self, store: Store, guests: Guests) -> None:
        self.store, self.guests = store, guests

    def sees_session(self, id: str) -> bool:
        found = self.store.read("SELECT owner FROM sessions WHERE id = ?", [id])
        return bool(found) and self._holds(found[0]["owner"], id)

    def sees_run(self, id: str) -> bool:
        found = self.store.read(_OWNER, [id])
        return bool(found) and self._holds(found[0]["owner"], found[0]["session"])

    def session(self, id: str) -> str:
        """The id itself. A program's session may be gone on with by whoever names it here: its id is the key."""
        found = self.store.read("SELECT owner FROM sessions WHERE id = ?", [id])
        if found and found[0]["owner"] == PROGRAM:
            self.guests.name(id)
        if not self.sees_session(id):
            raise InputError(f"There is no session {id!r}. It may have been deleted; reload the page to begin a new one.")
        return id

    def run(self, id: str) -> str:
        if not self.sees_run(id):
            raise InputError(f"There is no run {id!r}. It may have been deleted.")
        return id

    def picture(self, id: str) -> str:
        shown = self.store.read(
            """SELECT r.id FROM message_images i JOIN messages m ON m.id = i.message_id JOIN runs r ON r.prompt_id = m.id
            WHERE i.image_id = ?""",
            [id],
        )
        if not any(self.sees_run(row["id"]) for row in shown):
            raise InputError(f"The picture {id[:12]} is not part of a turn of this browser.")
        return id

    def only(self) -> list[str]:
        return self.guests.own()[:MOST_SESSIONS]

    def _holds(self, owner: str | None, session: str | None) -> bool:
        if owner == PROGRAM:
            return session in self.guests.named()
        return owner is not None and owner == self.guests.here()


class GuestLog(History):
    """The log with the eyes of the visitor whose page asks. `whole` is all of it, for what is shared on purpose."""

    def __init__(self, whole: History, guests: Guests) -> None:
        super().__init__(whole.store, GuestAccess(whole.store, guests))
        self.whole, self.guests = whole, guests

    def has(self, run_id: str) -> bool:
        """Whether that turn is this visitor's."""
        return self.access.sees_run(run_id)

    def new_session(self, name: str = "", client: str = "") -> str:
        id = super().new_session(name, client)
        return self.claim(id, PROGRAM if client == "api" else self.guests.here())

    def claim(self, session: str, owner: str = "") -> str:
        """Make a session that has just come to be this visitor's; its id."""
        with self.store.write() as db:
            rows.change(db, "sessions", session, {"owner": owner or self.guests.here()})
        if owner == PROGRAM:
            self.guests.name(session)
        return session

    def share(self, run_id: str) -> None:
        """Whoever has the link may copy this turn and those before it from now on. Raises InputError for sealed ones, too."""
        self._unsealed(run_id)
        with self.store.write() as db:
            rows.add(db, "shares", {"run_id": self.access.run(run_id), "shared_at": rows.now()})

    def open_shared(self, run_id: str) -> str:
        """A session of the visitor's own that holds copies of a shared turn and those before it."""
        if not self.store.read("SELECT 1 FROM shares WHERE run_id = ?", [run_id]):
            raise InputError(f"There is no run {run_id!r}. It may have been deleted, or its link was not made with Link.")
        turns = self._unsealed(run_id)
        session, before = self.new_session(client="browser"), None
        for turn in turns:
            before = self._copy(turn.id, session, before)
        self.whole.set_current(session, before)
        return session

    def _unsealed(self, run_id: str) -> list[RunRow]:
        """A turn and those before it. Raises InputError where one is of a sealed comparison: its copy would not be sealed."""
        turns = self.whole.thread(run_id)
        if any(turn.sealed for turn in turns):
            raise InputError(SEALED)
        return turns

    def _copy(self, run_id: str, session: str, parent: str | None) -> str:
        row = self.store.read("SELECT * FROM runs WHERE id = ?", [run_id])[0]
        copy = {name: row[name] for name in _COPIED} | {
            "id": new_id(), "session_id": session, "parent_run_id": parent, "started_at": rows.now()
        }  # fmt: skip
        with self.store.write() as db:
            rows.add(db, "runs", copy)
        return copy["id"]
