"""Runs in the log: one in full, a conversation, what a search finds, ratings, pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from model.checkpoint import Checkpoint
from model.errors import InputError, PictureError
from model.options import Options
from model.pictures import open_picture
from model.prompt import ImagePart, Message, Prompt
from panels.base.records import Deleted, RunRecord, RunRow
from studies.comparison import LETTERS

from . import cleanup, rows, search
from .access import LogPart
from .sealing import SEALED, VEIL, WRITING, in_order, run_row
from .store import Store

RATER = "local"
MAX_THREAD = 10_000

_COLUMNS = f"""
    SELECT r.id, r.session_id AS session, r.parent_run_id, r.group_id AS "group", r.panel,
        r.checkpoint_id, c.name AS checkpoint,
        q.text AS question, a.text AS answer, r.status, r.error, coalesce(k.created_at, r.started_at) AS started_at,
        r.prompt_tokens, r.visual_tokens, r.new_tokens, r.prefill_ms + r.decode_ms AS model_ms, t.value AS rating, t.note,
        k.id IS NOT NULL AS sealed, {WRITING} AS writing,
        (SELECT json_group_array(image_id) FROM
            (SELECT image_id FROM message_images WHERE message_id = r.prompt_id ORDER BY position)) AS images"""
_JOINED = f"""LEFT JOIN checkpoints c ON c.id = r.checkpoint_id
    LEFT JOIN messages q ON q.id = r.prompt_id LEFT JOIN messages a ON a.id = r.answer_id
    LEFT JOIN ratings t ON t.run_id = r.id AND t.rater = '{RATER}'
    {VEIL}"""
_RUNS = f"{_COLUMNS} FROM runs r {_JOINED}"
_DETAILS = "SELECT r.*, c.spec, c.weights FROM runs r JOIN checkpoints c ON c.id = r.checkpoint_id"
_SIBLINGS = """SELECT o.id FROM runs r JOIN runs o ON o.session_id = r.session_id AND o.parent_run_id IS r.parent_run_id
    AND o.panel = r.panel WHERE r.id = ? ORDER BY o.started_at, o.rowid"""


class TurnLog(LogPart):
    """Runs, which are the turns of chats, the columns of comparisons, and replays."""

    def run(self, run_id: str) -> RunRecord:
        """A call as it was, with its pictures opened. Raises InputError for one of a sealed comparison, too."""
        missing = _missing(run_id)
        row = run_row(self._one(f"{_RUNS} WHERE r.id = ?", [self.access.run(run_id)], missing))
        if row.sealed:
            raise InputError(SEALED)
        more = self._one(f"{_DETAILS} WHERE r.id = ?", [run_id], missing)
        prompt, notes = self._prompt(more)
        versions = json.loads(more["versions"] or "{}")
        return RunRecord(
            row=row,
            prompt=prompt,
            checkpoint=Checkpoint.from_json(more["spec"]),
            weights=versions.get("weights") or more["weights"] or "",
            options=Options.from_json(json.loads(more["options"] or "{}"), logged=True),
            tokens=rows.tokens_from(json.loads(more["tokens"] or "[]")),
            reason=more["finish_reason"],
            reused_tokens=more["reused_tokens"],
            cached_images=more["cached_images"],
            queued_ms=more["queued_ms"],
            prefill_ms=more["prefill_ms"],
            decode_ms=more["decode_ms"],
            siblings=tuple(turn["id"] for turn in self.store.read(_SIBLINGS, [run_id])) or (run_id,),
            versions=versions,
            warnings=tuple(json.loads(more["warnings"] or "[]")),
            notes=notes,
        )

    def thread(self, run_id: str) -> list[RunRow]:
        """The turns from the first of the conversation to this one."""
        if not self.access.sees_run(run_id):
            return []
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
        if not self.access.sees_session(session):
            return []
        sql = f"{_RUNS} WHERE r.session_id = ? AND r.parent_run_id IS ? AND r.panel = ? ORDER BY r.started_at, r.rowid"
        return [run_row(row) for row in self.store.read(sql, [session, parent_run_id, panel])]

    def group(self, group: str) -> list[RunRow]:
        """The calls of one comparison, in time order."""
        found = self.store.read(f"{_RUNS} WHERE r.group_id = ? ORDER BY r.started_at, r.rowid", [group])
        return in_order(run_row(row) for row in found if self.access.sees_run(row["id"]))

    def search(self, query: str = "", *, checkpoint: str = "", panel: str = "", since: str = "", until: str = "",
               rating: int | None = None, status: str = "", limit: int = 100) -> list[RunRow]:  # fmt: skip
        """The runs with all these words, newest first.

        A word finds those that begin with it, in question or answer. `checkpoint` is a name or an id. `since` and
        `until` are dates or times and include what they name. `rating` 0 finds what nobody rated, too. A blind comparison
        is found when all its columns have ended.
        """
        wanted = {"checkpoint": checkpoint, "panel": panel, "status": status, "rating": rating, "session": self.access.only()}
        match = search.expression(query, wanted)
        if match is None:
            return []
        index = "run_search_fts x CROSS JOIN run_search s ON s.id = x.rowid" if match else "run_search s"
        params = {
            "match": match,
            "since": search.first_moment(since),
            "until": search.last_moment(until),
            "limit": limit + len(LETTERS) - 1,  # columns of a sealed comparison began together: none is cut off for its place
        }
        place = "x.rowid" if match else "s.id"
        found = self.store.read(
            f"""{_COLUMNS} FROM {index} CROSS JOIN runs r ON r.id = s.run_id {_JOINED}
            WHERE {"run_search_fts MATCH :match AND" if match else ""} {place} >= :since AND {place} <= :until AND NOT {WRITING}
            ORDER BY {place} DESC LIMIT :limit""",
            params,
        )
        return in_order(map(run_row, found), newest_first=True)[:limit]

    def rate(self, run_id: str, value: int, note: str = "") -> None:
        """Rates a run -1, 0 or 1; the last rating counts."""
        if value not in (-1, 0, 1):
            raise InputError(f"A rating is -1, 0 or 1, not {value!r}.")
        self.access.run(run_id)
        with self.store.write() as db:
            self._one("SELECT id FROM runs WHERE id = ?", [run_id], _missing(run_id))
            db.execute("DELETE FROM ratings WHERE run_id = ? AND rater = ?", [run_id, RATER])
            rows.add(db, "ratings", {"run_id": run_id, "rater": RATER, "value": value, "note": note, "rated_at": rows.now()})

    def delete_runs(self, ids: Iterable[str]) -> Deleted:
        """Deletes these runs, and the messages and pictures that nothing else refers to."""
        return cleanup.delete_runs(self.store, [self.access.run(id) for id in ids])

    def picture(self, image_id: str) -> ImagePart:
        """A picture of the log, opened. Raises PictureError where its file is gone or damaged."""
        found = self.store.read("SELECT source FROM images WHERE id = ?", [self.access.picture(image_id)])
        return _opened(self.store, image_id, found[0]["source"] or "" if found else "")

    def _prompt(self, run: Mapping[str, Any]) -> tuple[Prompt, tuple[str, ...]]:
        """The prompt of a row of `runs`, and sentences about pictures that had to be left out."""
        messages = conversation(self.store, run["prompt_id"])
        shown = json.dumps(list(dict.fromkeys(image for message in messages for image in message.images)))
        sources = self.store.read("SELECT id, source FROM images WHERE id IN (SELECT value FROM json_each(?))", [shown])
        names = {row["id"]: row["source"] or "" for row in sources}
        pictures: dict[str, ImagePart] = {}
        notes = []
        for image in json.loads(shown):
            try:
                pictures[image] = _opened(self.store, image, names.get(image, ""))
            except PictureError as error:
                notes.append(f"{error} It is left out of the question shown here.")
        turns = tuple(Message(message.role, _parts(message.parts, pictures)) for message in messages)
        return Prompt(turns, run["answer_prefix"] or "", tuple(json.loads(run["answer_tokens"] or "[]"))), tuple(notes)


def conversation(store: Store, message_id: str | None) -> list[rows.MessageRow]:
    """The messages from the first to that one."""
    found = store.read(
        """WITH RECURSIVE line(id, depth) AS (
            SELECT ?, 0 UNION ALL
            SELECT messages.parent_id, depth + 1 FROM line JOIN messages ON messages.id = line.id
            WHERE messages.parent_id IS NOT NULL)
        SELECT m.id, m.parent_id, m.role, m.parts FROM line JOIN messages m ON m.id = line.id ORDER BY line.depth DESC""",
        [message_id],
    )
    return [rows.MessageRow(row["id"], row["parent_id"], row["role"], tuple(json.loads(row["parts"]))) for row in found]


def _opened(store: Store, image_id: str, name: str) -> ImagePart:
    try:
        with store.blobs.open(image_id) as file:
            part = open_picture(file.read(), name).part
    except OSError as error:
        raise PictureError(f"The picture {image_id[:12]} is no longer in the data folder. Add it again.") from error
    if part.id != image_id:
        raise PictureError(f"The file of the picture {image_id[:12]} has changed in the data folder. Add it again.")
    return part


def _parts(parts: Iterable[rows.Part], pictures: Mapping[str, ImagePart]) -> tuple[str | ImagePart, ...]:
    """A message's parts with their pictures, less those that are missing."""
    kept = (part for part in parts if isinstance(part, str) or part["image"] in pictures)
    return tuple(part if isinstance(part, str) else replace(pictures[part["image"]], time_s=part.get("time_s")) for part in kept)


def _missing(run_id: str) -> str:
    return f"There is no run {run_id!r}. It may have been deleted."
