"""Turns whose pictures are frames of a video: named by their times everywhere, and every number on the frame it belongs to."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes import picture
from PIL import Image

from app.export.write import export_session, import_session
from app.log.history import History
from app.log.store import Store
from model import Core, Options, Prompt, ask, open_picture, parse_spec
from model.errors import PromptError
from model.events import Token
from model.geometry.grid import ImageGrid, View
from model.heat import heat_methods
from model.heat.base import Choice
from model.internals.subject import Subject
from model.progress import Run
from model.prompt import ImagePart, frame_name, picture_names
from panels import panels
from panels.attention.answers import ANSWERS as ATTENTION
from panels.attention.endpoints import map_endpoint, trace_endpoint
from panels.base.bench import Bench
from panels.base.components import PictureUrls
from panels.base.maps.instrument import Instrument
from panels.base.maps.looks import Looks
from panels.base.maps.overlay import sums_of_pictures, unpacked
from panels.base.maps.source_picture import partner_view, swapped
from panels.base.run_views import detail_view
from panels.base.scenes import FILM_QUESTION, FILM_THING, film_frames, scene_of, truth
from panels.base.truth import true_things
from panels.base.turn import MAX_TIME_S, timed
from panels.base.turn_views import specimen_view, turn_view
from panels.chat.views import ChatView
from panels.patches.answers import ANSWERS as PATCHES
from panels.patches.endpoints import endpoint
from studies.world.draw import draw
from studies.world.files import to_png
from studies.world.film import make_film
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

CHECKPOINT = parse_spec("tiny-llava")
FILM = make_film(5)
TIMES = (0.0, 1.25, 2.5, 5.0)
NAMES = ["frame at 0 s", "frame at 1.25 s", "frame at 2.5 s", "frame at 5 s"]
SIZE = 192
QUESTION = "Which picture has more things?"


def frame(time_s: float) -> ImagePart:
    """The film at a time, as it would be taken out of a video: its file is not named by the time."""
    return replace(open_picture(to_png(FILM.at(time_s), SIZE), "clip.png").part, time_s=time_s)


FRAMES = tuple(map(frame, TIMES))


class Table:
    """A bench with a log and a turn about the film."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.history = History(self.store)
        self.core = Core(self.store)
        self.bench = Bench(self.core, self.history, (CHECKPOINT,), False, lambda: None, str, str)
        self.shop = Instrument(self.bench, panels["attention"], ATTENTION)
        self.asking = Instrument(self.bench, panels["patches"], PATCHES, by="kind")
        self.session = self.history.new_session(client="test")
        self.turn = self.take(ask(QUESTION, *FRAMES))

    def take(self, prompt: Prompt) -> str:
        events = self.core.generate(CHECKPOINT, prompt, Options(max_new_tokens=6), panel="chat", session=self.session)
        return list(events)[-1].run_id

    def attention(self, what: str, **given: Any) -> dict[str, Any]:
        found = self.shop.ask({"what": what, "run": self.turn, "key": "k", "words": [0], **given})
        assert found["error"] == "", found
        return found

    def patches(self, kind: str, **given: Any) -> dict[str, Any]:
        found = self.asking.ask({"kind": kind, "run": self.turn, "key": "k", **given})
        assert "error" not in found or not found["error"], found
        return found

    def subject(self) -> Subject:
        record = self.history.run(self.turn)
        return Subject(self.core.vlm(CHECKPOINT), record.prompt, [token.id for token in record.tokens])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    made = Table(tmp_path_factory.mktemp("log"))
    yield made
    made.store.close()


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time_s", "name"),
    [(0.0, "0 s"), (-0.0, "0 s"), (1.2, "1.2 s"), (1.25, "1.25 s"), (10.0, "10 s"), (0.0334, "0.03 s"), (3725.5, "3725.5 s"),
     (1e9, "1000000000 s")],
)  # fmt: skip
def test_a_frame_is_named_by_its_time(time_s: float, name: str) -> None:
    assert frame_name(time_s) == f"frame at {name}"


def test_pictures_and_frames_beside_each_other_have_names_of_their_own() -> None:
    parts = [picture(1), frame(0.5), frame(0.5), frame(0.504), frame(2.0), picture(2)]
    names = picture_names(parts)
    assert names == ["picture 1", "frame at 0.5 s, picture 2", "frame at 0.5 s, picture 3", "frame at 0.5 s, picture 4",
                     "frame at 2 s", "picture 6"]  # fmt: skip
    assert len(set(names)) == len(parts)


def test_the_film_has_something_to_see() -> None:
    assert len({tuple(FILM.at(time_s).things) for time_s in TIMES}) >= 3


# --- where they are named ------------------------------------------------------------------------


def test_chat_sessions_and_the_bench_name_frames_by_their_true_times(table: Table) -> None:
    record, urls = table.history.run(table.turn), PictureUrls()
    for images in (turn_view(record, urls)["images"], detail_view(record, urls)["images"], specimen_view(record, urls)["images"]):
        assert [image["name"] for image in images] == NAMES
        assert all(image["frame"] for image in images)
    for part, time_s in zip(record.prompt.images, TIMES, strict=True):
        assert scene_of(part) == FILM.at(time_s), "the picture of that time"
    titles = [row["file"]["title"] for row in ChatView(table.bench).look(record)["rows"]]
    assert titles == [f"{name}, {SIZE} x {SIZE} px" for name in NAMES]


def test_a_picture_that_is_no_frame_keeps_its_own_name(table: Table) -> None:
    part = open_picture(to_png(make_scene(held_out_seed(4)), 96), "mine.png").part
    record = table.history.run(table.take(ask(QUESTION, part, FRAMES[1])))
    assert [(image["name"], image["frame"]) for image in turn_view(record, PictureUrls())["images"]] == [
        ("mine.png", False), (NAMES[1], True)]  # fmt: skip


def test_a_film_that_stands_still_shows_every_frame_on_the_bench(table: Table) -> None:
    still = [replace(FRAMES[0], time_s=time_s) for time_s in (0.0, 1.0, 1.0)]
    record = SimpleNamespace(prompt=ask(QUESTION, *still), row=table.history.run(table.turn).row)
    assert [image["name"] for image in specimen_view(record, PictureUrls())["images"]] == ["frame at 0 s", "frame at 1 s"]


def test_maps_name_frames_by_their_times(table: Table) -> None:
    view = table.attention("open")["view"]
    opened = table.patches("open")
    for pictures in (view["pictures"], opened["pictures"]):
        assert [(one["label"], one["time_s"]) for one in pictures] == list(zip(NAMES, TIMES, strict=True))
    cell = opened["cell"]
    where = {name: cell.index(144 * k + 25) for k, name in enumerate(NAMES)}
    for name, token in where.items():
        found = table.patches("export", map="alike", tokens=[token], stage="connector", layer=0, features="connector",
                              features_layer=0, part="page")  # fmt: skip
        assert f"- patches chosen: {name}, row 3, column 2; tokens {token}\n" in found["page"]


def test_another_picture_in_a_frame_s_place_is_of_its_time() -> None:
    other = picture(9)
    found = swapped(ask(QUESTION, FRAMES[0], FRAMES[1], FRAMES[0]), other).images
    assert [part.id for part in found] == [other.id, FRAMES[1].id, other.id]
    assert [part.time_s for part in found] == [0.0, 1.25, 0.0]
    still = [replace(FRAMES[0], time_s=time_s) for time_s in (0.0, 1.0)]
    assert [part.id for part in swapped(ask(QUESTION, *still), other).images] == [FRAMES[0].id, other.id], "the last frame alone"


# --- numbers -------------------------------------------------------------------------------------


def test_what_a_map_comes_to_on_each_frame_sums_to_the_map(table: Table) -> None:
    trace = table.subject().trace()
    raw = trace.attention[:, :, 0].mean((0, 1))
    assert len(raw) == 4 * 144
    grid = table.subject().inputs.grid
    sums = sums_of_pictures(grid, raw)
    np.testing.assert_allclose(sums, raw.reshape(4, 144).sum(1), rtol=1e-5)
    assert sums.sum() == pytest.approx(float(trace.image_mass[:, :, 0].mean()), rel=1e-4)
    scores = unpacked(table.attention("heat", method="attention")["map"]["scores"])
    np.testing.assert_allclose(scores.reshape(4, 144).sum(1), sums, rtol=1e-4)


def test_sums_follow_the_cells_whatever_the_layout() -> None:
    views = (View((0, 0, 10, 10), 1, 2, 0), View((0, 0, 10, 10), 1, 1, 0, "whole"), View((0, 0, 9, 9), 1, 2, 1))
    placed = ImageGrid(views, np.array([0, 1, -1, 2, 3]), ((10, 10), (9, 9)))
    np.testing.assert_allclose(sums_of_pictures(placed, np.array([1.0, 2.0, 50.0, 4.0, 8.0])), [7, 8])
    mixing = np.array([[0.5, 0, 0, 0.25, 0.25], [0, 1, 0, 0, 0]], np.float32)
    mixed = ImageGrid(views, np.full(2, -1), ((10, 10), (9, 9)), mixing)
    np.testing.assert_allclose(sums_of_pictures(mixed, np.array([2.0, 3.0])), [4, 1])


def test_it_is_said_which_frame_another_picture_stands_for() -> None:
    prompt = swapped(ask(QUESTION, *FRAMES), picture(9))
    assert partner_view(prompt, PictureUrls()).place == "frame at 5 s"
    assert partner_view(swapped(ask(QUESTION, picture(1)), picture(9)), PictureUrls()).place == ""


@pytest.mark.parametrize("changed", range(4))
def test_each_frame_s_tokens_are_drawn_on_that_frame(table: Table, changed: int) -> None:
    """Another picture in one frame's place changes the tokens that are drawn on that frame, and no others."""
    first = table.subject()
    parts = list(FRAMES)
    parts[changed] = replace(open_picture(to_png(make_scene(held_out_seed(60)), SIZE)).part, time_s=TIMES[changed])
    second = Subject(first.vlm, ask(QUESTION, *parts), first.answer_ids)
    moved = np.flatnonzero((first.features - second.features).abs().amax(-1).reshape(-1).numpy() > 1e-4)
    grid = first.inputs.grid
    drawn = np.flatnonzero(grid.owners()[grid.cell] == changed)
    assert len(moved) > 0.9 * len(drawn)
    assert set(moved) <= set(drawn)


def test_a_patch_of_a_frame_is_drawn_where_it_is_on_that_frame(table: Table) -> None:
    """A light square in one frame: the tower's features move most in the cell that is drawn over it."""
    first = table.subject()
    pixels = np.asarray(draw(FILM.at(TIMES[2]), SIZE)).copy()
    pixels[64:80, 128:144] = (255, 0, 255)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    parts = [*FRAMES[:2], replace(open_picture(buffer.getvalue()).part, time_s=TIMES[2]), FRAMES[3]]
    second = Subject(first.vlm, ask(QUESTION, *parts), first.answer_ids)
    token = int((first.features - second.features).norm(dim=-1).reshape(-1).argmax())
    view = table.attention("open")["view"]["pictures"][2]["views"][0]
    cell = first.inputs.grid.cell[token] - 2 * 144
    assert (cell // view["cols"], cell % view["cols"]) == (64 * 12 // SIZE, 128 * 12 // SIZE)


# --- over the API --------------------------------------------------------------------------------


def test_the_named_endpoints_give_the_times_of_frames(table: Table) -> None:
    looks = Looks(table.bench)
    traced = trace_endpoint(table.bench, looks)(run_id=table.turn)
    ids = [part.id for part in FRAMES]
    assert [(one["id"], one["name"], one["time_s"]) for one in traced["pictures"]] == list(zip(ids, NAMES, TIMES, strict=True))
    for method in ("attention", "grad_attention"):
        found = map_endpoint(table.bench, looks)(run_id=table.turn, words=[0], method=method)
        assert [view["time_s"] for view in found["views"]] == list(TIMES)
        for view, one in zip(found["views"], found["pictures"], strict=True):
            assert one["sum"] == pytest.approx(np.sum(view["values"]), rel=1e-6)
        whole = unpacked(table.attention("heat", method=method)["map"]["scores"]).sum()
        assert sum(one["sum"] for one in found["pictures"]) == pytest.approx(float(whole), rel=1e-4)
    like = endpoint(table.bench)(run_id=table.turn, patch=[3, 4], image=2, stage="connector")
    assert like["chosen"][0]["time_s"] == TIMES[2]
    assert [view["time_s"] for view in like["views"]] == list(TIMES)
    assert all(one["time_s"] == TIMES[one["image"]] for one in like["best"])
    json.dumps([traced, found, like], allow_nan=False)


def test_times_are_taken_with_pictures_and_what_is_no_time_is_refused() -> None:
    parts = [picture(1), picture(2)]
    assert timed(parts, None) == parts
    assert [part.time_s for part in timed(parts, [0, 1.5])] == [0.0, 1.5]
    assert [part.time_s for part in timed(parts, [None, 2])] == [None, 2.0]
    for wrong in ([-1, 0], [True, 0], ["1", 2], [float("nan"), 1], [float("inf"), 1], [MAX_TIME_S * 2, 1], "12", {"a": 1}):
        with pytest.raises(PromptError, match="list of seconds from 0"):
            timed(parts, wrong)
    with pytest.raises(PromptError, match="There are 1 times for 2 pictures"):
        timed(parts, [1])


# --- files ---------------------------------------------------------------------------------------


def test_files_of_a_map_name_the_frames(table: Table) -> None:
    found = table.attention("export", method="attention")
    numbers = np.load(io.BytesIO(base64.b64decode(found["npz"])))
    about = json.loads(str(numbers["about"]))
    assert [(one["name"], one["time_s"]) for one in about["pictures"]] == list(zip(NAMES, TIMES, strict=True))
    assert [one["sum"] for one in about["pictures"]] == pytest.approx(numbers["scores"].reshape(4, 144).sum(1).tolist(), rel=1e-5)
    for one in about["pictures"]:
        assert f"| {one['name']} | {one['sum']:.4g} |" in found["page"]
    best = int(np.argmax(numbers["values"]))
    assert f"| 1 | {NAMES[numbers['owners'][best]]} | " in found["page"]
    made = table.patches("export", map="alike", tokens=[7], stage="connector", layer=0, features="connector", features_layer=0,
                         part="numbers")  # fmt: skip
    about = json.loads(str(np.load(io.BytesIO(base64.b64decode(made["numbers"])))["about"]))
    assert [(one["name"], one["time_s"]) for one in about["pictures"]] == list(zip(NAMES, TIMES, strict=True))


def test_export_and_import_keep_times_and_maps(table: Table, tmp_path: Path) -> None:
    table.attention("heat", method="attention")
    folder = export_session(table.history, table.session, tmp_path / "out")
    text = (folder / "session.md").read_text(encoding="utf-8")
    assert [f"![{name}](images/{part.id}.png)" in text for name, part in zip(NAMES, FRAMES, strict=True)] == [True] * 4
    store = Store(tmp_path / "elsewhere")
    history = History(store)
    again = import_session(history, folder)
    record = history.run(next(row.id for row in history.search(limit=500) if row.session == again and len(row.images) == 4))
    assert [part.time_s for part in record.prompt.images] == list(TIMES)
    assert [part.id for part in record.prompt.images] == [part.id for part in FRAMES]
    core = Core(store)
    bench = Bench(core, history, (CHECKPOINT,), False, lambda: None, str, str)
    shop = Instrument(bench, panels["attention"], ATTENTION)
    view = shop.ask({"what": "open", "run": record.row.id, "key": "k"})["view"]
    assert [one["label"] for one in view["pictures"]] == NAMES
    store.close()


# --- the film on the shelf -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny-llava", "tiny-qwen2-vl"])
def test_the_film_of_the_shelf_is_answered_right_and_its_maps_say_when(name: str, table: Table) -> None:
    """The diamond appears between the two frames, so that a map can be right about the time as well as the place."""
    checkpoint, prompt = parse_spec(name), ask(FILM_QUESTION, *film_frames())
    shown = [any(thing.pair == FILM_THING for thing in scene_of(part).things) for part in film_frames()]
    assert shown == [False, True]
    events = list(table.core.generate(checkpoint, prompt, Options(max_new_tokens=6)))
    assert events[-1].text == truth(prompt) == "second"
    subject = Subject(table.core.vlm(checkpoint), prompt, [event.id for event in events if isinstance(event, Token)])
    diamond = [thing for thing in true_things(prompt, subject.inputs.grid, "") if thing.name.endswith("red diamond")]
    assert [thing.picture for thing in diamond] == [1]
    for method in ("attention", "relevancy", "integrated_gradients"):
        heat = heat_methods[method](subject, (0,), Choice(), Run())
        sums = sums_of_pictures(heat.grid, np.maximum(heat.scores, 0))
        assert sums[1] > 0.8 * sums.sum(), (method, sums)
        assert diamond[0].cover[int(np.argmax(heat.scores))] > 0.2, method


def test_the_truth_of_the_film_is_told_of_the_film_alone() -> None:
    assert truth(ask(FILM_QUESTION, *film_frames())) == "second"
    assert truth(ask(FILM_QUESTION, *film_frames()[::-1])) == ""
    assert truth(ask(FILM_QUESTION, *(replace(part, time_s=None) for part in film_frames()))) == ""
