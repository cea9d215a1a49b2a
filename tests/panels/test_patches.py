"""The Patches panel without a browser: what the page asks is answered from the model's own numbers, or with a sentence."""

from __future__ import annotations

import base64
import io
import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from fakes import picture

from app.log import artifacts
from app.log.history import History
from app.log.store import Store
from model import Checkpoint, Core, Message, Options, Prompt, ask, open_picture, parse_spec
from model.errors import InputError
from model.events import Found, Queued, Share, Waiting
from model.internals.activation_patching import blocks_of, patch_states
from model.internals.features import colours, features_at, similarities, similarity, word_ids, word_likeness
from model.internals.interventions import Intervention, effect_of
from model.internals.subject import Subject
from model.internals.tower import tower_attention
from panels import panels
from panels.base.bench import Bench
from panels.base.jobs import Jobs
from panels.base.maps.instrument import Instrument
from panels.base.maps.lens_health import lens_health
from panels.base.maps.overlay import unpacked
from panels.base.maps.saved_maps import saved_maps, to_reopen
from panels.base.maps.source_picture import other_picture, swapped
from panels.base.scripts import SCRIPTS
from panels.patches import files as _patches_files
from panels.patches import maps as _patches_maps
from panels.patches import views as _patches_views
from panels.patches.answers import ANSWERS
from panels.patches.endpoints import endpoint
from panels.patches.maps import TITLES
from studies import lens as studied
from studies.world.edit import recolour
from studies.world.files import to_png
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

CHECKPOINT = parse_spec("tiny-llava")
SCENE = make_scene(held_out_seed(47))
PART = open_picture(to_png(SCENE, 320), "scene.png").part
QUESTION = "What color is the heart?"


def instrument(bench: Bench) -> Instrument:
    """The tab's instrument on a bench."""
    return Instrument(bench, panels["patches"], ANSWERS, by="kind")


class Logged:
    """A bench with a log, and turns on it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.history = History(self.store)
        self.core = Core(self.store)
        self.bench = Bench(self.core, self.history, (CHECKPOINT,), False, lambda: None, str, str)
        self.asking = instrument(self.bench)
        self.session = self.history.new_session(client="test")
        self.turn = self.take(ask(QUESTION, PART))

    def take(self, prompt: Prompt, session: str = "", length: int = 8, checkpoint: Checkpoint = CHECKPOINT) -> str:
        """The id of a turn that was answered."""
        session = session or self.session
        events = list(self.core.generate(checkpoint, prompt, Options(max_new_tokens=length), panel="chat", session=session))
        return events[-1].run_id

    def ask(self, kind: str, run: str = "", **given: Any) -> dict[str, Any]:
        """A reply without an error."""
        found = self.reply(kind, run, **given)
        assert found["error"] == "", found
        return found

    def reply(self, kind: str, run: str = "", **given: Any) -> dict[str, Any]:
        found = self.asking.ask({"kind": kind, "run": run or self.turn, "key": "k", **given})
        json.dumps(found, allow_nan=False)
        return found

    def subject(self) -> Subject:
        record = self.history.run(self.turn)
        return Subject(self.core.vlm(CHECKPOINT), record.prompt, [token.id for token in record.tokens])


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    made = Logged(tmp_path_factory.mktemp("log"))
    yield made
    made.store.close()


# --- what is shown ---------------------------------------------------------------------------


def test_it_opens_with_all_that_can_be_asked(logged: Logged) -> None:
    found, on = logged.ask("open"), logged.subject()
    assert found["cell"] == list(range(144))
    assert [word["id"] for word in found["words"]] == list(on.answer_ids)
    assert found["stages"] == {
        "tower": {"layers": 4, "first": 3, "why": ""},
        "connector": {"layers": 1, "first": 0, "why": ""},
        "decoder": {"layers": 6, "first": 3, "why": ""},
    }
    assert (found["heads"], found["decoder"]) == (4, [5, 4])
    assert found["sinks"] == {"tower": [], "decoder": []}
    assert found["pictures"][0]["size"] == [320, 320]
    received = on.trace().attention.mean((0, 1, 2))
    assert received[found["first"]] == received.max()
    assert found["lens"]["usable"] in (True, False, None)
    assert "tiny-llava" in found["lens"]["text"]


@pytest.mark.parametrize(("stage", "layer"), [("tower", 0), ("tower", 3), ("connector", 0), ("decoder", 0), ("decoder", 5)])
def test_likeness_is_that_of_the_features(logged: Logged, stage: Any, layer: int) -> None:
    found = unpacked(logged.ask("alike", stage=stage, layer=layer)["matrix"]).reshape(144, 144)
    np.testing.assert_allclose(found, similarities(features_at(logged.subject(), stage, layer)), atol=1e-5)


def test_attention_of_the_tower_and_of_words_is_that_of_the_model(logged: Logged) -> None:
    on = logged.subject()
    seen = unpacked(logged.ask("seen", layer=1, head=2)["matrix"]).reshape(144, 144)
    np.testing.assert_allclose(seen, tower_attention(on, range(144), 1, 2), atol=1e-5)
    attention = on.trace().attention
    for layer, head, expected in ((None, None, attention.mean((0, 1))), (3, 1, attention[3, 1])):
        used = unpacked(logged.ask("used", layer=layer, head=head)["matrix"]).reshape(-1, 144)
        np.testing.assert_allclose(used, expected, atol=1e-6)


def test_where_all_pairs_are_too_many_the_rows_asked_for_are_sent(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {kind: logged.ask(kind, **given) for kind, given in ASKS.items()}
    monkeypatch.setattr(_patches_views, "WHOLE", 100)
    tokens, on = [4, 40, 41], logged.subject()
    assert logged.ask("open")["whole"] == 100
    for kind, given in ASKS.items():
        matrix, row = unpacked(whole[kind]["matrix"]), unpacked(logged.ask(kind, tokens=tokens, way="to", **given)["row"])
        rows = matrix.reshape(-1, 144)
        np.testing.assert_allclose(row, rows[:, tokens].sum(1) if kind == "used" else rows[tokens].mean(0), atol=1e-5)
    monkeypatch.setattr(_patches_maps, "ROWS", 50)  # three blocks, the last one short
    seen = unpacked(logged.ask("seen", tokens=tokens, way="from", layer=2)["row"])  # attention that these patches get
    np.testing.assert_allclose(seen, unpacked(whole["seen"]["matrix"]).reshape(144, 144)[:, tokens].mean(1), atol=1e-5)
    word = unpacked(logged.ask("used", word=0)["row"])
    np.testing.assert_allclose(word, on.trace().attention.mean((0, 1))[0], atol=1e-6)
    assert "No patch is chosen" in logged.reply("alike", stage="connector", layer=0)["error"]


ASKS: dict[str, dict[str, Any]] = {"alike": {"stage": "decoder", "layer": 2}, "seen": {"layer": 2}, "used": {}}


@pytest.mark.parametrize("how", ["mean", "cut"])
def test_what_hiding_does(logged: Logged, how: Any) -> None:
    found, on = logged.ask("hidden", tokens=[60, 61, 62], how=how), logged.subject()
    expected = effect_of(on, Intervention((60, 61, 62), how))
    np.testing.assert_allclose(unpacked(found["before"]), expected.before, atol=1e-4)
    np.testing.assert_allclose(unpacked(found["after"]), expected.after, atol=1e-4)
    assert [token[0] for token in found["instead"]] == [token.id for token in expected.instead]


@pytest.mark.parametrize("how", ["mean", "cut"])
def test_without_any_picture_another_answer_is_given(logged: Logged, how: str) -> None:
    heart = logged.history.run(logged.turn).row.answer
    assert logged.ask("again", tokens=[0], how="mean")["text"] == heart == "pink"
    assert logged.ask("again", tokens=list(range(144)), how=how)["text"] != "pink"


def test_the_lens_and_a_word(logged: Logged) -> None:
    rows = logged.ask("says", tokens=[50, 51])["rows"]
    assert [depth for depth, _ in rows] == list(range(6))
    assert all(len(words) == 5 and words[0][1] >= words[1][1] for _, words in rows)
    found = logged.ask("like_word", word="pink")
    assert unpacked(found["row"]).shape == (144,)
    assert "".join(found["pieces"]) == " pink"


def test_colours_alone_and_jointly(logged: Logged) -> None:
    alone = unpacked(logged.ask("coloured", stage="tower", layer=3, partner="")["colours"])
    assert alone.shape == (3 * 144,)
    assert (alone.min(), alone.max()) == (0, 1)
    both = logged.ask("coloured", stage="tower", layer=3, partner="erase 0")
    assert unpacked(both["other"]["colours"]).shape == (3 * 144,)
    assert both["other"]["cell"] == list(range(144))
    assert both["other"]["pictures"][0]["url"] != logged.ask("open")["pictures"][0]["url"]


# --- two pictures ----------------------------------------------------------------------------


def test_partners_are_changed_scenes_and_other_pictures_of_the_session(logged: Logged) -> None:
    other = logged.take(ask("How many objects are there?", picture(1)))
    stranger = logged.take(ask("How many objects are there?", picture(2)), session=logged.history.new_session())
    found = dict(logged.ask("partners")["partners"])
    assert sum(id.startswith("erase") for id in found) == sum(id.startswith("recolour") for id in found) == len(SCENE.things)
    assert found[f"turn {other}"] == "the picture of: How many objects are there?"
    assert f"turn {stranger}" not in found
    assert all(thing.colour in found[f"recolour {i}"] for i, thing in enumerate(SCENE.things))
    assert [id for id, _ in logged.ask("partners", other)["partners"]] == [f"turn {logged.turn}"]


def test_patching_brings_back_what_patching_states_does(logged: Logged) -> None:
    heart = next(i for i, thing in enumerate(SCENE.things) if thing.shape == "heart")
    found, on = logged.ask("between", partner=f"recolour {heart}", tokens=[52, 53, 64, 65]), logged.subject()
    named, shares = unpacked(found["named"]).reshape(-1, 3), unpacked(found["blocks"]).reshape(-1, 144)
    assert found["depths"] == list(range(6))
    assert named[0, 2] == pytest.approx(1, abs=1e-3)
    assert found["clean"] - found["corrupted"] > 1
    label = dict(logged.ask("partners")["partners"])[f"recolour {heart}"]
    edit = recolour(SCENE, heart, label.rsplit(" in ", 1)[1])
    other = Subject(on.vlm, ask(QUESTION, open_picture(to_png(edit.after, 320)).part), on.answer_ids)
    groups = blocks_of(on, 3)
    expected = patch_states(on, other, (0, 3), groups)
    for at, depth in enumerate((0, 3)):
        for share, group in zip(expected.share[at], groups, strict=True):
            np.testing.assert_allclose(shares[depth][group.numpy()], share, atol=1e-3)
    row, column = (3 * (at // 3) for at in divmod(int(shares[0].argmax()), 12))
    x0, y0, x1, y1 = (0.012 * v for v in SCENE.things[heart].box)  # in patches
    assert column < x1 < column + 3 + x1 - x0  # the block that matters most shows the heart
    assert row < y1 < row + 3 + y1 - y0


def test_pictures_that_do_not_align_and_partners_that_are_none(logged: Logged) -> None:
    for partner in ("", "erase 99", "erase x", "recolour -1", "turn nope", "turn", "<img>"):
        for kind in ("between", "coloured"):
            if kind == "coloured" and not partner:
                continue
            error = logged.reply(kind, partner=partner, tokens=[0], stage="connector", layer=0)["error"]
            assert re.search(r"Choose another picture|no run|There is no", error), error


# --- what cannot be asked --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("hidden", {"tokens": [], "how": "mean"}, "No patch is chosen"),
        ("hidden", {"tokens": [144], "how": "mean"}, "there are 144"),
        ("hidden", {"tokens": [-1], "how": "mean"}, "No patch is chosen"),
        ("hidden", {"tokens": [True], "how": "mean"}, "No patch is chosen"),
        ("hidden", {"tokens": "all", "how": "mean"}, "No patch is chosen"),
        ("hidden", {"tokens": [1], "how": "fire"}, "Choose one of mean, cut"),
        ("alike", {"stage": "tower", "layer": 4}, "from 0 to 3"),
        ("alike", {"stage": "tower", "layer": "1"}, "Choose a whole number"),
        ("alike", {"stage": "soul", "layer": 0}, "Choose one of tower, connector, decoder"),
        ("seen", {"layer": 0, "head": 4}, "from 0 to 3"),
        ("used", {"layer": 5}, "from 0 to 4"),
        ("like_word", {"word": " "}, "Give a word"),
        ("like_word", {"word": 3}, "no usable 'word'"),
        ("nonsense", {}, "cannot be asked of this tab"),
    ],
)
def test_what_cannot_be_answered_is_said(logged: Logged, kind: str, given: dict[str, Any], words: str) -> None:
    assert words in logged.reply(kind, **given)["error"]


def test_turns_without_patches_say_so(logged: Logged) -> None:
    plain = logged.take(Prompt((Message("user", ("Hello",)),)))
    assert "has no picture" in logged.reply("open", plain)["error"]
    assert "no run" in logged.reply("open", "nope")["error"]


def test_an_answer_that_said_nothing_still_has_patches(logged: Logged) -> None:
    run = logged.take(ask(QUESTION, PART))
    with logged.store.write() as db:
        db.execute("UPDATE runs SET tokens = '[]' WHERE id = ?", [run])
    found = logged.ask("open", run)
    assert (found["words"], found["decoder"]) == ([], [0, 0])
    assert "matrix" in logged.ask("alike", run, stage="decoder", layer=5)
    assert "keeps no attention" in logged.reply("used", run)["error"]
    assert logged.ask("hidden", run, tokens=[3], how="mean")["instead"] == []


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "qwen2_5_vl", "llava_next", "internvl", "idefics2"])
def test_other_families_answer_all_of_it_or_say_why_not(name: str, logged: Logged, folder_of: Callable[[str], Path]) -> None:
    checkpoint = parse_spec(str(folder_of(name)))
    first, second = (logged.take(ask("hello there", picture(i, (140, 100))), length=3, checkpoint=checkpoint) for i in (1, 2))
    found = logged.ask("open", first)
    count = len(found["cell"])
    for stage, held in found["stages"].items():
        if held["why"]:
            assert stage == "tower"
            assert held["why"] == logged.reply("alike", first, stage=stage, layer=0)["error"]
            assert logged.reply("seen", first, layer=0)["error"]
        else:
            reply = logged.ask("alike", first, stage=stage, layer=held["layers"] - 1)
            assert unpacked(reply["matrix"]).reshape(count, count)[1, 1] == pytest.approx(1)
    assert bool(found["stages"]["tower"]["why"]) == (found["heads"] == 0)
    assert unpacked(logged.ask("used", first)["matrix"]).shape == (len(found["words"]) * count,)
    assert len(logged.ask("hidden", first, tokens=[0, 1], how="cut")["instead"]) == len(found["words"])
    assert logged.ask("says", first, tokens=[2])["rows"]
    assert isinstance(logged.ask("again", first, tokens=[0], how="cut")["text"], str)
    brought = logged.ask("between", first, partner=f"turn {second}", tokens=[0])
    assert unpacked(brought["named"]).reshape(-1, 3)[0, 2] == pytest.approx(1, abs=0.01)


def test_the_script_asks_for_what_there_is() -> None:
    scripts = "".join(path.read_text(encoding="utf-8") for path in sorted((SCRIPTS / "patches").glob("*.js")))
    assert set(re.findall(r"kind: '(\w+)'", scripts)) == set(ANSWERS)
    known = scripts[scripts.index("const OF = {") : scripts.index("export const whatOf")]
    assert set(re.findall(r"^  (\w+): \(", known, re.MULTILINE)) == set(TITLES)


# --- keeping it and taking it along ----------------------------------------------------------

WHATS: dict[str, dict[str, Any]] = {
    "alike": {"tokens": [7, 9], "stage": "decoder", "layer": 2},
    "like_word": {"typed": "pink"},
    "coloured": {"stage": "tower", "layer": 3, "partner": ""},
    "seen": {"tokens": [40], "way": "from", "layer": 1, "head": 2, "aside": False},
    "used": {"word": 0, "layer": 3, "head": None, "aside": False},
    "between": {"tokens": [52, 53], "partner": "erase 0", "depth": 3},
    "says": {"tokens": [50, 51]},
}


def own_values(on: Subject, kind: str, other: Subject | None = None) -> np.ndarray:
    """The numbers of each of WHATS, made of the model layer's own."""
    match kind:
        case "alike":
            return similarity(features_at(on, "decoder", 2), [7, 9])
        case "like_word":
            return word_likeness(on, word_ids(on, "pink"))
        case "coloured":
            return colours([features_at(on, "tower", 3)])[0]
        case "seen":
            return tower_attention(on, range(144), 1, 2)[:, 40]
        case "used":
            return on.trace().attention[3, :, 0].mean(0)
        case "between":
            groups = blocks_of(on, 3)
            share = patch_states(on, other, (3,), groups).share[0]
            return share[groups.int().argmax(0).numpy()]
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", WHATS)
def test_every_map_is_logged_with_its_numbers_and_opened_again(logged: Logged, kind: str) -> None:
    run = logged.take(ask(QUESTION, PART))
    what = {"map": kind, **WHATS[kind]}
    if kind == "between":
        logged.ask("between", run, partner="erase 0", tokens=[52, 53])
    assert logged.ask("keep", run, **what)["kept"] is True
    assert logged.ask("keep", run, **what)["kept"] is True  # the same map again is one map
    (listed,) = saved_maps(logged.history, run)
    assert (listed.kind, listed.where) == ("patches", "Patches")
    assert listed.title.startswith(TITLES[kind][0])
    assert to_reopen(logged.history, run, "patches", listed.name) == what
    artifact, data = logged.history.kept_bytes(run, "patches", listed.name)
    if kind == "says":
        assert json.loads(data) == logged.ask("says", run, tokens=[50, 51])["rows"]
        return
    other = swapped(ask(QUESTION, PART), other_picture(logged.bench, ask(QUESTION, PART), "erase 0"))
    on = logged.subject()
    expected = own_values(on, kind, Subject(on.vlm, other, on.answer_ids))
    np.testing.assert_allclose(
        np.frombuffer(data, "<f4").reshape(expected.shape), expected, atol=2e-3 if kind == "between" else 1e-5
    )
    assert artifact.meta["unit"]


def test_a_map_that_does_not_fit_is_not_logged(logged: Logged) -> None:
    for what, words in (
        ({"map": "alike", "tokens": [999], "stage": "decoder", "layer": 2}, "No patch is chosen"),
        ({"map": "alike", "tokens": [1], "stage": "decoder", "layer": 99}, "from 0 to 5"),
        ({"map": "used", "word": 99}, "from 0 to"),
        ({"map": "between", "tokens": [1], "partner": "", "depth": 0}, "Choose another picture"),
        ({"map": "between", "tokens": [1], "partner": "erase 0", "depth": 77}, "Nothing was patched at depth 77"),
        ({"map": "fire"}, "Choose one of alike"),
        ({"map": "seen", "tokens": [1], "layer": 0, "way": "to", "aside": 1}, "no usable 'aside'"),
    ):
        assert words in logged.reply("keep", **what)["error"]


@pytest.mark.parametrize(
    "meta",
    [{}, {"map": "fire"}, {"map": ["alike"]}, {"map": "alike", "tokens": "all"}, {"map": "alike", "tokens": [-1]},
     {"map": "alike", "tokens": [True]}, {"map": "used", "word": "0"}, {"map": "seen", "aside": "yes"}],
)  # fmt: skip
def test_what_an_import_wrote_about_a_map_is_checked(logged: Logged, meta: dict[str, Any]) -> None:
    run = logged.take(ask(QUESTION, PART))
    logged.history.keep(run, "patches", "odd", b"", meta)
    assert saved_maps(logged.history, run) == []
    assert to_reopen(logged.history, run, "patches", "odd") is None


def test_a_full_turn_says_that_a_map_is_not_logged(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MOST_OF_A_RUN", 1)
    run = logged.take(ask(QUESTION, PART))
    assert logged.ask("keep", run, map="like_word", typed="red")["kept"] is True
    assert logged.ask("keep", run, map="like_word", typed="blue")["kept"] is False


@pytest.mark.parametrize("kind", [kind for kind in WHATS if kind != "says"])
def test_the_files_have_the_raw_numbers_and_say_what_they_are(logged: Logged, kind: str) -> None:
    chosen = {"tokens": [7, 9], "features": "decoder", "features_layer": 2}
    what = {"map": kind, **WHATS[kind]}
    found, on = logged.ask("export", part="numbers", **{**chosen, **what}), logged.subject()
    with np.load(io.BytesIO(base64.b64decode(found["numbers"]))) as held:
        features = features_at(on, "decoder", 2)
        np.testing.assert_allclose(held["features"], features.values, atol=1e-4)
        np.testing.assert_allclose(held["similarity"], similarities(features), atol=1e-4)
        np.testing.assert_allclose(held["attention"], on.trace().attention, atol=1e-5)
        assert held["chosen"].tolist() == WHATS[kind].get("tokens", [7, 9])
        assert held["cells"].shape == (144, 4)
        other = swapped(ask(QUESTION, PART), other_picture(logged.bench, ask(QUESTION, PART), "erase 0"))
        expected = own_values(on, kind, Subject(on.vlm, other, on.answer_ids))
        np.testing.assert_allclose(held["shown"], expected, atol=2e-3 if kind == "between" else 1e-4)
        about = json.loads(str(held["about"]))
    assert (about["stage"], about["layer"], about["question"]) == ("decoder", 2, QUESTION)
    assert {k: about["map"][k] for k in what} == what
    assert set(about) >= {"checkpoint", "weights", "answer", "features"}
    page = logged.ask("export", part="page", **{**chosen, **what})
    assert page["name"] == found["name"] == logged.ask("export", part="name", **{**chosen, **what})["name"]
    assert page["page"].startswith(f"# {TITLES[kind][0]}\n\n![The map over the picture]({page['name']}.png)")
    assert "- checkpoint: `tiny-llava`" in page["page"]
    assert ("The 10 patches with the largest scores" in page["page"]) == (kind != "coloured")
    if kind == "alike":
        assert "| 1 | " in page["page"]
        best = int(np.abs(expected).argmax())
        assert f"| 1 | {', '.join(f'{v:.0f}' for v in on.inputs.grid.cells()[best])} | {expected[best]:.4g} |" in page["page"]


def test_attention_too_large_for_a_file_is_its_mean_over_heads(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_patches_files, "MOST_BYTES", 10)
    given = {"map": "like_word", "typed": "red", "tokens": [1], "features": "connector", "features_layer": 0}
    found = logged.ask("export", part="numbers", **given)
    with np.load(io.BytesIO(base64.b64decode(found["numbers"]))) as held:
        np.testing.assert_allclose(held["attention"], logged.subject().trace().attention.mean(1), atol=1e-5)
        assert "mean over heads" in json.loads(str(held["about"]))["attention"]


def test_what_people_wrote_stands_in_fences_of_the_page(logged: Logged) -> None:
    nasty = "```\n<script>alert(1)</script>\n# not a heading"
    run = logged.take(ask(nasty, PART), length=2)
    given = {"map": "like_word", "typed": "a```b", "tokens": [1]}
    page = logged.ask("export", run, part="page", **given)["page"]
    assert f"````\n{nasty}\n````" in page
    assert "````\na```b\n````" in page


def test_nothing_is_left_in_temporary_folders(logged: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    before = set(Path.cwd().iterdir())
    logged.asking = instrument(logged.bench)  # no address of a picture is remembered
    logged.ask("open")
    chosen = {"features": "decoder", "features_layer": 2}
    for kind, what in WHATS.items():
        logged.ask("keep", map=kind, **what)
        for part in ("numbers", "page") if kind != "says" else ():
            logged.ask("export", part=part, **{"tokens": [3], **chosen, "map": kind, **what})
    assert list((tmp_path / "tmp").iterdir()) == []
    left = [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()]
    assert len(left) == 1, left  # the picture itself, which the page shows
    assert left[0].suffix in (".webp", ".png")
    assert set(Path.cwd().iterdir()) == before


def test_two_users_at_once_do_not_mix(logged: Logged) -> None:
    other = logged.take(ask("Describe the picture.", picture(3, (200, 120))), length=6)
    kinds = {"alike": {"stage": "decoder", "layer": 3}, "seen": {"layer": 2, "head": 1}, "used": {"layer": 1, "head": 2}}
    alone = {run: {kind: logged.ask(kind, run, **what) for kind, what in kinds.items()} for run in (logged.turn, other)}
    asking, found = instrument(logged.bench), {}

    def user(run: str) -> None:
        found[run] = {
            kind: asking.ask({"kind": kind, "run": run, "key": f"{run} {kind}", **what}) for kind, what in kinds.items()
        }

    users = [threading.Thread(target=user, args=(run,)) for run in alone]
    for one in users:
        one.start()
    for one in users:
        one.join()
    for run, replies in alone.items():
        for kind, reply in replies.items():
            np.testing.assert_allclose(unpacked(found[run][kind]["matrix"]), unpacked(reply["matrix"]), atol=1e-5)
    assert not np.allclose(unpacked(alone[logged.turn]["alike"]["matrix"]), unpacked(alone[other]["alike"]["matrix"]))


# --- waiting ---------------------------------------------------------------------------------


def test_jobs_say_how_far_and_ends_what_is_to_end() -> None:
    jobs, told = Jobs(), []

    def work(until: threading.Event) -> Iterator[Any]:
        yield Queued(2)
        told.append(jobs.progress("a"))
        yield Share(0.25)
        told.append(jobs.progress("a"))
        while not until.is_set():
            yield Waiting(1.0)
            jobs.halt("a")
        yield Found("never")

    over = threading.Event()
    with pytest.raises(InputError, match="Stopped"):
        jobs.done("a", work(over))
    assert (told[0].text, told[1].share) == ("In line behind 2 calls", 0.25)
    assert jobs.progress("a") is None
    jobs.halt("a")
    over.set()
    assert jobs.done("a", work(over)) == "never"


def test_work_that_nobody_waits_for_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    jobs, closed = Jobs(), []

    def work() -> Iterator[Any]:
        try:
            for _ in range(100):
                now[0] += 10
                if now[0] == 80:
                    jobs.progress("a")
                yield Waiting(1.0)
        finally:
            closed.append(now[0])

    with pytest.raises(InputError, match="Stopped"):
        jobs.done("a", work())
    assert closed == [180.0]  # 90 seconds after somebody looked last


# --- lens health -----------------------------------------------------------------------------


def test_lens_health_is_what_was_kept_for_these_weights(logged: Logged, tmp_path: Path) -> None:
    bench, tiny, other = logged.bench, Checkpoint("tiny", "tiny"), Checkpoint("org/name", "org/name")
    figure = {"value": 0.912, "low": 0.88, "high": 0.94, "n": 20, "usable": True}
    kept = {"usable": True, "auroc": {"Logit lens": 0.912}, "methods": {"logit_lens": figure}, "weights": "abc"}
    (tmp_path / "lens-tiny.json").write_text(json.dumps(kept))
    found = lens_health(bench, tiny, "abc", tmp_path)
    assert found.usable is True
    assert "AUROC 0.91 against masks, 95 % interval 0.88 to 0.94, n = 20" in found.text
    assert lens_health(bench, tiny, "other weights", tmp_path).usable is None
    (tmp_path / "lens-tiny.json").write_text(json.dumps({"usable": False, "auroc": {"all": 0.4}}))
    assert "not to be believed: AUROC 0.40 (all)" in lens_health(bench, tiny, "abc", tmp_path).text
    for broken in ("", "[]", "{}", '{"usable": 1}'):
        (tmp_path / "lens-tiny.json").write_text(broken)
        assert lens_health(bench, tiny, "abc", tmp_path).usable is None
    assert "Not measured on org/name" in lens_health(bench, other, "", tmp_path).text


def test_lens_health_is_measured_when_asked_goes_on_where_it_stopped_and_is_remembered(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = studied.lens_health(logged.core, CHECKPOINT, 4)
    steps, weights = [], logged.core.vlm(CHECKPOINT).weights
    events = studied.lens_events(logged.core, CHECKPOINT, 4, logged.history.trials)
    for event in events:
        steps.append(event)
        if isinstance(event, Share) and event.share >= 0.5:  # two scenes are done
            events.close()
    assert studied.logged_health(logged.history.trials, CHECKPOINT, weights, 4) is None
    done = studied.logged(logged.history.trials, studied.study_of(CHECKPOINT, weights))
    assert sorted(done) == [0, 1]
    asked: list[int] = []
    measured = studied._aurocs

    def counted(*given: Any, case: Any) -> Any:
        asked.append(1)
        return measured(*given, case=case)

    monkeypatch.setattr(studied, "_aurocs", counted)
    again = [e for e in studied.lens_events(logged.core, CHECKPOINT, 4, logged.history.trials) if isinstance(e, Found)]
    assert again[-1].value == expected
    assert len(asked) == 2, "the two that were done are not measured again"
    assert studied.logged_health(logged.history.trials, CHECKPOINT, weights, 4) == expected


def test_the_page_measures_lens_health(logged: Logged, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    checkpoint = parse_spec(str(folder_of("llava_clip")))
    run = logged.take(ask("hello there", picture(1, (140, 100))), length=3, checkpoint=checkpoint)
    assert logged.ask("open", run)["lens"]["usable"] is None
    found = logged.ask("measure", run)["lens"]
    assert found["usable"] is False  # its decoder is random
    assert "n = 20" in found["text"]
    assert logged.ask("open", run)["lens"] == found


# --- the API ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def similar(logged: Logged) -> Any:
    return endpoint(logged.bench)


def test_patches_similar_gives_the_grid_and_the_best(logged: Logged, similar: Any) -> None:
    found, on = similar(run_id=logged.turn, patch=[4, 3], stage="tower", layer=2), logged.subject()
    scores = similarity(features_at(on, "tower", 2), 4 * 12 + 3)
    np.testing.assert_allclose(np.ravel(found["views"][0]["similarity"]), scores, atol=1e-4)
    assert found["views"][0]["similarity"][4][3] == 1
    assert (found["stage"], found["layer"], found["run_id"]) == ("tower", 2, logged.turn)
    best = found["best"][0]
    order = np.argsort(-scores)
    assert best["token"] == order[1] == 12 * best["row"] + best["column"]
    assert [b["similarity"] for b in found["best"]] == sorted((b["similarity"] for b in found["best"]), reverse=True)
    assert found["chosen"][0]["box"] == pytest.approx([80, 320 / 3, 320 / 3, 400 / 3])


def test_patches_similar_takes_a_box_and_a_picture_of_its_own(logged: Logged, similar: Any, tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    path.write_bytes(PART.data)
    boxed = similar(images=[str(path)], question=QUESTION, box=[80, 107, 133, 160], stage="connector", layer=0)
    assert boxed["checkpoint"] == "tiny-llava"
    assert sorted(one["token"] for one in boxed["chosen"]) == [51, 52, 63, 64]
    logged_one = similar(run_id=logged.turn, box=[80, 107, 133, 160], stage="connector", layer=0)
    np.testing.assert_allclose(boxed["views"][0]["similarity"], logged_one["views"][0]["similarity"], atol=1e-3)
    assert similar(run_id=logged.turn, patch=[0, 0])["layer"] == 5


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Give the run_id"),
        ({"run_id": "nope"}, "no run"),
        ({"run_id": "TURN"}, "Give a patch"),
        ({"run_id": "TURN", "patch": [1, 2, 3]}, "Give 2 numbers"),
        ({"run_id": "TURN", "patch": [12, 0]}, "No visual token looks there"),
        ({"run_id": "TURN", "box": [900, 900, 950, 950]}, "No visual token looks there"),
        ({"run_id": "TURN", "box": [5, 5, 1, 1]}, "box"),
        ({"run_id": "TURN", "patch": [0, 0], "image": 3}, "There is no picture 3"),
        ({"run_id": "TURN", "patch": [0, 0], "stage": "soul"}, "Choose one of tower, connector, decoder"),
        ({"run_id": "TURN", "patch": [0, 0], "layer": 77}, "no layer 77"),
    ],
)
def test_patches_similar_says_what_it_cannot_do(logged: Logged, similar: Any, given: dict[str, Any], words: str) -> None:
    given = {name: logged.turn if value == "TURN" else value for name, value in given.items()}
    with pytest.raises(gr.Error, match=words):
        similar(**given)
