"""Two answers to the same question, against what counting everything gives."""

from __future__ import annotations

import itertools
import random
from difflib import SequenceMatcher

import numpy as np
import pytest

from model.geometry.boxes import Box
from studies.paired import Agreement, McNemar, Stretch, agreement, best_pairs, match_boxes, mcnemar, sign_test, word_diff, words


@pytest.mark.parametrize("n", range(13))
def test_the_sign_test_counts_every_way_the_coins_could_fall(n: int) -> None:
    falls = [sum(coins) for coins in itertools.product((0, 1), repeat=n)]
    for one in range(n + 1):
        uneven = [fall for fall in falls if abs(2 * fall - n) >= abs(2 * one - n)]
        assert sign_test(one, n - one) == pytest.approx(len(uneven) / len(falls), abs=1e-12)


def test_mcnemar_s_test_is_that_of_known_tables() -> None:
    """Eight against one: 2 (1 + 9) of 512 falls of nine coins are as uneven."""
    a = [True] * 20 + [True] * 8 + [False] * 1 + [False] * 5
    b = [True] * 20 + [False] * 8 + [True] * 1 + [False] * 5
    assert mcnemar(a, b) == McNemar(20, 8, 1, 5, 20 / 512)
    assert mcnemar(b, a) == McNemar(20, 1, 8, 5, 20 / 512)
    assert sign_test(3000, 3000) == 1.0
    assert mcnemar([True, False], [True, False]).p == 1.0
    assert mcnemar([], []) == McNemar(0, 0, 0, 0, 1.0)
    with pytest.raises(ValueError, match="longer"):
        mcnemar([True], [True, False])


def test_words_are_what_is_said_without_what_stands_around_it() -> None:
    assert words("It's a RED circle, at (0.25, 1,000)!") == ["it's", "a", "red", "circle", "at", "0.25", "1,000"]
    assert words("<loc0008>") == ["loc0008"]
    assert words("Ein großer, roter Kreis.") == ["ein", "großer", "roter", "kreis"]
    assert words("... !") == []


@pytest.mark.parametrize(
    ("a", "b", "exact", "f1"),
    [
        ("Yes.", "yes", True, 1.0),
        ("", "", True, 1.0),
        ("", "yes", False, 0.0),
        ("a red circle", "circle red a", False, 1.0),
        ("a red red circle", "a red square", False, 4 / 7),
        ("two", "three", False, 0.0),
    ],
)
def test_agreement_is_that_of_words(a: str, b: str, exact: bool, f1: float) -> None:
    assert agreement(a, b) == agreement(b, a) == Agreement(exact, pytest.approx(f1))


def test_a_diff_shows_what_each_says_instead() -> None:
    assert word_diff("A small red circle on gray.", "A small blue circle, on gray, and more") == [
        Stretch("A small", "A small", True),
        Stretch("red", "blue", False),
        Stretch("circle on gray.", "circle, on gray,", True),
        Stretch("", "and more", False),
    ]
    assert word_diff("", "") == []
    assert word_diff("Yes.", "yes") == [Stretch("Yes.", "yes", True)]
    assert word_diff("one", "") == [Stretch("one", "", False)]
    assert word_diff("x", "y") == [Stretch("x", "y", False)]


def longest(a: list[str], b: list[str]) -> int:
    """By trying every subsequence of the first."""
    for count in range(len(a), 0, -1):
        for chosen in itertools.combinations(a, count):
            rest = iter(b)
            if all(word in rest for word in chosen):
                return count
    return 0


def test_a_diff_covers_both_and_agrees_in_as_many_words_as_can() -> None:
    rng = random.Random(3)
    for _ in range(150):
        a, b = ([rng.choice("abcd") for _ in range(rng.randrange(9))] for _ in range(2))
        found = word_diff(" ".join(a), " ".join(b))
        assert [w for piece in found for w in piece.a.split()] == a
        assert [w for piece in found for w in piece.b.split()] == b
        assert all(piece.a == piece.b for piece in found if piece.same)
        assert sum(len(piece.a.split()) for piece in found if piece.same) == longest(a, b)
        assert all(one.same != other.same for one, other in itertools.pairwise(found)), "neighbours differ"


def test_a_diff_of_long_answers_is_quick_and_no_worse_than_another_s() -> None:
    rng = random.Random(4)
    a, b = ([rng.choice("abcdefghij") for _ in range(1500)] for _ in range(2))
    same = sum(len(piece.a.split()) for piece in word_diff(" ".join(a), " ".join(b)) if piece.same)
    assert same >= sum(block.size for block in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks())


def test_pairs_are_those_worth_most_together() -> None:
    random_ = np.random.default_rng(0)
    for n, m in itertools.product(range(5), range(6)):
        for _ in range(8):
            worth = random_.random((n, m)).round(1)
            found = best_pairs(worth)
            assert len(found) == min(n, m)
            assert len({i for i, _ in found}) == len({j for _, j in found}) == len(found)
            wide = worth if n <= m else worth.T
            tries = itertools.permutations(range(wide.shape[1]), wide.shape[0])
            best = max(sum(wide[i, j] for i, j in enumerate(order)) for order in tries)
            assert sum(worth[i, j] for i, j in found) == pytest.approx(best)


def test_boxes_are_matched_where_they_lie_and_the_rest_counts_nothing() -> None:
    left, right, far = Box(0, 0, 10, 10), Box(20, 0, 30, 10), Box(100, 100, 110, 110)
    shifted = Box(5, 0, 15, 10)
    found = match_boxes([left, right, far], [right, shifted])
    assert found.pairs == ((0, 1, pytest.approx(1 / 3)), (1, 0, 1.0))
    assert (found.only_a, found.only_b) == ((2,), ())
    assert found.mean_iou == pytest.approx((1 / 3 + 1) / 3)
    assert match_boxes([], []).mean_iou == 1.0
    assert match_boxes([left], []).mean_iou == 0.0
    assert match_boxes([left], [far]).pairs == ()
    assert match_boxes([left], [far]).only_b == (0,)


def test_boxes_are_not_matched_greedily() -> None:
    """The best pair first would leave the others with nothing."""
    a = [Box(0, 0, 10, 10), Box(4, 0, 14, 10)]
    b = [Box(3, 0, 13, 10), Box(12, 0, 22, 10)]
    found = match_boxes(a, b)
    totals = [a[0].iou(b[i]) + a[1].iou(b[1 - i]) for i in (0, 1)]
    assert a[1].iou(b[0]) == max(x.iou(y) for x in a for y in b)
    assert found.mean_iou == pytest.approx(max(totals) / 2)
