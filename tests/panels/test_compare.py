"""The Compare panel without a browser: columns asked together, a veil before the vote, heat on one scale, sets, the API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from fakes import picture

from app import shell
from app.log.history import History
from app.log.store import Store
from model import Core, Options, Prompt, WorkbenchError, ask, open_picture, parse_spec
from model.decoders.plain import Plain
from model.errors import InputError, OptionsError
from model.geometry.boxes import Box
from model.geometry.grid import ImageGrid, View
from model.heat.base import Choice, Heat
from model.recorder import new_id
from panels import panels
from panels.base.bench import Bench, Opening, SessionState
from panels.base.components import PictureUrls
from panels.base.maps.heat import heat_by
from panels.base.maps.instrument import Instrument
from panels.base.maps.overlay import unpacked
from panels.base.maps.saved_maps import saved_maps, to_reopen
from panels.base.scenes import suggestions
from panels.base.turn import TurnProgress
from panels.compare.answers import Answer, logged_answer
from panels.compare.boxes import boxes_in
from panels.compare.endpoints import _Endpoints
from panels.compare.heat import ANSWERS, EVEN, side_by_side
from panels.compare.page import ComparePage, specs_of
from panels.compare.pairs import boxes_view, pair_views
from panels.compare.question_sets import Several, picture_named, set_view
from panels.compare.requests import Entrant, Setting, asking, entrant, kind_of, once_more, prompt_for, scaled, settings_of
from panels.compare.run import Heard, kept_spent, run, veiled
from panels.compare.views import decoder_views, live_view, whole_view
from panels.compare.votes import cast_vote, votes_view
from studies.question_set import compare_all, drawn, summary
from studies.world.files import to_png
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

TINY, STAGE = "tiny-llava", "tiny-llava-stage1"
SCENE = make_scene(held_out_seed(47))
PART = open_picture(to_png(SCENE, 320), "scene.png").part
HEART = "What color is the heart?"
STAR = next(question.text for question in suggestions(SCENE) if question.kind == "colour")
NAMES = ("tiny-llava", "stage1", "llava", parse_spec(TINY).id, parse_spec(STAGE).id)


class Table:
    """A bench with a log and a turn on it."""

    def __init__(self, folder: Path, public: bool = False) -> None:
        self.store = Store(folder)
        self.history = History(self.store)
        self.core = Core(self.store)
        builtin = (parse_spec(TINY), parse_spec(STAGE))
        self.bench = Bench(self.core, self.history, builtin, public, lambda: None, str, str)
        self.session = self.history.new_session(client="test")
        events = self.core.generate(parse_spec(TINY), ask(HEART, PART), Options(), panel="chat", session=self.session)
        self.turn = list(events)[-1].run_id

    def asked(self, *columns: Any, question: str = HEART, blind: bool = False, session: str = "") -> Any:
        settings = settings_of(list(columns) or [TINY, STAGE])
        return asking(self.bench, session or self.session, self.turn, question, settings, blind, kind_of((PART,), question))

    def compare(self, *columns: Any, **more: Any) -> tuple[Any, tuple[Heard, ...]]:
        """The comparison as it is logged, and its columns at the end."""
        asked = self.asked(*columns, **more)
        *_, heard = run(self.bench, asked)
        return self.history.comparison(asked.group), heard

    def view(self, held: Any) -> dict[str, Any]:
        answers = [logged_answer(self.bench, i, side)[0] for i, side in enumerate(held.columns)]
        found = whole_view(self.bench, held, answers, ask(HEART, PART), PictureUrls())
        json.dumps(found, allow_nan=False)
        return found


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    made = Table(tmp_path_factory.mktemp("log"))
    yield made
    made.store.close()


# --- columns as they are set ---------------------------------------------------------------------


def test_decoders_are_offered_with_their_numbers() -> None:
    plain = decoder_views()[0]
    assert (plain.slug, plain.title) == ("plain", "Plain")
    assert [(one.name, one.low, one.high, one.default) for one in plain.numbers] == [
        ("temperature", 0, 2, 0), ("top_p", 0.01, 1, 1),
    ]  # fmt: skip


def test_a_column_is_named_by_checkpoint_and_setting() -> None:
    labels = [one.label for one in settings_of([
        TINY, {"spec": TINY, "temperature": 1.0, "seed": 3}, {"spec": TINY, "system": "Be brief."},
        {"spec": TINY, "side_px": 112, "length": 9},
    ])]  # fmt: skip
    assert labels == [
        "tiny-llava", "tiny-llava, temperature 1, seed 3", "tiny-llava, system \u201cBe brief.\u201d",
        "tiny-llava, at most 9 tokens, pictures at 112 px"]  # fmt: skip
    assert parse_spec(Setting("owner/name", quantization="nf4").typed).quantization == "nf4"
    assert Setting("owner/name@main:cpu", quantization="int8").typed == "owner/name@main:cpu,int8"
    assert Setting("/home/me/runs/mine/").label == "mine"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([TINY], "2 to 4 columns; 1 were given"),
        ([TINY] * 5, "5 were given"),
        (None, "no were given"),
        ([TINY, TINY], "Two columns are the same"),
        ([TINY, {"spec": ""}], "names no checkpoint"),
        ([TINY, 5], "names no checkpoint"),
        ([TINY, {"spec": STAGE, "side_px": 5}], "28 to 4096 px"),
        ([TINY, {"spec": STAGE, "side_px": "big"}], "28 to 4096 px"),
        ([TINY, {"spec": STAGE, "system": 5}], "system prompt"),
        ([TINY, {"spec": STAGE, "quantization": "int3"}], "none, int8, nf4"),
        ([TINY, {"spec": STAGE, "temperature": "warm"}], "'warm'"),
        ([TINY, {"spec": STAGE, "length": 0}], "Length is 0"),
    ],
)
def test_columns_that_cannot_be_are_refused(columns: Any, words: str) -> None:
    with pytest.raises((InputError, OptionsError), match=words):
        settings_of(columns)


def test_all_columns_get_the_question_and_the_pictures_of_the_turn(table: Table) -> None:
    same, other = table.asked(), table.asked(question="How many objects are there?")
    assert same.prompt == table.history.run(table.turn).prompt
    assert [part.id for part in other.prompt.images] == [PART.id]
    assert other.prompt.question == "How many objects are there?"
    with pytest.raises(Exception, match="The question is empty"):
        table.asked(question=" \n")


def test_a_column_changes_nothing_but_its_own_prompt() -> None:
    prompt = ask("What?", picture(size=(90, 60)), system="Old.")
    own = prompt_for(prompt, Setting(TINY, system="New.", side_px=45))
    assert [m.text for m in own.messages] == ["New.", "What?"]
    assert own.images[0].image.size == (45, 30)
    assert prompt.images[0].image.size == (90, 60)
    assert scaled(prompt.images[0], 500) is prompt.images[0]
    assert prompt_for(prompt, Setting(TINY)) == prompt


def test_a_size_that_makes_no_difference_is_said_and_one_that_does_is_taken(
    table: Table, folder_of: Callable[[str], Path]
) -> None:
    fixed = entrant(table.bench, Setting(TINY, side_px=56), ask(HEART, PART))
    assert fixed.column is None
    assert "makes 144 tokens of this picture at its own size and at 56 px" in fixed.error
    dynamic = entrant(table.bench, Setting(str(folder_of("qwen2_vl")), side_px=56), ask(HEART, PART))
    assert dynamic.error == ""
    assert dynamic.column.prompt.images[0].image.size == (56, 56)


# --- asking --------------------------------------------------------------------------------------


def test_columns_say_what_each_says_alone_and_are_logged_under_one_group(table: Table) -> None:
    held, heard = table.compare()
    alone = [table.core.answer(HEART, PART, checkpoint=name).text for name in (TINY, STAGE)]
    assert [one.progress.answer for one in heard] == alone
    assert alone[0] == "pink"
    rows = table.history.group(held.id)
    assert {row.id for row in rows} == {side.run for side in held.columns}
    assert {(row.panel, row.session, row.status) for row in rows} == {("compare", table.session, "done")}
    assert [side.label for side in held.columns] == [TINY, STAGE]
    assert (held.kind, kind_of((PART,), STAR)) == ("", "colour")
    assert kept_spent(table.bench, held.columns[0].run) == heard[0].spent
    table.history.keep(held.columns[1].run, "compare", "spent", b"", {"first_token_ms": "soon", "steps": 1})
    assert kept_spent(table.bench, held.columns[1].run) is None, "an import may bring anything by that name"
    assert heard[0].spent.weights_bytes > 10**6


def test_greedy_and_sampling_of_one_checkpoint(table: Table) -> None:
    sampled = {"spec": TINY, "temperature": 1.5, "seed": 5}
    held, heard = table.compare(TINY, sampled, question="Describe the picture.")
    options = Options(decoder=Plain(1.5), seed=5)
    alone = table.core.answer("Describe the picture.", PART, options=options).text
    assert heard[1].progress.answer == alone
    assert heard[0].progress.answer != alone
    assert table.history.run(held.columns[1].run).options == options


def test_other_families_answer_beside(table: Table, folder_of: Callable[[str], Path]) -> None:
    specs = [str(folder_of(name)) for name in ("qwen2_vl", "llava_clip")]
    columns = [{"spec": spec, "length": 6} for spec in specs]
    _, heard = table.compare(TINY, *columns)
    assert [one.progress.error for one in heard] == ["", "", ""]
    assert heard[0].progress.answer == "pink"
    assert [len(one.progress.tokens) <= 6 for one in heard[1:]] == [True, True]


def test_a_column_that_fails_says_why_and_the_others_go_on(table: Table, tmp_path: Path) -> None:
    held, heard = table.compare(TINY, "tiny-lava", {"spec": TINY, "side_px": 56})
    assert heard[0].progress.answer == "pink"
    assert "There is no checkpoint 'tiny-lava'" in heard[1].progress.error
    assert "144 tokens" in heard[2].progress.error
    view = table.view(held)
    assert [bool(column["error"]) for column in view["columns"]] == [False, True, True]
    assert "nothing to vote on" in view["vote"]["why"]
    with pytest.raises(InputError, match="nothing to vote on"):
        cast_vote(table.bench, table.session, held.id, "A", [], None)


def test_closing_stops_every_column(table: Table, endless: Path) -> None:
    asked = table.asked({"spec": str(endless), "length": 900}, {"spec": str(endless), "length": 901})
    steps = run(table.bench, asked)
    for heard in steps:
        if all(len(one.progress.tokens) > 2 for one in heard):
            break
    steps.close()
    assert {row.status for row in table.history.group(asked.group)} == {"stopped"}


def test_stop_takes_all_and_a_letter_takes_one(table: Table, endless: Path) -> None:
    asked = table.asked({"spec": str(endless), "length": 900}, {"spec": str(endless), "length": 40})
    heard: tuple[Heard, ...] = ()
    for heard in run(table.bench, asked):
        if len(heard[0].progress.tokens) > 4:
            table.core.stop(heard[0].entrant.run)
    assert heard[0].progress.finished.reason == "stopped"
    assert heard[1].progress.finished.reason == "length"
    assert heard[1].progress.finished.new_tokens == 40


def test_asked_again_each_is_asked_as_it_was(table: Table) -> None:
    held, first = table.compare(TINY, {"spec": TINY, "temperature": 1.5, "seed": 7, "system": "Be brief."})
    columns = once_more(table.bench, held)
    assert [one.column.options.seed for one in columns] == [0, 7]
    again = replace(table.asked(), group=new_id(), settings=tuple(c.setting for c in columns))
    *_, second = run(table.bench, again, columns)
    assert [[t.id for t in one.progress.tokens] for one in second] == [[t.id for t in one.progress.tokens] for one in first]
    assert table.history.run(second[1].entrant.run).prompt.messages[0].text == "Be brief."


# --- the veil ------------------------------------------------------------------------------------


def heard_so_far(*answers: tuple[str, bool]) -> list[Heard]:
    return [
        Heard(Entrant(Setting(TINY), str(i)), TurnProgress(str(i), text, done=done)) for i, (text, done) in enumerate(answers)
    ]


def test_behind_the_veil_nobody_is_ahead() -> None:
    """The quick one shows no more than the slow one has said; a short one that has ended shows its end no earlier."""
    assert veiled(heard_so_far(("a red star", False), ("", False))) == ["", ""]
    assert veiled(heard_so_far(("a red star", True), ("two", False))) == ["a r", "two"]
    assert veiled(heard_so_far(("red", True), ("two circles", False))) == ["red", "two circles"]
    assert veiled(heard_so_far(("red", True), ("two circles", True))) == ["red", "two circles"]


def test_what_a_blind_comparison_sends_has_no_name_until_the_vote(table: Table) -> None:
    asked = table.asked(blind=True)
    sent = [live_view(asked, heard, PictureUrls(), 0.0) for heard in run(table.bench, asked)]
    told = json.dumps(sent)
    held = table.history.comparison(asked.group)
    for secret in (*NAMES, *(side.run for side in held.columns)):
        assert secret not in told
    assert held.sealed
    assert {key for view in sent for column in view["columns"] for key, value in column.items() if value} <= {"letter", "text"}
    voted = cast_vote(table.bench, table.session, held.id, "A", ["correct"], 10)
    view = table.view(voted)
    assert {column["name"] for column in view["columns"]} == {TINY, STAGE}
    assert view["vote"]["can"] is False


def test_the_sides_are_shuffled(table: Table) -> None:
    """Sixteen draws that all keep the order would be one chance in 65,536."""
    orders = {tuple(one.label for one in table.asked(blind=True).settings) for _ in range(16)}
    assert orders == {(TINY, STAGE), (STAGE, TINY)}
    assert {tuple(one.label for one in table.asked().settings) for _ in range(4)} == {(TINY, STAGE)}


# --- what is under the answers -------------------------------------------------------------------


def test_the_view_says_what_the_columns_said_and_took(table: Table) -> None:
    held, heard = table.compare(question="Describe the picture.")
    view = table.view(held)
    for column, one in zip(view["columns"], heard, strict=True):
        assert column["text"] == one.progress.answer
        assert [text for text, _ in column["tokens"]] == [token.text for token in one.progress.tokens]
        names = {name for name, _, _ in column["facts"]}
        assert {"to first token", "tokens/s", "length", "image tokens", "prompt tokens", "memory"} <= names
        assert dict((name, value) for name, value, _ in column["facts"])["image tokens"] == "144"
    [pair] = view["pairs"]
    for side, one in (("a", heard[0]), ("b", heard[1])):
        at = {"a": 1, "b": 2}[side]
        assert " ".join(stretch[at] for stretch in pair["diff"] if stretch[at]) == " ".join(one.progress.answer.split())
    assert {"relevancy", "attention"} <= {slug for slug, _, _ in view["heat"]["methods"]}


def test_boxes_of_both_lie_on_one_picture_with_their_iou() -> None:
    answers = [
        (0, Answer("A", "a", "1", "<loc0256><loc0512><loc0512><loc1023> star")),
        (1, Answer("B", "b", "2", "<|object_ref_start|>star<|object_ref_end|><|box_start|>(500,250),(1000,750)<|box_end|>")),
    ]
    view = boxes_view(answers, ask("Where?", picture(size=(200, 100))), PictureUrls())
    assert view is not None
    assert view.size == (200, 100)
    first, second = (Box(*column.boxes[0].box) for column in view.columns)
    assert first.x0 == pytest.approx(100)
    assert (first.y0, first.y1) == (25, 50)
    assert (second.x0, second.y0, second.x1, second.y1) == (100, 25, 200, 75)
    assert [row.iou for row in view.rows] == ["0.50"]
    assert pair_views(answers, picture(size=(200, 100)))[0].agreement[-1][:2] == ("boxes, mean IoU", "0.50")
    assert boxes_view([(0, Answer("A", "a", "1", "no box"))], ask("Where?", picture()), PictureUrls()) is None


@pytest.mark.parametrize("text", ["<loc0001><loc0002>", "<box>", "<|box_start|>(1,2)<|box_end|>", "[1, 2, 3, 4]", ""])
def test_what_is_no_box_is_none(text: str) -> None:
    assert boxes_in(text, 100, 100) == []


def test_heat_of_both_is_the_methods_own_on_equal_grids(table: Table) -> None:
    held, _ = table.compare(TINY, {"spec": TINY, "system": "Be brief."})
    runs = [side.run for side in held.columns]
    given = {"what": "heat", "runs": runs, "words": [[0], [0]], "method": "attention", "key": "k"}
    found = heat_of_two(table, given)
    assert found["error"] == ""
    for run_id, packed in zip(runs, found["scores"], strict=True):
        record = table.history.run(run_id)
        ids = [token.id for token in record.tokens]
        heat = table.core.examined(
            record.checkpoint, record.prompt, ids, partial(heat_by, slug="attention", words=(0,), choice=Choice())
        )
        assert unpacked(packed) == pytest.approx(heat.grid.per_cell(heat.scores), rel=1e-4, nan_ok=True)
    assert found["pictures"][0]["views"][0]["rows"] == 12


def heat_of_two(table: Table, given: Any) -> dict[str, Any]:
    """What the tab's instrument answers."""
    return Instrument(table.bench, panels["compare"], ANSWERS).ask(given)


def heat_asked(held: Any, words: tuple[int, int] = (0, 0), method: str = "attention") -> dict[str, Any]:
    return {
        "what": "heat",
        "runs": [side.run for side in held.columns],
        "words": [[k] for k in words],
        "method": method,
        "key": "k",
    }


def test_maps_of_both_are_logged_with_their_turns_and_offered_again(table: Table) -> None:
    held, heard = table.compare(TINY, {"spec": TINY, "system": "Be brief."})
    assert heat_of_two(table, heat_asked(held))["error"] == ""
    assert heat_of_two(table, heat_asked(held))["error"] == ""  # once more is no second map
    for one, other in (held.columns, held.columns[::-1]):
        [listed] = saved_maps(table.history, one.run)
        assert (listed.kind, listed.where) == ("heat", "Attention")
        assert listed.title == "Raw attention of \u201cpink\u201d"
        assert "in Compare, beside \u201cpink\u201d of tiny-llava" in listed.note
        again = to_reopen(table.history, one.run, "heat", listed.name)
        assert (again["method"], again["words"], again["layer"]) == ("attention", [0], None)
        artifact, data = table.history.kept_bytes(one.run, "heat", listed.name)
        record = table.history.run(one.run)
        ids = [token.id for token in record.tokens]
        heat = table.core.examined(
            record.checkpoint, record.prompt, ids, partial(heat_by, slug="attention", words=(0,), choice=Choice())
        )
        assert np.frombuffer(data, "<f4") == pytest.approx(heat.scores, rel=1e-5)
        assert artifact.meta["beside"] == {"run": other.run, "words": [0]}
    text = "Raw attention: pink | pink"
    assert table.view(held)["heat"]["kept"] == [{"pair": [0, 1], "method": "attention", "words": [0, 0], "text": text}]
    assert len(heard) == 2


def test_what_an_import_brought_as_a_map_is_offered_only_where_it_fits(table: Table) -> None:
    held, _ = table.compare(TINY, {"spec": TINY, "system": "Be short."})
    one, other = (side.run for side in held.columns)
    good = {"method": "attention", "words": [0], "beside": {"run": other, "words": [0]}}
    for i, meta in enumerate([
        good | {"method": ["attention"]}, good | {"method": "guess"}, good | {"words": [99]}, good | {"words": [True]},
        good | {"words": "0"}, good | {"beside": {"run": "x", "words": [0]}}, good | {"beside": [0]}, good | {"words": [0, 0]},
        {},
    ]):  # fmt: skip
        table.history.keep(one, "heat", f"m{i}", b"", meta)
        assert table.view(held)["heat"]["kept"] == [], meta
    table.history.keep(one, "heat", "good", b"", good)
    assert len(table.view(held)["heat"]["kept"]) == 1


def test_before_a_blind_vote_there_is_no_heat_and_none_is_logged(table: Table) -> None:
    held, _ = table.compare(blind=True)
    assert "waits for its vote" in heat_of_two(table, heat_asked(held))["error"]
    count = "SELECT count(*) AS n FROM artifacts a JOIN runs r ON r.id = a.run_id WHERE a.kind = 'heat' AND r.group_id = ?"
    assert table.store.read(count, [held.id]) == [{"n": 0}]
    cast_vote(table.bench, table.session, held.id, "tie", [], None)
    assert heat_of_two(table, heat_asked(held))["error"] == ""
    assert table.store.read(count, [held.id]) == [{"n": 2}]


def grid_of(rows: int, cols: int, size: tuple[int, int] = (120, 120)) -> ImageGrid:
    return ImageGrid((View((0.0, 0.0, *map(float, size)), rows, cols),), np.arange(rows * cols), (size,))


def test_grids_of_different_shapes_are_compared_on_the_pictures_pixels() -> None:
    """The same map in halves and in quarters is the same map; by patch it would be half as strong."""
    coarse = Heat(np.array([3.0, 1.0], np.float32), grid_of(1, 2), "attention")
    fine = Heat(np.array([1.5, 1.5, 0.5, 0.5], np.float32), grid_of(1, 4, (60, 60)), "attention")
    found = side_by_side(coarse, fine, [(120, 120)])
    assert found.unit == EVEN
    assert found.rasters == ((128, 128),)
    assert found.scores[0] == pytest.approx(found.scores[1])
    painted = found.scores[0].reshape(128, 128)
    assert (painted[0, 0], painted[0, -1]) == (1.5, 0.5)
    assert painted.mean() == pytest.approx(1)
    alike = side_by_side(coarse, replace(coarse, scores=coarse.scores * 2), [(120, 120)])
    assert alike.rasters is None
    assert alike.scores[1] == pytest.approx(2 * alike.scores[0])
    with pytest.raises(InputError, match="not about the same pictures"):
        side_by_side(coarse, fine, [(120, 120), (60, 60)])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "no usable request"),
        ({"what": "heat"}, "needs two of them"),
        ({"what": "heat", "runs": ["a", "b"]}, "Choose a word"),
        ({"what": "heat", "runs": ["a", "b"], "words": [[0], [-1]], "method": "attention"}, "numbered from 0"),
        ({"what": "heat", "runs": ["a", "b"], "words": [[0], [0]], "method": "guess"}, "no method"),
        ({"what": "heat", "runs": ["a", "b"], "words": [[0], [0]], "method": "attention"}, "no run 'a'"),
        (None, "no usable request"),
    ],
)
def test_heat_that_cannot_be_is_a_sentence(table: Table, given: Any, words: str) -> None:
    assert words in heat_of_two(table, given)["error"]


# --- votes and sets ------------------------------------------------------------------------------


def test_votes_are_counted_with_intervals_and_by_kind(tmp_path: Path) -> None:
    table = Table(tmp_path)
    for outcome in ("A", "A", "B", "tie"):
        held, _ = table.compare(question=STAR)
        cast_vote(table.bench, table.session, held.id, outcome, ["correct"], None)
    view = votes_view(table.bench, table.session, "")
    assert view["names"][0][:4] == [TINY, "2", "1", "1"]
    assert view["names"][0][4].startswith("0.67 [0.21, 0.94]")  # Wilson, 2 of 3
    assert view["kinds"] == [("colour", 4)]
    assert view["reasons"] == [("correct", 4)]
    assert len(json.loads(view["json"])) == 4
    assert votes_view(table.bench, table.session, "count")["votes"] == 0
    found = _Endpoints(table.bench).compare_results("colour")
    rate = found["columns"][0]["win_rate"]
    assert (rate["value"], rate["n"]) == (2 / 3, 3)
    assert (rate["low"], rate["high"]) == (pytest.approx(0.2077, abs=1e-3), pytest.approx(0.9385, abs=1e-3))
    assert "three checkpoints" in found["note"]
    table.store.close()


def test_on_a_public_page_nobody_reads_or_casts_the_votes_of_others(tmp_path: Path) -> None:
    table = Table(tmp_path, public=True)
    held, _ = table.compare()
    ends = _Endpoints(table.bench)
    other = table.history.new_session()
    for session in ("", other, "nope"):
        with pytest.raises(gr.Error, match=r"no such comparison|no session"):
            ends.compare_vote(held.id, "A", session=session)
    ends.compare_vote(held.id, "A", session=table.session)
    assert ends.compare_results(session=table.session)["votes"] == 1
    assert [ends.compare_results(session=session)["votes"] for session in ("", other)] == [0, 0]
    assert votes_view(table.bench, other)["votes"] == 0
    *_, last = ends.compare_ask("What?", [TINY, "somebody/other"], session=other)
    assert "on a public page only the checkpoints listed" in last["columns"][1]["error"]
    table.store.close()


def test_a_question_set_lists_first_what_one_alone_got_right(table: Table) -> None:
    questions = list(drawn(6))
    settings = settings_of([TINY, STAGE])
    columns = tuple(entrant(table.bench, setting, Prompt(())) for setting in settings)

    def made(asked: Any) -> list[Any]:
        return [replace(one.column, prompt=ask(asked.question, *asked.pictures), run_id=new_id()) for one in columns]

    found = list(compare_all(table.core, questions, made, group=new_id))
    view = set_view(columns, found, 6, False)
    total = summary(found)
    assert json.dumps(view, allow_nan=False)
    rights = [[answer["right"] for answer in row["answers"]] for row in view["rows"]]
    assert rights == sorted(rights, key=lambda pair: set(pair) != {True, False})
    assert view["columns"][0][1] == f"{round(total.right[0].value * 6)} of 6"
    assert float(view["tests"][0][5]) == pytest.approx(total.tests[0, 1].p, rel=0.01)
    assert sorted(row["index"] for row in view["rows"]) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(Exception, match="cannot be opened from a page"):
        picture_named("/etc/passwd")


def page_of(table: Table) -> ComparePage:
    """A page whose components are their names."""
    parts: list[Any] = ["setup", "stage", "error", "group", "runs", "seen"]
    table.bench.state, table.bench.remembered = "state", "remembered"  # type: ignore[assignment]
    return ComparePage(table.bench, PictureUrls(), *parts)


def set_asked(table: Table, **given: Any) -> list[dict[Any, Any]]:
    """What the page is told when a question set is sent."""
    event = SimpleNamespace(**({"columns": [TINY, STAGE], "source": "typed", "text": "", "name": "", "count": 2} | given))
    values = {"state": SessionState(table.session, TINY, table.turn), "runs": {}}
    return list(Several(page_of(table)).ask(values, event))


def refused_from(core: Core, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """The core refuses its `call`th comparison and those after it, as a public page does with those who ask too often."""
    made, asked = core.side_by_side, []

    def refusing(*given: Any, **more: Any) -> Iterator[Any]:
        asked.append(given)
        if len(asked) >= call:
            raise WorkbenchError("That is more than 60 calls in 60 s. Try again in 10 s.")
        yield from made(*given, **more)

    monkeypatch.setattr(core, "side_by_side", refusing)


def test_a_comparison_refused_at_the_door_leaves_nothing_in_the_log(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [held.id for held in table.history.comparisons(table.session)]
    refused_from(table.core, monkeypatch, 1)
    for blind in (False, True):
        with pytest.raises(WorkbenchError, match="more than 60 calls"):
            table.compare(blind=blind)
    assert [held.id for held in table.history.comparisons(table.session)] == before


def test_a_set_that_is_cut_short_keeps_its_table_and_says_why(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(table.history.comparisons(table.session))
    refused_from(table.core, monkeypatch, 3)
    *_, last = set_asked(table, text=f"{HEART} | pink\nHow many objects are there?\nWhat is it?")
    view = last["stage"]
    assert [row["question"] for row in view["rows"]] != []
    assert len(view["rows"]) == 2
    assert view["notes"] == ["Stopped after 2 of 3 questions. That is more than 60 calls in 60 s. Try again in 10 s."]
    assert (view["running"], last["setup"], last["runs"]) == (False, {"running": False}, {})
    assert len(table.history.comparisons(table.session)) == before + 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source": "scenes", "count": 49}, "49 questions were asked for; choose 2 to 48"),
        ({"source": "scenes", "count": 10**9}, "choose 2 to 48"),
        ({"text": "What?\n" * 49}, "more than 48 questions"),
        ({"text": "x" * 100_001}, "100,001 characters; at most 100,000"),
        ({"text": "x" * 4_000_001}, "at most 4,000,000 are read"),
        ({"source": "file", "text": json.dumps([{"question": "What?"}] * 49)}, "more than 48 questions"),
        ({"source": "file", "text": json.dumps([{"question": "What?", "image": [f"{i}" for i in range(385)]}])}, "more than 384"),
        ({"source": "file", "text": json.dumps([{"question": "What?", "image": "/etc/passwd"}])}, "cannot be opened from a page"),
        ({"source": "/etc/passwd"}, "Questions come from"),
        ({"columns": [TINY] * 5, "text": "What?"}, "2 to 4 columns; 5 were given"),
        ({"columns": ["/etc", "somebody/other"], "text": "What?"}, "not on offer"),
    ],
)  # fmt: skip
def test_a_set_that_is_too_large_for_a_public_page_is_a_sentence(
    table: Table, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(table.bench, "public", True)
    monkeypatch.setattr("panels.compare.question_sets.scene_part", lambda number: PART)
    before = len(table.history.comparisons(table.session))
    steps = set_asked(table, **given)
    assert words in steps[-1]["error"].value
    assert len(table.history.comparisons(table.session)) == before


# --- the API, and what opens the tab -------------------------------------------------------------


def test_the_api_asks_blind_and_tells_names_with_the_vote(table: Table, tmp_path: Path) -> None:
    ends, file = _Endpoints(table.bench), tmp_path / "scene.png"
    file.write_bytes(PART.data)
    steps = list(ends.compare_ask(HEART, None, [str(file)], True, table.session))
    assert not any(name in json.dumps(steps) for name in NAMES)
    last = steps[-1]
    assert last["done"] is True
    assert sorted(column["text"] for column in last["columns"]).count("pink") >= 1
    told = ends.compare_vote(last["group"], "tie", ["clearer"])
    assert {column["label"] for column in told["columns"]} == {TINY, STAGE}
    right = next(column["letter"] for column in told["columns"] if column["label"] == TINY)
    assert next(column["text"] for column in last["columns"] if column["letter"] == right) == "pink"
    open_ = list(ends.compare_ask("Hello", [TINY, {"spec": TINY, "temperature": 1}]))[-1]
    assert [column["label"] for column in open_["columns"]] == ["tiny-llava", "tiny-llava, temperature 1"]
    assert all(column["tokens"] for column in open_["columns"])
    for wrong in ({"question": ""}, {"question": "Hi", "columns": [TINY]}, {"question": "Hi", "session": "nope"}):
        with pytest.raises(gr.Error):
            list(ends.compare_ask(**wrong))


def test_an_address_names_checkpoints_or_a_comparison() -> None:
    named = shell._addressed({"a": TINY, "b": STAGE}, "r")
    assert specs_of(named) == [TINY, STAGE]
    assert (named.panel, named.run) == ("compare", "r")
    assert shell._addressed({"compare": "x" * 500}, None).what == {"compare": "x" * 300}
    assert shell._addressed({"run": "1"}, "1") is None
    assert shell._addressed({"heat": "attention-1"}, None) is None, "a map is of a turn"
    kept = shell._addressed({"run": "1", "heat": "attention-1"}, "1")
    assert (kept.panel, kept.run, kept.what) == ("attention", "1", {"heat": "attention-1"})
    assert Opening("compare") != Opening("compare")
    state = SessionState("s", TINY, "r").open("compare", "t", {"compare": "g"})
    assert hash(state) != hash(state.open("compare", "t", {"compare": "g"})), "Gradio tells changes of a state by its hash"
    assert (state.at_hand, state.opened("compare").what, state.opened("attention")) == ("t", {"compare": "g"}, None)


def test_a_page_opened_before_the_vote_shows_texts_when_all_have_ended_and_the_picture_nobody_scaled(
    table: Table, folder_of: Callable[[str], Path]
) -> None:
    columns = [{"spec": str(folder_of("qwen2_vl")), "length": 3, "side_px": px} for px in (56, 0)]
    asked = replace(table.asked(*columns), blind=True)
    nothing: Any = None
    page = ComparePage(table.bench, PictureUrls(), *[nothing] * 6)
    steps = [(heard, page.shown(table.history.comparison(asked.group))) for heard in run(table.bench, asked)]
    seen, written = [view for _, view in steps], [one.progress.answer for one in steps[-1][0]]
    held = table.history.comparison(asked.group)
    last = page.shown(held)
    assert [column["text"] for column in last["columns"]] == written
    assert (last["notes"], last["vote"]["can"]) == ([], True)
    for view in seen[:2]:
        assert [column["text"] for column in view["columns"]] == ["", ""]
        assert (view["vote"]["can"], "when the last has ended" in view["notes"][0]) == (False, True)
    for view in (seen[1], last):
        assert view["images"][0]["size"] == "320 x 320 px", "the first column got it at 56 px"
    sent = json.dumps([*seen, last])
    assert not any(name in sent for name in ("qwen2", "56 px", *(side.run for side in held.columns)))
