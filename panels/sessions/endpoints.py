"""`sessions_search`: the log over the API, with keyword parameters."""

from __future__ import annotations

from typing import Any

import gradio as gr

from model.errors import InputError

from ..base.bench import Bench
from ..base.endpoints import errors_as_sentences

MAX_ROWS = 1000
FIELDS = (
    "id", "session", "panel", "checkpoint", "question", "answer", "status", "error", "started_at", "rating", "note",
    "prompt_tokens", "visual_tokens", "new_tokens",
)  # fmt: skip


def add_sessions_api(bench: Bench) -> None:
    """The endpoint alone; it has no components."""

    def sessions_search(
        query: str = "", checkpoint: str = "", panel: str = "", since: str = "", until: str = "", limit: int = 100
    ) -> list[dict[str, Any]]:
        """Logged turns whose question or answer has all these words, newest first."""
        with errors_as_sentences():
            filters = {"checkpoint": checkpoint, "panel": panel, "since": since, "until": until}
            for name, value in {"query": query, **filters}.items():
                if value is not None and not isinstance(value, str):
                    raise InputError(f"{name} is {str(value)[:40]!r}. Give a text.")
            if isinstance(limit, bool) or not isinstance(limit, int):
                raise InputError(f"limit is {str(limit)[:40]!r}. Give a whole number.")
            rows = bench.history.search(
                query or "", checkpoint=checkpoint or "", panel=panel or "", since=since or "", until=until or "",
                limit=max(1, min(limit, MAX_ROWS)),
            )  # fmt: skip
        return [{name: getattr(row, name) for name in FIELDS} for row in rows]

    gr.events.api(sessions_search, api_name="sessions_search")
