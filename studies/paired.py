"""Two answers to the same questions: whether a difference is real, where the words part, whether the boxes agree."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.geometry.boxes import Box

_WORD = re.compile(r"[^\W_]+(?:['’.,-][^\W_]+)*")
"""Letters and digits, with what stands inside a word or a number."""


@dataclass(frozen=True, slots=True)
class McNemar:
    """How two checkpoints did on the same questions, and how likely so uneven a split of those they differ on is by chance.

    `p` is two-sided and exact: of the questions that one alone got right, each is as likely one's as the other's.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    p: float


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> McNemar:
    """McNemar's test (1947) as an exact binomial one. 1 where they differ on nothing. Raises ValueError for unequal lengths."""
    counts = Counter(zip(map(bool, a), map(bool, b), strict=True))
    one, other = counts[True, False], counts[False, True]
    return McNemar(counts[True, True], one, other, counts[False, False], sign_test(one, other))


def sign_test(one: int, other: int) -> float:
    """How likely a split of `one` + `other` fair coins at least as uneven as this is. 0 to 1, in whole numbers until the end."""
    n, fewer = one + other, min(one, other)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n)


def words(text: str) -> list[str]:
    """The words and numbers of a text, in lower case, without what stands around them."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two answers say the same. `f1` is of their words, order left aside (as SQuAD's; 2016), 0 to 1."""

    exact: bool
    f1: float


def agreement(a: str, b: str) -> Agreement:
    """Whether two answers are the same words, and how many they share. Two empty answers agree."""
    one, other = words(a), words(b)
    if not one and not other:
        return Agreement(True, 1.0)
    shared = sum((Counter(one) & Counter(other)).values())
    return Agreement(one == other, 2 * shared / (len(one) + len(other)))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words that both answers have, or that stand in each instead: as written, single spaces between."""

    a: str
    b: str
    same: bool


def word_diff(a: str, b: str) -> list[Stretch]:
    """Two answers as stretches that agree and stretches that differ, with as many words agreeing as can in order.

    Case and punctuation around words do not count. The longest common subsequence, so no shorter list of changes exists.
    """
    left, right = a.split(), b.split()
    return [
        Stretch(" ".join(left[i0:i1]), " ".join(right[j0:j1]), same)
        for i0, i1, j0, j1, same in _stretches(_common(list(map(_bare, left)), list(map(_bare, right))), len(left), len(right))
    ]


def _bare(word: str) -> str:
    """A word as it is compared. Punctuation alone stays what it is."""
    return " ".join(words(word)) or word


def _common(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places at which a longest common subsequence stands, ascending."""
    numbers = {word: i for i, word in enumerate(dict.fromkeys([*a, *b]))}
    x, y = (np.array([numbers[word] for word in side], np.int64) for side in (a, b))
    best = np.zeros((len(a) + 1, len(b) + 1), np.int32)  # of the words up to here
    for i in range(len(a)):
        best[i + 1, 1:] = np.maximum.accumulate(np.maximum(best[i, 1:], best[i, :-1] + (y == x[i])))
    i, j, found = len(a), len(b), []
    while i and j:
        if a[i - 1] == b[j - 1]:
            i, j = i - 1, j - 1
            found.append((i, j))
        elif best[i - 1, j] >= best[i, j - 1]:
            i -= 1
        else:
            j -= 1
    return found[::-1]


def _stretches(pairs: Sequence[tuple[int, int]], a: int, b: int) -> list[tuple[int, int, int, int, bool]]:
    """Ranges of words (i0, i1, j0, j1) that cover both sides in order, and whether they agree."""
    found: list[tuple[int, int, int, int, bool]] = []
    i = j = 0
    for p, q in [*pairs, (a, b)]:
        if p > i or q > j:
            found.append((i, p, j, q, False))
        if p < a and q < b:
            if found and found[-1][4]:
                i0, _, j0, _, _ = found.pop()
                found.append((i0, p + 1, j0, q + 1, True))
            else:
                found.append((p, p + 1, q, q + 1, True))
        i, j = p + 1, q + 1
    return found


@dataclass(frozen=True, slots=True)
class Boxes:
    """How two answers' boxes lie on each other. `pairs` are (index in a, index in b, IoU); those that do not touch are none.

    `mean_iou` is over the larger of the two sets, what has no partner counting 0; 1 where neither has a box.
    """

    pairs: tuple[tuple[int, int, float], ...]
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    mean_iou: float


def match_boxes(a: Sequence[Box], b: Sequence[Box]) -> Boxes:
    """Boxes of two answers matched one to one so that their IoUs add up to the most. Boxes are in the same pixels."""
    ious = np.array([[one.iou(other) for other in b] for one in a]).reshape(len(a), len(b))
    pairs = tuple((i, j, float(ious[i, j])) for i, j in best_pairs(ious) if ious[i, j] > 0)
    ones, others = {i for i, _, _ in pairs}, {j for _, j, _ in pairs}
    total = sum(iou for _, _, iou in pairs)
    return Boxes(
        pairs,
        tuple(i for i in range(len(a)) if i not in ones),
        tuple(j for j in range(len(b)) if j not in others),
        total / max(len(a), len(b)) if a or b else 1.0,
    )


def best_pairs(worth: np.ndarray) -> list[tuple[int, int]]:
    """One partner for each row or column of [n, m], whichever are fewer, so that what they are worth adds up to the most.

    The Hungarian method with potentials (Kuhn 1955, Munkres 1957), n^2 m steps. Ascending by row.
    """
    if worth.shape[0] > worth.shape[1]:
        return sorted((i, j) for j, i in best_pairs(worth.T))
    rows, columns = worth.shape
    of_row, of_column = np.zeros(rows + 1), np.zeros(columns + 1)
    partner = np.zeros(columns + 1, int)  # the row of each column, counted from 1; 0 for none
    for row in range(1, rows + 1):
        partner[0], at = row, 0
        least, before, done = np.full(columns + 1, np.inf), np.zeros(columns + 1, int), np.zeros(columns + 1, bool)
        while partner[at]:
            done[at] = True
            gap = -worth[partner[at] - 1] - of_row[partner[at]] - of_column[1:]
            open_ = ~done[1:]
            better = open_ & (gap < least[1:])
            least[1:][better], before[1:][better] = gap[better], at
            after = int(np.flatnonzero(open_)[least[1:][open_].argmin()]) + 1
            step = least[after]
            of_row[partner[done]] += step
            of_column[done] -= step
            least[~done] -= step
            at = after
        while at:
            partner[at], at = partner[before[at]], before[at]
    return sorted((int(row) - 1, column) for column, row in enumerate(partner[1:]) if row)
