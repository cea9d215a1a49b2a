"""A comparison of answers side by side, and a vote on it, as plain data. `app.log.comparisons` keeps them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TIE, BAD = "tie", "bad"
LETTERS = "ABCD"
"""Names of the columns, in the order shown."""
GONE = "There is no such comparison. It may have been deleted."
REASONS = ("correct", "sees more", "makes things up", "better located", "clearer", "shorter", "follows the question")
"""Why an answer was preferred, or not: the tags that a vote may carry."""
FIELDS = (
    "comparison",
    "session",
    "voted_at",
    "blind",
    "kind",
    "question",
    "columns",
    "outcome",
    "winner",
    "reasons",
    "waited_ms",
)


@dataclass(frozen=True)
class Side:
    """One answer of a comparison, in the order shown. `label` names checkpoint and setting, `setup` is how it was asked."""

    run: str
    label: str
    setup: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Answers to one question side by side. `outcome` is the vote: a letter, "tie" or "bad", empty before it."""

    id: str
    session: str
    question: str
    kind: str
    blind: bool
    revealed: bool
    columns: tuple[Side, ...]
    created_at: str
    outcome: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def sealed(self) -> bool:
        """Whether the names of its columns are not to be told yet."""
        return self.blind and not self.revealed

    def allows(self, outcome: str) -> bool:
        return outcome in (TIE, BAD, *LETTERS[: len(self.columns)])


@dataclass(frozen=True)
class Vote:
    """A vote with all it needs to be counted. `columns` are labels as shown; `winner` is one of them, "tie" or "bad"."""

    comparison: str
    session: str
    voted_at: str
    blind: bool
    kind: str
    question: str
    columns: tuple[str, ...]
    outcome: str
    winner: str
    reasons: tuple[str, ...]
    waited_ms: float | None


def left_out(sealed: int) -> str:
    """What an export lacks where so many comparisons wait for a blind vote, and how to have it."""
    many = "1 blind comparison waits for its vote and is" if sealed == 1 else f"{sealed} blind comparisons wait for votes and are"
    return f"{many} left out. Vote in Compare, or reveal the names there; then export the session again."


def as_json(votes: Sequence[Vote]) -> str:
    """Votes as a JSON list of objects with the fields of `Vote`."""
    return json.dumps([_plain(vote) for vote in votes], ensure_ascii=False, indent=1)


def as_csv(votes: Sequence[Vote]) -> str:
    """Votes as CSV with a heading; columns and reasons are joined by " | ". What begins like a formula gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for vote in votes:
        cells = (_plain(vote)[name] for name in FIELDS)
        writer.writerow([_cell(" | ".join(value) if isinstance(value, list) else value) for value in cells])
    return out.getvalue()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would compute is made to stay a text."""
    return "'" + value if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _plain(vote: Vote) -> dict[str, Any]:
    found = {name: getattr(vote, name) for name in FIELDS}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
