"""Turns of a chat as the page shows them, from the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model import Token
from model.errors import PictureError
from model.memory import human_bytes
from model.prompt import ImagePart, Message, Prompt, picture_names
from model.running.pool import CheckpointStatus

from .actions import buttons
from .components import PictureUrls
from .records import Reply, RunRecord
from .scenes import truth


def conversation(record: RunRecord | None, system: str) -> tuple[Message, ...]:
    """The messages up to and with a turn already taken; at the beginning of a chat, this system prompt.

    A chat keeps the system prompt it began with. Raises PictureError where a picture of it is gone.
    """
    if record is None:
        return (Message("system", (system,)),) if system.strip() else ()
    return (*whole(record).messages, Message("assistant", (record.row.answer,)))


def whole(record: RunRecord) -> Prompt:
    """What was asked. Raises PictureError where the log no longer has all of it."""
    if record.notes:
        raise PictureError(
            "A picture of this turn is gone from the data folder, so it cannot be asked again as it was. "
            "Begin a new chat and attach the picture."
        )
    return record.prompt


def last_asked(record: RunRecord) -> Message:
    """The question of a turn; an empty one for a run that was imported without."""
    return record.prompt.messages[-1] if record.prompt.messages else Message("user", ())


def turn_view(record: RunRecord, urls: PictureUrls) -> Reply:
    """One turn, as `transcript.js` takes it, less what can change later: its rating and its versions."""
    row = record.row
    asked = last_asked(record)
    return {
        "run": row.id,
        "question": asked.text,
        "images": image_views(asked.images, urls),
        "notes": list(record.notes),
        "warnings": list(record.warnings),
        "answer": row.answer,
        "status": row.status,
        "error": row.error if row.status == "failed" else "",
        "reason": record.reason,
        "checkpoint": row.checkpoint,
        "tokens": len(record.tokens),
        "truth": truth(record.prompt),
        "meter": meter(record),
    }


@dataclass(frozen=True)
class TokenView:
    """A token with its alternatives, in short names: `t` text, `p` log-probability; `alts` are id, text, log-probability."""

    id: int
    t: str
    p: float
    given: bool
    alts: tuple[tuple[int, str, float], ...]


def token_views(tokens: Sequence[Token]) -> list[TokenView]:
    return [
        TokenView(t.id, t.text, _json(t.logprob), t.given, tuple((a.id, a.text, _json(a.logprob)) for a in t.alternatives))
        for t in tokens
    ]


def _json(logprob: float) -> float:
    """JSON has no minus infinity; a probability of e^-999 is 0 as well."""
    return round(max(logprob, -999.0), 4)


def image_views(parts: Sequence[ImagePart], urls: PictureUrls) -> list[Reply]:
    """Pictures, each with its address, name and size. A frame of a video is named by its time."""
    return [
        {"url": urls.of(part), "name": title(part, name), "frame": part.time_s is not None, "size": size_of(part)}
        for part, name in zip(parts, picture_names(parts), strict=True)
    ]


def title(part: ImagePart, name: str) -> str:
    """What a picture is shown as: a frame by what it is called, another by the name of its file."""
    return part.name if part.time_s is None else name


def size_of(part: ImagePart) -> str:
    return "{} x {} px".format(*part.image.size)


def meter(record: RunRecord) -> list[list[str]]:
    """What a turn cost: [name, value, explanation] for each figure that is known."""
    row = record.row
    found: list[list[str]] = []
    if row.visual_tokens:
        found.append(["image tokens", f"{row.visual_tokens:,}", "Tokens the pictures of the whole prompt became"])
    if row.prompt_tokens is not None:
        found.append(["prompt tokens", f"{row.prompt_tokens:,}", "Tokens of the whole prompt: pictures, earlier turns, template"])
    if record.reused_tokens:
        why = "Prompt tokens whose keys and values were kept from the turn before"
        found.append(["reused", f"{record.reused_tokens:,}", why])
    if record.cached_images:
        name = "picture from cache" if record.cached_images == 1 else "pictures from cache"
        found.append([name, str(record.cached_images), "Pictures whose encoder output was held already"])
    if record.prefill_ms is not None:
        why = "From the start of the call to the first token's scores"
        found.append(["to first token", milliseconds(record.prefill_ms), why])
    if row.new_tokens:
        name = "new token" if row.new_tokens == 1 else "new tokens"
        found.append([name, f"{row.new_tokens:,}", "Tokens the model chose; the end of the answer is not counted"])
    if row.new_tokens and record.decode_ms and row.new_tokens > 1:
        rate = (row.new_tokens - 1) / record.decode_ms * 1e3
        found.append(["tokens/s", f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}", "From the first token to the last"])
    return found


def cut(text: str, length: int = 160) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text[: 4 * length].split())
    return line if len(line) <= length else line[: length - 1] + "\u2026"


def milliseconds(value: float) -> str:
    """12.3 -> "12 ms", 1234 -> "1.2 s"."""
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def specimen_view(record: RunRecord | None, urls: PictureUrls, note: str = "") -> Reply | None:
    """What is on the bench, as `specimen.js` takes it: every picture of the conversation, the turn at hand."""
    if record is None:
        return None
    return {
        "images": image_views(list(dict.fromkeys(record.prompt.images)), urls),
        "question": last_asked(record).text,
        "answer": record.row.answer,
        "status": record.row.status,
        "run": record.row.id,
        "actions": buttons("bench", record),
        "truth": truth(record.prompt),
        "note": note,
    }


def size_text(status: CheckpointStatus) -> str:
    """A loaded checkpoint's memory, caches included."""
    return human_bytes(status.size_bytes + status.cache_bytes)
