"""The Attention panel without a browser: maps are the methods' own numbers, what goes wrong is a sentence, nothing mixes."""

from __future__ import annotations

import base64
import io
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from fakes import picture
from oracles import cut_logprobs, hidden_logprobs

from app.export.write import export_zip, import_session
from app.log.errors import LogError
from app.log.history import History
from app.log.store import Store
from model import Core, Options, Prompt, ask, open_picture, parse_spec
from model.geometry.grid import ImageGrid, View
from model.heat import heat_methods
from model.heat.base import Choice
from model.internals.interventions import Intervention, effect_of, rewrite, visual_dependence
from model.internals.subject import Subject
from model.internals.trace import Want
from model.progress import Run
from panels import panels
from panels.attention import answers as _attention_answers
from panels.attention import views as _attention_view
from panels.attention.endpoints import map_endpoint, trace_endpoint
from panels.attention.files import page_file
from panels.base.bench import Bench, SessionState
from panels.base.components import PictureUrls
from panels.base.maps import scores as _scores
from panels.base.maps.heat import OfMethod
from panels.base.maps.instrument import Instrument
from panels.base.maps.lens_health import LensView
from panels.base.maps.looks import look_at
from panels.base.maps.overlay import cells_of_tokens, packed, pictures_view, tokens_of_cells, unpacked
from panels.base.maps.saved_maps import saved_maps, to_reopen
from panels.base.maps.scores import MethodScores, ScoredValue, ScoreTable, scores_of
from panels.base.maps.source_picture import brought, other_picture, swapped
from panels.base.truth import asked_about, cover_of, true_things
from panels.patches.answers import ANSWERS as PATCHES
from studies.metrics import spearman
from studies.world.draw import masks
from studies.world.files import to_png
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

CHECKPOINT = parse_spec("tiny-llava")
SCENE = make_scene(held_out_seed(47))
PART = open_picture(to_png(SCENE, 320), "scene.png").part
QUICK = [slug for slug in heat_methods if heat_methods[slug].cost != "passes"]


def workshop(bench: Bench) -> Instrument:
    """The tab's instrument on a bench."""
    return Instrument(bench, panels["attention"], _attention_answers.ANSWERS)


class Table:
    """A bench with a log, turns on it, and the instrument that answers pages."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.history = History(self.store)
        self.core = Core(self.store)
        self.bench = Bench(self.core, self.history, (CHECKPOINT,), False, lambda: None, str, str)
        self.shop = workshop(self.bench)
        self.session = self.history.new_session(client="test")
        self.turn = self.take(ask("Describe the picture.", PART), 24)

    def take(self, prompt: Prompt, length: int = 8) -> str:
        """The id of a turn that was answered."""
        options = Options(max_new_tokens=length)
        return list(self.core.generate(CHECKPOINT, prompt, options, panel="chat", session=self.session))[-1].run_id

    def reply(self, what: str, shop: Instrument | None = None, **given: Any) -> dict[str, Any]:
        found = (shop or self.shop).ask({"what": what, "run": self.turn, "key": "k", **given})
        json.dumps(found, allow_nan=False)
        return found

    def ask(self, what: str, shop: Instrument | None = None, **given: Any) -> dict[str, Any]:
        """A reply without an error."""
        found = self.reply(what, shop, **given)
        assert found["error"] == "", found
        return found

    def subject(self, run: str = "") -> Subject:
        record = self.history.run(run or self.turn)
        return Subject(self.core.vlm(CHECKPOINT), record.prompt, [token.id for token in record.tokens])

    def map(self, **given: Any) -> np.ndarray:
        return unpacked(self.ask("heat", **given)["map"]["scores"])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    made = Table(tmp_path_factory.mktemp("log"))
    yield made
    made.store.close()


# --- what is sent is what the core says ----------------------------------------------------------


def test_the_view_says_what_the_trace_found(table: Table) -> None:
    view, subject = table.ask("open")["view"], table.subject()
    trace = subject.trace()
    assert [t["t"] for t in view["tokens"]] == [token.text for token in trace.tokens]
    assert [t["p"] for t in view["tokens"]] == pytest.approx([token.logprob for token in trace.tokens], abs=1e-4)
    assert [t["e"] for t in view["tokens"]] == pytest.approx(trace.entropy.tolist(), abs=1e-3)
    assert [t["d"] for t in view["tokens"]] == pytest.approx(visual_dependence(subject).tolist(), abs=2e-3)
    assert [t["m"] for t in view["tokens"]] == pytest.approx(trace.image_mass.mean((0, 1)).tolist(), abs=1e-4)
    assert (view["layers"], view["heads"]) == trace.attention.shape[:2]
    assert {m["slug"] for m in view["methods"]} == set(heat_methods)
    assert view["method"] in heat_methods


def test_probabilities_are_those_the_chat_logged(table: Table) -> None:
    logged = [token.logprob for token in table.history.run(table.turn).tokens]
    assert [t["p"] for t in table.ask("open")["view"]["tokens"]] == pytest.approx(logged, abs=1e-3)


@pytest.mark.parametrize(
    "choice", [{}, {"layer": 2}, {"head": 1}, {"layer": 3, "head": 0}, {"reduce": "max"}, {"rows": "reading", "layer": 1}]
)
def test_raw_maps_equal_the_method(table: Table, choice: dict[str, Any]) -> None:
    found, subject = table.ask("maps", words=[1], **choice), table.subject()
    grid, scores = subject.inputs.grid, unpacked(found["scores"]).reshape(found["count"], found["cells"])
    assert found["first"] == 0
    assert found["count"] == len(subject.answer_ids)
    for word in (1, 5, 9):
        heat = own(subject, "attention", (word,), Choice(**choice))
        np.testing.assert_allclose(scores[word], grid.per_cell(heat.scores), rtol=1e-6, atol=1e-9)
        assert found["mass"][word] == pytest.approx(heat.mass, abs=1e-5)


def test_long_answers_are_sent_in_parts(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_attention_answers, "MAX_SENT_BYTES", 4 * 144 * 5)
    found, whole = table.ask("maps", words=[7]), own(table.subject(), "attention", (7,), Choice())
    assert (found["first"], found["count"]) == (5, 5)
    np.testing.assert_allclose(unpacked(found["scores"]).reshape(5, 144)[2], whole.scores, rtol=1e-6)


def own(subject: Subject, slug: str, words: tuple[int, ...], choice: Choice) -> Any:
    """The map the core gives to whoever asks it."""
    return heat_methods[slug](subject, words, choice, Run())


@pytest.mark.parametrize("slug", QUICK)
def test_maps_of_methods_equal_theirs(table: Table, slug: str) -> None:
    heat = own(table.subject(), slug, (2, 3), Choice())
    found = table.ask("heat", method=slug, words=[3, 2])["map"]
    np.testing.assert_allclose(unpacked(found["scores"]), heat.grid.per_cell(heat.scores), rtol=1e-4, atol=1e-7)
    assert (found["unit"], found["signed"], found["note"]) == (heat.unit, heat.signed, heat.note)


def test_the_overview_is_mass_by_layer_and_head(table: Table) -> None:
    trace = table.subject().trace()
    shape = trace.attention.shape[:2]
    things = table.ask("open")["view"]["things"]
    found = table.ask("overview", words=[2, 3], things=[0])
    np.testing.assert_allclose(unpacked(found["mass"]).reshape(shape), trace.image_mass[:, :, [2, 3]].mean(2), rtol=1e-5)
    cover = true_things(table.history.run(table.turn).prompt, trace.grid, "")[0].cover
    inside = trace.attention[:, :, [2, 3]].mean(2) @ cover
    np.testing.assert_allclose(unpacked(found["inside"]).reshape(shape), inside, rtol=1e-4, atol=1e-7)
    assert (unpacked(found["inside"]) <= unpacked(found["mass"]) + 1e-6).all()
    assert len(things) == len(SCENE.things)
    assert table.ask("overview", words=[2])["inside"] is None


def test_a_shared_scale_of_agreement_is_spearmans(table: Table) -> None:
    subject = table.subject()
    a, b = (own(subject, slug, (4,), Choice()).scores for slug in ("attention", "relevancy"))
    matrix = table.ask("agree", words=[4], methods=["attention", "relevancy"])["matrix"]
    assert matrix[0][0] == matrix[1][1] == 1
    assert matrix[0][1] == matrix[1][0] == pytest.approx(spearman(a, b), abs=1e-3)


def test_hiding_and_knocking_out_equal_the_cores(table: Table) -> None:
    subject = table.subject()
    cells = [5, 17, 29, 30, 31]
    tokens = tokens_of_cells(subject.inputs.grid, cells)
    hidden, cut = (table.ask("change", cells=cells, how=how, layer=1, head=2) for how in ("mean", "cut"))
    assert hidden["after"] == pytest.approx(hidden_logprobs(subject, tokens).tolist(), abs=1e-4)
    assert cut["after"] == pytest.approx(cut_logprobs(subject, tokens, (1,), (2,)).tolist(), abs=1e-4)
    assert hidden["before"] == pytest.approx([t.logprob for t in subject.trace().tokens], abs=1e-4)
    assert "5 picture tokens hidden" in hidden["what"]


def test_patching_from_another_picture_equals_the_cores(table: Table) -> None:
    run = table.take(ask("What color is the star?", PART))
    subject = table.subject(run)
    star = next(i for i, thing in enumerate(SCENE.things) if thing.shape == "star")
    found = dict(table.ask("partners", run=run)["partners"])
    label = found[f"recolour {star}"]
    tokens = np.flatnonzero(cover_of(subject.inputs.grid, masks(SCENE, 320)[star], 0) > 0)
    given = {"run": run, "cells": tokens.tolist(), "how": "patch", "partner": f"recolour {star}"}
    changed = table.ask("change", depth=2, **given)
    other = swapped(subject.prompt, other_picture(table.bench, subject.prompt, f"recolour {star}"))
    change = Intervention(tuple(tokens.tolist()), "patch", source=other, depth=2)
    assert changed["after"] == pytest.approx(effect_of(subject, change).after.tolist(), abs=1e-4)
    assert changed["anew"] == rewrite(subject, change, Run()).text
    assert "behind layer 2" in changed["what"]
    back = brought(subject, Run(), other, change.tokens)
    np.testing.assert_allclose(unpacked(changed["brought"]["named"]), unpacked(back.named), atol=1e-4)
    assert changed["picture"]["name"].startswith("recolour")
    whole = table.ask("change", **given | {"cells": list(range(144))})  # all of the other picture: its answer
    assert whole["anew"] in label
    assert whole["anew"] != SCENE.things[star].colour
    assert whole["lost"] > 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"how": "patch", "partner": ""}, "Choose another picture"),
        ({"how": "patch", "partner": "erase 99"}, "Choose another picture"),
        ({"how": "patch", "partner": "turn nope"}, "no run"),
        ({"how": "patch", "partner": "erase 0", "depth": 99}, "no depth 99"),
        ({"how": "patch", "partner": "erase 0", "depth": -1}, "depth is"),
        ({"how": "burn"}, "mean, cut, patch, not 'burn'"),
        ({"how": "patch", "partner": "erase 0", "cells": []}, "No patch with a token"),
        ({"how": "patch", "partner": 3}, "no usable 'partner'"),
    ],
)
def test_what_cannot_be_changed_is_said(table: Table, given: dict[str, Any], said: str) -> None:
    assert said in table.reply("change", **{"cells": [3], **given})["error"]


def test_with_nothing_taken_away_the_answer_written_anew_is_the_answer(table: Table) -> None:
    """Knocking an attention out in a head that does not look at a corner changes nothing, nor does the way it is written."""
    trace = table.subject().trace()
    layer, head, cell = np.unravel_index(trace.attention.max(2).argmin(), (*trace.attention.shape[:2], trace.attention.shape[3]))
    found = table.ask("change", cells=[int(cell)], how="cut", layer=int(layer), head=int(head))
    assert found["anew"].startswith(table.history.run(table.turn).row.answer)  # which was cut off
    assert abs(found["lost"]) < 0.05


def test_the_answer_without_the_thing_is_another(table: Table) -> None:
    run = table.take(ask("What color is the star?", PART))
    grid = table.subject(run).inputs.grid
    star = next(i for i, thing in enumerate(SCENE.things) if thing.shape == "star")
    cells = np.flatnonzero(cover_of(grid, masks(SCENE, 320)[star], 0) > 0)
    found = table.ask("change", run=run, cells=[int(grid.cell[t]) for t in cells], how="mean")
    assert table.history.run(run).row.answer == SCENE.things[star].colour
    assert found["anew"] != SCENE.things[star].colour
    assert found["lost"] > 2


def test_sinks_are_shown_and_set_aside_only_when_asked(table: Table) -> None:
    found = table.ask("sinks")
    assert set(found) == {"error", "tokens", "cells", "tower", "decoder", "share"}
    whole = table.map(method="attention", words=[2])
    less = table.map(method="attention", words=[2], without=[0, 1, 2])
    assert (less[:3] == 0).all()
    np.testing.assert_array_equal(less[3:], whole[3:])


# --- nothing mixes -------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", ["relevancy", "grad_attention", "relevancy_tower", "attention"])
def test_a_map_does_not_depend_on_words_explained_before(table: Table, slug: str) -> None:
    fresh = unpacked(table.ask("heat", workshop(table.bench), method=slug, words=[6])["map"]["scores"])
    used = workshop(table.bench)
    for word in (0, 1, 2, 3):
        table.ask("heat", used, method=slug, words=[word])
    np.testing.assert_allclose(unpacked(table.ask("heat", used, method=slug, words=[6])["map"]["scores"]), fresh, rtol=1e-5)


def test_repeated_words_keep_maps_of_their_own(table: Table) -> None:
    texts = [token.text for token in table.history.run(table.turn).tokens]
    twice = next(text for text in texts if texts.count(text) > 1)
    first, second = [k for k, text in enumerate(texts) if text == twice][:2]
    assert not np.allclose(table.map(words=[first]), table.map(words=[second]))
    maps = table.ask("maps", words=[0])
    scores = unpacked(maps["scores"]).reshape(maps["count"], -1)
    assert not np.allclose(scores[first], scores[second])


def test_two_users_at_once_do_not_mix(table: Table) -> None:
    other = table.take(ask("Describe the picture.", picture(3, (200, 120))), 12)
    alone = {run: [table.map(run=run, method="relevancy", words=[word]) for word in range(4)] for run in (table.turn, other)}
    shop, found = workshop(table.bench), {}

    def user(run: str) -> None:
        found[run] = [
            unpacked(shop.ask({"what": "heat", "run": run, "key": run, "method": "relevancy", "words": [w]})["map"]["scores"])
            for w in range(4)
        ]

    users = [threading.Thread(target=user, args=(run,)) for run in alone]
    for one in users:
        one.start()
    for one in users:
        one.join()
    for run, maps in alone.items():
        np.testing.assert_allclose(found[run], maps, rtol=1e-5, atol=1e-9)


def test_nothing_is_left_in_temporary_folders(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = tmp_path / "uploads"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(uploads))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    shop = workshop(table.bench)
    for what in ("open", "maps", "overview", "heat", "sinks", "export"):
        table.ask(what, shop, words=[1])
    assert list((tmp_path / "tmp").iterdir()) == []
    assert {path.suffix for path in uploads.rglob("*") if path.is_file()} <= {".png", ".webp"}  # the picture the page shows


# --- which answer --------------------------------------------------------------------------------


def test_a_typed_answer_is_traced_and_the_log_stays(table: Table) -> None:
    before = table.history.run(table.turn)
    view = table.ask("open", typed="A large green square.")["view"]
    assert "".join(t["t"] for t in view["tokens"]).strip() == "A large green square."
    assert view["typed"] == "A large green square."
    assert table.history.run(table.turn) == before
    scores = table.core.score(CHECKPOINT, before.prompt, ["A large green square."])
    assert sum(t["p"] for t in view["tokens"]) == pytest.approx(float(scores.total[0]), abs=0.02)


def test_a_branched_answer_is_looked_into_as_a_whole(table: Table) -> None:
    """Its first tokens were given. They belong to the answer once, not twice."""
    first = table.history.run(table.turn)
    start = tuple(token.id for token in first.tokens[:2])
    run = table.take(Prompt(first.prompt.messages, answer_tokens=start))
    look = look_at(table.bench, run)
    assert look.answer == tuple(token.id for token in table.history.run(run).tokens)
    assert look.prompt.answer_tokens == ()
    assert "".join(t["t"] for t in table.ask("open", run=run)["view"]["tokens"]) == table.history.run(run).row.answer


def test_several_pictures_have_cells_of_their_own(table: Table) -> None:
    parts = (PART, open_picture(to_png(make_scene(held_out_seed(4)), 200), "b.png").part)
    run = table.take(ask("Which picture has more things?", *parts))
    view, subject = table.ask("open", run=run)["view"], table.subject(run)
    cells = sum(v["rows"] * v["cols"] for p in view["pictures"] for v in p["views"])
    assert [p["size"] for p in view["pictures"]] == [[320, 320], [200, 200]]
    assert cells == len(subject.inputs.grid.cells()) == len(table.map(run=run, method="attention"))
    assert {thing["picture"] for thing in view["things"]} == {0, 1}


def test_the_page_stands_where_the_chat_does_until_a_turn_is_opened() -> None:
    state = SessionState("s", "tiny-llava", "a")
    assert state.at_hand == "a"
    assert state.open("attention", "b").at_hand == "b"
    moved = SessionState("s", "tiny-llava", "c", opening=state.open("attention", "b").opening)
    assert moved.at_hand == "c"


# --- what goes wrong is a sentence ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"run": "nope"}, "There is no run"),
        ({"words": [999]}, "token 1000 was asked for"),
        ({"words": "all"}, "words is no list"),
        ({"layer": 99}, "There is no layer 100"),
        ({"head": 4}, "There is no head 5"),
        ({"layer": -1}, "Give a whole number"),
        ({"layer": True}, "Give a whole number"),
        ({"method": "grad_cam"}, "There is no method 'grad_cam'"),
        ({"rows": "both"}, "The row is"),
        ({"without": [10**6]}, "set picture tokens aside"),
        ({"typed": "x" * 5000}, "at most 4,000 are traced"),
        ({"what": "dance"}, "cannot be asked of this tab"),
        ({"what": "change"}, "No patch with a token of its own is selected"),
        ({"run": {"a": 1}}, "sent no usable 'run'"),
    ],
)
def test_what_is_wrong_is_said(table: Table, given: dict[str, Any], said: str) -> None:
    found = table.shop.ask({"what": "heat", "run": table.turn, "key": "k", **given})
    assert said in found["error"], found
    assert "Error" not in found["error"]


@pytest.mark.parametrize("given", [None, 5, [], "open", {"what": None}, {"what": "open"}])
def test_anything_may_be_sent(table: Table, given: Any) -> None:
    assert table.shop.ask(given)["error"]


def test_a_turn_without_a_picture_says_so(table: Table) -> None:
    run = table.take(ask("What can you do?"))
    assert "has no picture" in table.reply("open", run=run)["error"]


def test_a_long_method_is_stopped(table: Table) -> None:
    found: dict[str, Any] = {}
    worker = threading.Thread(target=lambda: found.update(table.reply("heat", method="greedy", words=[0, 1, 2], key="stop-me")))
    worker.start()
    while not table.shop.jobs.progress("stop-me"):
        assert worker.is_alive(), found
    table.shop.jobs.halt("stop-me")
    worker.join(20)
    assert not worker.is_alive()
    assert found["error"] == "Stopped."
    table.ask("heat", words=[0])  # and the next one works


# --- what is kept --------------------------------------------------------------------------------


def test_maps_are_kept_with_their_turn_and_opened_again(table: Table) -> None:
    run = table.take(ask("What color is the heart?", PART))
    table.ask("heat", run=run, method="attention", words=[0], layer=2, head=1)
    table.ask("heat", run=run, method="attention", words=[0], layer=2, head=1)
    table.ask("heat", run=run, method="rollout", words=[0], typed="blue")
    maps = saved_maps(table.history, run)
    assert {(m.kind, m.where) for m in maps} == {("heat", "Attention")}
    assert [m.title for m in maps] == ["Raw attention of “pink”", "Attention rollout of “blue”"]
    again = to_reopen(table.history, run, "heat", maps[0].name)
    choice = {"layer": 2, "head": 1, "reduce": "mean", "rows": "predicting", "without": []}
    assert again == {"method": "attention", "words": [0], "typed": "", **choice}
    artifact, data = table.history.kept_bytes(run, "heat", maps[0].name)
    trace = table.subject(run).trace(Want())
    np.testing.assert_allclose(np.frombuffer(data, "<f4"), trace.attention[2, 1, 0], rtol=1e-5)
    assert artifact.meta["unit"] == "attention"
    table.history.delete_runs([run])
    assert table.history.kept(run, "heat") == []
    assert artifact.id not in table.store.blobs


def test_an_imported_session_shows_its_maps_again(table: Table, tmp_path: Path) -> None:
    """Attention's and Patches' maps go out with a session and come in with it, and are the same when they are made again."""
    session = table.history.new_session(client="test")
    options = Options(max_new_tokens=8)
    prompt = ask("What color is the heart?", PART)
    run = list(table.core.generate(CHECKPOINT, prompt, options, panel="chat", session=session))[-1].run_id
    before = table.ask("heat", run=run, method="rollout", words=[0])["map"]
    Instrument(table.bench, panels["patches"], PATCHES, by="kind").ask(
        {"kind": "keep", "run": run, "key": "k", "map": "alike", "tokens": [7], "stage": "tower", "layer": 1}
    )
    out = export_zip(table.history, session, tmp_path / "out.zip")
    store = Store(tmp_path / "elsewhere")
    history = History(store)
    import_session(history, out)
    heat, patches = saved_maps(history, run)
    assert [heat, patches] == saved_maps(table.history, run)
    assert (heat.where, patches.where) == ("Attention", "Patches")
    what = to_reopen(history, run, "heat", heat.name)
    shop = workshop(Bench(table.core, history, (CHECKPOINT,), False, lambda: None, str, str))
    assert what is not None
    assert table.ask("heat", shop, run=run, **what)["map"]["scores"] == before["scores"]
    name = patches.name
    assert to_reopen(history, run, "patches", name) == {"map": "alike", "tokens": [7], "stage": "tower", "layer": 1}
    np.testing.assert_array_equal(
        *(np.frombuffer(h.kept_bytes(run, "patches", name)[1], "<f4") for h in (history, table.history))
    )
    store.close()


@pytest.mark.parametrize(
    "meta",
    [{}, {"method": "fire"}, {"method": ["attention"]}, {"method": "attention", "words": "all"},
     {"method": "attention", "words": [-1]}, {"method": "attention", "layer": "1"}, {"method": "attention", "typed": 3}],
)  # fmt: skip
def test_what_an_import_wrote_about_a_map_is_checked(table: Table, meta: dict[str, Any]) -> None:
    run = table.take(ask("What color is the heart?", PART), 2)
    table.history.keep(run, "heat", "odd", b"", meta)
    if meta:  # nothing at all is raw attention of the first word
        assert saved_maps(table.history, run) == []
        assert to_reopen(table.history, run, "heat", "odd") is None


def test_methods_that_read_a_lens_are_held_back_where_it_is_not_known_to_be_good(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = table.ask("open")["view"]
    assert view["lens"]["usable"] is True
    assert [m["slug"] for m in view["methods"] if m["gated"]] == ["logit_lens", "tam"]
    for usable in (None, False):
        health = LensView(usable, "No.", 20)
        monkeypatch.setattr(_attention_view, "lens_health", lambda *given, health=health: health)
        monkeypatch.setattr(
            _attention_view, "scores_of", lambda checkpoint: ScoreTable("tam", {"tam": MethodScores({"lift": ScoredValue(9.0)})})
        )
        view = table.ask("open")["view"]
        assert view["lens"] == {"usable": usable, "text": "No.", "scenes": 20}
        assert view["method"] == "attention", "a map that is not known to be good is not the first to be seen"


def test_a_log_that_cannot_be_written_does_not_cost_the_map(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise LogError("The disk is full.")

    monkeypatch.setattr(table.history, "keep", full)
    assert table.ask("heat", method="rollout", words=[3])["map"]["unit"]


def test_the_numbers_file_has_the_numbers(table: Table) -> None:
    found = table.ask("export", method="integrated_gradients", words=[1])
    heat = own(table.subject(), "integrated_gradients", (1,), Choice())
    with np.load(io.BytesIO(base64.b64decode(found["npz"]))) as file:
        np.testing.assert_allclose(file["scores"], heat.scores, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(file["cells"], heat.grid.cells())
        about = json.loads(str(file["about"]))
    assert about["method"] == "integrated_gradients"
    assert about["answer"] == [token.text for token in table.subject().trace().tokens]
    assert found["name"].startswith("integrated_gradients-")
    assert f"![The map over the picture]({found['name']}.png)" in found["page"]


def test_what_people_wrote_stands_in_fences(table: Table) -> None:
    nasty = "```\n<script>alert(1)</script>\n# not a heading"
    look = look_at(table.bench, table.turn)
    look = replace(look, prompt=ask(nasty, PART))
    seen = table.shop.looks.seen(look_at(table.bench, table.turn))
    heat = own(table.subject(), "attention", (0,), Choice())
    page = page_file(look, seen, heat, OfMethod(method="attention", words=(0,)), "none", "figure.png")
    assert f"````\n{nasty}\n````" in page


# --- over the API --------------------------------------------------------------------------------


def test_the_api_gives_the_trace(table: Table) -> None:
    found = trace_endpoint(table.bench, table.shop.looks)(run_id=table.turn)
    trace = table.subject().trace()
    assert [t["text"] for t in found["tokens"]] == [token.text for token in trace.tokens]
    assert [t["probability"] for t in found["tokens"]] == pytest.approx([np.exp(t.logprob) for t in trace.tokens], rel=1e-3)
    assert found["visual_tokens"] == len(trace.visual)
    json.dumps(found, allow_nan=False)


def test_the_api_gives_grids(table: Table) -> None:
    subject = table.subject()
    found = map_endpoint(table.bench, table.shop.looks)(run_id=table.turn, method="attention", words=[2], layer=3.0, head=0.0)
    heat = own(subject, "attention", (2,), Choice(3, 0))
    values = np.array(found["views"][0]["values"])
    np.testing.assert_allclose(values.ravel(), heat.grid.per_cell(heat.scores), rtol=1e-5)
    assert (found["unit"], found["note"]) == (heat.unit, heat.note)
    assert found["image_attention"] == pytest.approx(heat.mass, rel=1e-4)


def test_the_api_finds_words_by_their_text(table: Table) -> None:
    endpoint = map_endpoint(table.bench, table.shop.looks)
    texts = [token.text for token in table.history.run(table.turn).tokens]
    word = texts[2].strip()
    found = endpoint(run_id=table.turn, words=word)
    assert word in "".join(texts[k] for k in found["words"])
    assert endpoint(run_id=table.turn)["words"] == list(range(len(texts)))


def test_the_api_takes_pictures_and_an_answer(table: Table, tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    path.write_bytes(PART.data)
    found = trace_endpoint(table.bench, table.shop.looks)(question="What color is the heart?", images=[str(path)], answer="pink")
    assert "".join(t["text"] for t in found["tokens"]).strip() == "pink"
    assert found["run_id"] == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, "Give the run_id"), ({"run_id": "x"}, "There is no run"), ({"words": "zebra"}, "does not say 'zebra'"),
     ({"words": [99]}, "Give indices of tokens"), ({"layer": 99}, "There is no layer 99"), ({"layer": 0.5}, "whole number")],
)  # fmt: skip
def test_the_api_says_what_is_wrong(table: Table, given: dict[str, Any], said: str) -> None:
    with pytest.raises(gr.Error, match=said):
        map_endpoint(table.bench, table.shop.looks)(**({"run_id": table.turn} | given if given else {}))


# --- smaller parts -------------------------------------------------------------------------------


def test_scores_of_a_study_are_read_and_anything_else_is_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"lift": {"value": 14.2, "low": 12.0, "high": 16.4}, "hit": {"value": 0.93}, "auroc": "broken", "n": 60}
    monkeypatch.setattr(_scores, "kept", lambda *names: {"methods": {"relevancy": figures}, "default": "relevancy"})
    found = scores_of(CHECKPOINT)
    said = found.sentence("relevancy", "tiny-llava")
    assert said == "Measured on drawn scenes with this checkpoint: lift 14.2 [12, 16.4], hit 0.93; n = 60."
    monkeypatch.setattr(_scores, "kept", lambda *names: {"methods": {"relevancy": figures | {"passes": False}}})
    assert "hardly changes when the decoder's weights are random" in scores_of(CHECKPOINT).sentence("relevancy", "tiny-llava")
    assert "study faithfulness --checkpoint tiny-llava --keep" in found.sentence("tam", "tiny-llava")
    for broken in (None, [], {}, {"methods": 5}, {"methods": {"relevancy": 5}}):
        monkeypatch.setattr(_scores, "kept", lambda *names, broken=broken: broken)
        assert scores_of(CHECKPOINT) == ScoreTable()


def test_what_was_asked_about_is_found() -> None:
    star = next(i for i, thing in enumerate(SCENE.things) if thing.shape == "star")
    heart = next(i for i, thing in enumerate(SCENE.things) if thing.shape == "heart")
    assert list(asked_about(SCENE, "Is the star red?", "yes")) == [star]
    assert list(asked_about(SCENE, "What is largest?", "the heart")) == [heart]
    assert list(asked_about(SCENE, "Describe the picture.", "nothing")) == []


def test_a_thing_covers_the_tokens_that_show_it() -> None:
    grid = ImageGrid((View((0, 0, 320, 320), 8, 8),), np.arange(64), ((320, 320),))
    mask = np.zeros((320, 320), bool)
    mask[40:80, 40:60] = True
    cover = cover_of(grid, mask, 0)
    assert cover[9] == pytest.approx(0.5)
    assert cover.sum() == pytest.approx(0.5)


def test_cells_and_tokens_are_each_others(table: Table) -> None:
    grid = table.subject().inputs.grid
    assert cells_of_tokens(grid, np.flatnonzero(tokens_of_cells(grid, [3, 4, 99]))) == [3, 4, 99]
    values = np.array([1.5, np.nan, -2.25], np.float32)
    np.testing.assert_array_equal(unpacked(packed(values)), values)
    shown = pictures_view(grid, [PART], PictureUrls())
    assert shown[0].size == (320, 320)


# --- every family --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "llava_clip",
        "llava_pad",
        "llava_siglip",
        "qwen2_vl",
        "qwen2_5_vl",
        "llava_next",
        "internvl",
        "idefics3",
        "idefics2",
        "gemma3",
    ],
)
def test_other_families_are_drawn_by_their_own_geometry(table: Table, folder_of: Callable[[str], Path], name: str) -> None:
    checkpoint = parse_spec(str(folder_of(name)))
    prompt, options = ask("cat", picture(2, (160, 90))), Options(max_new_tokens=3)
    run = list(table.core.generate(checkpoint, prompt, options, panel="chat", session=table.session))[-1].run_id
    given = {"run": run, "typed": "a cat", "words": [1]}
    view = table.ask("open", **given)["view"]
    cells = sum(v["rows"] * v["cols"] for p in view["pictures"] for v in p["views"])
    mass = unpacked(table.ask("overview", **given)["mass"]).reshape(view["layers"], view["heads"])
    values = [unpacked(table.ask("heat", method=slug, **given)["map"]["scores"]) for slug in ("attention", "relevancy", "rise")]
    raw = unpacked(table.ask("maps", layer=0, head=1, **given)["scores"]).reshape(-1, cells)[1]
    assert {len(v) for v in values} == {cells}
    grid = table.core.look(checkpoint, prompt).grid
    assert np.nansum(raw) <= mass[0, 1] + 1e-4
    if grid.mixing is not None or (grid.cell >= 0).all():  # else markers between rows have a part of it
        assert np.nansum(raw) == pytest.approx(mass[0, 1], abs=1e-4)
    assert ("Hatched" in view["geometry"]) == bool(grid.unseen(0).any())
    assert ("Dashed" in view["geometry"]) == (len(grid.views) > 1)
    assert ("mixing" in view["geometry"]) == (grid.mixing is not None) == (name == "idefics2")
    if name == "llava_clip":
        assert "Hatched" in view["geometry"]  # its processor cuts the sides off
    changed = table.ask("change", cells=[0, cells - 1], **given)
    assert changed["what"] == f"{int(grid.tokens_of([0, cells - 1]).sum())} picture tokens hidden"


def test_a_checkpoint_that_cannot_be_drawn_says_so(table: Table, folder_of: Callable[[str], Path]) -> None:
    checkpoint = parse_spec(str(folder_of("kosmos2")))
    prompt, options = ask("cat", picture(2, (160, 90))), Options(max_new_tokens=2)
    run = list(table.core.generate(checkpoint, prompt, options, panel="chat", session=table.session))[-1].run_id
    said = table.reply("open", run=run)["error"]
    assert "does not give" in said or said == ""
