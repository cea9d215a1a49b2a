"""A session as Markdown. Whatever a user or a model wrote stands in code fences or code spans, so that none of it
is read as Markdown, HTML or a link."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from model.prompt import frame_name

Run = Mapping[str, Any]
"""A run as a line of runs.jsonl."""


def conversation(name: str, runs: Iterable[Run]) -> str:
    """The runs in time order, each with the last thing asked, its pictures and the answer."""
    runs = list(runs)
    numbers = {run["id"]: number for number, run in enumerate(runs, 1)}
    parts = [f"# Session {span(name or 'without a name')}"]
    for run in runs:
        parts += [f"## {numbers[run['id']]}. {span(run['checkpoint']['name'])}", _facts(run, numbers), *_system(run)]
        parts += ["**User**", *_asked(run)]
        parts += ["**Model**", fence(run["answer"])] if run["answer"] is not None else []
        parts += ["**Error**", fence(run["error"])] if run["error"] else []
    return "\n\n".join(parts) + "\n"


def fence(text: str) -> str:
    """The text as a code block that nothing in it can end."""
    ticks = "`" * max(3, _longest(text) + 1)
    return f"{ticks}text\n{_printable(text)}\n{ticks}"


def span(text: str) -> str:
    """The text as a code span on one line that nothing in it can end."""
    line = " ".join(_printable(text).split()) or "-"
    ticks = "`" * (_longest(line) + 1)
    return f"{ticks} {line} {ticks}" if "`" in line else f"`{line}`"


def _facts(run: Run, numbers: Mapping[str, int]) -> str:
    follows = f", follows {numbers[run['parent_run_id']]}" if run["parent_run_id"] in numbers else ""
    rating = {1: ", rated good", -1: ", rated bad"}.get(run["rating"], "")
    return f"{span(run['panel'])}, {span(run['started_at'])}, {run['status']}{follows}{rating}"


def _system(run: Run) -> list[str]:
    parts = [part for message in run["messages"] if message["role"] == "system" for part in message["parts"]]
    said = [part for part in parts if isinstance(part, str)]
    return ["**System**", *map(fence, said)] if said and run["parent_run_id"] is None else []


def _asked(run: Run) -> list[str]:
    parts = run["messages"][-1]["parts"] if run["messages"] else []
    return [fence(part) if isinstance(part, str) else f"![{_called(part)}]({part['image']})" for part in parts]


def _called(part: Mapping[str, Any]) -> str:
    return "picture" if part.get("time_s") is None else frame_name(part["time_s"])


def _longest(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _printable(text: str) -> str:
    """One kind of line break, and no control or half characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" else c for c in lines)
