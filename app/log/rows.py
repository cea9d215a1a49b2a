"""The core's types as rows, and back. Nothing here opens a database or begins a transaction."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sqlite_utils import Database

from model.checkpoint import Checkpoint
from model.events import Alternative, Token
from model.prompt import ImagePart, Message, Role

Part = str | dict[str, Any]
"""A part of a message in JSON: text, or {"image": sha256} with "time_s" on frames of a video."""


def now() -> str:
    """This moment in UTC, ISO-8601 with microseconds, so that it sorts as text."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def to_json(value: Any) -> str:
    """JSON that people can read. Half characters, which SQLite cannot hold, stay escaped and so come back."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace").decode()


def clean(value: Any) -> Any:
    """A value SQLite can hold: half characters in a text become question marks."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def add(db: Database, table: str, row: Mapping[str, Any]) -> bool:
    """Inserts the row unless one with its key is there; says whether it did."""
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    sql = f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"
    return db.execute(sql, [clean(value) for value in row.values()]).rowcount > 0


def change(db: Database, table: str, id: str, row: Mapping[str, Any]) -> bool:
    """Sets these columns of the row with that id; says whether there is one."""
    columns = ", ".join(f"{name} = ?" for name in row)
    return db.execute(f"UPDATE {table} SET {columns} WHERE id = ?", [*map(clean, row.values()), id]).rowcount > 0


@dataclass(frozen=True)
class MessageRow:
    """A message in its place in a conversation. `id` is a hash of all that leads to it and of itself."""

    id: str
    parent_id: str | None
    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> tuple[str, ...]:
        """The sha256 of its pictures, in order."""
        return tuple(part["image"] for part in self.parts if not isinstance(part, str))

    def write(self, db: Database) -> None:
        """Adds the message, whose parent and pictures must be there."""
        row = {"id": self.id, "parent_id": self.parent_id, "role": self.role, "text": self.text, "parts": to_json(self.parts)}
        if add(db, "messages", row):
            for position, image in enumerate(self.images):
                add(db, "message_images", {"message_id": self.id, "position": position, "image_id": image})


def chain(turns: Iterable[tuple[Role, Sequence[Part]]], parent_id: str | None = None) -> tuple[MessageRow, ...]:
    """The rows of a conversation's (role, parts), each the parent of the next."""
    rows: list[MessageRow] = []
    for role, parts in turns:
        content = json.dumps([parent_id, role, list(parts)], sort_keys=True)
        parent, parent_id = parent_id, hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        rows.append(MessageRow(parent_id, parent, role, tuple(parts)))
    return tuple(rows)


def write_chain(db: Database, messages: Sequence[MessageRow]) -> None:
    """Adds a conversation's messages. Where one is there, so is all that leads to it."""
    missing = []
    for message in reversed(messages):
        if db.execute("SELECT 1 FROM messages WHERE id = ?", [message.id]).fetchone():
            break
        missing.append(message)
    for message in reversed(missing):
        message.write(db)


def parts_of(message: Message) -> tuple[Part, ...]:
    """A message's parts in JSON."""
    return tuple(part if isinstance(part, str) else _image(part) for part in message.parts)


def image_row(part: ImagePart) -> dict[str, Any]:
    """The picture's row. Its `source` is what the file was called when it was first seen."""
    width, height = part.image.size
    return {"id": part.id, "media_type": part.media_type, "width": width, "height": height,
            "size_bytes": len(part.data), "source": part.name, "time_s": part.time_s}  # fmt: skip


def checkpoint_row(checkpoint: Checkpoint) -> dict[str, Any]:
    """The checkpoint's row as far as its spec tells; loading it tells more."""
    return {"id": checkpoint.id, "name": checkpoint.name, "family": checkpoint.family or "", "source": checkpoint.source,
            "revision": checkpoint.revision, "device": checkpoint.device, "dtype": checkpoint.dtype,
            "quantization": checkpoint.quantization, "attention": checkpoint.attention,
            "spec": checkpoint.to_json(), "first_seen_at": now()}  # fmt: skip


def token_rows(tokens: Iterable[Token]) -> list[list[Any]]:
    """[[id, logprob, text, [[id, text, logprob], ...], given], ...]; a logprob of minus infinity is null."""
    return [
        [t.id, _finite(t.logprob), t.text, [[a.id, a.text, _finite(a.logprob)] for a in t.alternatives], t.given] for t in tokens
    ]


def tokens_from(rows: Iterable[Sequence[Any]]) -> tuple[Token, ...]:
    """The tokens that `token_rows` wrote down."""
    return tuple(
        Token(index, id, text, _logprob(logprob), tuple(Alternative(i, t, _logprob(p)) for i, t, p in alternatives), given)
        for index, (id, logprob, text, alternatives, given) in enumerate(rows)
    )


def _image(part: ImagePart) -> dict[str, Any]:
    return {"image": part.id} if part.time_s is None else {"image": part.id, "time_s": float(part.time_s)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _logprob(value: float | None) -> float:
    return -math.inf if value is None else value
