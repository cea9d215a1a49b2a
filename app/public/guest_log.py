"""The log as a visitor of a public page sees it: their own sessions, and nothing that tells of others.

It stands where panels expect the whole log, so that a handler cannot forget to ask whose a turn is. What belongs to
somebody else is answered in the words for what is not there. A turn that was shared by link can be copied into a
session of one's own (`open_shared`); the original stays out of reach.
"""

from __future__ import annotations

from collections.abc import Iterable

from model.errors import InputError
from model.prompt import ImagePart
from model.recorder import new_id
from panels.base.records import Artifact, Deleted, Json, RunRecord, RunRow, Session, Usage
from studies.comparison import Comparison, Vote

from ..log import rows
from ..log.comparisons import SEALED
from ..log.history import History
from ..log.trials import Trials
from .guests import PROGRAM, Guests

_OWNER = """SELECT coalesce(s.owner, g.owner) AS owner, coalesce(r.session_id, f.session_id) AS session
    FROM runs r LEFT JOIN sessions s ON s.id = r.session_id
    LEFT JOIN runs f ON f.id = r.group_id LEFT JOIN sessions g ON g.id = f.session_id WHERE r.id = ?"""
_COPIED = ("checkpoint_id", "panel", "prompt_id", "answer_id", "answer_prefix", "answer_tokens", "status", "error", "options",
           "finish_reason", "prompt_tokens", "visual_tokens", "new_tokens", "queued_ms", "prefill_ms", "decode_ms", "tokens",
           "versions", "reused_tokens", "cached_images")  # fmt: skip
MOST_SESSIONS = 1000


class GuestLog:
    """`panels.base.History`, cut down to what is the visitor's. Its methods are those of `history.History`."""

    def __init__(self, whole: History, guests: Guests) -> None:
        self.whole, self.guests, self.store = whole, guests, whole.store

    @property
    def trials(self) -> Trials:
        """Outcomes of studies: of checkpoints, nobody's own."""
        return self.whole.trials

    # --- sessions ------------------------------------------------------------------------------

    def sessions(self, limit: int = 100) -> list[Session]:
        own = [self.whole.session(id) for id in self.guests.own()[:MOST_SESSIONS]]
        return sorted(own, key=lambda session: session.last_at, reverse=True)[:limit]

    def session(self, id: str) -> Session:
        return self.whole.session(self._session(id))

    def new_session(self, name: str = "", client: str = "") -> str:
        id = self.whole.new_session(name, client)
        self.claim(id, PROGRAM if client == "api" else self.guests.here())
        return id

    def claim(self, session: str, owner: str = "") -> str:
        """Make a session that has just come to be this visitor's; its id."""
        with self.store.write() as db:
            rows.change(db, "sessions", session, {"owner": owner or self.guests.here()})
        if owner == PROGRAM:
            self.guests.name(session)
        return session

    def rename(self, session: str, name: str) -> None:
        self.whole.rename(self._session(session), name)

    def keep_settings(self, session: str, settings: Json) -> None:
        self.whole.keep_settings(self._session(session), settings)

    def current(self, session: str) -> str | None:
        return self.whole.current(session) if self._mine(session) else None

    def set_current(self, session: str, run_id: str | None) -> None:
        self.whole.set_current(self._session(session), run_id)

    def delete_session(self, id: str) -> Deleted:
        return self.whole.delete_session(self._session(id))

    # --- turns ---------------------------------------------------------------------------------

    def run(self, run_id: str) -> RunRecord:
        return self.whole.run(self._run(run_id))

    def thread(self, run_id: str) -> list[RunRow]:
        return self.whole.thread(run_id) if self.has(run_id) else []

    def children(self, session: str, parent_run_id: str | None, panel: str = "chat") -> list[RunRow]:
        return self.whole.children(session, parent_run_id, panel) if self._mine(session) else []

    def group(self, group: str) -> list[RunRow]:
        return [row for row in self.whole.group(group) if self.has(row.id)]

    def search(self, query: str = "", *, checkpoint: str = "", panel: str = "", since: str = "", until: str = "",
               rating: int | None = None, status: str = "", limit: int = 100) -> list[RunRow]:  # fmt: skip
        return self.whole.search(
            query, checkpoint=checkpoint, panel=panel, since=since, until=until, rating=rating, status=status, limit=limit,
            sessions=self.guests.own(),
        )  # fmt: skip

    def rate(self, run_id: str, value: int, note: str = "") -> None:
        self.whole.rate(self._run(run_id), value, note)

    def picture(self, image_id: str) -> ImagePart:
        shown = self.store.read(
            """SELECT r.id FROM message_images i JOIN messages m ON m.id = i.message_id JOIN runs r ON r.prompt_id = m.id
            WHERE i.image_id = ?""",
            [image_id],
        )
        if not any(self.has(row["id"]) for row in shown):
            raise InputError(f"The picture {image_id[:12]} is not part of a turn of this browser.")
        return self.whole.picture(image_id)

    def keep(self, run_id: str, kind: str, name: str, data: bytes, meta: Json) -> bool:
        return self.has(run_id) and self.whole.keep(run_id, kind, name, data, meta)

    def kept(self, run_id: str, kind: str) -> list[Artifact]:
        return self.whole.kept(run_id, kind) if self.has(run_id) else []

    def kept_bytes(self, run_id: str, kind: str, name: str) -> tuple[Artifact, bytes]:
        return self.whole.kept_bytes(self._run(run_id), kind, name)

    def delete_runs(self, ids: Iterable[str]) -> Deleted:
        return self.whole.delete_runs([self._run(id) for id in ids])

    def usage(self) -> Usage:
        return self.whole.usage()

    # --- comparisons ---------------------------------------------------------------------------

    def begin_comparison(self, comparison: Comparison) -> None:
        self._session(comparison.session)
        self.whole.begin_comparison(comparison)

    def comparison(self, id: str) -> Comparison:
        found = self.whole.comparison(id)
        if not self._mine(found.session):
            raise InputError("There is no such comparison. It may have been deleted.")
        return found

    def comparisons(self, session: str, limit: int = 100) -> list[Comparison]:
        return self.whole.comparisons(session, limit) if self._mine(session) else []

    def pictures_of(self, comparison: str) -> list[str]:
        return self.whole.pictures_of(self.comparison(comparison).id)

    def forget_comparison(self, comparison: str) -> None:
        self.whole.forget_comparison(self.comparison(comparison).id)

    def reveal(self, comparison: str) -> None:
        self.whole.reveal(self.comparison(comparison).id)

    def vote(self, comparison: str, outcome: str, reasons: Iterable[str] = (), waited_ms: float | None = None) -> Comparison:
        return self.whole.vote(self.comparison(comparison).id, outcome, reasons, waited_ms)

    def votes(self, session: str = "") -> list[Vote]:
        own = [session] if session else self.guests.own()
        return [vote for one in own if self._mine(one) for vote in self.whole.votes(one)]

    # --- links ---------------------------------------------------------------------------------

    def share(self, run_id: str) -> None:
        """Whoever has the link may copy this turn and those before it from now on. Raises InputError for sealed ones, too."""
        self._thread(run_id)
        with self.store.write() as db:
            rows.add(db, "shares", {"run_id": self._run(run_id), "shared_at": rows.now()})

    def open_shared(self, run_id: str) -> str:
        """A session of the visitor's own that holds copies of a shared turn and those before it."""
        if not self.store.read("SELECT 1 FROM shares WHERE run_id = ?", [run_id]):
            raise InputError(f"There is no run {run_id!r}. It may have been deleted, or its link was not made with Link.")
        turns = self._thread(run_id)
        session, before = self.new_session(client="browser"), None
        for turn in turns:
            before = self._copy(turn.id, session, before)
        self.whole.set_current(session, before)
        return session

    def _thread(self, run_id: str) -> list[RunRow]:
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
            found = "SELECT ?, question, answer FROM run_search WHERE run_id = ?"
            db.execute(f"INSERT INTO run_search (run_id, question, answer) {found}", [copy["id"], run_id])
        return copy["id"]

    # --- whose ---------------------------------------------------------------------------------

    def _mine(self, session: str) -> bool:
        found = self.store.read("SELECT owner FROM sessions WHERE id = ?", [session])
        return bool(found) and self._holds(found[0]["owner"], session)

    def _holds(self, owner: str | None, session: str | None) -> bool:
        if owner == PROGRAM:
            return session in self.guests.named()
        return owner is not None and owner == self.guests.here()

    def _session(self, id: str) -> str:
        """The id itself. Raises InputError where that session is not the visitor's. A program's is, once it is named."""
        found = self.store.read("SELECT owner FROM sessions WHERE id = ?", [id])
        if found and found[0]["owner"] == PROGRAM:
            self.guests.name(id)
        if not self._mine(id):
            raise InputError(f"There is no session {id!r}. It may have been deleted; reload the page to begin a new one.")
        return id

    def has(self, run_id: str) -> bool:
        """Whether that turn is this visitor's."""
        found = self.store.read(_OWNER, [run_id])
        return bool(found) and self._holds(found[0]["owner"], found[0]["session"])

    def _run(self, run_id: str) -> str:
        if not self.has(run_id):
            raise InputError(f"There is no run {run_id!r}. It may have been deleted.")
        return run_id
