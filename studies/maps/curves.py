"""Deletion and insertion: how fast an answer goes when a map's best patches are hidden, and comes when they are shown.

Probabilities are put on a scale from 0, nothing shown, to 1, all shown, so that pictures compare. A good map has a
low deletion and a high insertion; their difference is what maps are ranked by (Petsiuk et al. 1806.07421).
What stands in a hidden patch's place is the caller's to say: see `replacing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

FRACTIONS = (0.0, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of the tokens that are hidden or shown: close together where curves bend."""
COARSE = (0.0, 0.05, 0.15, 0.4, 1.0)
"""Fewer of them, for replacements that cost more."""

Chance = Callable[[np.ndarray], np.ndarray]
"""Which tokens are shown, bool [N, T] -> how likely the words are then, float [N]."""


@dataclass(frozen=True)
class Curves:
    """Normalised probabilities along `fractions`: best tokens hidden, and best tokens shown."""

    fractions: np.ndarray = field(repr=False)
    hidden: np.ndarray = field(repr=False)
    shown: np.ndarray = field(repr=False)

    @property
    def deletion(self) -> float:
        """Area under the curve of hiding; low is good."""
        return float(_area(self.hidden, self.fractions))

    @property
    def insertion(self) -> float:
        """Area under the curve of showing; high is good."""
        return float(_area(self.shown, self.fractions))

    @property
    def gap(self) -> float:
        """Insertion less deletion: 1 at best, 0 for an order that tells nothing."""
        return self.insertion - self.deletion

    def left(self, fraction: float) -> float:
        """What is left of the answer with this share of the tokens hidden."""
        return float(np.interp(fraction, self.fractions, self.hidden))


def _area(values: np.ndarray, at: np.ndarray) -> float:
    return ((values[1:] + values[:-1]) / 2 * np.diff(at)).sum()


def order(scores: np.ndarray, seed: int = 0) -> np.ndarray:
    """Tokens from the highest score down, equal ones in random order. int64 [T]."""
    luck = np.random.RandomState(seed).permutation(len(scores))
    return np.lexsort((luck, -np.asarray(scores, np.float64)))


def best(scores: np.ndarray, fractions: tuple[float, ...] = FRACTIONS, seed: int = 0) -> np.ndarray:
    """Which tokens are the best of each fraction, at least one above 0. bool [F, T]."""
    ranked = order(scores, seed)
    found = np.zeros((len(fractions), len(scores)), bool)
    for row, fraction in zip(found, fractions, strict=True):
        row[ranked[: max(1, round(fraction * len(scores))) if fraction > 0 else 0]] = True
    return found


def curves(
    maps: Mapping[str, np.ndarray], chance: Chance, fractions: tuple[float, ...] = FRACTIONS, seed: int = 0
) -> dict[str, Curves]:
    """The curves of several maps of one answer, each float [T]. Every set of shown tokens is asked once.

    Raises ValueError where the picture makes no difference: all shown is no likelier than nothing shown.
    """
    tops = {name: best(scores, fractions, seed) for name, scores in maps.items()}
    wanted = {row.tobytes(): row for top in tops.values() for side in (top, ~top) for row in side}
    found = dict(zip(wanted, chance(np.stack(list(wanted.values()))), strict=True))
    tokens = len(next(iter(maps.values())))
    nothing, whole = (float(found[np.full(tokens, shown).tobytes()]) for shown in (False, True))
    if whole <= nothing:
        raise ValueError(f"The words are as likely without the picture ({nothing:.3f}) as with it ({whole:.3f}).")
    at = np.array(fractions)

    def along(rows: np.ndarray) -> np.ndarray:
        return (np.array([float(found[row.tobytes()]) for row in rows]) - nothing) / (whole - nothing)

    return {name: Curves(at, along(~top), along(top)) for name, top in tops.items()}
