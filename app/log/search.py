"""What a person types into the search of the history, made into SQL that cannot go wrong."""

from __future__ import annotations

from datetime import datetime, timezone

from model.errors import InputError

from .rows import clean

MAX_WORDS = 32
MAX_CHARACTERS = 1000
_EXAMPLE = "Write 2026-11-20, or 2026-11-20 16:30"


def words(query: str) -> str:
    """The query for FTS5: every word must occur, as the beginning of one in the text. Empty for all.

    Each word is quoted, so nothing in it is an operator. Words without a letter or digit are left out,
    because the index knows none.
    """
    plain = clean(query[:MAX_CHARACTERS]).replace("\0", " ")
    found = [word for word in plain.split() if any(character.isalnum() for character in word)]
    return " ".join('"' + word.replace('"', '""') + '"*' for word in found[:MAX_WORDS])


def moment(text: str) -> str:
    """A date or time as the log writes it, as far as it was given. Times without a zone are UTC.

    "2026-11-20" stays as it is: a beginning of every time of that day. Raises InputError for anything else.
    """
    text = text.strip()
    if not text:
        return ""
    try:
        time = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1] in "zZ" else text)
        utc = time.replace(tzinfo=time.tzinfo or timezone.utc).astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{text[:40]!r} is no date. {_EXAMPLE}.") from error
    if ":" not in text:
        return time.date().isoformat()
    return utc.isoformat(timespec="seconds" if utc.second or utc.microsecond else "minutes").removesuffix("+00:00")
