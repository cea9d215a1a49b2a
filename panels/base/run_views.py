"""Logged runs as the Sessions tab shows them: a line each under their session, one in full, two answers side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from model import Token

from .components import PictureUrls
from .maps.saved_maps import SavedMap
from .records import Reply, RunRecord, RunRow, Session
from .requests import plain
from .scenes import truth
from .turn_views import cut, image_views, last_asked, meter, milliseconds

RATED = {1: "rated good", -1: "rated bad"}


def run_lines(rows: Iterable[RunRow], sessions: Mapping[str, Session]) -> list[Reply]:
    """Runs as the list takes them: under a heading where another session begins."""
    lines: list[Reply] = []
    last = None
    for row in rows:
        line = run_line(row)
        if row.session != last:
            line["heading"] = _heading(row, sessions.get(row.session))
        last = row.session
        lines.append(line)
    return lines


def _heading(row: RunRow, session: Session | None) -> str:
    if session is None:
        return "Replays and calls without a session" if not row.session else "A session"
    many = "1 turn" if session.runs == 1 else f"{session.runs} turns"
    return f"{session.name or cut(session.question, 60) or 'Without a name'} ({many})"


def run_line(row: RunRow) -> Reply:
    """A run as a line of the list, as `runs.js` takes it."""
    facts = [local_time(row.started_at), row.checkpoint, row.panel]
    if row.new_tokens is not None:
        facts.append(f"{row.new_tokens:,} token" + ("" if row.new_tokens == 1 else "s"))
    facts += [milliseconds(row.model_ms)] if row.model_ms else []
    facts += [RATED[row.rating]] if row.rating else []
    facts += [f"note: {cut(row.note, 40)}"] if row.note else []
    return {
        "run": row.id,
        "question": cut(row.question) or "(no text)",
        "answer": cut(row.answer) or ("" if row.error else "(no answer)"),
        "trouble": cut(row.error) if row.status == "failed" else "",
        "state": "" if row.status == "done" else row.status,
        "facts": facts,
    }


def local_time(stamp: str) -> str:
    """A time of the log in this machine's zone, to the minute."""
    return datetime.fromisoformat(stamp).astimezone().strftime("%Y-%m-%d %H:%M")


def compared(record: RunRecord, second: Iterable[Token], answer: str) -> Reply:
    """The first answer's tokens beside the replay's, from the first that differs marked."""
    first, again = list(record.tokens), list(second)
    pairs = []
    for i in range(max(len(first), len(again))):
        a, b = (tokens[i] if i < len(tokens) else None for tokens in (first, again))
        pairs.append([a.text if a else "", b.text if b else "", bool(a and b and a.id == b.id)])
    differing = next((i for i, pair in enumerate(pairs) if not pair[2]), None)
    stopped = record.row.status == "stopped" and differing is not None and differing >= len(first)
    if differing is None:
        many = "the one token is" if len(first) == 1 else f"all {len(first)} tokens are"
        text = f"Replayed: {many} the same."
    elif stopped:
        text = f"Replayed: the {len(first)} tokens of the first answer are the same; it was stopped there."
    else:
        text = f"Replayed: the answers part at token {differing + 1} of {len(pairs)}."
    return {"same": differing is None or stopped, "text": text, "tokens": pairs, "answer": answer}


def detail_view(record: RunRecord, urls: PictureUrls, replay: Reply | None = None, maps: Sequence[SavedMap] = ()) -> Reply:
    """One run in full, as `detail.js` takes it. `maps` are those kept of it."""
    row, options = record.row, record.options
    facts = [
        ("when", local_time(row.started_at)),
        ("checkpoint", record.checkpoint.to_json()),
        ("weights", record.weights[:16] or "not hashed"),
        ("decoding", f"{options.words}, at most {options.max_new_tokens:,} tokens"),
        ("ended by", record.reason or "-"),
        *((name, value) for name, value, _ in meter(record)),
        ("system prompt", next((m.text for m in record.prompt.messages if m.role == "system"), "none")),
        ("panel", row.panel),
        ("versions", ", ".join(f"{name} {version}" for name, version in record.versions.items() if name != "weights")),
        ("session", row.session or "none"),
        ("run", row.id),
    ]
    return {
        "run": row.id,
        "images": image_views(last_asked(record).images, urls),
        "question": last_asked(record).text,
        "answer": row.answer,
        "state": row.status,
        "error": row.error,
        "notes": [*record.notes, *record.warnings],
        "truth": truth(record.prompt),
        "facts": facts,
        "replay": replay,
        "maps": plain(maps),
    }
