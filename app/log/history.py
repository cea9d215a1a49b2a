"""Reading the session log back, for panels: sessions, turns, branches, search, ratings.

`History` never changes what was said. What it deletes is decided in `cleanup`; writing is the recorder's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from model.checkpoint import Checkpoint
from model.errors import InputError, PictureError
from model.options import Options
from model.pictures import open_picture
from model.prompt import ImagePart, Message, Prompt
from model.recorder import new_id
from panels.base.records import Artifact, Deleted, Json, RunRecord, RunRow, Session, Usage
from studies.comparison import Comparison, Vote

from . import artifacts, cleanup, comparisons, rows, search
from .comparisons import SEALED, VEIL, WRITING
from .past import in_order, run_row, session_row
from .store import Store
from .trials import Trials

RATER = "local"
MAX_THREAD = 10_000

_RUNS = f"""
    SELECT r.id, r.session_id AS session, r.parent_run_id, r.group_id AS "group", r.panel,
        r.checkpoint_id, c.name AS checkpoint,
        q.text AS question, a.text AS answer, r.status, r.error, coalesce(k.created_at, r.started_at) AS started_at,
        r.prompt_tokens, r.visual_tokens, r.new_tokens, r.prefill_ms + r.decode_ms AS model_ms, t.value AS rating, t.note,
        k.id IS NOT NULL AS sealed, {WRITING} AS writing,
        (SELECT json_group_array(image_id) FROM
            (SELECT image_id FROM message_images WHERE message_id = r.prompt_id ORDER BY position)) AS images
    FROM runs r LEFT JOIN checkpoints c ON c.id = r.checkpoint_id
    LEFT JOIN messages q ON q.id = r.prompt_id LEFT JOIN messages a ON a.id = r.answer_id
    LEFT JOIN ratings t ON t.run_id = r.id AND t.rater = '{RATER}'
    {VEIL}"""
_DETAILS = "SELECT r.*, c.spec, c.weights FROM runs r JOIN checkpoints c ON c.id = r.checkpoint_id"
_HAS_WORDS = """r.id IN (SELECT run_id FROM run_search WHERE id IN
    (SELECT rowid FROM run_search_fts WHERE run_search_fts MATCH :words))"""
_IN_SESSIONS = """coalesce(r.session_id, (SELECT f.session_id FROM runs f WHERE f.id = r.group_id))
    IN (SELECT value FROM json_each(:sessions))"""
_SESSIONS = """
    SELECT s.id, s.name, s.started_at, s.ended_at, s.app_version, s.client, s.current_run_id, s.settings,
        (SELECT count(*) FROM runs WHERE session_id = s.id) AS runs,
        coalesce((SELECT max(started_at) FROM runs WHERE session_id = s.id), s.started_at) AS last_at,
        (SELECT q.text FROM runs r JOIN messages q ON q.id = r.prompt_id WHERE r.session_id = s.id
            ORDER BY r.started_at LIMIT 1) AS question
    FROM sessions s"""


class History:
    """The log as a person looks back at it. Every method may be called from any thread.

    Raises InputError for ids that are not in the log, and LogError where it cannot be read.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def sessions(self, limit: int = 100) -> list[Session]:
        """The sessions, the one used last first."""
        found = self.store.read(f"{_SESSIONS} ORDER BY last_at DESC, s.rowid DESC LIMIT ?", [limit])
        return [session_row(row) for row in found]

    def session(self, id: str) -> Session:
        return session_row(
            self._one(f"{_SESSIONS} WHERE s.id = ?", [id], f"There is no session {id!r}. It may have been deleted.")
        )

    def new_session(self, name: str = "", client: str = "") -> str:
        """The id of a session that begins now."""
        id = new_id()
        with self.store.write() as db:
            rows.add(db, "sessions", {"id": id, "started_at": rows.now(), "name": name, "client": client})
        return id

    def rename(self, session: str, name: str) -> None:
        self._change_session(session, {"name": name})

    def keep_settings(self, session: str, settings: Json) -> None:
        """Replaces what the session remembers of its settings. Plain JSON values only."""
        self._change_session(session, {"settings": rows.to_json(dict(settings))})

    def current(self, session: str) -> str | None:
        """The run the chat stands at, None at the start or for a session that is not in the log."""
        found = self.store.read("SELECT current_run_id FROM sessions WHERE id = ?", [session])
        return found[0]["current_run_id"] if found else None

    def set_current(self, session: str, run_id: str | None) -> None:
        """Moves the chat to that turn, or to the start."""
        if run_id is not None:
            self._one(
                "SELECT id FROM runs WHERE id = ? AND session_id = ?",
                [run_id, session],
                f"There is no run {run_id!r} in this session. It may have been deleted; choose another turn.",
            )
        self._change_session(session, {"current_run_id": run_id})

    def run(self, run_id: str) -> RunRecord:
        """A call as it was, with its pictures opened. Raises InputError for one of a sealed comparison, too."""
        missing = f"There is no run {run_id!r}. It may have been deleted."
        row = run_row(self._one(f"{_RUNS} WHERE r.id = ?", [run_id], missing))
        if row.sealed:
            raise InputError(SEALED)
        more = self._one(f"{_DETAILS} WHERE r.id = ?", [run_id], missing)
        prompt, notes = self._prompt(more)
        versions = json.loads(more["versions"] or "{}")
        siblings = self.children(row.session, row.parent_run_id, row.panel)
        return RunRecord(
            row=row,
            prompt=prompt,
            checkpoint=Checkpoint.from_json(more["spec"]),
            weights=versions.get("weights") or more["weights"] or "",
            options=Options(**json.loads(more["options"] or "{}")),
            tokens=rows.tokens_from(json.loads(more["tokens"] or "[]")),
            reason=more["finish_reason"],
            reused_tokens=more["reused_tokens"],
            cached_images=more["cached_images"],
            queued_ms=more["queued_ms"],
            prefill_ms=more["prefill_ms"],
            decode_ms=more["decode_ms"],
            siblings=tuple(turn.id for turn in siblings) or (run_id,),
            versions=versions,
            notes=notes,
        )

    def thread(self, run_id: str) -> list[RunRow]:
        """The turns from the first of the conversation to this one."""
        found = self.store.read(
            f"""WITH RECURSIVE line(id, depth) AS (
                SELECT ?, 0 UNION ALL
                SELECT runs.parent_run_id, depth + 1 FROM line JOIN runs ON runs.id = line.id
                WHERE runs.parent_run_id IS NOT NULL AND depth < {MAX_THREAD})
            {_RUNS} JOIN line ON line.id = r.id ORDER BY line.depth DESC""",
            [run_id],
        )
        return [run_row(row) for row in found]

    def children(self, session: str, parent_run_id: str | None, panel: str = "chat") -> list[RunRow]:
        """The turns that follow that one, or that begin the session where it is None, in time order."""
        sql = f"{_RUNS} WHERE r.session_id = ? AND r.parent_run_id IS ? AND r.panel = ? ORDER BY r.started_at, r.rowid"
        return [run_row(row) for row in self.store.read(sql, [session, parent_run_id, panel])]

    def group(self, group: str) -> list[RunRow]:
        """The calls of one comparison, in time order."""
        found = self.store.read(f"{_RUNS} WHERE r.group_id = ? ORDER BY r.started_at, r.rowid", [group])
        return in_order(map(run_row, found))

    def search(self, query: str = "", *, checkpoint: str = "", panel: str = "", since: str = "", until: str = "",
               rating: int | None = None, status: str = "", limit: int = 100,
               sessions: Sequence[str] | None = None) -> list[RunRow]:  # fmt: skip
        """The runs with all these words, newest first.

        A word finds those that begin with it, in question or answer. `checkpoint` is a name or an id. `since` and
        `until` are dates or times and include what they name. `rating` 0 finds what nobody rated, too. `sessions` are the only
        ones to be searched, with replays of their turns. A blind comparison is found when all its columns have ended.
        """
        wanted = {
            _HAS_WORDS: search.words(query),
            "(c.name = :checkpoint OR c.id = :checkpoint) AND k.id IS NULL": checkpoint,
            "r.panel = :panel": panel,
            "r.started_at >= :since AND coalesce(k.created_at, '~') >= :since": search.moment(since),
            "coalesce(k.created_at, r.started_at) <= :until || '~'": search.moment(until),  # '~' sorts after all that may follow
            "coalesce(t.value, 0) = :rating": rating,
            "r.status = :status": status,
            _IN_SESSIONS: None if sessions is None else json.dumps(list(sessions)),
        }
        where = " AND ".join(clause for clause, value in wanted.items() if value not in ("", None)) or "1"
        names = ("words", "checkpoint", "panel", "since", "until", "rating", "status", "sessions")
        params = {name: rows.clean(value) for name, value in zip(names, wanted.values(), strict=True)}
        sql = f"{_RUNS} WHERE {where} AND NOT {WRITING} ORDER BY r.started_at DESC, r.rowid DESC LIMIT :limit"
        more = comparisons.sealed_runs(self.store)  # they may have begun later than they say
        found = self.store.read(sql, params | {"limit": limit + more})
        return in_order(map(run_row, found), newest_first=True)[:limit]

    def rate(self, run_id: str, value: int, note: str = "") -> None:
        """Rates a run -1, 0 or 1; the last rating counts."""
        if value not in (-1, 0, 1):
            raise InputError(f"A rating is -1, 0 or 1, not {value!r}.")
        with self.store.write() as db:
            self._one("SELECT id FROM runs WHERE id = ?", [run_id], f"There is no run {run_id!r}. It may have been deleted.")
            db.execute("DELETE FROM ratings WHERE run_id = ? AND rater = ?", [run_id, RATER])
            rows.add(db, "ratings", {"run_id": run_id, "rater": RATER, "value": value, "note": note, "rated_at": rows.now()})

    def picture(self, image_id: str) -> ImagePart:
        """A picture of the log, opened. Raises PictureError where its file is gone or damaged."""
        found = self.store.read("SELECT source FROM images WHERE id = ?", [image_id])
        try:
            with self.store.blobs.open(image_id) as file:
                part = open_picture(file.read(), found[0]["source"] or "" if found else "").part
        except OSError as error:
            raise PictureError(f"The picture {image_id[:12]} is no longer in the data folder. Add it again.") from error
        if part.id != image_id:
            raise PictureError(f"The file of the picture {image_id[:12]} has changed in the data folder. Add it again.")
        return part

    def keep(self, run_id: str, kind: str, name: str, data: bytes, meta: Json) -> bool:
        """Keeps bytes with a run, in place of what had that name; False where the run is gone or holds too many."""
        return artifacts.keep(self.store, (run_id, kind, name), data, artifacts.MEDIA_TYPE, meta)

    def kept(self, run_id: str, kind: str) -> list[Artifact]:
        """What is kept of a run, the oldest first; nothing of one of a sealed comparison."""
        return [] if comparisons.is_sealed(self.store, run_id) else artifacts.listed(self.store, run_id, kind)

    def kept_bytes(self, run_id: str, kind: str, name: str) -> tuple[Artifact, bytes]:
        """One thing kept of a run, with its bytes. Raises InputError for one of a sealed comparison, too."""
        if comparisons.is_sealed(self.store, run_id):
            raise InputError(SEALED)
        return artifacts.one(self.store, run_id, kind, name)

    def begin_comparison(self, comparison: Comparison) -> None:
        """Writes a comparison down before its columns are asked, each as a run with its id as the group."""
        comparisons.begin(self.store, comparison)

    def comparison(self, id: str) -> Comparison:
        return comparisons.one(self.store, id)

    def comparisons(self, session: str, limit: int = 100) -> list[Comparison]:
        """The comparisons of a session, the newest first."""
        return comparisons.of_session(self.store, session, limit)

    def pictures_of(self, comparison: str) -> list[str]:
        """The sha256 of the pictures its columns were asked about, as large as any got them."""
        return comparisons.pictures(self.store, comparison)

    def forget_comparison(self, comparison: str) -> None:
        """Takes a comparison out again of which no column was asked; any other stays."""
        cleanup.drop_unasked(self.store, comparison)

    def reveal(self, comparison: str) -> None:
        """Tells from now on which column was which."""
        comparisons.reveal(self.store, comparison)

    def vote(self, comparison: str, outcome: str, reasons: Iterable[str] = (), waited_ms: float | None = None) -> Comparison:
        """Votes, and reveals. A blind vote is final; on an open comparison the last one counts."""
        return comparisons.vote(self.store, comparison, outcome, tuple(reasons), waited_ms)

    def votes(self, session: str = "") -> list[Vote]:
        """All votes, or those of one session, the oldest first."""
        return comparisons.votes(self.store, session)

    @property
    def trials(self) -> Trials:
        """What studies wrote down."""
        return Trials(self.store)

    def delete_runs(self, ids: Iterable[str]) -> Deleted:
        """Deletes these runs, and the messages and pictures that nothing else refers to."""
        return cleanup.delete_runs(self.store, list(ids))

    def delete_session(self, id: str) -> Deleted:
        """Deletes a session with its runs, and the messages and pictures that nothing else refers to."""
        return cleanup.delete_session(self.store, id)

    def usage(self) -> Usage:
        """How much the log holds."""
        return cleanup.usage(self.store)

    def messages(self, message_id: str | None) -> list[rows.MessageRow]:
        """The conversation that ends with that message."""
        found = self.store.read(
            """WITH RECURSIVE line(id, depth) AS (
                SELECT ?, 0 UNION ALL
                SELECT messages.parent_id, depth + 1 FROM line JOIN messages ON messages.id = line.id
                WHERE messages.parent_id IS NOT NULL)
            SELECT m.id, m.parent_id, m.role, m.parts FROM line JOIN messages m ON m.id = line.id ORDER BY line.depth DESC""",
            [message_id],
        )
        return [rows.MessageRow(row["id"], row["parent_id"], row["role"], tuple(json.loads(row["parts"]))) for row in found]

    def _prompt(self, run: Mapping[str, Any]) -> tuple[Prompt, tuple[str, ...]]:
        """The prompt of a row of `runs`, and sentences about pictures that had to be left out."""
        messages = self.messages(run["prompt_id"])
        pictures: dict[str, ImagePart] = {}
        notes = []
        for image in dict.fromkeys(image for message in messages for image in message.images):
            try:
                pictures[image] = self.picture(image)
            except PictureError as error:
                notes.append(f"{error} It is left out of the question shown here.")
        turns = tuple(Message(message.role, _parts(message.parts, pictures)) for message in messages)
        return Prompt(turns, run["answer_prefix"] or "", tuple(json.loads(run["answer_tokens"] or "[]"))), tuple(notes)

    def _change_session(self, session: str, row: Mapping[str, Any]) -> None:
        with self.store.write() as db:
            if not rows.change(db, "sessions", session, row):
                raise InputError(f"There is no session {session!r}. It may have been deleted; begin a new one.")

    def _one(self, sql: str, params: list[Any], missing: str) -> dict[str, Any]:
        found = self.store.read(sql, params)
        if not found:
            raise InputError(missing)
        return found[0]


def _parts(parts: Iterable[rows.Part], pictures: Mapping[str, ImagePart]) -> tuple[str | ImagePart, ...]:
    """A message's parts with their pictures, less those that are missing."""
    kept = (part for part in parts if isinstance(part, str) or part["image"] in pictures)
    return tuple(part if isinstance(part, str) else replace(pictures[part["image"]], time_s=part.get("time_s")) for part in kept)
