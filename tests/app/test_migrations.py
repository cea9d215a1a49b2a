"""Older logs open in newer programs, with all that is in them."""

from __future__ import annotations

import inspect
import sqlite3

import pytest
from old_logs import NAMES, old_log
from store_fixtures import rows, says, turn

from app.log import schema
from app.log.history import History
from app.log.store import FILE, Store

TABLES = {
    "sessions": "id started_at ended_at name app_version client current_run_id settings owner runs last_at",
    "checkpoints": "id name family source revision device dtype quantization attention parameters spec first_seen_at weights",
    "images": "id media_type width height size_bytes source parent_id box time_s",
    "messages": "id parent_id role text parts",
    "message_images": "message_id position image_id",
    "runs": "id session_id checkpoint_id panel group_id prompt_id answer_id answer_prefix answer_tokens status error options "
    "finish_reason prompt_tokens visual_tokens new_tokens queued_ms prefill_ms decode_ms tokens started_at versions "
    "parent_run_id reused_tokens cached_images pid host warnings",
    "boxes": "run_id position image_id label x0 y0 x1 y1 score said",
    "artifacts": "run_id kind name id media_type size_bytes meta",
    "ratings": "run_id rater value note rated_at",
    "comparisons": "id session_id question kind blind revealed_at columns created_at",
    "guests": "id kept changed_at",
    "shares": "run_id shared_at",
    "votes": "comparison_id rater outcome reasons blind waited_ms voted_at",
    "studies": "id name config created_at app_version",
    "trials": "study_id key checkpoint_id condition item status run_id output scores error attempts updated_at",
    "run_search": "id run_id question answer facets",
    "totals": "name value",
    "run_list": "id started_at panel checkpoint question answer status visual_tokens new_tokens model_ms group_id",
}


@pytest.mark.parametrize("before", NAMES[1:])
def test_an_older_log_keeps_its_rows_and_gains_what_is_new(tmp_path, before):
    old_log(tmp_path, before)
    store = Store(tmp_path)
    history = History(store)
    assert [run.id for run in history.search()] == ["again", "fork", "second", "first"]
    assert [(run.question, run.answer, run.rating) for run in history.search(panel="chat")] == [
        ("What colour?", "White", 0), ("What colour?", "Black", 1), ("What animal?", "A cat", 0)]  # fmt: skip
    follow_up = says("user", "What animal?"), says("assistant", "A cat"), says("user", "How old?")
    assert turn(store, *follow_up, session="s") in [run.id for run in history.search("how old")]
    assert rows(tmp_path, "PRAGMA foreign_key_check") == []
    assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]
    store.close()


@pytest.mark.parametrize("before", NAMES[1:])
def test_an_older_log_is_counted_and_searched_as_a_new_one(tmp_path, before):
    old_log(tmp_path, before)
    store = Store(tmp_path)
    history = History(store)
    session = history.session("s")
    assert (session.runs, session.last_at) == (4, "2025-01-01T00:04:00+00:00")
    usage = history.usage()
    assert (usage.sessions, usage.runs, usage.messages, usage.images, usage.trials) == (1, 4, 5, 0, 0)
    assert [run.id for run in history.search(limit=2)] == ["again", "fork"]
    assert [run.id for run in history.search("black", rating=1, panel="chat", checkpoint="tiny")] == ["second"]
    assert [run.id for run in history.search(since="2025-01-01 00:02", until="2025-01-01 00:03")] == ["fork", "second"]
    history.delete_runs(["again"])
    assert (history.session("s").runs, history.session("s").last_at) == (3, "2025-01-01T00:03:00+00:00")
    assert [run.id for run in history.search("cat")] == ["first"]
    assert rows(tmp_path, "SELECT count(*) FROM run_search") == [(3,)]
    with store.write() as db:
        db.execute("INSERT INTO run_search_fts (run_search_fts, rank) VALUES ('integrity-check', 1)")
    store.close()


def test_files_of_an_older_log_are_weighed_once(tmp_path):
    """One that is a picture and kept with two runs, one kept with two, one of no known size."""
    old_log(tmp_path, "m008_totals")
    db = sqlite3.connect(tmp_path / FILE)
    both = "bb" * 32
    db.execute("INSERT INTO images (id, size_bytes) VALUES (?, 100), ('unknown', NULL)", [both])
    for run in ("first", "second"):
        for name, id, size in (("a", both, 100), ("b", "22" * 32, 7)):
            values = [run, name, id, size]
            db.execute("INSERT INTO artifacts (run_id, kind, name, id, size_bytes) VALUES (?, 'map', ?, ?, ?)", values)
    db.commit()
    db.close()
    store = Store(tmp_path)
    history = History(store)
    assert history.usage().blob_bytes == 107
    history.delete_runs(["first"])
    assert history.usage().blob_bytes == 107
    history.delete_runs(["second"])
    assert history.usage().blob_bytes == 100, "the picture is in the log even so"
    store.close()


@pytest.mark.parametrize("before", NAMES[1:3])
def test_older_turns_can_be_searched(tmp_path, before):
    old_log(tmp_path, before)
    store = Store(tmp_path)
    assert [run.id for run in History(store).search("whit")] == ["fork"]
    assert [run.id for run in History(store).search("cat")] == ["again", "first"]
    store.close()


@pytest.mark.parametrize("before", NAMES[1:4])
def test_older_turns_become_a_tree(tmp_path, before):
    old_log(tmp_path, before)
    store = Store(tmp_path)
    history = History(store)
    assert [run.id for run in history.thread("second")] == ["first", "second"]
    assert [run.id for run in history.children("s", "first")] == ["second", "fork"]
    assert history.run("again").row.parent_run_id is None
    assert history.current("s") == "fork"
    store.close()


def test_a_new_log_and_an_upgraded_one_have_the_same_tables(tmp_path):
    (tmp_path / "old").mkdir()
    old_log(tmp_path / "old", NAMES[1])
    for name in ("old", "new"):
        Store(tmp_path / name).close()
    old, new = (rows(tmp_path / name, "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2") for name in ("old", "new"))
    assert old == new


def test_the_tables_have_the_columns_of_the_design(tmp_path):
    Store(tmp_path).close()
    for table, columns in TABLES.items():
        assert {row[1] for row in rows(tmp_path, f"PRAGMA table_info({table})")} == set(columns.split()), table


def test_opening_again_changes_nothing(tmp_path):
    Store(tmp_path).close()
    before = rows(tmp_path, "SELECT * FROM _sqlite_migrations")
    Store(tmp_path).close()
    assert rows(tmp_path, "SELECT * FROM _sqlite_migrations") == before
    assert [row[2] for row in before] == NAMES


def test_an_upgrade_that_fails_leaves_the_old_log(tmp_path, monkeypatch):
    old_log(tmp_path, NAMES[3])
    before = rows(tmp_path, "SELECT name, sql FROM sqlite_master ORDER BY 1")

    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(schema, "_index", broken)
    with pytest.raises(Exception, match="cannot be opened"):
        Store(tmp_path)
    after = rows(tmp_path, "SELECT name, sql FROM sqlite_master ORDER BY 1")
    assert after == before


def test_every_migration_says_why():
    functions = [getattr(schema, name) for name in NAMES]
    assert all("\n    # " in inspect.getsource(function) for function in functions)
    assert sorted(NAMES) == NAMES
