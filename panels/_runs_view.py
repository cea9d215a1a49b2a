"""Logged runs as the Sessions tab shows them: a line each, one in full, two answers side by side."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from model import Finished, Token

from ._html import PictureUrls
from ._turns import image_view, meter, milliseconds


def run_line(row: Any) -> dict[str, str]:
    """A run as a line of the list, as `runs.js` takes it."""
    moment = datetime.fromisoformat(row.started_at)
    return {
        "run": row.id,
        "when": moment.astimezone().strftime("%Y-%m-%d %H:%M"),
        "checkpoint": row.checkpoint,
        "panel": row.panel,
        "question": _cut(row.question),
        "answer": _cut(row.answer),
        "status": row.status,
        "rating": {1: "good", -1: "bad"}.get(row.rating, ""),
        "tokens": f"{row.new_tokens:,}" if row.new_tokens is not None else "",
        "time": milliseconds(row.model_ms) if row.model_ms else "",
    }


def _cut(text: str, length: int = 160) -> str:
    return text if len(text) <= length else text[: length - 1] + "\u2026"


def compared(record: Any, events: list[Any]) -> dict[str, Any]:
    """The first answer's tokens beside the replay's."""
    first, second = list(record.tokens), [event for event in events if isinstance(event, Token)]
    finished = next((event for event in events if isinstance(event, Finished)), None)
    pairs = []
    for i in range(max(len(first), len(second))):
        a, b = (tokens[i] if i < len(tokens) else None for tokens in (first, second))
        pairs.append([a.text if a else "", b.text if b else "", bool(a and b and a.id == b.id)])
    same = all(pair[2] for pair in pairs)
    differing = next((i for i, pair in enumerate(pairs) if not pair[2]), None)
    stopped = " The first run was stopped early." if record.row.status == "stopped" else ""
    text = (
        f"Replayed: all {len(first)} tokens are the same."
        if same
        else f"Replayed: the answers part at token {differing + 1}.{stopped}"
    )
    return {"same": same, "text": text, "tokens": pairs, "answer": finished.text if finished else ""}


def detail_view(record: Any, urls: PictureUrls, replay: dict[str, Any] | None = None) -> dict[str, Any]:
    """One run in full, as `detail.js` takes it."""
    row, options = record.row, record.options
    decoding = (
        "greedy"
        if options.temperature == 0
        else f"temperature {options.temperature:g}, top-p {options.top_p:g}, seed {options.seed}"
    )
    facts = [
        ("run", row.id),
        ("session", row.session),
        ("when", row.started_at),
        ("panel", row.panel),
        ("state", row.status),
        ("checkpoint", record.checkpoint.to_json()),
        ("weights", record.weights[:16] or "not hashed"),
        ("decoding", decoding),
        ("ended by", record.reason or "-"),
        *((name, value) for name, value, _ in meter(record)),
        ("versions", ", ".join(f"{name} {version}" for name, version in record.versions.items() if name != "weights")),
    ]
    images = [image_view(part, urls) for part in record.prompt.images]
    return {
        "images": images,
        "question": record.prompt.messages[-1].text,
        "answer": row.answer,
        "error": row.error,
        "facts": facts,
        "replay": replay,
    }
