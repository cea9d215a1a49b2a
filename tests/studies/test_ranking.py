"""From votes to a ranking: counted by hand, against strengths that are known, and where there is no answer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from studies.comparison import Vote
from studies.metrics import wilson
from studies.ranking import Game, WinCount, bradley_terry, games, rank, rank_by_kind, undetermined, won


def vote(winner: str, *columns: str, kind: str = "") -> Vote:
    return Vote("c", "s", "2026-01-01", True, kind, "q", columns, "A", winner, (), None)


def test_a_vote_is_a_game_of_the_winner_against_each_other() -> None:
    assert games([vote("x", "x", "y")]) == [Game("x", "y", 1.0)]
    assert games([vote("y", "x", "y", "z")]) == [Game("y", "x", 1.0), Game("y", "z", 1.0)]
    assert games([vote("tie", "x", "y"), vote("bad", "x", "z")]) == [Game("x", "y", 0.5), Game("x", "z", 0.5)]
    assert games([vote("tie", "x", "y", "z")]) == [Game("x", "y", 0.5), Game("x", "z", 0.5), Game("y", "z", 0.5)]
    assert games([vote("x", "x", "x"), vote("tie", "x", "x")]) == [], "of one label there is nothing to learn"


def test_win_rates_leave_ties_out_and_count_them_beside() -> None:
    votes = [vote("x", "x", "y")] * 7 + [vote("y", "y", "x")] * 3 + [vote("tie", "x", "y")] * 4 + [vote("bad", "y", "x")]
    found = rank(votes)
    assert found.votes == 15
    assert list(found.records) == ["x", "y"], "best first"
    assert found.records["x"] == found.pairs["x", "y"] == WinCount(7, 3, 5)
    assert found.records["y"] == WinCount(3, 7, 5)
    assert found.records["x"].rate == wilson(7, 10)
    assert found.records["x"].games == 15
    assert found.strengths == {}
    assert found.why == "Strengths need votes on three checkpoints or more."
    assert rank([vote("tie", "x", "y")]).records["x"].rate is None
    assert rank([]).records == {}


def test_strengths_that_made_the_wins_are_found_again() -> None:
    truth = np.array([1.2, 0.1, -0.4, -0.9])
    chance = 1 / (1 + np.exp(truth[None] - truth[:, None]))
    counts = np.array([[0, 40, 10, 0], [40, 0, 25, 5], [10, 25, 0, 60], [0, 5, 60, 0]], float)
    found = bradley_terry(counts * chance)
    assert [one.value for one in found] == pytest.approx(truth - truth.mean(), abs=1e-9)


def test_strengths_are_those_of_minorization_and_maximization() -> None:
    """Hunter's (2004) other way to the same maximum."""
    wins = np.random.default_rng(1).integers(1, 12, (5, 5)).astype(float)
    np.fill_diagonal(wins, 0)
    together, power = wins + wins.T, np.ones(5)
    for _ in range(20_000):
        power = wins.sum(1) / (together / (power[:, None] + power[None])).sum(1)
        power /= np.exp(np.log(power).mean())
    assert [one.value for one in bradley_terry(wins)] == pytest.approx(np.log(power), abs=1e-8)


def test_two_names_are_the_log_odds_with_their_textbook_error() -> None:
    one, other = bradley_terry(np.array([[0.0, 30.0], [10.0, 0.0]]))
    assert one.value - other.value == pytest.approx(np.log(3))
    error_of_difference = np.sqrt(1 / 30 + 1 / 10)
    assert one.high - one.low == pytest.approx(2 * 1.959964 * error_of_difference / 2, rel=1e-5), "half of it each"


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random, truth = np.random.default_rng(2), np.array([0.5, 0.0, -0.5])
    held = 0
    for _ in range(300):
        wins = np.zeros((3, 3))
        for i, j in itertools.combinations(range(3), 2):
            wins[i, j] = random.binomial(60, 1 / (1 + np.exp(truth[j] - truth[i])))
            wins[j, i] = 60 - wins[i, j]
        held += sum(one.low <= t <= one.high for one, t in zip(bradley_terry(wins), truth, strict=True))
    assert 0.92 <= held / 900 <= 0.98


def test_a_ranking_of_three_has_strengths_best_first() -> None:
    votes = [vote("b", "a", "b")] * 6 + [vote("a", "a", "b")] * 2 + [vote("c", "b", "c")] * 5 + [vote("b", "b", "c")] * 3
    found = rank([*votes, vote("tie", "a", "c")])
    assert list(found.strengths) == list(found.records) == ["c", "b", "a"]
    wins = won(["a", "b", "c"], games([*votes, vote("tie", "a", "c")]))
    assert wins.tolist() == [[0, 2, 0.5], [6, 0, 3], [0.5, 5, 0]]
    assert [found.strengths[name] for name in "abc"] == bradley_terry(wins)
    assert found.why == ""


def test_names_that_were_never_compared_have_no_common_scale() -> None:
    votes = [vote("a", "a", "b"), vote("b", "a", "b"), vote("c", "c", "d"), vote("d", "c", "d")]
    found = rank(votes)
    assert found.strengths == {}
    assert found.why.startswith("a and b and c and d were never compared, not even through others")
    assert found.records["a"].rate == wilson(1, 2), "win rates are there all the same"


@pytest.mark.parametrize(
    ("wins", "why"),
    [
        ([[0, 3, 1], [0, 0, 2], [0, 1, 0]], "a won every game against b and c"),
        ([[0, 3, 1], [2, 0, 2], [0, 0, 0]], "a and b won every game against c"),
        ([[0, 0, 0], [1, 0, 2], [1, 3, 0]], "b and c won every game against a"),
    ],
)
def test_who_never_lost_has_no_finite_strength(wins: list[list[int]], why: str) -> None:
    assert undetermined(("a", "b", "c"), np.array(wins, float)).startswith(why)


def test_a_circle_of_wins_is_determined_and_even() -> None:
    wins = np.array([[0, 5, 0], [0, 0, 5], [5, 0, 0]], float)
    assert undetermined(("a", "b", "c"), wins) == ""
    assert [one.value for one in bradley_terry(wins)] == pytest.approx([0, 0, 0], abs=1e-12)


def test_each_kind_of_question_has_a_ranking_of_its_own() -> None:
    votes = [vote("x", "x", "y", kind="count")] * 2 + [vote("y", "x", "y", kind="read")] * 3
    found = rank_by_kind(votes)
    assert list(found) == ["read", "count"]
    assert found["read"].records["y"].wins == 3
    assert found["count"].records["x"].wins == 2
