"""Cases to figures: means with intervals, paired differences, the order of methods, and which one is the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..metrics import Difference, Figure, bootstrap_mean, paired, spearman, wilson
from .case_measurement import Mapped, slow_methods
from .map_set import BASELINES, HEADS, titles
from .sanity import ByMethod

PASSES_BELOW = 0.5
"""A map passes the sanity check if its mean Spearman with the map of a random decoder is below this."""
RULE = (
    "The default is the method with the highest mean insertion - deletion among those measured on all cases whose mean Spearman "
    f"with the map of a decoder of random weights is below {PASSES_BELOW}."
)
REFERENCE = "attention"
"""What other methods are compared with, pair by pair: raw attention, mean over layers and heads."""


@dataclass(frozen=True)
class Standing:
    """The figures of one method, baseline or head on one checkpoint. `n` cases."""

    slug: str
    title: str
    kind: str
    n: int
    measures: Mapping[str, Figure] = field(repr=False)
    against: Difference | None = None
    checks: Mapping[str, Figure] = field(default_factory=dict, repr=False)
    cpu_s: float = 0.0

    @property
    def gap(self) -> float:
        return self.measures["gap"].value

    @property
    def passes(self) -> bool | None:
        """Whether the map changes when the decoder forgets; None where that was not measured."""
        redrawn = self.checks.get("random_decoder")
        return None if redrawn is None else redrawn.value < PASSES_BELOW

    def to_json(self) -> dict[str, Any]:
        """Figures as {"value", "low", "high"}, `n` beside them."""
        found: dict[str, Any] = {name: _plain(figure) for name, figure in self.measures.items()}
        found |= {name: {**_plain(figure), "n": figure.n} for name, figure in self.checks.items()}
        if self.against is not None:
            errors = round(float(np.clip(self.against.errors, -1e6, 1e6)), 2)
            found["against_attention"] = {**_plain(self.against.mean), "standard_errors": errors, "n": self.against.mean.n}
        return {
            "title": self.title,
            "kind": self.kind,
            "n": self.n,
            **found,
            "passes": self.passes,
            "cpu_s": round(self.cpu_s, 4),
        }


def _plain(figure: Figure) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(figure).items() if name != "n"}


def standings(found: Sequence[Mapped], checks: Mapping[str, ByMethod] | None = None) -> list[Standing]:
    """Every method, baseline and head that was measured, best insertion - deletion first."""
    names = {name for one in found for name in one.maps}
    return sorted((_standing(name, found, checks or {}) for name in names), key=lambda s: -s.gap)


def _standing(name: str, found: Sequence[Mapped], checks: Mapping[str, ByMethod]) -> Standing:
    mine = [one for one in found if name in one.maps]
    places, lines = [one.located[name] for one in mine], [one.curves[name] for one in mine]
    hits = [place.hit for place in places]
    whole = all(hit in (0.0, 1.0) for hit in hits)
    measures = {
        "lift": bootstrap_mean([place.lift for place in places]),
        "mass": bootstrap_mean([place.mass for place in places]),
        "hit": wilson(round(sum(hits)), len(hits)) if whole else bootstrap_mean(hits),
        "auroc": bootstrap_mean([place.auroc for place in places]),
        "deletion": bootstrap_mean([line.deletion for line in lines]),
        "insertion": bootstrap_mean([line.insertion for line in lines]),
        "gap": bootstrap_mean([line.gap for line in lines]),
        "left_at_5": bootstrap_mean([line.left(0.05) for line in lines]),
        "left_at_10": bootstrap_mean([line.left(0.10) for line in lines]),
    }
    kind = "baseline" if name in BASELINES else "head" if name in HEADS else "method"
    values = {check: bootstrap_mean(by[name]) for check, by in checks.items() if by.get(name)}
    times = [one.cpu_s[name] for one in mine if name in one.cpu_s]
    return Standing(
        name, titles()[name], kind, len(mine), measures, difference(found, name), values, float(np.mean(times)) if times else 0.0
    )


def difference(found: Sequence[Mapped], name: str, other: str = REFERENCE) -> Difference | None:
    """Insertion - deletion of one less the other's, on the cases both were measured on; None for fewer than two."""
    both = [one for one in found if name in one.curves and other in one.curves and name != other]
    if len(both) < 2:
        return None
    return paired([one.curves[name].gap for one in both], [one.curves[other].gap for one in both])


def default(rows: Sequence[Standing]) -> str | None:
    """The method that `RULE` picks; None where none passes."""
    most = max((row.n for row in rows), default=0)
    able = [row for row in rows if row.kind == "method" and row.n == most and row.passes]
    return max(able, key=lambda row: row.gap).slug if able else None


def agreement(one: Sequence[Mapped], other: Sequence[Mapped]) -> tuple[float, int]:
    """Spearman of the order of methods by insertion - deletion on two sets of cases, and over how many methods.

    Baselines and heads do not count, nor do slow methods, which are measured on too few cases.
    """
    slow = set(slow_methods())
    first, second = ({name: _gap(found, name) for name in titles() if name not in slow} for found in (one, other))
    known = {*HEADS, *BASELINES}
    pairs = [(gap, second[name]) for name, gap in first.items() if name not in known]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    return spearman([a for a, _ in both], [b for _, b in both]), len(both)


def _gap(found: Sequence[Mapped], name: str) -> float | None:
    values = [one.curves[name].gap for one in found if name in one.curves]
    return float(np.mean(values)) if values else None


def halves(found: Sequence[Mapped]) -> tuple[list[Mapped], list[Mapped]]:
    """Two halves of the cases, in blocks of four so that every kind of question is in both."""
    return [one for i, one in enumerate(found) if i // 4 % 2 == 0], [one for i, one in enumerate(found) if i // 4 % 2]
