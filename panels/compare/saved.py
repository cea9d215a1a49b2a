"""Maps made in Compare as they are kept: each with its turn, as one of Attention, and with what it was laid beside.

So Sessions lists them with either answer and opens them in Attention, an export carries them, and Compare offers them again
when it shows the comparison. They are made of answers whose names are known: before a blind vote there is none to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated

from pydantic import BaseModel, Field

from model.errors import InputError, WorkbenchError
from model.heat import heat_methods
from model.heat.base import Choice, Heat

from ..base.bench import Bench
from ..base.maps.heat import KIND, MAX_SAID, Method, keep_heat, what_of
from ..base.maps.instrument import Instrument
from ..base.maps.looks import Look
from ..base.maps.saved_maps import name_of
from ..base.records import Artifact, Json
from ..base.requests import Name, Request, Whole, read
from .answers import Answer

MOST_OFFERED = 12
_OneWord = Annotated[tuple[Whole, ...], Field(min_length=1, max_length=1)]


class Beside(BaseModel):
    """The other answer, and its word."""

    run: Name
    words: _OneWord


class StoredPair(Request):
    """What is written of a map that was made beside another one, of a single word each."""

    method: Method
    words: _OneWord
    beside: Beside


@dataclass(frozen=True)
class KeptPair:
    """A pair of maps to be shown again: of which two columns, by which method, of which token of each."""

    pair: tuple[int, int]
    method: str
    words: tuple[int, int]
    text: str


def keep_pair(
    tool: Instrument, looks: Sequence[Look], heats: Sequence[Heat], words: Sequence[tuple[int, ...]], slug: str
) -> None:
    """Write two maps down, each with its own turn. `words` are those of each answer."""
    said = [_said(tool.bench, look, chosen) for look, chosen in zip(looks, words, strict=True)]
    for one, other in ((0, 1), (1, 0)):
        beside = {"run": looks[other].run_id, "words": list(words[other])}
        what = {**what_of(looks[one], slug, words[one], Choice()), "beside": beside}
        place = f"in Compare, beside \u201c{said[other]}\u201d of {looks[other].checkpoint.name}"
        keep_heat(tool, looks[one], heats[one], what, name_of(what, "method"), said[one], place)


def kept_pairs(bench: Bench, answered: Sequence[tuple[int, Answer]]) -> list[KeptPair]:
    """Maps of single words that were made of two of these answers, the newest first."""
    found = []
    for (i, a), (j, b) in combinations(answered, 2):
        for artifact in _kept(bench, a.run):
            stored = _stored(artifact.meta, a, b)
            if stored is not None:
                words = stored.words[0], stored.beside.words[0]
                first, second = (one.tokens[k].text.strip() for one, k in zip((a, b), words, strict=True))
                text = f"{heat_methods[stored.method].title}: {first} | {second}"
                found.append(KeptPair((i, j), stored.method, words, text))
    return found[::-1][:MOST_OFFERED]


def _kept(bench: Bench, run_id: str) -> Sequence[Artifact]:
    try:
        return bench.history.kept(run_id, KIND)
    except WorkbenchError:  # the log cannot be read now: then nothing is offered
        return ()


def _stored(meta: Json, a: Answer, b: Answer) -> StoredPair | None:
    """What a kept map is of; None where it is of other answers, or not to be read: it may have been imported."""
    try:
        found = read(StoredPair, dict(meta))
    except InputError:
        return None
    fits = found.words[0] < len(a.tokens) and found.beside.words[0] < len(b.tokens)
    return found if found.beside.run == b.run and fits else None


def _said(bench: Bench, look: Look, words: Sequence[int]) -> str:
    tokens = bench.history.run(look.run_id).tokens
    return "".join(tokens[k].text for k in words if k < len(tokens)).strip()[:MAX_SAID]
