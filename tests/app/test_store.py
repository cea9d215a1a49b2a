"""The session log as it is written: what is in the file, under threads, processes, kill -9 and a full disk."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import random
import socket
import sqlite3
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from store_fixtures import OTHER, TINY, Writer, begin, picture, rows, says, tokens, turn

from app.log import store as store_module
from app.log.errors import LogError
from app.log.store import FILE, Store
from model.events import Token
from model.options import Options
from model.prompt import ImagePart, Message, Prompt
from model.recorder import CallEnd, CallStart, Loaded, new_id


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path)
    yield opened
    opened.close()


def one(store: Store, sql: str, *params: object):
    [row] = rows(store.root, sql, *params)
    return row


class TestWhatIsWritten:
    def test_a_finished_turn_is_in_the_file_with_all_it_took(self, store):
        run_id = new_id()
        prompt = Prompt((says("user", picture(), "What is it?"),), "It is", (4, 5))
        store.start(CallStart(run_id, TINY, prompt, Options(max_new_tokens=7, seed=3), "grounding", "s", "g"))
        end = CallEnd(run_id, "stopped", "It is red", "stopped", None, tokens("It is", " red"), 30, 10, 16, 1, 1.5, 20.25, 8.0)
        store.finish(end)
        columns = "status, panel, session_id, group_id, answer_prefix, answer_tokens, finish_reason"
        assert one(store, f"SELECT {columns} FROM runs") == ("stopped", "grounding", "s", "g", "It is", "[4, 5]", "stopped")
        assert one(store, "SELECT prompt_tokens, reused_tokens FROM runs") == (30, 10)
        columns = "visual_tokens, cached_images, new_tokens, queued_ms, prefill_ms, decode_ms, pid, host"
        assert one(store, f"SELECT {columns} FROM runs") == (16, 1, 1, 1.5, 20.25, 8.0, os.getpid(), socket.gethostname())
        options, written, started_at = one(store, "SELECT options, tokens, started_at FROM runs")
        assert json.loads(options) == {
            "max_new_tokens": 7, "decoder": "plain", "temperature": 0.0, "top_p": 1.0, "seed": 3, "alternatives": 5,
        }  # fmt: skip
        assert json.loads(written) == [
            [10, 0.0, "It is", [[10, "It is", 0.0], [7, "é", -3.5]], True],
            [11, -0.25, " red", [[11, " red", -0.25], [7, "é", -3.5]], False],
        ]
        assert datetime.fromisoformat(started_at).utcoffset() == timedelta(0)
        assert one(store, "SELECT question, answer FROM run_search") == ("What is it?", "It is red")
        assert store.trouble is None

    def test_a_call_is_in_the_file_while_it_runs(self, store):
        red = picture(name="red.png")
        run_id = begin(store, says("system", "Be brief."), says("user", red, "Colour?"))
        assert one(store, "SELECT id, status, answer_id FROM runs") == (run_id, "running", None)
        assert one(store, "SELECT id, media_type, width, height, size_bytes, source FROM images") == (
            red.id, "image/png", 6, 4, len(red.data), "red.png")  # fmt: skip
        assert (store.root / "blobs" / red.id[:2] / red.id).read_bytes() == red.data
        assert rows(store.root, "SELECT role, text, parts FROM messages ORDER BY rowid") == [
            ("system", "Be brief.", '["Be brief."]'),
            ("user", "Colour?", f'[{{"image": "{red.id}"}}, "Colour?"]'),
        ]

    def test_a_message_is_named_by_its_parent_role_and_parts(self, store):
        red = picture()
        begin(store, says("user", "a", red, "b"))
        content = json.dumps([None, "user", ["a", {"image": red.id}, "b"]])
        assert one(store, "SELECT id FROM messages") == (hashlib.blake2b(content.encode(), digest_size=16).hexdigest(),)

    def test_parts_in_another_order_or_at_another_time_are_other_messages(self, store):
        red = picture()
        frames = [ImagePart(red.image, red.data, red.media_type, red.id, time_s=time) for time in (None, 0.5, 1.0)]
        for parts in ([red, "a"], ["a", red], ["a", "b"], ["a\nb"], *([frame] for frame in frames)):
            begin(store, says("user", *parts))
        assert one(store, "SELECT count(*) FROM messages") == (7,)
        assert one(store, "SELECT count(*) FROM images") == (1,)

    def test_two_checkpoints_answering_one_question_share_its_rows(self, store):
        question = says("user", picture(), "What is it?")
        turn(store, question, answer="a square", group="g")
        turn(store, question, answer="a square", group="g", checkpoint=OTHER)
        turn(store, question, answer="a box", group="g", checkpoint=OTHER)
        assert one(store, "SELECT count(*), count(DISTINCT prompt_id), count(DISTINCT answer_id) FROM runs") == (3, 1, 2)
        assert one(store, "SELECT count(*) FROM messages") == (3,)
        assert rows(store.root, "SELECT name, source, revision FROM checkpoints ORDER BY name") == [
            ("other", "somebody/other", "main"), ("tiny-llava", "tiny-llava", None)]  # fmt: skip

    def test_a_fork_shares_what_went_before(self, store):
        start = [says("user", "one"), says("assistant", "1")]
        turn(store, start[0], answer="1")
        turn(store, *start, says("user", "two"), answer="2")
        turn(store, *start, says("user", "three"), answer="3")
        assert one(store, "SELECT count(*) FROM messages") == (6,)
        assert one(store, "SELECT count(*) FROM messages WHERE parent_id IS NULL") == (1,)

    def test_a_failed_call_keeps_its_question_and_error_and_has_no_answer(self, store):
        run_id = begin(store, says("user", "why"))
        store.finish(CallEnd(run_id, "failed", error="Memory ran out."))
        assert one(store, "SELECT status, error, answer_id FROM runs") == ("failed", "Memory ran out.", None)
        assert one(store, "SELECT question, answer FROM run_search") == ("why", "")

    def test_reporting_twice_changes_nothing(self, store):
        call = CallStart(new_id(), TINY, Prompt((says("user", "q"),)), Options(), "chat", "s")
        end = CallEnd(call.run_id, "done", "a", "end")
        for _ in range(2):
            store.start(call)
        for _ in range(2):
            store.finish(end)
        counted = "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM messages), (SELECT count(*) FROM run_search)"
        assert one(store, counted) == (1, 2, 1)
        assert one(store, "SELECT status FROM runs") == ("done",)

    @pytest.mark.parametrize(
        "text", ["half \ud83d character", "null \0 inside", "'; DROP TABLE runs; --", "\u2028 é 漢 \U0001f600", ""]
    )
    def test_any_text_is_kept_exactly_in_the_parts(self, store, text):
        turn(store, says("user", text), answer=text)
        assert store.trouble is None
        assert [json.loads(parts) for (parts,) in rows(store.root, "SELECT parts FROM messages")] == [[text], [text]]

    def test_an_infinite_logprob_is_null(self, store):
        run_id = begin(store, says("user", "q"))
        store.finish(CallEnd(run_id, "done", "a", tokens=(Token(0, 1, "a", float("-inf")),)))
        assert one(store, "SELECT tokens FROM runs") == ('[[1, null, "a", [], false]]',)

    def test_loading_completes_the_checkpoint_and_a_run_keeps_the_weights_it_had(self, store):
        turn(store, says("user", "before"), run_id="a")
        store.loaded(Loaded(TINY, "llava", "cpu", "float32", 9_000_000, "f" * 64))
        turn(store, says("user", "with f"), run_id="b")
        store.loaded(Loaded(TINY, "llava", "cpu", "float32", 9_000_000, "e" * 64))
        store.loaded(Loaded(OTHER, "qwen2_vl", "cuda:0", "bfloat16", 5, "d" * 64))
        columns = "name, family, device, dtype, parameters, weights"
        assert rows(store.root, f"SELECT {columns} FROM checkpoints ORDER BY name") == [
            ("other", "qwen2_vl", "cuda:0", "bfloat16", 5, "d" * 64),
            ("tiny-llava", "llava", "cpu", "float32", 9_000_000, "e" * 64),
        ]
        versions = [json.loads(v) for (v,) in rows(store.root, "SELECT versions FROM runs ORDER BY id")]
        assert [v.get("weights") for v in versions] == [None, "f" * 64]
        assert versions[0]["python"] == sys.version.split()[0]


class TestConversations:
    def test_a_turn_follows_the_one_whose_answer_it_builds_on(self, store):
        first = turn(store, says("user", "one"), answer="1")
        second = turn(store, says("user", "one"), says("assistant", "1"), says("user", "two"), answer="2")
        third = turn(
            store, says("user", "one"), says("assistant", "1"), says("user", "two"), says("assistant", "2"), says("user", "3")
        )
        assert dict(rows(store.root, "SELECT id, parent_run_id FROM runs")) == {first: None, second: first, third: second}

    def test_among_equal_answers_the_turn_the_chat_stands_at_counts_then_the_latest(self, store):
        follow_up = (says("user", "one"), says("assistant", "1"), says("user", "two"))
        early, late = (turn(store, says("user", "one"), answer="1") for _ in range(2))
        assert one(store, "SELECT parent_run_id FROM runs WHERE id = ?", turn(store, *follow_up)) == (late,)
        with store.write() as db:
            db.execute("UPDATE sessions SET current_run_id = ?", [early])
        assert one(store, "SELECT parent_run_id FROM runs WHERE id = ?", turn(store, *follow_up)) == (early,)

    def test_other_panels_and_checkpoints_are_followed_last(self, store):
        follow_up = (says("user", "one"), says("assistant", "1"), says("user", "two"))
        ours = turn(store, says("user", "one"), answer="1", panel="compare")
        turn(store, says("user", "one"), answer="1", panel="compare", checkpoint=OTHER)
        turn(store, says("user", "one"), answer="1", panel="chat")
        assert one(store, "SELECT parent_run_id FROM runs WHERE id = ?", turn(store, *follow_up, panel="compare")) == (ours,)

    def test_turns_of_other_sessions_and_without_a_session_are_not_followed(self, store):
        for session in ("a", "b", ""):
            turn(store, says("user", "one"), answer="1", session="a")
            last = turn(
                store, says("user", "one"), says("assistant", "1"), says("user", "two"), session=session, panel="notebook"
            )
            found = one(store, "SELECT parent_run_id IS NOT NULL, session_id FROM runs WHERE id = ?", last)
            assert found == (session == "a", session or None)

    def test_the_chat_stands_at_the_chats_last_turn_only(self, store):
        chat = turn(store, says("user", "one"))
        turn(store, says("user", "where"), panel="grounding")
        begin(store, says("user", "not yet"))
        assert one(store, "SELECT id, current_run_id FROM sessions") == ("s", chat)


class TestTheFile:
    @pytest.mark.parametrize("journal", ["WAL", "DELETE"])
    def test_it_is_opened_as_promised(self, tmp_path, journal):
        store = Store(tmp_path / journal, journal)
        names = ("journal_mode", "foreign_keys", "synchronous")
        assert [store.read(f"PRAGMA {name}")[0][name] for name in names] == [journal.lower(), 1, 1]
        turn(store, says("user", "q"))
        assert one(store, "SELECT status FROM runs") == ("done",)
        store.close()

    def test_an_unknown_journal_is_refused(self, tmp_path):
        with pytest.raises(LogError, match=r"FOVEA_JOURNAL is 'MEMORY'\. Choose WAL or DELETE"):
            Store(tmp_path, "MEMORY")

    def test_a_damaged_file_is_refused_with_a_cure(self, tmp_path):
        (tmp_path / FILE).write_bytes(b"this is no database " * 200)
        with pytest.raises(LogError, match=r"the log is damaged\. Move the data folder away"):
            Store(tmp_path)

    def test_a_folder_that_cannot_be_made_is_refused_with_a_cure(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(LogError, match="The session log cannot be opened"):
            Store(tmp_path / "file" / "data")

    def test_a_log_of_a_newer_version_is_refused_and_left_alone(self, store):
        with store.write() as db:
            db.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('fovea', 'm999_later', '')")
        with pytest.raises(LogError, match="written by a newer version"):
            Store(store.root)

    def test_a_write_that_fails_leaves_nothing(self, store):
        with pytest.raises(RuntimeError, match="stop"), store.write() as db:  # noqa: PT012
            db["sessions"].insert({"id": "x", "started_at": "t"})
            raise RuntimeError("stop")
        assert rows(store.root, "SELECT * FROM sessions") == []
        with store.write() as db:
            db["sessions"].insert({"id": "y", "started_at": "t"})
        assert rows(store.root, "SELECT id FROM sessions") == [("y",)]

    def test_rows_that_refer_to_nothing_are_refused(self, store):
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), store.write() as db:
            db["message_images"].insert({"message_id": "no", "position": 0, "image_id": "no"})


class TestManyWriters:
    def test_threads_lose_nothing(self, store):
        def work(name: str) -> None:
            for number in range(20):
                turn(store, says("user", f"{name} {number}"), answer=f"{number}", session=name)

        threads = [threading.Thread(target=work, args=(f"thread{i}",)) for i in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert one(store, "SELECT count(*), count(DISTINCT prompt_id), sum(status = 'done') FROM runs") == (160, 160, 160)
        assert store.trouble is None

    def test_processes_that_begin_a_new_log_at_once_lose_nothing(self, tmp_path):
        names = [f"writer{i}" for i in range(4)]
        writers = [Writer(tmp_path, name, 100) for name in names]
        for writer in writers:
            writer.read(101)
            writer.process.join()
        assert [writer.process.exitcode for writer in writers] == [0] * 4
        assert [len(set(writer.acknowledged)) for writer in writers] == [100] * 4
        done = {id for (id,) in rows(tmp_path, "SELECT id FROM runs WHERE status = 'done'")}
        assert done == {id for writer in writers for id in writer.acknowledged}
        assert rows(tmp_path, "SELECT session_id, count(*) FROM runs GROUP BY 1") == [(name, 100) for name in names]
        check_whole(tmp_path)
        for name in names:
            found = rows(tmp_path, "SELECT count(*) FROM run_search_fts WHERE run_search_fts MATCH ?", f'"{name} says"')
            assert found == [(100,)]

    def test_every_turn_acknowledged_before_kill_9_is_there(self, tmp_path):
        chance = random.Random(5)
        acknowledged: set[str] = set()
        for _ in range(8):
            writer = Writer(tmp_path, "victim", 10_000)
            writer.read(chance.randint(1, 80))
            writer.kill()
            assert writer.process.exitcode == -9
            acknowledged |= set(writer.acknowledged)
            done = {id for (id,) in rows(tmp_path, "SELECT id FROM runs WHERE status = 'done' AND answer_id IS NOT NULL")}
            assert acknowledged <= done
            check_whole(tmp_path)
        store = Store(tmp_path)
        assert rows(tmp_path, "SELECT count(*) FROM runs WHERE status = 'running'") == [(0,)]
        assert rows(tmp_path, "SELECT DISTINCT error FROM runs WHERE status = 'failed'") in (
            [],
            [("The program ended during this run.",)],
        )
        store.close()


def check_whole(root: Path) -> None:
    assert rows(root, "PRAGMA integrity_check") == [("ok",)]
    assert rows(root, "PRAGMA foreign_key_check") == []
    db = sqlite3.connect(root / FILE)
    db.execute("INSERT INTO run_search_fts (run_search_fts, rank) VALUES ('integrity-check', 1)")
    db.close()
    images = {id for (id,) in rows(root, "SELECT id FROM images")}
    assert images == {
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (root / "blobs").glob("*/*") if path.stem in images
    }


class TestTrouble:
    def test_a_full_disk_breaks_no_call_and_loses_no_turn(self, store, caplog):
        turn(store, says("user", "before"))
        pages = store.read("PRAGMA page_count")[0]["page_count"]
        store.read(f"PRAGMA max_page_count = {pages}")
        caplog.set_level(logging.WARNING)
        late = [turn(store, says("user", "x" * 5000, f"late {i}"), answer="y" * 5000) for i in range(5)]
        full = "Nothing is being logged: the disk is full. Free space; unsaved turns are kept in memory until then."
        assert store.trouble == full
        assert len(caplog.records) == 1
        assert one(store, "SELECT count(*) FROM runs WHERE status = 'done'")[0] < 6
        store.read("PRAGMA max_page_count = 1000000")
        last = turn(store, says("user", "after"))
        assert store.trouble is None
        written = {id for (id,) in rows(store.root, "SELECT id FROM runs WHERE status = 'done'")}
        assert {*late, last} <= written
        assert len(written) == 7
        check_whole(store.root)

    def test_a_picture_that_does_not_fit_on_the_disk_waits_too(self, store, monkeypatch):
        def full(_data: bytes) -> str:
            raise OSError(errno.ENOSPC, "No space left on device")

        red = picture()
        with monkeypatch.context() as patch:
            patch.setattr(store.blobs, "put", full)
            run_id = turn(store, says("user", red, "q"))
            assert store.trouble.startswith("Nothing is being logged: the disk is full. Free space")
            assert rows(store.root, "SELECT * FROM images") == []
        store.loaded(Loaded(TINY, "llava", "cpu", "float32", 1, "f"))
        assert store.trouble is None
        assert one(store, "SELECT id, status FROM runs") == (run_id, "done")
        assert store.blobs.path(red.id).read_bytes() == red.data

    def test_any_successful_write_lets_what_waits_through(self, store):
        store.db.execute("PRAGMA query_only = ON")
        run_id = turn(store, says("user", "q"))
        assert store.trouble.startswith("Nothing is being logged: the data folder is read-only. Make it writable")
        with pytest.raises(LogError, match="was not changed: the data folder is read-only"), store.write() as db:
            db["sessions"].insert({"id": "x", "started_at": "t"})
        store.db.execute("PRAGMA query_only = OFF")
        with store.write() as db:
            db["sessions"].insert({"id": "y", "started_at": "t"})
        assert store.trouble is None
        assert one(store, "SELECT id, status FROM runs") == (run_id, "done")

    def test_closing_writes_what_waits(self, tmp_path):
        store = Store(tmp_path)
        store.db.execute("PRAGMA query_only = ON")
        run_id = turn(store, says("user", "q"))
        store.db.execute("PRAGMA query_only = OFF")
        store.close()
        assert rows(tmp_path, "SELECT id, status FROM runs") == [(run_id, "done")]

    def test_it_waits_for_another_writer(self, store):
        blocker = sqlite3.connect(store.root / FILE, isolation_level=None, check_same_thread=False)
        blocker.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.8, blocker.execute, ["ROLLBACK"])
        release.start()
        run_id = turn(store, says("user", "q"))
        release.join()
        blocker.close()
        assert store.trouble is None
        assert one(store, "SELECT id, status FROM runs") == (run_id, "done")

    def test_it_does_not_wait_for_ever_and_once_only(self, store, monkeypatch):
        monkeypatch.setattr(Store, "patience_s", 0.3)
        blocker = sqlite3.connect(store.root / FILE, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        run_id = turn(store, says("user", "q"))
        assert store.trouble.startswith("Nothing is being logged: another program holds the log.")
        blocker.execute("ROLLBACK")
        blocker.close()
        other = turn(store, says("user", "r"))
        assert store.trouble is None
        assert rows(store.root, "SELECT id FROM runs WHERE status = 'done' ORDER BY rowid") == [(run_id,), (other,)]

    def test_at_most_1000_records_wait_and_the_lost_ones_are_counted(self, store):
        assert store_module.MAX_UNWRITTEN == 1000
        store.db.execute("PRAGMA query_only = ON")
        ids = [turn(store, says("user", "q"), run_id=f"{i:04}") for i in range(503)]
        assert store.trouble.endswith("kept in memory until then. The oldest 6 entries are lost.")
        store.db.execute("PRAGMA query_only = OFF")
        last = turn(store, says("user", "q"), run_id="last")
        assert store.trouble is None
        assert rows(store.root, "SELECT id FROM runs WHERE status = 'done' ORDER BY rowid") == [(id,) for id in [*ids[3:], last]]

    def test_pictures_that_wait_are_bounded_in_bytes(self, store, monkeypatch):
        red, blue = picture("red"), picture("blue")
        monkeypatch.setattr(store_module, "MAX_UNWRITTEN_BYTES", len(red.data) + len(blue.data) - 1)
        store.db.execute("PRAGMA query_only = ON")
        for part, run_id in ((red, "a"), (red, "b"), (blue, "c")):
            turn(store, says("user", part), run_id=run_id)
        store.db.execute("PRAGMA query_only = OFF")
        turn(store, says("user", "q"), run_id="d")
        assert rows(store.root, "SELECT id FROM runs ORDER BY id") == [("c",), ("d",)]

    def test_a_record_that_does_not_fit_holds_up_no_other(self, store, caplog):
        turn(store, says("user", "q"), status="nonsense", run_id="a")
        assert store.trouble == "A turn could not be logged because of a defect. The program's own log says more."
        turn(store, Message("robot", ("q",)), run_id="b")  # type: ignore[arg-type]
        store.finish(CallEnd("c", "done", 5))  # type: ignore[arg-type]
        turn(store, says("user", "q"), run_id="d")
        assert store.trouble is None
        assert rows(store.root, "SELECT id, status FROM runs ORDER BY id") == [("a", "running"), ("d", "done")]
        assert "left out" in caplog.text

    def test_a_call_survives_a_prompt_that_cannot_be_read(self, store):
        store.start(CallStart("a", TINY, Prompt((Message("user", (5,)),)), Options(), "chat"))  # type: ignore[arg-type]
        assert store.trouble is not None
        turn(store, says("user", "q"))
        assert store.trouble is None


class TestDeadRuns:
    def reopened(self, store: Store, **run: object) -> tuple:
        """Status and error of a running run with those columns after the log is opened again."""
        run_id = begin(store, says("user", "unfinished question"))
        with store.write() as db:
            db["runs"].update(run_id, run)
        again = Store(store.root)
        again.close()
        return one(store, "SELECT status, error FROM runs WHERE id = ?", run_id)

    FAILED = ("failed", "The program ended during this run.")

    def test_runs_of_a_process_that_is_gone_are_failed_and_can_be_found(self, store):
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        assert self.reopened(store, pid=process.pid) == self.FAILED
        assert rows(store.root, "SELECT question FROM run_search") == [("unfinished question",)]

    def test_runs_of_a_process_that_lives_go_on(self, store):
        assert self.reopened(store) == ("running", None)
        assert self.reopened(store, pid=os.getppid()) == ("running", None)

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells when a process started")
    def test_a_process_number_used_again_does_not_keep_a_run_alive(self, store):
        before = (datetime.now(timezone.utc) - timedelta(days=400)).isoformat()
        assert self.reopened(store, started_at=before) == self.FAILED

    def test_runs_on_another_host_have_a_day(self, store):
        now = datetime.now(timezone.utc)
        assert self.reopened(store, host="elsewhere", started_at=(now - timedelta(hours=23)).isoformat()) == ("running", None)
        assert self.reopened(store, host="elsewhere", started_at=(now - timedelta(hours=25)).isoformat()) == self.FAILED

    def test_a_run_that_ends_after_all_is_not_failed(self, store):
        run_id = begin(store, says("user", "slow"))
        with store.write() as db:
            db["runs"].update(run_id, {"host": "elsewhere", "started_at": "2020-01-01T00:00:00+00:00"})
        Store(store.root).close()
        store.finish(CallEnd(run_id, "done", "at last", "end"))
        assert one(store, "SELECT status, error FROM runs") == ("done", None)
        assert one(store, "SELECT answer FROM run_search") == ("at last",)


class TestBlobs:
    def test_a_file_is_kept_once_under_its_sha256(self, store):
        sha = hashlib.sha256(b"abc").hexdigest()
        assert store.blobs.put(b"abc") == store.blobs.put(b"abc") == sha
        assert store.blobs.put(b"defg") == hashlib.sha256(b"defg").hexdigest()
        assert (store.root / "blobs" / sha[:2] / sha).read_bytes() == b"abc"
        assert sha in store.blobs
        assert store.blobs.some(10) == {hashlib.sha256(data).hexdigest() for data in (b"abc", b"defg")}
        assert sum(path.stat().st_size for path in (store.root / "blobs").rglob("*") if path.is_file()) == 7

    def test_files_are_looked_through_folder_by_folder_and_all_in_the_end(self, store):
        every = {store.blobs.put(bytes([number])) for number in range(40)}
        found = [store.blobs.some(10) for _ in range(8)]
        assert all(10 <= len(some) <= 13 for some in found), "whole folders"
        assert set().union(*found) == every
        assert found[0] != found[1]

    def test_a_file_cut_off_is_written_again(self, store):
        sha = store.blobs.put(b"abc")
        store.blobs.path(sha).write_bytes(b"a")
        store.blobs.put(b"abc")
        assert store.blobs.path(sha).read_bytes() == b"abc"

    def test_deleting_says_how_much_went(self, store):
        sha = store.blobs.put(b"abc")
        assert [store.blobs.delete(sha), store.blobs.delete(sha)] == [3, 0]
        with pytest.raises(FileNotFoundError):
            store.blobs.open(sha)

    def test_a_write_that_fails_leaves_no_file(self, store, monkeypatch):
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(OSError, match="full"):
            store.blobs.put(b"abc")
        assert [path for path in (store.root / "blobs").rglob("*") if path.is_file()] == []

    @pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n"])
    def test_only_a_sha256_names_a_file(self, store, name):
        with pytest.raises(ValueError, match="no sha256"):
            store.blobs.path(name)
