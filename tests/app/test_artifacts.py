"""What is kept with a run: replaced by name, bounded, gone with its run and with its file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from store_fixtures import says, turn

from app.log import artifacts
from app.log.history import History
from app.log.store import Store
from model.errors import InputError


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    store = Store(tmp_path)
    yield History(store)
    store.close()


def test_bytes_come_back_with_what_they_are(history: History) -> None:
    run = turn(history.store, says("user", "What?"))
    assert history.keep(run, "heat", "one", b"\x00\x01", {"method": "tam", "said": "ré\ud800d", "layer": None})
    artifact, data = history.kept_bytes(run, "heat", "one")
    assert data == b"\x00\x01"
    assert artifact.meta == {"method": "tam", "said": "ré\ud800d", "layer": None}
    assert artifact.size_bytes == 2
    assert [a.name for a in history.kept(run, "heat")] == ["one"]
    assert history.kept(run, "other") == []


def test_the_same_name_replaces(history: History) -> None:
    run = turn(history.store, says("user", "What?"))
    for data in (b"first", b"second"):
        assert history.keep(run, "heat", "one", data, {})
    assert len(history.kept(run, "heat")) == 1
    assert history.kept_bytes(run, "heat", "one")[1] == b"second"


def test_a_run_that_is_gone_keeps_nothing(history: History) -> None:
    assert history.keep("nope", "heat", "one", b"data", {}) is False
    with pytest.raises(InputError, match="not kept any more"):
        history.kept_bytes("nope", "heat", "one")


def test_a_run_holds_no_more_than_so_many(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MOST_OF_A_RUN", 3)
    run = turn(history.store, says("user", "What?"))
    assert [history.keep(run, "heat", str(i), b"x%d" % i, {}) for i in range(5)] == [True, True, True, False, False]
    assert history.keep(run, "heat", "0", b"again", {})  # what is there may change


def test_it_goes_with_its_run_and_its_file_too(history: History) -> None:
    runs = [turn(history.store, says("user", text)) for text in ("What?", "Why?")]
    for run in runs:
        history.keep(run, "heat", "one", b"shared", {})
        history.keep(run, "heat", "own", run.encode(), {})
    shared, own = history.kept(runs[0], "heat")
    history.delete_runs([runs[0]])
    assert history.kept(runs[0], "heat") == []
    assert own.id not in history.store.blobs
    assert shared.id in history.store.blobs  # the other run names it, too
    history.delete_runs([runs[1]])
    assert shared.id not in history.store.blobs


def test_a_lost_file_is_told(history: History) -> None:
    run = turn(history.store, says("user", "What?"))
    history.keep(run, "heat", "one", b"data", {})
    history.store.blobs.delete(history.kept(run, "heat")[0].id)
    with pytest.raises(InputError, match="Make it again"):
        history.kept_bytes(run, "heat", "one")
