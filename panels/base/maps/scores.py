"""How far each heat method can be believed on a checkpoint, as the study `faithfulness` measured it. Reads its file only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from model import Checkpoint
from studies.runner import kept

FALLBACK = "relevancy"
MEANING = (
    "Lift: how many times more of the map falls on the thing asked about than of an even one. Hit: the thing covers at least a "
    "quarter of its highest patch. AUROC: patches of the thing rank above others. Deletion, low is good, and insertion, high is "
    "good: the answer's probability as patches go or come in the map's order. In brackets 95 % intervals."
)
FIGURES = ("lift", "hit", "auroc", "deletion", "insertion")


@dataclass(frozen=True)
class ScoredValue:
    """A value, with its 95 % interval where that is known."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        known = self.low is not None and self.high is not None
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]" if known else f"{self.value:.3g}"


@dataclass(frozen=True)
class MethodScores:
    """Figures of one method by FIGURES' names, over `n` scenes. `passes` is False where its map hardly depends on the weights."""

    figures: Mapping[str, ScoredValue]
    n: float | None = None
    passes: bool | None = None


@dataclass(frozen=True)
class ScoreTable:
    """What was measured, by method. `default` is the method measured best."""

    default: str = FALLBACK
    by_method: Mapping[str, MethodScores] = field(default_factory=dict)

    def sentence(self, method: str, checkpoint: str) -> str:
        """The figures of a method in words; where there are none, how to get them."""
        found = self.by_method.get(method)
        if found is None:
            command = f"python app.py study faithfulness --checkpoint {checkpoint} --keep"
            return f"Not yet measured on this checkpoint: {command}"
        parts = [f"{name} {found.figures[name]}" for name in FIGURES if name in found.figures]
        n = f"; n = {found.n}" if found.n is not None else ""
        blind = " The map hardly changes when the decoder's weights are random." if found.passes is False else ""
        return f"Measured on drawn scenes with this checkpoint: {', '.join(parts)}{n}.{blind}"


def scores_of(checkpoint: Checkpoint) -> ScoreTable:
    """What is known of a checkpoint's maps. Empty, with a default, where it was not measured or the file is damaged."""
    try:
        found = kept("faithfulness", checkpoint.name) or {}
        methods = {str(name): _scores(one) for name, one in found["methods"].items()}
        default = found.get("default")
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return ScoreTable()
    known = {name: one for name, one in methods.items() if one is not None}
    return ScoreTable(default if default in known else FALLBACK, known)


def _scores(found: Mapping[str, object]) -> MethodScores | None:
    """What can be read of one method: each figure a value with an interval, or a number. None where nothing can."""
    figures = {name: figure for name in FIGURES if (figure := _figure(found.get(name))) is not None}
    passes = found.get("passes")
    n = _number(found.get("n"))
    if not figures and n is None and not isinstance(passes, bool):
        return None
    return MethodScores(figures, n, passes if isinstance(passes, bool) else None)


def _figure(found: object) -> ScoredValue | None:
    parts = found if isinstance(found, Mapping) else {"value": found}
    value = _number(parts.get("value"))
    return None if value is None else ScoredValue(value, _number(parts.get("low")), _number(parts.get("high")))


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) else None
