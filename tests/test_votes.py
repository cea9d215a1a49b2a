"""Comparisons and votes in the log: sealed until voted on, counted once, exported, gone with their answers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_fixtures import OTHER, TINY, rows, says, turn
from test_migrations import NAMES, old_log

from app.export import export_zip, import_session
from app.history import History
from app.store import Store
from model.errors import InputError
from model.recorder import new_id
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
