"""Intervals against closed forms and brute force."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from studies.metrics import RESAMPLES, Z95, Figure, bootstrap_mean, wilson


@pytest.mark.parametrize(
    ("right", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (1, 7), (5, 10), (81, 263), (3999, 4000), (600, 1200)]
)
def test_wilson_ends_are_where_the_share_is_z_standard_errors_away(right, n):
    """The ends solve (p - share)^2 = z^2 p (1 - p) / n, found here as roots of that quadratic."""
    share, z2 = right / n, Z95**2
    roots = np.roots([1 + z2 / n, -(2 * share + z2 / n), share**2])
    found = wilson(right, n)
    assert (found.low, found.high) == pytest.approx((min(roots.real), max(roots.real)), abs=1e-9)
    assert (found.value, found.n) == (share, n)


def test_wilson_gives_the_interval_of_the_literature():
    """81 of 263: 0.2553 to 0.3662 (Newcombe 1998, table I, method 3); 0 of 20: 0 to 0.1611."""
    assert (wilson(81, 263).low, wilson(81, 263).high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert (wilson(0, 20).low, wilson(0, 20).high) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert math.erf(Z95 / math.sqrt(2)) == pytest.approx(0.95, abs=1e-12)


def test_wilson_stays_within_0_and_1_and_narrows_with_n():
    for n in (1, 3, 50, 4000):
        for right in {0, 1, n // 2, n}:
            found = wilson(right, n)
            assert 0 <= found.low <= found.value <= found.high <= 1
            mirrored = wilson(n - right, n)
            assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high))
    widths = [wilson(n // 2, n).high - wilson(n // 2, n).low for n in (10, 100, 1000)]
    assert widths == sorted(widths, reverse=True)


def test_wilson_covers_the_truth_nineteen_times_in_twenty():
    """The exact coverage, summed over all outcomes, averaged over a grid of true shares."""
    n = 60
    found = [wilson(right, n) for right in range(n + 1)]
    coverage = []
    for share in np.linspace(0.05, 0.95, 181):
        chances = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]
        coverage.append(sum(c for c, f in zip(chances, found, strict=True) if f.low <= share <= f.high))
    assert 0.94 < np.mean(coverage) < 0.96


@pytest.mark.parametrize(("right", "n"), [(0, 0), (1, 0), (-1, 5), (6, 5), (0, -3)])
def test_wilson_refuses_what_is_no_share(right, n):
    with pytest.raises(ValueError, match=f"{right} of {n} is no share"):
        wilson(right, n)


def test_bootstrap_is_the_percentiles_of_resampled_means():
    values = [0.1, 0.9, 0.4, 0.4, 0.7]
    random = np.random.RandomState(3)
    means = sorted(float(np.mean([values[i] for i in row])) for row in random.randint(0, 5, (RESAMPLES, 5)).tolist())

    def percentile(share: float) -> float:
        place = share * (len(means) - 1)
        low = int(place)
        return means[low] + (place - low) * (means[low + 1] - means[low])

    found = bootstrap_mean(values, seed=3)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, percentile(0.025), percentile(0.975)))
    assert found.n == 5


def test_bootstrap_of_few_values_follows_all_resamples_there_are():
    values = [0.0, 0.2, 1.0, 0.5]
    every = np.sort([np.mean(sample) for sample in product(values, repeat=4)])  # all 256
    found = bootstrap_mean(values)
    assert (every < found.low).mean() == pytest.approx(0.025, abs=0.012)
    assert (every > found.high).mean() == pytest.approx(0.025, abs=0.012)


def test_bootstrap_of_many_values_is_the_normal_interval():
    values = np.random.RandomState(1).beta(2, 5, 1500)
    reach = Z95 * values.std() / math.sqrt(len(values))
    found = bootstrap_mean(values)
    assert found.value == pytest.approx(values.mean())
    assert (found.value - found.low, found.high - found.value) == pytest.approx((reach, reach), rel=0.1)


def test_bootstrap_is_repeatable_and_follows_its_seed():
    values = [0.0, 1.0, 0.3, 0.8, 0.55]
    assert bootstrap_mean(values) == bootstrap_mean(values)
    assert any(bootstrap_mean(values) != bootstrap_mean(values, seed) for seed in (1, 2, 3))


def test_bootstrap_of_equal_values_has_no_width_and_of_none_is_refused():
    assert bootstrap_mean([0.25] * 9) == Figure(0.25, 0.25, 0.25, 9)
    with pytest.raises(ValueError, match="No values"):
        bootstrap_mean([])


def test_a_figure_is_written_with_its_interval():
    assert str(Figure(0.5, 0.25, 0.75, 4)) == "0.500 [0.250, 0.750]"


def test_a_share_of_none_or_all_lies_inside_its_interval() -> None:
    for n in range(1, 200):
        assert wilson(0, n).low == 0 == wilson(0, n).value
        assert wilson(n, n).high == 1 == wilson(n, n).value
