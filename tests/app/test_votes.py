"""Comparisons and votes in the log: sealed until voted on, counted once, exported, gone with their answers."""

from __future__ import annotations

import csv
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from old_logs import NAMES, old_log
from PIL import Image
from store_fixtures import OTHER, TINY, begin, picture, rows, says, turn

from app.export.write import export_zip, import_session
from app.log.comparisons import FINAL
from app.log.history import History
from app.log.store import Store
from app.public.guest_log import GuestLog
from app.public.guests import Guests
from model.errors import InputError
from model.pictures import from_image
from model.recorder import CallEnd, new_id
from studies.comparison import Comparison, Side, as_csv, as_json


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    store = Store(tmp_path / "data")
    yield History(store)
    store.close()


def compared(history: History, blind: bool = False, session: str = "s", names: str = "ab", **more: Any) -> Comparison:
    """A comparison with an answered column for each name, "b" of another checkpoint."""
    group = new_id()
    columns = tuple(Side(new_id(), f"label {name}", {"spec": name}) for name in names)
    made = Comparison(group, session, "Which?", more.pop("kind", "colour"), blind, False, columns, "", **more)
    history.begin_comparison(made)
    for column, checkpoint in zip(columns, (TINY, OTHER) * 2):
        turn(history.store, says("user", "Which?"), answer=f"says {column.label}", session=session, panel="compare",
             group=group, checkpoint=checkpoint, run_id=column.run)  # fmt: skip
    return history.comparison(group)


def test_a_comparison_comes_back_as_it_was_written(history: History) -> None:
    made = compared(history, names="abc")
    assert (made.question, made.kind, made.blind, made.sealed, made.outcome) == ("Which?", "colour", False, False, "")
    assert [column.label for column in made.columns] == ["label a", "label b", "label c"]
    assert made.columns[1].setup == {"spec": "b"}
    assert [row.id for row in history.group(made.id)] == [column.run for column in made.columns]
    with pytest.raises(InputError, match="no such comparison"):
        history.comparison("nope")


@pytest.mark.parametrize("outcome", ["A", "B", "tie", "bad"])
def test_a_vote_is_kept_with_its_winner_and_reasons(history: History, outcome: str) -> None:
    made = compared(history)
    voted = history.vote(made.id, outcome, ["correct", "clearer", "correct"], 1234.5)
    assert (voted.outcome, voted.reasons) == (outcome, ("correct", "clearer"))
    [vote] = history.votes()
    assert vote.winner == {"A": "label a", "B": "label b"}.get(outcome, outcome)
    assert (vote.columns, vote.kind, vote.blind, vote.waited_ms) == (("label a", "label b"), "colour", False, 1234.5)


@pytest.mark.parametrize("outcome", ["C", "", "a", "both", "TIE", "A" * 1000])
def test_there_are_no_other_outcomes_and_no_other_reasons(history: History, outcome: str) -> None:
    made = compared(history)
    with pytest.raises(InputError, match=r"one of A, B, tie, bad"):
        history.vote(made.id, outcome)
    with pytest.raises(InputError, match="no reason 'nicer'"):
        history.vote(made.id, "A", ["nicer"])
    assert history.votes() == []
    assert history.vote(compared(history, names="abc").id, "C").outcome == "C"


def test_on_an_open_comparison_the_last_vote_counts_and_a_blind_one_is_final(history: History) -> None:
    open_, blind = compared(history), compared(history, blind=True)
    for outcome in ("A", "tie", "B"):
        history.vote(open_.id, outcome)
    history.vote(blind.id, "A")
    with pytest.raises(InputError, match="It stays as it is"):
        history.vote(blind.id, "B")
    assert [(vote.outcome, vote.blind) for vote in history.votes()] == [("B", False), ("A", True)]


@pytest.mark.parametrize("blind", [True, False])
def test_of_votes_that_race_one_counts(tmp_path: Path, blind: bool) -> None:
    """From threads with a log each, as several programs on one folder have: on a blind comparison all others are refused."""
    first = Store(tmp_path / "data")
    made = compared(History(first), blind)
    gate, outcomes = threading.Barrier(8), ["A", "B", "tie", "bad"] * 2

    def cast(outcome: str) -> str:
        store = Store(tmp_path / "data")
        try:
            gate.wait(60)
            return History(store).vote(made.id, outcome).outcome
        except InputError as error:
            return str(error)
        finally:
            store.close()

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(cast, outcomes))
    [vote] = History(first).votes()
    if blind:
        assert said.count(FINAL) == 7
        assert [word for word in said if word != FINAL] == [vote.outcome]
    else:
        assert said == outcomes, "the last one counts"
    assert vote.blind is blind
    assert len(rows(tmp_path / "data", "SELECT * FROM votes")) == 1
    first.close()


def test_a_column_without_an_answer_cannot_be_voted_on(history: History) -> None:
    made = blind_of_sizes(history)
    with pytest.raises(InputError, match="A column has no answer yet"):
        history.vote(made.id, "A")
    history.store.finish(CallEnd(made.columns[0].run, "failed", error="Memory ran out."))
    with pytest.raises(InputError, match="or failed"):
        history.vote(made.id, "A")
    assert history.votes() == []
    assert history.comparison(made.id).sealed, "a vote that is refused reveals nothing"


def test_a_vote_reads_the_comparison_once(history: History) -> None:
    made = compared(history)
    said: list[str] = []
    history.store.db.conn.set_trace_callback(said.append)
    history.vote(made.id, "A")
    history.store.db.conn.set_trace_callback(None)
    reads = [sql for sql in said if sql.lstrip().startswith("SELECT") and "comparisons k" in sql]
    assert len(reads) == 1
    assert said.index("BEGIN IMMEDIATE") < said.index(reads[0]) < said.index("COMMIT")


def test_a_vote_may_be_bound_to_a_session(history: History) -> None:
    made = compared(history, session="mine")
    for other in ("", "theirs"):
        with pytest.raises(InputError, match="no such comparison"):
            history.vote(made.id, "A", session=other)
    assert history.votes() == []
    assert history.vote(made.id, "A", session="mine").outcome == "A"


def test_a_vote_after_revealing_is_not_a_blind_one(history: History) -> None:
    made = compared(history, blind=True)
    history.reveal(made.id)
    assert history.comparison(made.id).sealed is False
    history.vote(made.id, "A")
    assert history.votes()[0].blind is False


def test_until_the_vote_the_log_does_not_tell_which_checkpoint_it_was(history: History) -> None:
    made = compared(history, blind=True)
    assert [(one.id, one.sealed) for one in history.comparisons("s")] == [(made.id, True)]
    lines = history.search("which") + history.group(made.id)
    told = json.dumps([[value for value in vars(line).values()] for line in lines])
    assert len(lines) == 4
    for secret in (TINY.name, OTHER.name, TINY.id, OTHER.id, "somebody"):
        assert secret not in told
    assert {line.checkpoint for line in lines} == {"hidden until the vote"}
    assert {(line.model_ms, line.new_tokens, line.visual_tokens) for line in lines} == {(None, None, None)}
    for name in (TINY.name, OTHER.name, TINY.id):
        assert history.search(checkpoint=name) == []
    for column in made.columns:
        with pytest.raises(InputError, match="waits for its vote"):
            history.run(column.run)
    history.vote(made.id, "B")
    assert [history.run(column.run).checkpoint for column in made.columns] == [TINY, OTHER]
    assert [line.checkpoint for line in history.group(made.id)] == [TINY.name, OTHER.name]
    assert len(history.search(checkpoint=TINY.name)) == 1
    assert [one.sealed for one in history.comparisons("s")] == [False]


def blind_of_sizes(history: History) -> Comparison:
    """A blind comparison of which B got the picture scaled down, was asked first and has ended; A is being written."""
    group, (large, small) = (
        new_id(),
        (picture("red", "scene.png"), from_image(Image.new("RGB", (3, 2), "red"), "scene.png at 3 px")),
    )
    a, b = sorted((new_id(), new_id()))
    sides = (Side(a, "label a", {"spec": "a"}), Side(b, "label b", {"spec": "b", "side_px": 3}))
    history.begin_comparison(Comparison(group, "s", "Which?", "", True, False, sides, ""))
    turn(history.store, says("user", small, "Which?"), answer="zebra", panel="compare", group=group, checkpoint=OTHER,
         run_id=sides[1].run)  # fmt: skip
    begin(history.store, says("user", large, "Which?"), panel="compare", group=group, run_id=sides[0].run)
    return history.comparison(group)


def test_until_all_columns_have_ended_none_is_found_and_none_shows_its_answer(history: History) -> None:
    """Who is quick would be known by that."""
    made = blind_of_sizes(history)
    assert history.search("zebra") == history.search() == history.search(status="done") == []
    assert [(row.status, row.answer) for row in history.group(made.id)] == [("running", ""), ("running", "")]
    history.store.finish(CallEnd(made.columns[0].run, "done", "horse", "end"))
    assert [(row.status, row.answer) for row in history.group(made.id)] == [("done", "horse"), ("done", "zebra")]
    assert [row.answer for row in history.search("zebra")] == ["zebra"]


def test_until_the_vote_no_time_order_or_picture_tells_the_columns_apart(history: History) -> None:
    made = blind_of_sizes(history)
    history.store.finish(CallEnd(made.columns[0].run, "done", "horse", "end"))
    turn(history.store, says("user", "Later?"))
    columns = sorted(side.run for side in made.columns)
    found = history.search()[1:]
    assert [row.id for row in found] == columns, "as their ids stand, whoever was asked first"
    assert [row.id for row in history.group(made.id)] == columns
    assert {row.started_at for row in found} == {made.created_at}
    assert [row.id for row in history.search(limit=2)][1:] == columns[:1]
    with history.store.write() as db:
        db.execute("UPDATE runs SET started_at = '2099-01-01T00:00:00+00:00' WHERE id = ?", [made.columns[0].run])
    assert history.search(panel="compare", since="2098-01-01") == [], "no bisecting of when each began"
    assert len(history.search(panel="compare", until=made.created_at)) == 2
    assert {row.images for row in found} == {()}
    assert history.pictures_of(made.id) == [picture("red").id], "the large one, whichever column got it"
    history.reveal(made.id)
    assert [row.id for row in history.search(panel="compare")] == [side.run for side in made.columns], "A was asked last"
    assert history.search(panel="compare")[0].started_at == "2099-01-01T00:00:00+00:00"


def test_until_the_vote_nothing_kept_with_an_answer_is_told(history: History) -> None:
    made = compared(history, blind=True)
    run = made.columns[0].run
    assert history.keep(run, "compare", "spent", b"", {"weights_bytes": 5})
    assert history.kept(run, "compare") == []
    with pytest.raises(InputError, match="waits for its vote"):
        history.kept_bytes(run, "compare", "spent")
    history.vote(made.id, "A")
    assert history.kept(run, "compare")[0].meta == {"weights_bytes": 5}


def test_an_export_leaves_a_sealed_comparison_out_says_so_and_comes_back(history: History, tmp_path: Path) -> None:
    """Neither checkpoint, setting, token, time nor picture of it, and no line by which to guess."""
    open_, blind = compared(history), blind_of_sizes(history)
    history.store.finish(CallEnd(blind.columns[0].run, "done", "horse", "end"))
    history.keep(blind.columns[0].run, "compare", "spent", b"spent-bytes", {"weights_bytes": 5})
    follow = turn(history.store, says("user", "And?"))
    history.rate(blind.columns[0].run, 1, "nice horse")
    with zipfile.ZipFile(export_zip(history, "s", tmp_path / "s.zip")) as file:
        files = {name: file.read(name) for name in file.namelist()}
    told = b"".join(files.values())
    for secret in ("zebra", "horse", "side_px", blind.id, *(side.run for side in blind.columns), "spent-bytes", "at 3 px"):
        assert secret.encode() not in told, secret
    assert [json.loads(line)["id"] for line in files["runs.jsonl"].splitlines()] == [*(c.run for c in open_.columns), follow]
    assert [name for name in files if name.startswith(("images/", "artifacts/"))] == []
    assert b"1 blind comparison waits for its vote and is left out. Vote in Compare" in files["README.md"]
    session = import_session(history, tmp_path / "s.zip")
    assert sorted(row.answer for row in history.search() if row.session == session) == ["says label a", "says label b", "yes"]
    history.vote(blind.id, "B")
    with zipfile.ZipFile(export_zip(history, "s", tmp_path / "s.zip")) as file:
        assert b"zebra" in file.read("runs.jsonl")
        assert b"left out" not in file.read("README.md")
        assert len([name for name in file.namelist() if name.startswith("images/")]) == 2


def test_a_link_to_a_sealed_answer_is_refused(history: History) -> None:
    """Its copy would be no part of the comparison, and so say what answered."""
    made = compared(history, blind=True)
    guests = GuestLog(history, Guests(history.store))
    guests.has = lambda run_id: True  # type: ignore[method-assign]
    run = made.columns[0].run
    with pytest.raises(InputError, match="waits for its vote"):
        guests.share(run)
    with history.store.write() as db:
        db.execute("INSERT INTO shares (run_id, shared_at) VALUES (?, '2026-01-01')", [run])
    with pytest.raises(InputError, match="waits for its vote"):
        guests.open_shared(run)
    assert len(history.sessions()) == 1
    history.vote(made.id, "A")
    assert history.current(guests.open_shared(run)) not in (None, run)


def test_votes_are_told_by_session(history: History) -> None:
    mine, other = compared(history, session="mine"), compared(history, session="other")
    history.vote(mine.id, "A")
    history.vote(other.id, "B")
    assert [vote.comparison for vote in history.votes("mine")] == [mine.id]
    assert len(history.votes()) == 2
    assert history.votes("nobody") == []
    assert [one.id for one in history.comparisons("mine")] == [mine.id]
    assert history.comparisons("nobody") == []


def test_exports_hold_every_vote(history: History) -> None:
    first, second = compared(history, names="abc"), compared(history, kind="=1+1")
    history.vote(first.id, "C", ["sees more", "correct"], 50)
    history.vote(second.id, "bad")
    found = json.loads(as_json(history.votes()))
    assert [(vote["outcome"], vote["winner"], vote["reasons"]) for vote in found] == [
        ("C", "label c", ["sees more", "correct"]), ("bad", "bad", [])]  # fmt: skip
    lines = list(csv.DictReader(io.StringIO(as_csv(history.votes()))))
    assert [line["columns"] for line in lines] == ["label a | label b | label c", "label a | label b"]
    assert [line["reasons"] for line in lines] == ["sees more | correct", ""]
    assert lines[1]["kind"] == "'=1+1"  # no spreadsheet computes it
    assert as_csv([]).count("\n") == 1


def test_votes_go_with_their_answers(history: History, tmp_path: Path) -> None:
    kept, gone, half = compared(history), compared(history, session="gone"), compared(history)
    for made in (kept, gone, half):
        history.vote(made.id, "A")
    history.delete_session("gone")
    history.delete_runs([half.columns[0].run])
    assert {vote.comparison for vote in history.votes()} == {kept.id, half.id}
    history.delete_runs([half.columns[1].run])
    assert [vote.comparison for vote in history.votes()] == [kept.id]
    assert rows(tmp_path / "data", "SELECT id FROM comparisons") == [(kept.id,)]
    assert rows(tmp_path / "data", "PRAGMA foreign_key_check") == []


def test_exported_runs_come_back_with_their_group(history: History, tmp_path: Path) -> None:
    made = compared(history)
    session = import_session(history, export_zip(history, "s", tmp_path / "s.zip"))
    back = [row for row in history.search() if row.session == session]
    assert len({row.group for row in back}) == 1
    assert all(row.group not in ("", made.id) for row in back)  # it is no answer of the comparison here


@pytest.mark.parametrize("before", NAMES[5:])
def test_an_older_log_takes_comparisons_and_keeps_its_rows(tmp_path: Path, before: str) -> None:
    (tmp_path / "data").mkdir()
    old_log(tmp_path / "data", before)
    store = Store(tmp_path / "data")
    history = History(store)
    assert [(run.id, run.sealed) for run in history.search(panel="compare")] == [("again", False)]
    history.vote(compared(history, blind=True).id, "tie")
    assert [vote.outcome for vote in history.votes()] == ["tie"]
    assert [one.sealed for one in history.comparisons("s")] == [False]
    store.close()
