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
    return Figure(p, max(0.0, middle - reach), min(1.0, middle + reach), n)


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> Figure:
    """A mean with its percentile bootstrap interval (Efron 1979), 2,000 resamples. Raises ValueError for no values."""
    data = np.asarray(values, np.float64)
    if data.size == 0:
        raise ValueError("No values to take the mean of.")
    random = np.random.RandomState(seed)
    means = data[random.randint(0, len(data), (RESAMPLES, len(data)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Figure(float(data.mean()), float(low), float(high), len(data))
