"""What a person types into the search of the history, made into a query of the index that cannot go wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from model.errors import InputError

from .rows import clean

MAX_WORDS = 32
MAX_CHARACTERS = 1000
_EXAMPLE = "Write 2026-11-20, or 2026-11-20 16:30"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ALWAYS = 2**62


def expression(query: str, wanted: Mapping[str, str | int | Sequence[str] | None]) -> str | None:
    """The query for FTS5: every word must occur, as the beginning of one in the text, and every facet that is wanted.

    `wanted` is a value by the name of a facet (see `schema`), or several of which one will do; "" and None are no wish.
    Empty for everything, None where nothing can match, because there is no value that would do.
    """
    parts = [f"{{question answer}} : ({' '.join(found)})"] if (found := words(query)) else []
    for name, value in wanted.items():
        if value is None or value == "":
            continue
        values = [str(value)] if isinstance(value, (str, int)) else value
        if not values:
            return None
        either = " OR ".join(f'"{_facet(name, one)}"' for one in values)
        parts.append(f"facets : ({either})")
    return " AND ".join(parts)


def words(query: str) -> list[str]:
    """The words of a query for FTS5, each as the beginning of a word in the text.

    Each is quoted, so nothing in it is an operator. Words without a letter or digit are left out, because the index
    knows none.
    """
    plain = clean(query[:MAX_CHARACTERS]).replace("\0", " ")
    found = [word for word in plain.split() if any(character.isalnum() for character in word)]
    return ['"' + word.replace('"', '""') + '"*' for word in found[:MAX_WORDS]]


def first_moment(text: str) -> int:
    """The first microsecond since 1970 of what a date or time names; before all others where none is given.

    Times without a zone are UTC. Raises InputError for what is neither.
    """
    return _moment(text)[0] if text.strip() else -_ALWAYS


def last_moment(text: str) -> int:
    """The last microsecond since 1970 of what a date or time names: of that day, minute or second."""
    return _moment(text)[1] if text.strip() else _ALWAYS


def _moment(text: str) -> tuple[int, int]:
    text = text.strip()
    try:
        time = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1] in "zZ" else text)
        first = time.replace(tzinfo=time.tzinfo or timezone.utc).astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{text[:40]!r} is no date. {_EXAMPLE}.") from error
    if ":" not in text:
        first, last = datetime(time.year, time.month, time.day, tzinfo=timezone.utc), timedelta(days=1)
    elif first.second or first.microsecond:
        first, last = first.replace(microsecond=0), timedelta(seconds=1)
    else:
        last = timedelta(minutes=1)
    since = (first - _EPOCH) // timedelta(microseconds=1)
    return since, since + last // timedelta(microseconds=1) - 1


def _facet(name: str, value: str) -> str:
    """A facet as the word it is in the index."""
    return f"{name}={clean(value)}".encode().hex()
