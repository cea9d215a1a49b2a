"""Sessions out of the log and back in, and exports that mean harm."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import struct
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from PIL import Image
from store_fixtures import OTHER, TINY, begin, picture, rows, says, tokens, turn

from app.export import archive
from app.export import write as export
from app.export.markdown import fence, span
from app.export.write import export_session, export_zip, import_session
from app.log.errors import LogError
from app.log.history import History
from app.log.store import Store
from model.decoders.plain import Plain
from model.errors import InputError
from model.options import Options
from model.prompt import ImagePart, Prompt
from model.recorder import CallEnd, CallStart, Loaded

EVIL = (
    "```\n~~~\n# Heading\n<script>alert(1)</script>\n\n[link](javascript:alert(1)) ![x](http://evil/x.png) `` ` \r````\r\n</div>"
)


@pytest.fixture
def history(tmp_path):
    store = Store(tmp_path / "log")
    yield History(store)
    store.close()


@pytest.fixture
def elsewhere(tmp_path):
    store = Store(tmp_path / "elsewhere")
    yield History(store)
    store.close()


@pytest.fixture
def session(history):
    """A session with a fork, a failed call, a comparison, a film frame, a rating and a box."""
    store, id = history.store, history.new_session("Größe `x`")
    red, blue = picture("red", "red.png"), picture("blue", "blue.png")
    frame = ImagePart(blue.image, blue.data, blue.media_type, blue.id, "blue.png", 1.5)
    store.loaded(Loaded(TINY, "llava", "cpu", "float32", 9, "f" * 64))
    prompt = Prompt((says("system", "Be brief."), says("user", red, "What?", frame)), "It", (5, 6))
    store.start(CallStart("one", TINY, prompt, Options(decoder=Plain(0.5), seed=3), "chat", id))
    store.finish(CallEnd("one", "done", "It is red", "end", None, tokens("It", " is"), 30, 4, 16, 1, 1.5, 20.25, 8.0))
    follow_up = (*prompt.messages, says("assistant", "It is red"), says("user", "Sure?\u2028"))
    for run_id, answer in (("two", "yes"), ("three", "no \ud83d")):
        turn(store, *follow_up, answer=answer, session=id, run_id=run_id)
    store.finish(CallEnd(begin(store, *follow_up, session=id, run_id="four"), "failed", error="Memory ran out."))
    begin(store, says("user", "still"), session=id, run_id="five", panel="compare", group="g", checkpoint=OTHER)
    history.rate("two", 1, "good")
    history.set_current(id, "two")
    history.keep_settings(id, {"temperature": 0.5})
    with store.write() as db:
        db["boxes"].insert(
            {"run_id": "two", "position": 0, "image_id": red.id, "label": "cat", "x0": 1.0, "y1": 2.5, "said": "<box>"}
        )
    return id


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "runs.jsonl").read_bytes().split(b"\n") if line]


def everything(history: History, session: str) -> list[tuple]:
    """All that is said and measured in a session, without ids of runs: equal for a session and its copy."""
    found = history.store.read("SELECT id FROM runs WHERE session_id = ? ORDER BY rowid", [session])
    ids = {row["id"]: number for number, row in enumerate(found)}
    records = [history.run(id) for id in ids]
    boxes = history.store.read("SELECT * FROM boxes ORDER BY run_id, position")
    return [
        (ids.get(r.row.parent_run_id), ids[r.row.id], r.prompt, [p.data for p in r.prompt.images],
         r.checkpoint, r.options, r.tokens, r.row.answer, r.row.question, r.row.panel,
         r.row.status, r.row.error, r.row.started_at, r.row.rating, r.row.note, r.reason,
         r.row.prompt_tokens, r.reused_tokens, r.row.visual_tokens, r.cached_images, r.row.new_tokens, r.queued_ms, r.prefill_ms,
         r.decode_ms, r.weights, r.versions, [ids[s] for s in r.siblings], [p.name for p in r.prompt.images],
         [{**box, "run_id": ids[box["run_id"]]} for box in boxes if box["run_id"] == r.row.id])
        for r in records
    ]  # fmt: skip


class TestArtifacts:
    """What was made of runs and kept goes along and comes back."""

    MAP = {"method": "attention", "words": [0], "said": "re\u0301d \ud800", "layer": None, "unit": "attention"}

    @pytest.fixture
    def with_maps(self, history, session):
        history.keep("one", "heat", "first", b"\x00\x01\x02\x03", self.MAP)
        history.keep("one", "patches", "second", b"same", {"map": "alike", "tokens": [3]})
        history.keep("three", "heat", "first", b"same", {})
        return session

    def kept(self, history, session):
        found = history.store.read("SELECT id FROM runs WHERE session_id = ? ORDER BY rowid", [session])
        return [
            [(a.kind, a.name, dict(a.meta), a.media_type, a.size_bytes, history.kept_bytes(r["id"], kind, a.name)[1])
             for kind in ("heat", "patches") for a in history.kept(r["id"], kind)]
            for r in found
        ]  # fmt: skip

    @pytest.mark.parametrize("how", ["folder", "zip"])
    def test_they_come_back_with_their_runs(self, history, elsewhere, with_maps, tmp_path, how):
        if how == "zip":
            out = export_zip(history, with_maps, tmp_path / "out.zip")
        else:
            out = export_session(history, with_maps, tmp_path / "out")
        again = import_session(elsewhere, out)
        before = self.kept(history, with_maps)
        assert self.kept(elsewhere, again) == before
        assert [len(of_run) for of_run in before] == [2, 0, 1, 0, 0]
        assert before[0][0][5] == b"\x00\x01\x02\x03"
        assert before[0][0][2]["said"] == self.MAP["said"]

    def test_into_the_same_log_they_are_of_the_new_runs(self, history, with_maps, tmp_path):
        again = import_session(history, export_session(history, with_maps, tmp_path / "out"))
        assert self.kept(history, again) == self.kept(history, with_maps)
        history.delete_session(with_maps)
        assert [len(of_run) for of_run in self.kept(history, again)] == [2, 0, 1, 0, 0]

    def test_files_are_named_by_what_they_hold_once_each(self, history, with_maps, tmp_path):
        folder = export_session(history, with_maps, tmp_path / "out")
        files = {path.name: path.read_bytes() for path in (folder / "artifacts").iterdir()}
        assert sorted(files.values()) == [b"\x00\x01\x02\x03", b"same"]
        assert all(name == hashlib.sha256(data).hexdigest() + ".bin" for name, data in files.items())
        assert "3 things kept with runs" in (folder / "README.md").read_text()

    def test_the_newest_are_carried_where_they_are_too_many(self, history, elsewhere, with_maps, tmp_path, monkeypatch):
        history.keep("two", "heat", "last", b"newest", {})
        monkeypatch.setattr(export, "MOST_ARTIFACTS", 2)
        folder = export_session(history, with_maps, tmp_path / "out")
        assert "1 of the things kept with runs are left out" in (folder / "README.md").read_text()
        found = self.kept(elsewhere, import_session(elsewhere, folder))
        assert [[one[1] for one in of_run] for of_run in found] == [["second"], ["last"], ["first"], [], []]

    def test_one_whose_file_is_gone_is_left_out_and_told(self, history, elsewhere, with_maps, tmp_path):
        history.store.blobs.delete(hashlib.sha256(b"same").hexdigest())
        folder = export_session(history, with_maps, tmp_path / "out")
        assert "2 of the things kept with runs are left out" in (folder / "README.md").read_text()
        import_session(elsewhere, folder)
        assert [a.name for a in elsewhere.kept("one", "heat")] == ["first"]
        assert elsewhere.kept("one", "patches") == elsewhere.kept("three", "heat") == []

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"file": "../evil.bin"}, "not artifacts/<sha256>.bin"),
            ({"file": "artifacts/" + "0" * 64 + ".bin"}, "lacks 'artifacts/000"),
            ({"file": "images/x.png"}, "not artifacts/<sha256>.bin"),
            ({"kind": ""}, "It must be a text"),
            ({"kind": "h" * 201}, "at most 200 characters"),
            ({"meta": [1]}, "It must be an object"),
            ({"meta": {"x": "y" * 200_001}}, "at most 200,000 that say"),
        ],
    )
    def test_what_is_not_as_it_should_be_is_refused_and_the_log_stays(
        self, history, elsewhere, with_maps, tmp_path, change, words
    ):
        folder = export_session(history, with_maps, tmp_path / "out")
        runs = lines(folder)
        runs[0]["artifacts"][0] |= change
        (folder / "runs.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
        with pytest.raises(InputError, match=words):
            import_session(elsewhere, folder)
        assert elsewhere.sessions() == []
        assert elsewhere.store.blobs.some(1000) == set()

    def test_one_that_has_changed_is_refused(self, history, elsewhere, with_maps, tmp_path):
        folder = export_session(history, with_maps, tmp_path / "out")
        next((folder / "artifacts").iterdir()).write_bytes(b"other")
        with pytest.raises(InputError, match=r"The artifact .* has changed"):
            import_session(elsewhere, folder)

    def test_two_of_one_name_and_too_many_are_refused(self, history, elsewhere, with_maps, tmp_path):
        folder = export_session(history, with_maps, tmp_path / "out")
        runs = lines(folder)
        runs[0]["artifacts"] *= 2
        (folder / "runs.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
        with pytest.raises(InputError, match="at most 500 things, each of its own name"):
            import_session(elsewhere, folder)

    def test_an_export_from_before_has_none(self, history, elsewhere, session, tmp_path):
        folder = export_session(history, session, tmp_path / "out")
        runs = [{k: v for k, v in run.items() if k != "artifacts"} for run in lines(folder)]
        (folder / "runs.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
        again = import_session(elsewhere, folder)
        assert self.kept(elsewhere, again) == [[], [], [], [], []]


class TestExport:
    def test_the_folder_holds_every_run_and_picture(self, history, session, tmp_path):
        folder = export_session(history, session, tmp_path / "out")
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        red, blue = picture("red"), picture("blue")
        images = {f"images/{part.id}.png": part.data for part in (red, blue)}
        assert names == {"README.md", "session.md", "session.json", "runs.jsonl", *images}
        assert all((folder / name).read_bytes() == data for name, data in images.items())
        first, second, third, fourth, fifth = lines(folder)
        assert [run["id"] for run in lines(folder)] == ["one", "two", "three", "four", "five"]
        assert first["messages"] == [
            {"role": "system", "parts": ["Be brief."]},
            {"role": "user", "parts": [{"image": f"images/{red.id}.png", "name": "red.png"}, "What?",
                                       {"image": f"images/{blue.id}.png", "time_s": 1.5, "name": "blue.png"}]},
        ]  # fmt: skip
        assert first["tokens"][1] == [11, -0.25, " is", [[11, " is", -0.25], [7, "é", -3.5]], False]
        assert first["options"] == {
            "max_new_tokens": 256, "decoder": "plain", "temperature": 0.5, "top_p": 1.0, "seed": 3, "alternatives": 5,
        }  # fmt: skip
        assert (first["checkpoint"]["name"], first["loaded"]["weights"], first["answer_prefix"], first["answer_tokens"]) == (
            "tiny-llava", "f" * 64, "It", [5, 6])  # fmt: skip
        assert (first["queued_ms"], first["prefill_ms"], first["prompt_tokens"], first["reused_tokens"]) == (1.5, 20.25, 30, 4)
        assert (second["parent_run_id"], second["rating"], second["note"], second["boxes"][0]["label"]) == (
            "one",
            1,
            "good",
            "cat",
        )
        assert (third["answer"], fourth["answer"], fourth["error"]) == ("no \ud83d", None, "Memory ran out.")
        assert (fifth["status"], fifth["group"], fifth["checkpoint"]["source"]) == ("running", "g", "somebody/other")
        readme = (folder / "README.md").read_text()
        assert readme.startswith("Made by Fovea on 20")
        assert "5 runs, 2 pictures" in readme

    def test_a_zip_holds_the_same_files(self, history, session, tmp_path):
        folder = export_session(history, session, tmp_path / "out")
        path = export_zip(history, session, tmp_path / "out.zip")
        with zipfile.ZipFile(path) as file:
            packed = {name: file.read(name) for name in file.namelist() if name != "README.md"}
        assert packed == {name: (folder / name).read_bytes() for name in packed}
        assert len(packed) == 5
        assert sorted(os.listdir(tmp_path)) == ["log", "out", "out.zip"]

    def test_an_export_is_of_one_moment(self, history, session, tmp_path, monkeypatch):
        """Another process writes a run with a new picture between two reads of the export."""
        read, late = history.store.read, Store(history.store.root)

        def interrupted(sql: str, params: object = ()) -> list:
            if "FROM runs r JOIN checkpoints" in sql and not late.read("SELECT 1 FROM runs WHERE id = 'late'"):
                turn(late, says("user", picture("green")), session=session, run_id="late")
            return read(sql, params)

        monkeypatch.setattr(history.store, "read", interrupted)
        folder = export_session(history, session, tmp_path / "out")
        assert late.read("SELECT status FROM runs WHERE id = 'late'") == [{"status": "done"}]
        late.close()
        assert [run["id"] for run in lines(folder)] == ["one", "two", "three", "four", "five"]

    def test_a_folder_with_something_in_it_is_not_written_to(self, history, session, tmp_path):
        (tmp_path / "mine.txt").write_text("mine")
        with pytest.raises(InputError, match="is not an empty folder"):
            export_session(history, session, tmp_path)
        with pytest.raises(InputError, match="There is no session 'nowhere'"):
            export_zip(history, "nowhere", tmp_path / "x.zip")
        assert not (tmp_path / "x.zip").exists()

    def test_a_picture_that_is_gone_is_said_to_be_missing(self, history, session, tmp_path):
        red = picture("red")
        history.store.blobs.delete(red.id)
        folder = export_session(history, session, tmp_path / "out")
        assert "1 of the pictures were missing from the log" in (folder / "README.md").read_text()
        with pytest.raises(InputError, match=f"The export lacks 'images/{red.id}.png'"):
            import_session(history, folder)


class TestMarkdown:
    def parsed(self, text: str) -> list:
        """Every Markdown token with the inline ones unfolded, by a CommonMark parser with tables and links."""
        found = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(text)
        return [t for token in found for t in (token, *(token.children or []))]

    def test_what_was_said_cannot_leave_its_code_block(self, history, tmp_path):
        id, evil = history.new_session(EVIL), replace(OTHER, name=EVIL)
        said = says("system", EVIL), says("user", EVIL, picture(name=EVIL), EVIL)
        turn(history.store, *said, answer=EVIL, session=id, checkpoint=evil, panel=EVIL)
        run_id = begin(history.store, says("user", "q"), session=id)
        history.store.finish(CallEnd(run_id, "failed", error=EVIL))
        folder = export_session(history, id, tmp_path / "out")
        found = self.parsed((folder / "session.md").read_text())
        kinds = [token.type for token in found]
        assert not {"html_block", "html_inline", "link_open", "table_open", "hr", "blockquote_open"} & set(kinds)
        assert kinds.count("heading_open") == 3
        assert [token.attrs["src"] for token in found if token.type == "image"] == [f"images/{picture().id}.png"]
        plain = EVIL.replace("\r\n", "\n").replace("\r", "\n") + "\n"
        assert [token.content for token in found if token.type == "fence"] == [plain, plain, plain, plain, "q\n", plain]
        readme = self.parsed((folder / "README.md").read_text())
        assert not {"html_block", "html_inline", "link_open", "image", "heading_open"} & {token.type for token in readme}

    def test_a_conversation_reads_in_order(self, history, session, tmp_path):
        text = (export_session(history, session, tmp_path / "out") / "session.md").read_text()
        assert text.startswith("# Session `` Größe `x` ``\n\n## 1. `tiny-llava`\n\n`chat`, `20")
        said = ["Be brief.", "What?", "It is red", "Sure?", "yes", "no \ufffd", "Memory ran out.", "still"]
        places = [text.index(f"```text\n{part}") for part in said]
        assert places == sorted(places)
        assert "done, follows 1, rated good" in text
        assert text.count("**User**") == 5

    @pytest.mark.parametrize(
        "text", ["", "a", "`", "a``b", "```` x", "\r", "\0\x1b[31m", "\ud800", " ", "\u0628 \u200c \U0001f468\u200d\U0001f469"]
    )
    def test_fences_and_spans_hold_what_they_are_given(self, text):
        [block] = [token for token in self.parsed(fence(text)) if token.type == "fence"]
        [inline] = [token for token in self.parsed(f"x {span(text)} y") if token.type == "code_inline"]
        kept = text.replace("\0", "\ufffd").replace("\x1b", "\ufffd").replace("\ud800", "\ufffd").replace("\r", "\n")
        assert block.content == kept + "\n"
        assert inline.content == (" ".join(kept.split()) or "-")


class TestImport:
    @pytest.mark.parametrize("kind", ["folder", "zip", "zip of the folder"])
    def test_all_comes_back_in_another_log(self, history, elsewhere, session, tmp_path, kind):
        source = tmp_path / "out"
        if kind == "zip":
            source = export_zip(history, session, tmp_path / "out.zip")
        else:
            export_session(history, session, source)
        if kind == "zip of the folder":
            with zipfile.ZipFile(tmp_path / "out.zip", "w") as file:
                for path in source.rglob("*"):
                    file.write(path, Path("my session") / path.relative_to(source))
            source = tmp_path / "out.zip"
        copy = import_session(elsewhere, source)
        before, after = everything(history, session), everything(elsewhere, copy)
        running = list(before[4])
        running[10], running[11] = "failed", "It was still running when the session was exported."
        assert after == [*before[:4], tuple(running)]
        found, original = elsewhere.session(copy), history.session(session)
        assert (found.name, found.settings, found.started_at) == (original.name, original.settings, original.started_at)
        assert [row.id for row in elsewhere.search()] == ["five", "four", "three", "two", "one"]
        assert elsewhere.current(copy) == "two"
        assert [row.id for row in elsewhere.search("red")] == ["one"]
        assert rows(elsewhere.store.root, "SELECT count(*) FROM messages") == rows(
            history.store.root, "SELECT count(*) FROM messages"
        )
        ids = "SELECT id FROM messages ORDER BY 1"
        assert rows(elsewhere.store.root, ids) == rows(history.store.root, ids)
        assert rows(elsewhere.store.root, "PRAGMA foreign_key_check") == []

    def test_importing_twice_into_the_same_log_gives_two_sessions_that_share_what_was_said(self, history, session, tmp_path):
        source = export_zip(history, session, tmp_path / "out.zip")
        counted = "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM images), (SELECT count(*) FROM checkpoints)"
        before = rows(history.store.root, counted)
        first, second = import_session(history, source), import_session(history, source)
        assert len({session, first, second}) == 3
        assert rows(history.store.root, counted) == before
        assert rows(history.store.root, "SELECT count(*), count(DISTINCT id) FROM runs") == [(15, 15)]
        assert rows(history.store.root, "SELECT count(DISTINCT group_id) FROM runs") == [(3,)]
        assert everything(history, first) == everything(history, second)
        assert [row.answer for row in history.thread(history.current(second))] == ["It is red", "yes"]
        assert history.delete_session(session).messages == 0
        assert history.delete_session(first).images == 0
        assert history.delete_session(second).images == 2

    def test_an_export_imported_and_exported_again_is_the_same(self, history, elsewhere, session, tmp_path):
        export_session(history, session, tmp_path / "a")
        copy = import_session(elsewhere, tmp_path / "a")
        export_session(elsewhere, copy, tmp_path / "b")
        first, second = lines(tmp_path / "a"), lines(tmp_path / "b")
        assert first[:4] == second[:4]
        for path in (tmp_path / "a" / "images").iterdir():
            assert path.read_bytes() == (tmp_path / "b" / "images" / path.name).read_bytes()

    def test_a_child_before_its_parent_makes_no_circle(self, history, session, tmp_path, elsewhere):
        folder = export_session(history, session, tmp_path / "out")
        first, second, *_ = lines(folder)
        first["parent_run_id"] = "two"
        (folder / "runs.jsonl").write_text("\n".join(json.dumps(run) for run in (first, second)))
        import_session(elsewhere, folder)
        assert [row.id for row in elsewhere.thread("two")] == ["one", "two"]
        assert elsewhere.run("one").row.parent_run_id is None


class Harm:
    """Ways to spoil an exported folder or zip."""

    def __init__(self, history: History, session: str, tmp_path: Path) -> None:
        self.folder = export_session(history, session, tmp_path / "harm")
        self.image = next((self.folder / "images").iterdir())
        self.zip = tmp_path / "harm.zip"

    def line(self, **changes: object) -> Path:
        run = lines(self.folder)[0]
        (self.folder / "runs.jsonl").write_text(json.dumps(run | changes))
        return self.folder

    def packed(self, name: str, data: bytes | str = b"x", **attributes: object) -> Path:
        """A zip of the export with one more member."""
        with zipfile.ZipFile(self.zip, "w") as file:
            for path in self.folder.rglob("*"):
                file.write(path, path.relative_to(self.folder))
            info = zipfile.ZipInfo(name)
            info.filename = name
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            file.writestr(info, data)
        return self.zip


class TestHarm:
    @pytest.fixture
    def harm(self, history, session, tmp_path):
        return Harm(history, session, tmp_path)

    @pytest.fixture
    def refused(self, elsewhere, tmp_path):
        """Asserts that an import is refused with that sentence, and that the log and the disk are as before."""

        def check(source: Path, sentence: str) -> None:
            outside = sorted(str(path) for path in tmp_path.rglob("*") if "elsewhere" not in path.parts)
            with pytest.raises(InputError, match=sentence):
                import_session(elsewhere, source)
            tables = ("sessions", "runs", "messages", "images", "message_images", "checkpoints", "run_search")
            assert [elsewhere.store.read(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in tables] == [0] * 7
            assert [path for path in elsewhere.store.blobs.root.rglob("*") if path.is_file()] == []
            assert sorted(str(path) for path in tmp_path.rglob("*") if "elsewhere" not in path.parts) == outside

        return check

    @pytest.mark.parametrize("name", ["../evil.txt", "images/../../evil.txt", "/etc/evil", "..\\evil", "C:evil", "a/../b"])
    def test_names_that_leave_the_folder_are_refused(self, harm, refused, name):
        refused(harm.packed(name), "would lie outside of its folder")

    def test_links_are_refused(self, harm, refused):
        refused(harm.packed("images/link", "/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16), "is a link")
        (harm.folder / "images" / "link").symlink_to("/etc/passwd")
        refused(harm.folder, "is a link or a device")
        (harm.folder / "images" / "link").unlink()
        (harm.folder / "elsewhere").symlink_to("/etc")
        refused(harm.folder, "is a link or a device")

    def test_a_pipe_in_the_folder_is_refused_and_not_waited_for(self, harm, refused):
        os.mkfifo(harm.folder / "session.txt")
        refused(harm.folder, "is a link or a device")

    def test_a_bomb_is_refused_by_the_size_it_claims(self, harm, refused, monkeypatch):
        assert (archive.MAX_BYTES, archive.MAX_MEMBERS) == (500_000_000, 10_000)
        monkeypatch.setattr(archive, "MAX_BYTES", 2_000_000)
        refused(
            harm.packed("zeros", bytes(3_000_000), compress_type=zipfile.ZIP_DEFLATED),
            "holds 3 MB unpacked; at most 2 MB are read",
        )
        assert harm.zip.stat().st_size < 100_000
        (harm.folder / "zeros").write_bytes(bytes(3_000_000))
        refused(harm.folder, "holds 3 MB unpacked; at most 2 MB are read")

    def test_a_bomb_that_lies_about_its_size_is_not_unpacked(self, harm, refused):
        (harm.folder / "runs.jsonl").unlink()
        harm.packed("runs.jsonl", bytes(60_000_000), compress_type=zipfile.ZIP_DEFLATED)
        data = harm.zip.read_bytes()
        assert data.count(struct.pack("<L", 60_000_000)) == 2
        harm.zip.write_bytes(data.replace(struct.pack("<L", 60_000_000), struct.pack("<L", 100)))
        tracemalloc.start()
        refused(harm.zip, "'runs.jsonl' of the export is damaged")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10_000_000

    def test_too_many_files_are_refused(self, harm, refused, monkeypatch):
        monkeypatch.setattr(archive, "MAX_MEMBERS", 5)
        refused(harm.folder, "holds 6 files; at most 5 are read")
        refused(harm.packed("seventh"), "holds 7 files; at most 5 are read")

    def test_a_directory_of_gigabytes_is_refused_before_it_is_read(self, harm, refused):
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 10_000 * 512 + 1, 0, 0)
        harm.zip.write_bytes(bytes(100) + end)
        refused(harm.zip, "lists too many files")
        harm.zip.write_bytes(bytes(100) + b"PK\6\7" + bytes(16) + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 46, 0, 0))
        refused(harm.zip, "lists too many files")

    def test_what_is_no_export_is_refused(self, harm, refused, tmp_path):
        (tmp_path / "text.zip").write_text("hello")
        refused(tmp_path / "text.zip", "'text.zip' is neither a folder nor a zip")
        refused(tmp_path / "nowhere.zip", "'nowhere.zip' is neither a folder nor a zip")
        (tmp_path / "empty").mkdir()
        refused(tmp_path / "empty", "holds 0 files named runs.jsonl instead of one")
        refused(harm.packed("other/runs.jsonl"), "holds 2 files named runs.jsonl")
        with pytest.warns(UserWarning, match="Duplicate name"):
            harm.packed("session.json")
        refused(harm.zip, "holds 'session.json' 2 times")
        data = harm.packed("session.txt").read_bytes()
        harm.zip.write_bytes(data[: len(data) // 2])
        refused(harm.zip, "neither a folder nor a zip")

    def test_a_member_that_is_damaged_or_locked_is_refused(self, harm, refused):
        data = bytearray(harm.packed("last").read_bytes())
        at = data.index(b'{"id": "one"')
        data[at + 3] ^= 1
        harm.zip.write_bytes(data)
        refused(harm.zip, "'runs.jsonl' of the export is damaged or locked")
        data = bytearray(harm.packed("last").read_bytes())
        for flags, magic in ((6, b"PK\3\4"), (8, b"PK\1\2")):
            at = -1
            while (at := data.find(magic, at + 1)) >= 0:
                data[at + flags] |= 1
        harm.zip.write_bytes(data)
        refused(harm.zip, "is damaged or locked")

    def test_a_picture_whose_bytes_changed_is_refused(self, harm, refused):
        harm.image.write_bytes(picture("green").data)
        refused(harm.folder, "has changed since it was exported")

    @pytest.mark.parametrize("data", [b"no picture", b"<svg onload='alert(1)'/>", b""])
    def test_a_file_that_is_no_picture_is_refused_even_under_its_right_name(self, harm, refused, data):
        name = f"images/{hashlib.sha256(data).hexdigest()}.png"
        (harm.folder / name).write_bytes(data)
        source = harm.line(messages=[{"role": "user", "parts": [{"image": name}]}])
        refused(source, "holds a picture that cannot be opened")

    def test_a_picture_too_large_to_open_is_refused(self, harm, refused):
        buffer = io.BytesIO()
        Image.new("1", (10_000, 5_000)).save(buffer, "PNG")
        name = f"images/{hashlib.sha256(buffer.getvalue()).hexdigest()}.png"
        (harm.folder / name).write_bytes(buffer.getvalue())
        refused(harm.line(messages=[{"role": "user", "parts": [{"image": name}]}]), "at most 40 megapixels")

    @pytest.mark.parametrize(
        "name", ["../../etc/passwd", "/etc/passwd", "images/x.png", "session.json", "images/" + "a" * 64 + ".png\n"]
    )
    def test_a_picture_of_another_name_is_not_read(self, harm, refused, name):
        refused(harm.line(messages=[{"role": "user", "parts": [{"image": name}]}]), "not images/<sha256>.<suffix>")

    @pytest.mark.parametrize(
        "text",
        [
            b"{",
            b"[]",
            b'"x"',
            b"5",
            b"null",
            b"\xff\xfe",
            b'{"id": "x", "status": "done", "panel": "chat", "x": NaN}',
            b'{"x": 1e999}',
            b"[" * 100_000,
            b"{}",
            b'{"id": "x"}',
            b"\0",
        ],
        ids=lambda text: ascii(text[:12]),
    )
    def test_a_line_that_is_no_run_is_refused_with_its_number(self, harm, refused, text):
        good = (harm.folder / "runs.jsonl").read_bytes().split(b"\n")[0]
        (harm.folder / "runs.jsonl").write_bytes(good + b"\n\n" + text + b"\n")
        refused(harm.folder, "Line 3 of runs.jsonl")

    @pytest.mark.parametrize(
        ("changes", "said"),
        [({"id": ""}, "'id' is ''"), ({"id": 5}, "'id' is '5'"),
         ({"status": "odd"}, "'status' is 'odd'"), ({"panel": None}, "'panel'"),
         ({"prompt_tokens": "7"}, "'prompt_tokens' is '7'"), ({"prompt_tokens": 2**70}, "'prompt_tokens'"),
         ({"rating": 3}, "'rating'"), ({"rating": True}, "'rating' is 'True'"), ({"decode_ms": "1"}, "'decode_ms'"),
         ({"started_at": "noon"}, "'started_at' is 'noon'"), ({"options": {"temperature": -1}}, "Temperature is -1"),
         ({"options": {"odd": 1}}, "'options'"), ({"options": []}, "'options'"), ({"checkpoint": {"name": "x"}}, "'source'"),
         ({"checkpoint": {"name": "x", "source": "y", "odd": 1}}, "'checkpoint'"),
         ({"checkpoint": {"name": 1, "source": "y"}}, "'name' is '1'"),
         ({"checkpoint": {"name": "x", "source": "y", "dtype": "int2"}}, "'dtype' is 'int2'"),
         ({"messages": ["x"]}, "a message is no JSON object"),
         ({"messages": [{"role": "robot", "parts": []}]}, "'role' is 'robot'"),
         ({"messages": [{"role": "user", "parts": [5]}]}, "no JSON"),
         ({"messages": [{"role": "user", "parts": [{"image": None}]}]}, "'image'"), ({"tokens": [[1]]}, "'tokens'"),
         ({"tokens": [[1, 0.5, "a", [[1, 2, 3]], False]]}, "'tokens'"), ({"tokens": [["1", 0.5, "a", [], False]]}, "'tokens'"),
         ({"answer_tokens": [-1]}, "'answer_tokens'"), ({"answer": 5}, "'answer' is '5'"),
         ({"boxes": [{"x0": "1"}]}, "'x0' is '1'"),
         ({"versions": "x"}, "'versions'"), ({"loaded": 5}, "'loaded'")],
        ids=lambda value: ascii(value)[:40],
    )  # fmt: skip
    def test_a_field_of_the_wrong_kind_is_named(self, harm, refused, changes, said):
        refused(harm.line(**changes), f"(?s)Line 1 of runs.jsonl.*{said}")

    @pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
    def test_numbers_that_the_log_could_not_give_back_are_refused(self, harm, refused, number):
        first = (harm.folder / "runs.jsonl").read_text(encoding="utf-8").split("\n")[0]
        assert first.count('"decode_ms": 8.0') == 1
        (harm.folder / "runs.jsonl").write_text(first.replace('"decode_ms": 8.0', f'"decode_ms": {number}'), encoding="utf-8")
        refused(harm.folder, "Line 1 of runs.jsonl is no JSON")

    def test_two_runs_of_one_id_are_refused(self, harm, refused):
        text = (harm.folder / "runs.jsonl").read_text()
        (harm.folder / "runs.jsonl").write_text(text + text)
        refused(harm.folder, "Two lines of runs.jsonl have the same id")

    def test_an_export_of_a_newer_version_is_refused(self, harm, refused):
        (harm.folder / "session.json").write_text('{"format": 2}')
        refused(harm.folder, "made by a newer version")
        (harm.folder / "session.json").write_text("{")
        refused(harm.folder, "session.json is no JSON")
        (harm.folder / "session.json").write_text('{"started_at": "noon"}')
        refused(harm.folder, "session.json: 'started_at' is 'noon'")

    def test_when_the_disk_fills_up_nothing_stays_behind(self, harm, elsewhere):
        store = elsewhere.store
        (harm.folder / "runs.jsonl").write_text(json.dumps(lines(harm.folder)[0] | {"answer": "long " * 100_000}))
        store.read(f"PRAGMA max_page_count = {store.read('PRAGMA page_count')[0]['page_count'] + 20}")
        with pytest.raises(LogError, match=r"the disk is full\. Free space"):
            import_session(elsewhere, harm.folder)
        assert rows(store.root, "SELECT count(*) FROM images") == rows(store.root, "SELECT count(*) FROM runs") == [(0,)]
        assert [path for path in store.blobs.root.rglob("*") if path.is_file()] == []
        store.read("PRAGMA max_page_count = 1000000")
        copy = import_session(elsewhere, harm.folder)
        assert [row.session for row in elsewhere.search()] == [copy]

    def test_pictures_that_other_sessions_show_stay_when_an_import_fails(self, harm, elsewhere, monkeypatch):
        red = picture("red")
        turn(elsewhere.store, says("user", red), run_id="mine")
        monkeypatch.setattr("app.export.restore._write_run", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            import_session(elsewhere, harm.folder)
        assert elsewhere.run("mine").prompt.images[0].data == red.data
        assert elsewhere.store.blobs.some(1000) == {red.id}
