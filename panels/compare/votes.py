"""What the votes say: win rates with intervals, strengths from three columns on, by kind of question; the votes as files."""

from __future__ import annotations

from collections.abc import Sequence

from model.errors import InputError
from studies.comparison import Comparison, Vote, as_csv, as_json
from studies.metrics import Figure
from studies.ranking import Ranking, Strength, WinCount, rank

from ..base.bench import Bench
from ..base.records import Reply

FREE = "any other question"
"""What a kind is called that has no name: of questions that nobody made for a drawn scene."""
MAX_REASONS = 20
MEANING = (
    "Win rate: wins of those that were decided, with a 95 % Wilson interval. Strength: Bradley and Terry's, in nats of log odds "
    "against one of mean strength; ties and both-bad votes count half a win for each."
)


def cast_vote(
    bench: Bench, session: str, id: str, outcome: str, reasons: Sequence[object], waited_ms: float | None
) -> Comparison:
    """Write a vote down and reveal. On a public page the comparison must be of that session. Raises InputError."""
    names = [reason for reason in reasons if isinstance(reason, str)]
    if len(reasons) > MAX_REASONS or len(names) < len(reasons):
        raise InputError("Reasons are a list of their names. Choose some of those shown.")
    return bench.history.vote(id, outcome, names, waited_ms, session if bench.public else None)


def votes_of(bench: Bench, session: str, kind: str = "", blind: bool = False) -> list[Vote]:
    """The votes that may be told here: on a public page those of this session alone; of one kind, or blind ones only."""
    if bench.public and not session:
        return []
    found = bench.history.votes(session if bench.public else "")
    return [vote for vote in found if (not kind or (vote.kind or FREE) == kind) and (vote.blind or not blind)]


def votes_view(bench: Bench, session: str, kind: str = "", blind: bool = False) -> Reply:
    """The tables as `compare_tables.js` takes them."""
    every = votes_of(bench, session)
    votes = votes_of(bench, session, kind, blind)
    ranking = rank(votes)
    counted: dict[str, int] = {}
    for vote in every:
        counted[vote.kind or FREE] = counted.get(vote.kind or FREE, 0) + 1
    return {
        "view": "votes",
        "running": False,
        "kind": kind,
        "blind": blind,
        "kinds": sorted(counted.items(), key=lambda item: (-item[1], item[0])),
        "votes": len(votes),
        "blinds": sum(vote.blind for vote in votes),
        "names": [_line(name, record, ranking.strengths.get(name)) for name, record in ranking.records.items()],
        "pairs": [[a, b, *_counts(record)] for (a, b), record in ranking.pairs.items()],
        "reasons": _reasons(votes),
        "why": ranking.why if len(ranking.records) > 1 else "",
        "note": MEANING,
        "latest": [_latest(vote) for vote in votes[::-1][:12]],
        "csv": as_csv(votes),
        "json": as_json(votes),
        "mine": bench.public,
    }


def results(ranking: Ranking) -> Reply:
    """A ranking as plain JSON, for the API."""
    return {
        "votes": ranking.votes,
        "columns": [
            {"label": name, "wins": r.wins, "losses": r.losses, "ties": r.ties, "win_rate": _figure(r.rate),
             "strength": _strength(ranking.strengths.get(name))}
            for name, r in ranking.records.items()
        ],
        "pairs": [
            {"a": a, "b": b, "a_wins": r.wins, "b_wins": r.losses, "ties": r.ties, "a_win_rate": _figure(r.rate)}
            for (a, b), r in ranking.pairs.items()
        ],
        "note": ranking.why,
    }  # fmt: skip


def _line(name: str, record: WinCount, strength: Strength | None) -> list[str]:
    """[name, wins, losses, ties, win rate with its interval, strength with its interval]."""
    told = f"{strength.value:+.2f} [{strength.low:+.2f}, {strength.high:+.2f}]" if strength else ""
    return [name, *_counts(record), told]


def _counts(record: WinCount) -> list[str]:
    rate = record.rate
    share = f"{rate.value:.2f} [{rate.low:.2f}, {rate.high:.2f}]" if rate else "\u2013"
    return [str(record.wins), str(record.losses), str(record.ties), share]


def _reasons(votes: Sequence[Vote]) -> list[tuple[str, int]]:
    """(reason, times given), the most frequent first."""
    counted: dict[str, int] = {}
    for vote in votes:
        for reason in vote.reasons:
            counted[reason] = counted.get(reason, 0) + 1
    return [(reason, many) for reason, many in sorted(counted.items(), key=lambda item: (-item[1], item[0]))]


def _latest(vote: Vote) -> list[str]:
    """[question, winner, how]."""
    how = ", ".join(["blind" if vote.blind else "open", *vote.reasons])
    winner = {"tie": "tie", "bad": "all bad"}.get(vote.winner, vote.winner)
    return [vote.question[:120], winner, how]


def _figure(figure: Figure | None) -> dict[str, float] | None:
    return {"value": figure.value, "low": figure.low, "high": figure.high, "n": figure.n} if figure else None


def _strength(strength: Strength | None) -> dict[str, float] | None:
    return {"value": strength.value, "low": strength.low, "high": strength.high} if strength else None
