"""What is counted as it comes and goes, and what is found by an index, beside the same asked of the tables themselves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from store_fixtures import OTHER, TINY, begin, picture, rows, says, turn

from app.log.cleanup import MOST_LOOKED_AT
from app.log.history import History
from app.log.store import Store
from model.recorder import CallEnd
from panels.base.records import RunRow
from studies.comparison import Comparison, Side

WORDS = ("red", "redder", "circle", "circus", "Größe", "ein", "\u6f22\u5b57", "a=b", "NOT")
STATUSES = ("done", "stopped", "failed")
BEGUN = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    store = Store(tmp_path / "data")
    yield History(store)
    store.close()


def asked(history: History, sql: str, *params: object) -> list[tuple]:
    return rows(history.store.root, sql, *params)


def counted(history: History) -> dict[str, int]:
    """The totals by looking at every row and every file."""
    tables = ("sessions", "runs", "messages", "images", "trials")
    files = (path for path in (history.store.root / "blobs").rglob("*") if path.is_file())
    return {table: asked(history, f"SELECT count(*) FROM {table}")[0][0] for table in tables} | {
        "blob_bytes": sum(path.stat().st_size for path in files)
    }


def kept(history: History) -> dict[str, int]:
    usage = history.usage()
    return {name: getattr(usage, name) for name in ("sessions", "runs", "messages", "images", "trials", "blob_bytes")}


def fill(history: History, seed: int, turns: int = 40) -> random.Random:
    """Turns of chance in five sessions and none, at times of chance, some of them the same, with what is kept of them."""
    chance = random.Random(seed)
    for number in range(turns):
        session = chance.choice(["a", "b", "c", "d", "e", ""])
        question = " ".join(chance.choices(WORDS, k=2))
        part = [picture(chance.choice(["red", "blue", "green"]))] if chance.random() < 0.4 else []
        asking = says("user", *part, question)
        run = turn(history.store, asking, answer=chance.choice(WORDS), session=session, run_id=f"r{number}",
                   panel=chance.choice(["chat", "compare"]), checkpoint=chance.choice([TINY, OTHER]),
                   status=chance.choice(STATUSES))  # fmt: skip
        at = BEGUN + timedelta(hours=chance.randint(0, 100))
        with history.store.write() as db:
            db.execute("UPDATE runs SET started_at = ? WHERE id = ?", [at.isoformat(timespec="microseconds"), run])
        if chance.random() < 0.4:
            history.rate(run, chance.choice([-1, 0, 1]), "note")
        if chance.random() < 0.4:
            history.keep(run, "map", chance.choice("xy"), bytes([chance.randint(0, 3)]) * 9, {})
    return chance


@pytest.mark.parametrize("seed", range(4))
def test_totals_are_what_counting_gives(history: History, seed: int) -> None:
    chance = fill(history, seed)
    assert kept(history) == counted(history)
    for number in chance.sample(range(40), 15):
        history.delete_runs([f"r{number}"])
        assert kept(history) == counted(history)
    history.delete_session(chance.choice([session.id for session in history.sessions()]))
    assert kept(history) == counted(history)
    assert (kept(history)["runs"], kept(history)["images"]) != (0, 0)


@pytest.mark.parametrize("seed", range(4))
def test_sessions_are_listed_as_their_runs_say(history: History, seed: int) -> None:
    chance = fill(history, seed)
    history.delete_runs([f"r{number}" for number in chance.sample(range(40), 12)])
    moved = chance.choice(history.search(limit=1000)).id
    with history.store.write() as db:
        db.execute("UPDATE runs SET session_id = 'a' WHERE id = ?", [moved])
    expected = asked(
        history,
        """SELECT s.id, (SELECT count(*) FROM runs WHERE session_id = s.id),
            coalesce((SELECT max(started_at) FROM runs WHERE session_id = s.id), s.started_at) AS last_at
        FROM sessions s ORDER BY last_at DESC, s.rowid DESC""",
    )
    assert [(one.id, one.runs, one.last_at) for one in history.sessions()] == expected
    assert [one.id for one in history.sessions(2)] == [id for id, _, _ in expected[:2]]
    assert [one.id for one in history.sessions(among=["b", "nowhere", "d"])] == [id for id, _, _ in expected if id in ("b", "d")]
    assert history.sessions(among=[]) == []


def begins(row: RunRow, query: str) -> bool:
    """Whether every word is the beginning of a word in question or answer."""
    said = f"{row.question} {row.answer}".lower().replace("=", " ").split()
    return all(any(word.startswith(part) for word in said) for part in query.lower().replace("=", " ").split())


@pytest.mark.parametrize("seed", range(4))
def test_a_search_finds_what_looking_at_every_run_does(history: History, seed: int) -> None:
    chance = fill(history, seed)
    every = history.search(limit=1000)
    assert len(every) == 40
    assert [row.started_at for row in every] == sorted((row.started_at for row in every), reverse=True)
    for _ in range(150):
        wanted: dict[str, Any] = {
            "query": chance.choice(["", "", "re", "circ ein", "red", "größe", "a=b", "\u6f22", "circus"]),
            "panel": chance.choice(["", "", "chat", "compare"]),
            "checkpoint": chance.choice(["", "", TINY.name, OTHER.id]),
            "status": chance.choice(["", "", *STATUSES]),
            "rating": chance.choice([None, None, -1, 0, 1]),
            "since": chance.choice(["", "", "2026-01-02", "2026-01-03 04:00"]),
            "until": chance.choice(["", "", "2026-01-04", "2026-01-03 08:00"]),
            "limit": chance.choice([3, 1000]),
        }
        last = wanted["until"].replace(" ", "T") + "~"
        matching = [
            row for row in every
            if begins(row, wanted["query"]) and wanted["panel"] in ("", row.panel) and wanted["status"] in ("", row.status)
            and wanted["checkpoint"] in ("", row.checkpoint, row.checkpoint_id) and wanted["rating"] in (None, row.rating)
            and row.started_at >= wanted["since"].replace(" ", "T") and (not wanted["until"] or row.started_at <= last)
        ]  # fmt: skip
        found = history.search(**wanted)
        limit = wanted["limit"]
        assert len(found) == min(limit, len(matching)), wanted
        assert [row.started_at for row in found] == [row.started_at for row in matching[:limit]], wanted
        assert {row.id for row in found} <= {row.id for row in matching}, wanted


def test_what_a_search_is_narrowed_to_is_never_read_as_a_word(history: History) -> None:
    strange = ("chat panel", 'x" OR "y', "panel=chat", "\u6f22", "ü", "*")
    for number, panel in enumerate(strange):
        turn(history.store, says("user", "What?"), panel=panel, run_id=str(number))
    assert [[row.id for row in history.search(panel=panel)] for panel in strange] == [[str(n)] for n in range(len(strange))]
    for word in ("chat", "panel", b"panel=chat".hex(), "done", b"status=done".hex()):
        assert history.search(word) == [], "facets are no words of the turn"


def test_a_running_turn_is_found_by_its_question_and_then_by_its_answer(history: History) -> None:
    run = begin(history.store, says("user", "How many quokkas?"))
    assert [(row.id, row.status) for row in history.search("quokka", status="running")] == [(run, "running")]
    history.store.finish(CallEnd(run, "done", "Seven.", "end"))
    assert [row.id for row in history.search("quokka seven", status="done")] == [run]
    assert history.search(status="running") == []


def test_turns_of_one_moment_are_all_found(history: History) -> None:
    """As columns of an import are, or of a clock that stands."""
    ids = [turn(history.store, says("user", f"What {number}?"), run_id=f"{number:02}") for number in range(30)]
    with history.store.write() as db:
        db.execute("UPDATE runs SET started_at = '2026-05-05T05:05:05.000005+00:00'")
    turn(history.store, says("user", "Before?"), run_id="before")
    with history.store.write() as db:
        db.execute("UPDATE runs SET started_at = '2026-05-05T05:05:05.000004+00:00' WHERE id = 'before'")
    assert sorted(row.id for row in history.search("what")) == ids
    assert history.search()[-1].id == "before"
    assert len(history.search(until="2026-05-05 05:05:05")) == 31


def test_columns_of_a_sealed_comparison_are_not_cut_off_by_who_was_asked_first(history: History) -> None:
    sides = tuple(Side(f"{letter}", letter) for letter in "dcba")
    history.begin_comparison(Comparison("g", "s", "Which?", "", True, False, sides, ""))
    for side in sides:
        turn(history.store, says("user", "Which?"), panel="compare", group="g", run_id=side.run)
    found = ["".join(row.id for row in history.search("which", limit=most)) for most in (1, 2, 3, 4)]
    assert found == ["a", "ab", "abc", "abcd"]
    assert history.search(checkpoint=TINY.name) == history.search(checkpoint=TINY.id) == []
    history.reveal("g")
    assert [row.id for row in history.search(checkpoint=TINY.name)] == list("abcd")


def test_files_that_a_crash_left_in_a_large_log_go_in_the_end(history: History) -> None:
    for number in range(MOST_LOOKED_AT + 400):
        history.store.blobs.path(f"{number * 47 % 256:02x}{number:062x}").parent.mkdir(parents=True, exist_ok=True)
        history.store.blobs.path(f"{number * 47 % 256:02x}{number:062x}").write_bytes(b"x")
    mine = picture("red")
    turn(history.store, says("user", mine, "What?"), run_id="r0")
    left = []
    for number in range(1, 4):
        turn(history.store, says("user", "And?"), run_id=f"r{number}")
        history.delete_runs([f"r{number}"])
        left.append(sum(path.is_file() for path in (history.store.root / "blobs").rglob("*")))
    assert 1 < left[0] <= 401
    assert left[1:] == [1, 1]
    assert history.run("r0").prompt.images[0].data == mine.data
