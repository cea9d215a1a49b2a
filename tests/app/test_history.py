"""Reading the log back, searching, rating and deleting."""

from __future__ import annotations

import hashlib
import math

import pytest
from store_fixtures import OTHER, TINY, begin, picture, rows, says, tokens, turn

from app.log.history import History
from app.log.store import Store
from app.log.trials import Trials
from model.decoders.plain import Plain
from model.errors import InputError
from model.events import Token
from model.options import Options
from model.prompt import ImagePart, Message, Prompt
from model.recorder import CallEnd, CallStart, Loaded


@pytest.fixture
def history(tmp_path):
    store = Store(tmp_path)
    yield History(store)
    store.close()


def ids(found) -> list[str]:
    return [row.id for row in found]


class TestRuns:
    def test_a_run_comes_back_as_it_was(self, history):
        red, blue = picture("red", "red.png"), picture("blue", "blue.png")
        frame = ImagePart(blue.image, blue.data, blue.media_type, blue.id, "blue.png", 1.5)
        said = (
            says("system", "Be brief."),
            says("user", red, "What?"),
            says("assistant", "Red"),
            says("user", "And", frame, "this?", red),
        )
        prompt, options = Prompt(said, "It", (3,)), Options(decoder=Plain(0.5), seed=9)
        history.store.loaded(Loaded(OTHER, "llava", "cpu", "float32", 1, "f" * 64))
        history.store.start(CallStart("r", OTHER, prompt, options, "chat", "s", "g"))
        history.store.finish(CallEnd("r", "stopped", "It is", "stopped", None, tokens("It", " is"), 9, 4, 2, 1, 1.0, 2.0, 3.5))
        run = history.run("r")
        assert run.prompt == prompt
        assert [part.name for part in run.prompt.images] == ["red.png", "blue.png", "red.png"]
        assert [part.data for part in run.prompt.images] == [red.data, blue.data, red.data]
        assert [part.image.getpixel((0, 0)) for part in run.prompt.images] == [(255, 0, 0), (0, 0, 255), (255, 0, 0)]
        assert (run.checkpoint, run.options, run.tokens) == (OTHER, options, tokens("It", " is"))
        assert (run.reason, run.reused_tokens, run.cached_images, run.weights) == ("stopped", 4, 1, "f" * 64)
        assert (run.queued_ms, run.prefill_ms, run.decode_ms, run.row.model_ms) == (1.0, 2.0, 3.5, 5.5)
        assert (run.siblings, run.notes) == (("r",), ())
        row = run.row
        assert (row.question, row.answer, row.status, row.error) == ("And\nthis?", "It is", "stopped", "")
        assert (row.prompt_tokens, row.visual_tokens, row.new_tokens, row.images) == (9, 2, 1, (blue.id, red.id))
        assert (row.panel, row.session, row.group, row.checkpoint) == ("chat", "s", "g", "other")

    def test_a_run_that_failed_comes_back(self, history):
        run_id = begin(history.store, says("user", "q"), session="")
        history.store.finish(CallEnd(run_id, "failed", error="Memory ran out."))
        run, row = history.run(run_id), history.run(run_id).row
        assert (row.answer, row.error, row.status, row.model_ms, row.session) == ("", "Memory ran out.", "failed", None, "")
        assert (run.tokens, run.siblings) == ((), (run_id,))

    def test_an_infinite_logprob_comes_back(self, history):
        run_id = begin(history.store, says("user", "q"))
        history.store.finish(CallEnd(run_id, "done", "a", tokens=(Token(0, 1, "a", -math.inf),)))
        assert history.run(run_id).tokens == (Token(0, 1, "a", -math.inf),)

    def test_a_picture_that_is_gone_or_changed_is_left_out_and_named(self, history):
        red, blue, green = picture("red"), picture("blue"), picture("green")
        run_id = turn(history.store, says("user", red, "a", blue, green))
        history.store.blobs.delete(red.id)
        history.store.blobs.path(blue.id).write_bytes(green.data)
        run = history.run(run_id)
        assert run.prompt == Prompt((says("user", "a", green),))
        assert [note.split(".")[0] for note in run.notes] == [
            f"The picture {red.id[:12]} is no longer in the data folder",
            f"The file of the picture {blue.id[:12]} has changed in the data folder",
        ]

    def test_a_run_that_is_not_there_is_said_to_be(self, history):
        with pytest.raises(InputError, match="There is no run 'x'"):
            history.run("x")

    def test_a_run_without_messages_can_be_read(self, history):
        assert history.run(turn(history.store)).prompt == Prompt(())


class TestConversations:
    @pytest.fixture
    def tree(self, history):
        """one -> two, two', two'' ; two' -> three ; another beginning; a run of another panel."""
        one = [says("user", "1"), says("assistant", "a")]
        two = [*one, says("user", "2"), says("assistant", "c")]
        store = history.store
        turn(store, *one[:1], answer="a", run_id="one")
        for run_id, answer in (("two", "b"), ("two'", "c"), ("two''", "d")):
            turn(store, *two[:3], answer=answer, run_id=run_id)
        turn(store, *two, says("user", "3"), run_id="three")
        turn(store, says("user", "0"), run_id="other")
        turn(store, says("user", "0"), run_id="where", panel="grounding")
        return history

    def test_a_thread_goes_from_the_first_turn_to_this_one(self, tree):
        assert ids(tree.thread("three")) == ["one", "two'", "three"]
        assert ids(tree.thread("two''")) == ["one", "two''"]
        assert ids(tree.thread("one")) == ["one"]
        assert ids(tree.thread("nowhere")) == []
        assert [row.answer for row in tree.thread("three")] == ["a", "c", "yes"]

    def test_the_alternatives_at_a_point_are_in_time_order(self, tree):
        assert ids(tree.children("s", "one")) == ["two", "two'", "two''"]
        assert ids(tree.children("s", None)) == ["one", "other"]
        assert ids(tree.children("s", "three")) == []
        assert ids(tree.children("another", None)) == []
        assert ids(tree.children("s", None, panel="grounding")) == ["where"]
        assert tree.run("two'").siblings == ("two", "two'", "two''")

    def test_a_thread_of_300_turns_is_read_whole(self, history):
        said: list[Message] = []
        for number in range(300):
            said.append(says("user", str(number)))
            last = turn(history.store, *said, answer="ok")
            said.append(says("assistant", "ok"))
        assert [row.question for row in history.thread(last)] == [str(number) for number in range(300)]
        assert len(history.run(last).prompt.messages) == 599

    def test_the_chat_can_be_moved_to_another_turn_and_to_the_start(self, tree):
        assert tree.current("s") == "other"
        tree.set_current("s", "two")
        assert tree.current("s") == "two"
        tree.set_current("s", None)
        assert tree.current("s") is None
        assert tree.current("nowhere") is None

    def test_the_chat_is_not_moved_to_a_turn_of_another_session(self, tree):
        turn(tree.store, says("user", "1"), session="t", run_id="theirs")
        for run_id in ("theirs", "nowhere"):
            with pytest.raises(InputError, match=f"There is no run '{run_id}' in this session"):
                tree.set_current("s", run_id)
        with pytest.raises(InputError, match="There is no session 'nowhere'"):
            tree.set_current("nowhere", None)
        assert tree.current("s") == "other"

    def test_a_comparison_is_found_by_its_group(self, history):
        for run_id, checkpoint in (("a", TINY), ("b", OTHER)):
            turn(history.store, says("user", "q"), run_id=run_id, checkpoint=checkpoint, panel="compare", group="g")
        turn(history.store, says("user", "q"), group="h")
        assert [(row.id, row.checkpoint) for row in history.group("g")] == [("a", "tiny-llava"), ("b", "other")]


class TestSessions:
    def test_the_session_used_last_comes_first(self, history):
        first, second, third = (history.new_session(name) for name in ("one", "two", "three"))
        turn(history.store, says("user", "first question"), session=first, run_id="r")
        turn(history.store, says("user", "second question"), session=first)
        assert ids(history.sessions()) == [first, third, second]
        assert ids(history.sessions(limit=1)) == [first]
        found = history.session(first)
        assert (found.name, found.question, found.runs) == ("one", "first question", 2)
        assert (history.session(second).question, history.session(second).runs) == ("", 0)

    def test_a_session_keeps_its_name_client_and_settings(self, history):
        id = history.new_session("old", client="a browser")
        history.rename(id, "Größe <b>")
        history.keep_settings(id, {"temperature": 0.5, "names": ["ü"]})
        found = history.session(id)
        assert (found.name, found.client, dict(found.settings)) == (
            "Größe <b>",
            "a browser",
            {"temperature": 0.5, "names": ["ü"]},
        )

    def test_a_session_that_a_browser_remembers_and_the_log_does_not_is_begun_again(self, history):
        turn(history.store, says("user", "q"), session="remembered", run_id="r")
        assert history.session("remembered").current_run_id == "r"

    def test_what_is_not_there_is_said_to_be(self, history):
        for act in (history.session, history.delete_session, lambda id: history.rename(id, "x")):
            with pytest.raises(InputError, match="There is no session 'nowhere'"):
                act("nowhere")


class TestSearch:
    @pytest.fixture
    def runs(self, history):
        store = history.store
        turn(store, says("user", "What colour is the square?"), answer="It is blue.", run_id="a")
        turn(
            store,
            says("user", "Where is the circle?"),
            answer="Left of the squares.",
            run_id="b",
            panel="grounding",
            checkpoint=OTHER,
        )
        turn(store, says("user", "Café \u6f22\u5b57 NEAR a*b?"), answer='He said "AND OR NOT".', run_id="c", status="stopped")
        times = {"a": "2026-01-01T10:00:00", "b": "2026-01-02T10:00:00", "c": "2026-01-03T10:00:00"}
        with store.write() as db:
            for run_id, time in times.items():
                db["runs"].update(run_id, {"started_at": f"{time}.000000+00:00"})
        history.rate("a", 1)
        history.rate("b", -1)
        return history

    @pytest.mark.parametrize(
        ("query", "found"),
        [("", "cba"), ("   ", "cba"), ("square", "ba"), ("squ", "ba"), ("SQUARE colo", "a"), ("quare", ""), ("circle blue", ""),
         ("blue", "a"), ("cafe", "c"), ("\u6f22", "c"), ("near", "c"), ("a*b", "c"), ("not", "c"),
         ("***", "cba"), ("*** blue ?", "a")],
    )  # fmt: skip
    def test_every_word_must_begin_a_word_of_question_or_answer(self, runs, query, found):
        assert "".join(ids(runs.search(query))) == found

    @pytest.mark.parametrize(
        "query",
        ['"', "'", '"unbalanced', "a\" OR b", "*", "NEAR(", "NEAR(a b, 3)", "AND", "NOT", "(", ")", "question:blue", "-", "^blue",
         "{a}", "a + b", "\0", "a\0b", "\ud83d", "\\", "%", "_", ";", "a " * 5000, "x" * 100_000, "\U0001f600", "\u0301",
         "\u00bd \u2460"],
        ids=lambda query: ascii(query[:20]),
    )  # fmt: skip
    def test_no_query_is_an_error(self, runs, query):
        assert set(ids(runs.search(query))) <= {"a", "b", "c"}

    def test_operators_are_words(self, runs):
        assert ids(runs.search("blue OR circle")) == []
        assert ids(runs.search('"said')) == ["c"]
        assert ids(runs.search("question:blue")) == []

    @pytest.mark.parametrize(
        ("filters", "found"),
        [({"checkpoint": "other"}, "b"), ({"checkpoint": OTHER.id}, "b"), ({"checkpoint": "oth"}, ""), ({"panel": "chat"}, "ca"),
         ({"status": "stopped"}, "c"), ({"rating": 1}, "a"), ({"rating": -1}, "b"), ({"rating": 0}, "c"),
         ({"since": "2026-01-02"}, "cb"), ({"until": "2026-01-02"}, "ba"), ({"since": "2026-01-02", "until": "2026-01-02"}, "b"),
         ({"since": "2026-01-02 10:00"}, "cb"), ({"since": "2026-01-02T10:01"}, "c"), ({"until": "2026-01-02T10:00Z"}, "ba"),
         ({"until": "2026-01-02T09:59:59"}, "a"), ({"since": "2026-01-02T12:30+02:30", "until": "2026-01-02T12:30+02:30"}, "b"),
         ({"query": "squ", "panel": "chat", "rating": 1}, "a"), ({"limit": 2}, "cb")],
    )  # fmt: skip
    def test_filters_narrow_it(self, runs, filters, found):
        assert "".join(ids(runs.search(**filters))) == found

    @pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "1' OR 1", "0001-01-01T00:00+14:00"])
    def test_what_is_no_date_is_said_to_be_none(self, runs, text):
        with pytest.raises(InputError, match="is no date"):
            runs.search(since=text)

    def test_a_run_is_found_with_its_latest_rating_and_note(self, runs):
        runs.rate("a", -1, "wrong \ud83d")
        assert [(row.rating, row.note) for row in runs.search("colour")] == [(-1, "wrong ?")]
        assert ids(runs.search(rating=1)) == []

    def test_a_rating_must_be_one_and_of_a_run(self, runs):
        with pytest.raises(InputError, match="A rating is -1, 0 or 1, not 2"):
            runs.rate("a", 2)
        with pytest.raises(InputError, match="There is no run 'nowhere'"):
            runs.rate("nowhere", 1)


def left(history: History) -> dict[str, int]:
    """Rows of every table that deleting touches, counted by another connection, and files."""
    root = history.store.root
    tables = ("sessions", "runs", "messages", "message_images", "images", "ratings", "boxes", "run_search")
    counts = {table: rows(root, f"SELECT count(*) FROM {table}")[0][0] for table in tables}
    return counts | {"files": sum(path.is_file() for path in (root / "blobs").rglob("*"))}


class TestDeleting:
    def test_what_others_refer_to_stays(self, history):
        red, blue = picture("red"), picture("blue")
        question = says("user", red, "What?")
        turn(history.store, question, answer="A", run_id="a")
        turn(history.store, question, answer="B", run_id="b", checkpoint=OTHER)
        turn(history.store, question, says("assistant", "A"), says("user", blue, "Sure?"), answer="C", run_id="c")
        gone = history.delete_runs(["c"])
        assert (gone.sessions, gone.runs, gone.messages, gone.images, gone.size_bytes) == (0, 1, 2, 1, len(blue.data))
        gone = history.delete_runs(["a", "nowhere"])
        assert (gone.runs, gone.messages, gone.images, gone.size_bytes) == (1, 1, 0, 0)
        assert history.run("b").prompt.images[0].data == red.data
        gone = history.delete_runs(["b"])
        assert (gone.runs, gone.messages, gone.images, gone.size_bytes) == (1, 2, 1, len(red.data))
        assert left(history) == dict.fromkeys(left(history), 0) | {"sessions": 1}

    def test_a_turn_in_the_middle_goes_and_what_follows_stays_whole(self, history):
        said = [
            says("user", "1"),
            says("assistant", "a"),
            says("user", "2"),
            says("assistant", "b"),
            says("user", "3"),
            says("assistant", "c"),
        ]
        for number, answer in enumerate("abc"):
            turn(history.store, *said[: 2 * number + 1], answer=answer, run_id=answer)
        turn(history.store, *said, says("user", "4"), run_id="d")
        gone = history.delete_runs(["b", "c"])
        assert (gone.runs, gone.messages) == (2, 0)
        assert ids(history.thread("d")) == ["a", "d"]
        assert len(history.run("d").prompt.messages) == 7
        history.set_current("s", "d")
        history.delete_runs(["d"])
        assert history.current("s") == "a"
        history.delete_runs(["a"])
        assert (history.current("s"), left(history)["messages"]) == (None, 0)

    def test_deleting_a_session_leaves_the_others(self, history):
        red, blue = picture("red"), picture("blue")
        turn(history.store, says("user", red, blue, "shared?"), session="a", run_id="a")
        turn(history.store, says("user", red, "alone?"), session="b", run_id="b")
        history.rate("a", 1)
        with history.store.write() as db:
            db["boxes"].insert({"run_id": "a", "position": 0, "image_id": blue.id, "x0": 1.0})
            for run_id, data in (("a", b"numbers"), ("b", b"kept")):
                kept = {"id": history.store.blobs.put(data), "size_bytes": len(data)}
                db["artifacts"].insert({"run_id": run_id, "kind": "trace", "name": "x", **kept})
        before = history.usage()
        gone = history.delete_session("a")
        assert (gone.sessions, gone.runs, gone.messages, gone.images) == (1, 1, 2, 1)
        assert gone.size_bytes == len(blue.data) + len(b"numbers")
        after = history.usage()
        ones = dict.fromkeys(("sessions", "runs", "message_images", "images", "run_search"), 1)
        assert left(history) == ones | {"messages": 2, "ratings": 0, "boxes": 0, "files": 2}
        assert before.blob_bytes - after.blob_bytes == gone.size_bytes
        assert ids(history.search("shared")) == []
        assert ids(history.search("alone")) == ["b"]
        assert history.run("b").prompt.images[0].data == red.data
        assert rows(history.store.root, "PRAGMA foreign_key_check") == []

    def test_a_crops_source_stays_as_long_as_the_crop(self, history):
        red, crop = picture("red"), picture("green")
        turn(history.store, says("user", red), run_id="whole")
        turn(history.store, says("user", crop), run_id="crop")
        with history.store.write() as db:
            db["images"].update(crop.id, {"parent_id": red.id})
        assert history.delete_runs(["whole"]).images == 0
        assert history.delete_runs(["crop"]).images == 2

    def test_a_run_deleted_while_it_ran_does_not_come_back(self, history):
        run_id = begin(history.store, says("user", picture(), "q"), session="s")
        history.delete_session("s")
        history.store.finish(CallEnd(run_id, "done", "late", "end"))
        assert history.store.trouble is None
        assert set(left(history).values()) == {0}

    def test_files_that_a_crash_left_behind_are_swept_up(self, history):
        history.store.blobs.put(b"orphan")
        (history.store.root / "blobs" / "ab").mkdir(exist_ok=True)
        (history.store.root / "blobs" / "ab" / ("ab" * 32 + ".1234.partial")).write_bytes(b"cut of")
        kept = picture("red")
        turn(history.store, says("user", kept), run_id="a")
        turn(history.store, says("user", "q"), run_id="b")
        assert history.delete_runs(["b"]).size_bytes == len(b"orphan")
        assert [path.name for path in (history.store.root / "blobs").rglob("*") if path.is_file()] == [kept.id]

    def test_trials_keep_their_outcome_without_the_run(self, history):
        run_id = turn(history.store, says("user", "q"))
        with history.store.write() as db:
            db["studies"].insert({"id": "s", "name": "s"})
            db["trials"].insert({"study_id": "s", "key": "k", "status": "done", "run_id": run_id, "output": "yes", "item": "{}"})
        history.delete_runs([run_id])
        [trial] = Trials(history.store).table("s")
        assert (trial["run_id"], trial["output"]) == (None, "yes")

    def test_usage_counts_rows_and_bytes(self, history):
        red = picture()
        turn(history.store, says("user", red, "q"))
        found = history.usage()
        assert (found.sessions, found.runs, found.messages, found.images, found.trials) == (1, 1, 2, 1, 0)
        assert found.blob_bytes == len(red.data)
        files = [path for path in history.store.root.iterdir() if path.is_file()]
        assert found.database_bytes == sum(path.stat().st_size for path in files) > 4096

    def test_a_picture_is_opened_by_its_id(self, history):
        red = picture("red", "red.png")
        turn(history.store, says("user", red))
        part = history.picture(red.id)
        assert (part, part.name, part.data) == (red, "red.png", red.data)
        assert hashlib.sha256(part.data).hexdigest() == red.id
