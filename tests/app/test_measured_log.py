"""The log that `study log` fills: whole turns in whole sessions, found again, and times that mean something."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from store_fixtures import rows

from app.log.measured import RARE, MeasuredLog
from studies import studies
from studies.log_growth import BAR_MS


@pytest.fixture(scope="module")
def log() -> Iterator[MeasuredLog]:
    """One of 1,030 turns: the seed, and three sessions of a copy."""
    found = MeasuredLog()
    found.grow(1025)
    yield found
    found.close()


def counted(log: MeasuredLog, sql: str) -> int:
    return rows(log.root, sql)[0][0]


def test_copies_are_whole_sessions_of_their_own(log: MeasuredLog) -> None:
    assert log.turns == counted(log, "SELECT count(*) FROM runs") == 1030
    assert counted(log, "SELECT count(*) FROM sessions") == 103
    assert 2040 < counted(log, "SELECT count(*) FROM messages") <= 2060  # two sessions may begin with the same words
    assert counted(log, "SELECT count(*) FROM runs r JOIN sessions s ON s.id = r.session_id WHERE r.id LIKE '%-1'") == 30
    assert counted(log, "SELECT count(*) FROM sessions WHERE runs != 10") == 0
    assert rows(log.root, "PRAGMA foreign_key_check") == []


def test_a_copy_is_older_and_a_chain_of_turns_like_any_other(log: MeasuredLog) -> None:
    [(session,)] = rows(log.root, "SELECT id FROM sessions WHERE id LIKE '%-1' LIMIT 1")
    turns = log.history.thread(log.history.current(session) or "")
    first = log.history.thread(log.history.current(session.removesuffix("-1")) or "")
    assert [turn.id for turn in turns] == [f"{turn.id}-1" for turn in first]
    assert [turn.question for turn in turns] == [f"{turn.question} w1" for turn in first]
    assert max(turn.started_at for turn in turns) < min(turn.started_at for turn in first)
    assert len({len(turn.started_at) for turn in (*turns, *first)}) == 1


def test_what_is_timed_finds_what_is_there(log: MeasuredLog) -> None:
    found = {name: act() for name, act in log.actions.items() if name != "writing a turn"}
    assert found["searching a word of one turn"] == counted(log, f"SELECT count(*) FROM messages WHERE text LIKE '%{RARE}%'") == 2
    assert found["listing 100 sessions"] == 100
    assert found["searching a word of every third turn"] == 100
    assert 0.25 < counted(log, "SELECT avg(q.text LIKE '%what%') FROM runs r JOIN messages q ON q.id = r.prompt_id") < 0.42
    assert found["reopening a session"] == 10
    assert found["counting what is there"] == counted(log, "SELECT count(*) FROM runs")


def test_the_report_holds_what_was_timed_at_three_sizes() -> None:
    said: list[str] = []
    report = studies["log"].measure([], said.append, log=MeasuredLog, turns=100)
    assert [line.split(" turns")[0] for line in said if "turns are in" in line] == ["1", "10", "100"]
    times = report.figures["listing_100_sessions_ms"]
    assert list(times) == ["1", "10", "100"]
    assert all(0 < ms for ms in times.values())
    over = [name for name, value in report.figures.items() if name.endswith("_ms") and value["100"] > BAR_MS]
    assert len(over) == len(report.figures["over_bar"])
    assert report.figures["size_bytes"] > 10_000


def test_what_finds_nothing_is_not_timed() -> None:
    class Empty(MeasuredLog):
        def __init__(self) -> None:
            super().__init__()
            nothing: Callable[[], int] = lambda: 0  # noqa: E731
            self.actions = {"looking": nothing}

    with pytest.raises(ValueError, match="'looking' found nothing"):
        studies["log"].measure([], lambda text: None, log=Empty, turns=10)
