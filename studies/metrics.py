"""Figures with their uncertainty: shares with Wilson intervals, means with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z95 = 1.959963984540054
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean of n values with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(right: int, n: int) -> Figure:
    """A share of n trials with its Wilson score interval (Wilson 1927), which stays inside 0 to 1.

    Raises ValueError for n = 0 or a count outside 0 to n.
    """
    if n <= 0 or not 0 <= right <= n:
        raise ValueError(f"{right} of {n} is no share.")
    p, z2 = right / n, Z95**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    reach = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Figure(p, max(0.0, min(p, middle - reach)), min(1.0, max(p, middle + reach)), n)  # rounding must not put p outside


def bootstrap_mean(values: Sequence[float] | np.ndarray, seed: int = 0) -> Figure:
    """A mean with its percentile bootstrap interval (Efron 1979), 2,000 resamples. Raises ValueError for no values."""
    data = np.asarray(values, np.float64)
    if data.size == 0:
        raise ValueError("No values to take the mean of.")
    random = np.random.RandomState(seed)
    means = data[random.randint(0, len(data), (RESAMPLES, len(data)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Figure(float(data.mean()), float(low), float(high), len(data))


def ranks(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values sharing the mean of theirs. float64 [n]."""
    _, which, count = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[which]


def spearman(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Spearman's rank correlation, -1 to 1; 0 where either side is constant."""
    x, y = ranks(a), ranks(b)
    assert x.shape == y.shape, f"{x.shape} values against {y.shape}"
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt(float((x**2).sum() * (y**2).sum()))
    return float((x * y).sum() / scale) if scale > 0 else 0.0


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """How often a positive scores above a negative, ties counting half: the area under the ROC curve. nan without both."""
    inside = np.asarray(positive, bool)
    many, others = int(inside.sum()), int((~inside).sum())
    if not many or not others:
        return math.nan
    return float((ranks(scores)[inside].sum() - many * (many + 1) / 2) / (many * others))


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference of pairs, with its interval, and how many standard errors it is from 0."""

    mean: Figure
    errors: float


def paired(a: Sequence[float], b: Sequence[float]) -> Difference:
    """The mean of a - b, pair by pair. Raises ValueError for fewer than two pairs."""
    gaps = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    if gaps.size < 2:
        raise ValueError(f"{gaps.size} pairs are too few for a standard error.")
    error = float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
    mean = bootstrap_mean(gaps)
    if error == 0:
        return Difference(mean, math.copysign(math.inf, mean.value) if mean.value else 0.0)
    return Difference(mean, mean.value / error)
