"""What the recorder is told, as rows ready to be written: a checkpoint loaded, a call begun, a call ended.

A record is made when the core reports and may be written much later, when the disk has room again. It
holds file bytes and no decoded pixels. Writing one twice changes nothing.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlite_utils import Database

from model.recorder import CallEnd, CallStart, Loaded

from . import rows
from .blobs import Blobs

logger = logging.getLogger(__name__)


class Record(Protocol):
    """Something to be written in one transaction."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """Files that go along, by sha256."""

    def write(self, db: Database, blobs: Blobs) -> None: ...


@dataclass(frozen=True)
class LoadedRecord:
    """What a checkpoint turned out to be."""

    loaded: Loaded
    files: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, db: Database, blobs: Blobs) -> None:
        loaded = self.loaded
        found = {"family": loaded.family, "device": loaded.device, "dtype": loaded.dtype,
                 "parameters": loaded.parameters, "weights": loaded.weights}  # fmt: skip
        if not rows.change(db, "checkpoints", loaded.checkpoint.id, found):
            rows.add(db, "checkpoints", rows.checkpoint_row(loaded.checkpoint) | found)


@dataclass(frozen=True)
class StartRecord:
    """A call that has begun: its checkpoint, pictures and messages, and the run."""

    run: dict[str, Any]
    checkpoint: dict[str, Any]
    images: tuple[dict[str, Any], ...]
    messages: tuple[rows.MessageRow, ...]
    versions: Mapping[str, str]
    files: Mapping[str, bytes] = field(repr=False)

    def write(self, db: Database, blobs: Blobs) -> None:
        for data in self.files.values():
            blobs.put(data)
        for image in self.images:
            rows.add(db, "images", image)
        rows.write_chain(db, self.messages)
        rows.add(db, "checkpoints", self.checkpoint)
        if self.run["session_id"]:
            rows.add(db, "sessions", {"id": self.run["session_id"], "started_at": self.run["started_at"]})
        weights = db.execute("SELECT weights FROM checkpoints WHERE id = ?", [self.checkpoint["id"]]).fetchone()[0]
        versions = {**self.versions, **({"weights": weights} if weights else {})}
        rows.add(db, "runs", self.run | {"parent_run_id": self._parent(db), "versions": rows.to_json(versions)})

    def _parent(self, db: Database) -> str | None:
        """The call this one follows: the one that gave the answer its last question builds on.

        Where several calls gave that answer, one of the same panel, the turn the chat stands at, one of
        the same checkpoint, and the latest are preferred, in this order.
        """
        answer = next((message.parent_id for message in reversed(self.messages) if message.role == "user"), None)
        found = db.execute(
            """SELECT runs.id FROM runs JOIN sessions ON sessions.id = runs.session_id
            WHERE runs.session_id = :session_id AND runs.answer_id = :answer
            ORDER BY runs.panel = :panel DESC, runs.id IS sessions.current_run_id DESC,
                runs.checkpoint_id = :checkpoint_id DESC, runs.started_at DESC, runs.rowid DESC LIMIT 1""",
            {"answer": answer, **{name: rows.clean(self.run[name]) for name in ("session_id", "panel", "checkpoint_id")}},
        ).fetchone()
        return found[0] if found else None


@dataclass(frozen=True)
class EndRecord:
    """How a call ended: its answer and what it took. Nothing is written for a call that is not in the log."""

    id: str
    answer: str | None
    changes: dict[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, db: Database, blobs: Blobs) -> None:
        run = db.execute("SELECT prompt_id, session_id, panel FROM runs WHERE id = ?", [self.id]).fetchone()
        if run is None:
            logger.debug("Run %s ended but is not in the log; it was deleted.", self.id)
            return
        prompt_id, session_id, panel = run
        answer = rows.chain([("assistant", (self.answer,))], prompt_id) if self.answer is not None else ()
        rows.write_chain(db, answer)
        rows.change(db, "runs", self.id, self.changes | {"answer_id": answer[0].id if answer else None})
        if panel == "chat" and session_id:
            rows.change(db, "sessions", session_id, {"current_run_id": self.id})


def begun(call: CallStart, versions: Mapping[str, str]) -> StartRecord:
    """The record of a call that begins now, in this process."""
    messages = rows.chain((m.role, rows.parts_of(m)) for m in call.prompt.messages)
    run = {"id": call.run_id, "session_id": call.session or None, "checkpoint_id": call.checkpoint.id, "panel": call.panel,
           "group_id": call.group or None, "prompt_id": messages[-1].id if messages else None,
           "answer_prefix": call.prompt.answer_prefix, "answer_tokens": rows.to_json(call.prompt.answer_tokens),
           "status": "running", "options": rows.to_json(call.options.to_json()), "started_at": rows.now(),
           "pid": os.getpid(), "host": socket.gethostname()}  # fmt: skip
    images = {part.id: part for part in call.prompt.images}
    return StartRecord(
        run,
        rows.checkpoint_row(call.checkpoint),
        tuple(rows.image_row(part) for part in images.values()),
        messages,
        versions,
        {part.id: part.data for part in images.values()},
    )


def ended(end: CallEnd) -> EndRecord:
    """The record of a call that ended. A failed call that said nothing has no answer."""
    answer = None if end.status == "failed" and not end.text else end.text
    changes = {"status": end.status, "error": end.error, "finish_reason": end.reason,
               "prompt_tokens": end.prompt_tokens, "reused_tokens": end.reused_tokens, "visual_tokens": end.visual_tokens,
               "cached_images": end.cached_images, "new_tokens": sum(not token.given for token in end.tokens),
               "queued_ms": end.queued_ms, "prefill_ms": end.prefill_ms, "decode_ms": end.decode_ms,
               "tokens": rows.to_json(rows.token_rows(end.tokens)),
               "warnings": rows.to_json(end.warnings) if end.warnings else None}  # fmt: skip
    return EndRecord(end.run_id, answer, changes)
