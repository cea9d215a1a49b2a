"""Logs as older programs left them, one for each migration."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlite_utils
from store_fixtures import TINY

from app.log.schema import migrations
from app.log.store import FILE

with sqlite_utils.Database(memory=True) as empty:
    NAMES = [migration.name for migration in migrations.pending(empty)]


def old_log(root: Path, before: str) -> None:
    """A log as it was before that migration, with a conversation of two turns, a fork and a comparison in it."""
    db = sqlite_utils.Database(sqlite3.connect(root / FILE, isolation_level=None))
    migrations.apply(db, stop_before=before)
    db.execute("INSERT INTO sessions (id, started_at, name) VALUES ('s', '2025-01-01T00:00:00+00:00', 'Old')")
    db.execute(
        "INSERT INTO checkpoints (id, name, family, source, spec) VALUES (?, 'tiny', 'llava', 'x', ?)", [TINY.id, TINY.to_json()]
    )
    said = [("q1", None, "user", "What animal?"), ("a1", "q1", "assistant", "A cat"), ("q2", "a1", "user", "What colour?"),
            ("a2", "q2", "assistant", "Black"), ("a3", "q2", "assistant", "White")]  # fmt: skip
    for id, parent, role, text in said:
        db.execute(
            "INSERT INTO messages (id, parent_id, role, text, parts) VALUES (?, ?, ?, ?, ?)",
            [id, parent, role, text, f'["{text}"]'],
        )
    calls = [("first", "q1", "a1", "chat", 1), ("second", "q2", "a2", "chat", 2), ("fork", "q2", "a3", "chat", 3),
             ("again", "q1", "a1", "compare", 4)]  # fmt: skip
    for id, question, answer, panel, minute in calls:
        values = [id, TINY.id, panel, question, answer, f"2025-01-01T00:0{minute}:00+00:00"]
        db.execute(
            "INSERT INTO runs (id, session_id, checkpoint_id, panel, prompt_id, answer_id, status, started_at)"
            " VALUES (?, 's', ?, ?, ?, ?, 'done', ?)",
            values,
        )
    db.execute("INSERT INTO ratings (run_id, rater, value) VALUES ('second', 'local', 1)")
    db.close()
