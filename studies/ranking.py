"""From votes to a ranking: win rates with Wilson intervals, strengths by Bradley and Terry's model with intervals.

A tie counts as half a win for each side in strengths and is left out of win rates, where it is counted beside
them. "Both bad" is a tie: it prefers neither. A vote among more than two columns is one game of the winner
against each other, or a tie between all; a game between two columns of the same label is none.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .comparison import BAD, TIE, Vote
from .metrics import Z95, Figure, wilson

STEPS = 100
CLOSE = 1e-12


@dataclass(frozen=True, slots=True)
class Game:
    """One answer against another. `score` is the first's: 1 won, 0 lost, 0.5 tied."""

    a: str
    b: str
    score: float


@dataclass(frozen=True, slots=True)
class WinCount:
    """How often one won, lost and tied. `rate` is wins of those that were decided, None where none was."""

    wins: int
    losses: int
    ties: int

    @property
    def games(self) -> int:
        return self.wins + self.losses + self.ties

    @property
    def rate(self) -> Figure | None:
        """With its 95 % Wilson interval."""
        decided = self.wins + self.losses
        return wilson(self.wins, decided) if decided else None


@dataclass(frozen=True, slots=True)
class Strength:
    """A strength with its 95 % interval: log odds, natural, of winning against one of mean strength."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Ranking:
    """What votes say. `records` are of each name, `pairs` of the first of two names against the second.

    `strengths` are by Bradley and Terry, from three names on; empty where they are not determined, and then `why` says
    why not.
    """

    votes: int
    records: Mapping[str, WinCount]
    pairs: Mapping[tuple[str, str], WinCount]
    strengths: Mapping[str, Strength]
    why: str = ""


def games(votes: Iterable[Vote]) -> list[Game]:
    """The games that votes stand for."""
    found = []
    for vote in votes:
        if vote.winner in (TIE, BAD):
            found += [Game(a, b, 0.5) for a, b in itertools.combinations(vote.columns, 2) if a != b]
        else:
            found += [Game(vote.winner, other, 1.0) for other in vote.columns if other != vote.winner]
    return found


def rank(votes: Sequence[Vote]) -> Ranking:
    """Win rates, and strengths from three names on. Names come best first, by strength or else by win rate."""
    played = games(votes)
    names = sorted({name for game in played for name in (game.a, game.b)})
    pairs = {}
    for a, b in itertools.combinations(names, 2):
        scores = [game.score if game.a == a else 1 - game.score for game in played if {game.a, game.b} == {a, b}]
        if scores:
            pairs[a, b] = WinCount(scores.count(1.0), scores.count(0.0), scores.count(0.5))
    records = {name: _total(name, pairs) for name in names}
    why, strengths = "", {}
    if len(names) < 3:
        why = "Strengths need votes on three checkpoints or more."
    else:
        wins = won(names, played)
        why = undetermined(names, wins)
        strengths = {} if why else dict(zip(names, bradley_terry(wins), strict=True))
    best_first = sorted(names, key=lambda name: -_order(name, strengths, records))
    return Ranking(
        len(votes),
        {name: records[name] for name in best_first},
        pairs,
        {name: strengths[name] for name in best_first} if strengths else {},
        why,
    )


def rank_by_kind(votes: Sequence[Vote]) -> dict[str, Ranking]:
    """A ranking for each kind of question, the kinds with most votes first."""
    kinds = {kind: [vote for vote in votes if vote.kind == kind] for kind in {vote.kind for vote in votes}}
    return {kind: rank(those) for kind, those in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))}


def _total(name: str, pairs: Mapping[tuple[str, str], WinCount]) -> WinCount:
    mine = [
        (r.wins, r.losses, r.ties) if a == name else (r.losses, r.wins, r.ties) for (a, b), r in pairs.items() if name in (a, b)
    ]
    return WinCount(*(sum(column) for column in zip(*mine, strict=True)))


def _order(name: str, strengths: Mapping[str, Strength], records: Mapping[str, WinCount]) -> float:
    if strengths:
        return strengths[name].value
    rate = records[name].rate
    return rate.value if rate else 0.5


def won(names: Sequence[str], played: Iterable[Game]) -> np.ndarray:
    """How often each name won against each other, a tie as half a win for both. float64 [n, n]."""
    place = {name: i for i, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for game in played:
        wins[place[game.a], place[game.b]] += game.score
        wins[place[game.b], place[game.a]] += 1 - game.score
    return wins


def undetermined(names: Sequence[str], wins: np.ndarray) -> str:
    """Why strengths are not determined by wins [n, n]; empty where they are.

    They are if, however names are split in two, some of each side has won against some of the other (Ford 1957).
    """
    apart = _unreached((wins + wins.T) > 0)
    if apart is not None:
        here, there = ([name for i, name in enumerate(names) if (i in apart) == side] for side in (True, False))
        return (
            f"{_listed(here)} and {_listed(there)} were never compared, not even through others: "
            "there is no common scale. Vote on a pair across."
        )
    for beaten, table in ((True, wins > 0), (False, wins.T > 0)):
        reached = _unreached(table)
        if reached is not None:
            inside, outside = ([name for i, name in enumerate(names) if (i in reached) == side] for side in (True, False))
            best, others = (outside, inside) if beaten else (inside, outside)
            return (
                f"{_listed(best)} won every game against {_listed(others)}: how far apart they are has no upper bound yet. "
                "More votes settle it."
            )
    return ""


def _unreached(edges: np.ndarray) -> set[int] | None:
    """What can be reached from the first along edges, where that is not everything."""
    reached, front = {0}, [0]
    while front:
        new = set(np.flatnonzero(edges[front.pop()]).tolist()) - reached
        reached |= new
        front += sorted(new)
    return None if len(reached) == len(edges) else reached


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def bradley_terry(wins: np.ndarray) -> list[Strength]:
    """Strengths that make wins [n, n] most likely (Bradley and Terry 1952), with intervals from the curvature there.

    P(i beats j) = 1 / (1 + exp(s_j - s_i)); strengths add up to 0. Newton's method, halved where it would overshoot. The
    interval of half-counted ties is a little wide. The strengths must be determined (`undetermined`).
    """
    strength = np.zeros(len(wins))
    for _ in range(STEPS):
        slope, curve = _slope(wins, strength), np.linalg.pinv(_curvature(wins, strength))
        step, before = curve @ slope, _loglik(wins, strength)
        while np.abs(step).max() > CLOSE and _loglik(wins, strength + step) < before:
            step = step / 2
        strength = strength + step
        strength -= strength.mean()
        if np.abs(step).max() <= CLOSE:
            break
    error = np.sqrt(np.diag(np.linalg.pinv(_curvature(wins, strength))))
    return [Strength(float(s), float(s - Z95 * e), float(s + Z95 * e)) for s, e in zip(strength, error, strict=True)]


def _chance(strength: np.ndarray) -> np.ndarray:
    """P(row beats column). float64 [n, n]."""
    return 1 / (1 + np.exp(strength[None] - strength[:, None]))


def _loglik(wins: np.ndarray, strength: np.ndarray) -> float:
    return float((wins * -np.logaddexp(0, strength[None] - strength[:, None])).sum())


def _slope(wins: np.ndarray, strength: np.ndarray) -> np.ndarray:
    return (wins - (wins + wins.T) * _chance(strength)).sum(1)


def _curvature(wins: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """The information matrix: singular along equal shifts of all strengths, which say nothing."""
    chance = _chance(strength)
    weight = (wins + wins.T) * chance * (1 - chance)
    np.fill_diagonal(weight, 0)
    return np.diag(weight.sum(1)) - weight
