"""Turns of a chat as the page shows them, from the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.memory import human_bytes
from model.prompt import ImagePart, Message, Prompt
from studies.world.files import from_png

from ._html import PictureUrls

TURN_ACTIONS = [["look", "What it saw", "The pictures as they entered the encoder"]]


def conversation(records: Sequence[Any], system: str) -> tuple[Message, ...]:
    """The messages of turns already taken, with this system prompt in front."""
    messages = [Message("system", (system,))] if system.strip() else []
    for record in records:
        asked = record.prompt.messages[-1]
        messages += [asked, Message("assistant", (record.row.answer,))]
    return tuple(messages)


def turn_view(record: Any, urls: PictureUrls) -> dict[str, Any]:
    """One turn, as `transcript.js` takes it."""
    row = record.row
    asked = record.prompt.messages[-1]
    return {
        "run": row.id,
        "question": asked.text,
        "images": [image_view(part, urls) for part in asked.images],
        "notes": list(record.notes),
        "answer": row.answer,
        "status": row.status,
        "error": row.error if row.status == "failed" else "",
        "reason": record.reason,
        "checkpoint": row.checkpoint,
        "tokens": token_views(record.tokens),
        "meter": meter(record),
        "rating": row.rating,
        "siblings": list(record.siblings),
    }


def token_views(tokens: Sequence[Any]) -> list[dict[str, Any]]:
    """Tokens with their alternatives, short names: t text, p log-probability."""
    return [
        {
            "id": t.id,
            "t": t.text,
            "p": round(t.logprob, 4),
            "given": t.given,
            "alts": [[a.id, a.text, round(a.logprob, 4)] for a in t.alternatives],
        }
        for t in tokens
    ]


def image_view(part: ImagePart, urls: PictureUrls) -> dict[str, Any]:
    """One picture: its address, name and size."""
    width, height = part.image.size
    return {"url": urls.of(part), "name": part.name, "size": f"{width} x {height} px"}


def meter(record: Any) -> list[list[str]]:
    """What a turn cost: [name, value, explanation] for each figure that is known."""
    row = record.row
    found: list[list[str]] = []
    if row.visual_tokens:
        found.append(["image tokens", f"{row.visual_tokens:,}", "Tokens the pictures of the whole prompt became"])
    if row.prompt_tokens is not None:
        found.append(["prompt tokens", f"{row.prompt_tokens:,}", "Tokens of the whole prompt: pictures, earlier turns, template"])
    if record.reused_tokens:
        found.append(
            ["reused", f"{record.reused_tokens:,}", "Prompt tokens whose keys and values were kept from the turn before"]
        )
    if record.cached_images:
        found.append(["pictures from cache", str(record.cached_images), "Pictures whose encoder output was held already"])
    if record.prefill_ms is not None:
        found.append(
            ["to first token", milliseconds(record.prefill_ms), "From the start of the call to the first token's scores"]
        )
    if row.new_tokens and record.decode_ms and row.new_tokens > 1:
        rate = (row.new_tokens - 1) / record.decode_ms * 1e3
        found.append(
            [
                "tokens/s",
                f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}",
                f"{row.new_tokens} new tokens, from the first to the last",
            ]
        )
    return found


def milliseconds(value: float) -> str:
    """12.3 -> "12 ms", 1234 -> "1.2 s"."""
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def specimen_view(record: Any | None, urls: PictureUrls, note: str = "") -> dict[str, Any] | None:
    """What is on the bench, as `specimen.js` takes it: every picture of the conversation, the turn at hand."""
    if record is None:
        return None
    images = record.prompt.images
    return {
        "images": [image_view(part, urls) for part in images],
        "question": record.prompt.messages[-1].text,
        "answer": record.row.answer,
        "status": record.row.status,
        "run": record.row.id,
        "actions": [
            ["look", "What it saw", "The pictures as they entered the encoder"],
            ["find", "Find again", "Open this turn in Sessions"],
        ],
        "truth": truth(record.prompt),
        "note": note,
    }


def truth(prompt: Prompt) -> str:
    """The true answer, where the picture is a drawn scene and the question is one of those offered for it."""
    from ._scenes import suggestions

    scenes = [scene for part in prompt.images if (scene := from_png(part.data))]
    if not scenes or len(scenes) != len(prompt.images):
        return ""
    return next((q.answer for q in suggestions(scenes[-1]) if q.text == prompt.question), "")


def is_drawn(part: ImagePart) -> bool:
    """Whether a picture is one of ours, carrying its truth."""
    return from_png(part.data) is not None


def size_text(status: Any) -> str:
    """A loaded checkpoint's memory, caches included."""
    return human_bytes(status.size_bytes + status.cache_bytes)
