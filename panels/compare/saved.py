"""Maps made in Compare as they are kept: each with its turn, as one of Attention, and with what it was laid beside.

So Sessions lists them with either answer and opens them in Attention, an export carries them, and Compare offers them again
when it shows the comparison. They are made of answers whose names are known: before a blind vote there is none to keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from model.errors import WorkbenchError
from model.heat import heat_methods
from model.heat.base import Choice, Heat

from ..attention.requests import MAX_WORDS
from ..attention.saved import KIND, asked_for, name_of
from ..base.bench import Bench
from ..base.maps.looks import Look
from ..base.maps.saved_maps import write_down
from .answers import Answer

MOST_OFFERED = 12
MAX_SAID = 200


def keep_pair(bench: Bench, looks: Sequence[Look], heats: Sequence[Heat], words: Sequence[tuple[int, ...]], slug: str) -> None:
    """Write two maps down, each with its own turn. `words` are those of each answer."""
    said = [_said(bench, look, chosen) for look, chosen in zip(looks, words, strict=True)]
    for one, other in ((0, 1), (1, 0)):
        look, heat = looks[one], heats[one]
        beside = {"run": looks[other].run_id, "words": list(words[other])}
        what = asked_for(look, slug, words[one], Choice()) | {"beside": beside}
        place = f"in Compare, beside \u201c{said[other]}\u201d of {looks[other].checkpoint.name}"
        meta = what | {
            "said": said[one],
            "unit": heat.unit,
            "signed": heat.signed,
            "note": ", ".join(filter(None, (heat.note, place))),
            "mass": heat.mass,
            "scores": f"float32 [{len(heat.scores)}], one for each picture token, little endian",
            "checkpoint": look.checkpoint.to_json(),
        }
        write_down(bench, look.run_id, KIND, name_of(what), heat.scores.astype("<f4").tobytes(), meta)


def kept_pairs(bench: Bench, answered: Sequence[tuple[int, Answer]]) -> list[dict[str, Any]]:
    """Maps of single words that were made of two of these answers: {pair, method, words, text}, the newest first."""
    found = []
    for (i, a), (j, b) in combinations(answered, 2):
        for artifact in _kept(bench, a.run):
            words = _words(artifact.meta, a, b)
            if words is not None:
                first, second = (one.tokens[k].text.strip() for one, k in zip((a, b), words, strict=True))
                text = f"{heat_methods[artifact.meta['method']].title}: {first} | {second}"
                found.append({"pair": [i, j], "method": artifact.meta["method"], "words": list(words), "text": text})
    return found[::-1][:MOST_OFFERED]


def _kept(bench: Bench, run_id: str) -> Sequence[Any]:
    try:
        return bench.history.kept(run_id, KIND)
    except WorkbenchError:  # the log cannot be read now: then nothing is offered
        return ()


def _words(meta: Mapping[str, Any], a: Answer, b: Answer) -> tuple[int, int] | None:
    """Which token of each a kept map is of; None where it is of other answers, or not to be read: it may have been imported."""
    beside = meta.get("beside")
    if not isinstance(beside, Mapping) or beside.get("run") != b.run or meta.get("method") not in tuple(heat_methods):
        return None
    found = [one for words in (meta.get("words"), beside.get("words")) if isinstance(words, list) for one in words[:MAX_WORDS]]
    if len(found) != 2 or any(type(k) is not int for k in found):
        return None
    fits = all(0 <= k < len(one.tokens) for k, one in zip(found, (a, b), strict=True))
    return (found[0], found[1]) if fits else None


def _said(bench: Bench, look: Look, words: Sequence[int]) -> str:
    tokens = bench.history.run(look.run_id).tokens
    return "".join(tokens[k].text for k in words if k < len(tokens)).strip()[:MAX_SAID]
