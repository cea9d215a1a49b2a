"""What every panel keeps to, whichever there are: its card, its layout, handlers that answer anything with a sentence."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr
import pytest
from bed import Bed
from gradio.state_holder import SessionState as Browser

from app import shell
from app.export.transfer import exporter, importer
from app.log.history import History
from app.log.store import Store
from model.checkpoint import Checkpoint, parse_spec
from model.core import Core
from model.errors import InputError
from model.families.base import Capability
from panels import panels
from panels.base import bench as base
from panels.base.bench import Bench, Panel, SessionState, explained, guarded, sent
from panels.base.components import component, elements
from panels.base.scripts import SCRIPTS, script_paths

EVENTS: list[dict[str, Any] | None] = [
    {},
    {"run": "nope", "action": "look", "text": "", "index": -1, "id": -1, "value": 7, "count": 1},
    {"run": None, "action": 5, "text": ["a"], "index": "0", "id": {}, "value": True},
    {"run": "<img src=x>" * 100, "action": "find", "text": "{{value}} ${value}", "index": 10**30, "id": 10**30, "value": 0},
]
READING = {"attention", "chat", "compare", "patches", "sessions"}
"""Tabs that read the log for a question that says as little as this test's."""
SECRET = "the password is 12345"


class Broken:
    """A log of which nothing works, and which says more than a page should show."""

    def __getattr__(self, name: str) -> Any:
        def fails(*_given: Any, **_named: Any) -> NoReturn:
            raise RuntimeError(SECRET)

        return fails


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    store = Store(tmp_path / "data")
    yield History(store)
    store.close()


@pytest.fixture(scope="module")
def core(bed: Bed) -> Core:
    """One with the built-in checkpoint loaded."""
    bed.vlm("tiny-llava")
    return bed.core


def built(panel: Panel, history: Any, core: Core) -> gr.Blocks:
    """The panel alone on a bench of its own."""

    async def build() -> gr.Blocks:
        bench = Bench(core, history, (parse_spec("tiny-llava"),), False, lambda: None, exporter(history), importer(history))
        with gr.Blocks(analytics_enabled=False) as demo:
            bench.state = gr.State(SessionState(checkpoint="tiny-llava"))
            bench.remembered = gr.BrowserState("")
            bench.opened = gr.State(None)
            bench.checkpoint = gr.Dropdown(["tiny-llava"])
            bench.specimen = component("specimen")
            with gr.Tabs() as bench.tabs, gr.Tab(panel.title, id=panel.slug):
                panel.build(bench)
        return demo

    return asyncio.run(build())  # without a running loop Gradio makes one and never closes it


def each_panel() -> list[Any]:
    return [pytest.param(panel, id=panel.slug) for panel in panels.values()]


def events_of(demo: gr.Blocks) -> list[Any]:
    """The handlers of a page, less what Gradio adds to cancel others."""
    return [event for event in demo.fns.values() if event.fn is not None and not event.is_cancel_function]


def said(demo: gr.Blocks, event: Any, data: Any) -> str:
    """What a handler tells, as JSON. Only a public endpoint may raise an error: on the page it stands in the page."""
    if event.api_visibility == "private":
        return json.dumps(happened(demo, event, data))
    try:
        return json.dumps(happened(demo, event, data), default=lambda found: found.root)  # a gr.JSON's value
    except gr.Error as error:
        return json.dumps(error.message)


def happened(demo: gr.Blocks, event: Any, data: Any) -> list[Any]:
    """All that a handler sends to the page when nothing is filled in and the page sends this along."""

    async def steps() -> list[Any]:
        browser, found, iterator = Browser(demo), [], None
        while True:
            sent_along = gr.EventData(None, data)
            given = [
                part.value if isinstance(part, gr.Slider) else None for part in event.inputs
            ]  # the page cannot empty a slider
            step = await demo.process_api(event, given, browser, iterator=iterator, event_data=sent_along)
            found.append(step["data"])
            iterator = step["iterator"]
            if not step["is_generating"]:
                return found

    return asyncio.run(steps())


def test_every_file_is_a_panel_and_none_fails() -> None:
    folder = Path(shell.__file__).parent.parent / "panels"
    files = {path.name.removesuffix(".py") for path in folder.glob("[a-z]*") if path.is_dir() or path.suffix == ".py"} - {"base"}
    assert set(panels) == files
    assert panels.failures == {}
    assert {"chat", "sessions"} <= files


@pytest.mark.parametrize("panel", each_panel())
def test_its_card(panel: Panel) -> None:
    assert isinstance(panel, Panel)
    assert panels[panel.slug] is panel
    assert re.fullmatch(r"[a-z][a-z_]*", panel.slug)
    assert 3 <= len(panel.title) <= 20
    assert panel.title[0].isupper()
    assert isinstance(panel.needs, frozenset)
    assert all(type(need) is Capability for need in panel.needs)
    assert 20 <= len(panel.purpose) <= 160
    assert panel.purpose.endswith(".")
    assert not re.search(r"!|\n|<|\{", panel.purpose)


def test_orders_and_titles_differ() -> None:
    entries = panels.values()
    assert len({panel.order for panel in entries}) == len({panel.title for panel in entries}) == len(entries)


@pytest.mark.parametrize("panel", each_panel())
def test_it_builds_alone_and_twice(panel: Panel, history: History, core: Core) -> None:
    """Panels keep no state: two pages do not know of each other."""
    first, second = built(panel, history, core), built(panel, history, core)
    assert len(events_of(first)) == len(events_of(second)) > 0
    assert len(first.get_config_file()["components"]) == len(second.get_config_file()["components"])


@pytest.mark.parametrize("panel", each_panel())
def test_its_endpoints_are_named_and_all_else_is_private(panel: Panel, history: History, core: Core) -> None:
    demo = built(panel, history, core)
    public = [event for event in events_of(demo) if event.api_visibility != "private"]
    for event in public:
        assert str(event.api_name).startswith(f"{panel.slug}_"), event.api_name
        assert event.fn.__doc__, f"{event.api_name} has no docstring, which the API page shows"
    assert len({event.api_name for event in public}) == len(public)


@pytest.mark.parametrize("panel", each_panel())
def test_nothing_that_was_written_is_put_into_a_template(panel: Panel, history: History, core: Core) -> None:
    """Gradio evaluates {{...}} and ${...} of a template with the value in place: whatever stands in it would run."""
    pieces = [block for block in built(panel, history, core).blocks.values() if isinstance(block, gr.HTML)]
    assert pieces
    for piece in pieces:
        assert "${" not in piece.html_template
        assert "{{" not in piece.html_template


def sources() -> dict[str, str]:
    return {path.relative_to(SCRIPTS).as_posix(): path.read_text(encoding="utf-8") for path in script_paths()}


def test_components_have_their_elements_and_every_script_is_loaded() -> None:
    found = sources()
    tags: dict[str, set[str]] = {}
    for element in elements().values():
        match = re.match(r"<(fv-[a-z-]+)", element.markup)
        assert match, element
        tags.setdefault(element.script, set()).add(match[1])
    for script, names in tags.items():
        defined = re.findall(r"'(fv-[a-z-]+)'(?:: |, )[A-Z]", found[script])
        assert set(defined) == names, script
    reached, waiting = set(), [*tags]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        for wanted in re.findall(r"^(?:import|export) .*?from '(.*?)';", found[name], re.MULTILINE | re.DOTALL):
            path = (SCRIPTS / name).parent.joinpath(wanted).resolve().relative_to(SCRIPTS).as_posix()
            assert path in found, f"{name} imports {wanted}, which is not there"
            waiting += [path] if path not in reached else []
    assert reached == set(found)


def test_events_that_scripts_trigger_are_those_their_components_name() -> None:
    text = "".join(sources().values())
    triggered = {*re.findall(r"trigger\('(\w+)'", text), *re.findall(r"does\('(\w+)'\)", text)}
    assert triggered == {event for element in elements().values() for event in element.events}
    shown = component("compare")
    assert "'vote' 'reveal'" in shown.js_on_load
    assert shown.vote
    with pytest.raises(AttributeError):
        assert component("live").vote


def test_scripts_write_text_alone() -> None:
    for name, source in sources().items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(|new Function|srcdoc", source), name


@pytest.mark.parametrize("panel", each_panel())
@pytest.mark.parametrize("data", EVENTS, ids=["nothing", "unknown", "other types", "hostile"])
def test_whatever_the_page_sends_a_handler_answers(panel: Panel, history: History, core: Core, data: dict[str, Any]) -> None:
    demo = built(panel, history, core)
    for event in events_of(demo):
        assert "unexpected" not in said(demo, event, data), event.fn


def functions_of(demo: gr.Blocks) -> list[Any]:
    """What scripts of the page call by themselves."""
    return [function for block in demo.blocks.values() for function in getattr(block, "server_fns", [])]


@pytest.mark.parametrize("panel", each_panel())
def test_an_unexpected_error_is_a_sentence_that_tells_nothing(panel: Panel, core: Core, caplog: pytest.LogCaptureFixture) -> None:
    demo = built(panel, Broken(), core)
    answers = [said(demo, event, EVENTS[1]) for event in events_of(demo)]
    answers += [json.dumps(function({"run": "nope", "kind": "open", "what": "open"})) for function in functions_of(demo)]
    told = sum("Something unexpected went wrong (RuntimeError). The details are in the program's own log." in a for a in answers)
    assert not any(SECRET in answer for answer in answers)
    assert told or panel.slug not in READING, "nothing of this panel reads the log, or none tells that it cannot"
    assert bool(told) == (SECRET in caplog.text)


@pytest.mark.parametrize("panel", each_panel())
def test_functions_for_scripts_answer_anything(panel: Panel, core: Core) -> None:
    for function in functions_of(built(panel, Broken(), core)):
        for given in (None, 5, "nope", ["a"], {"run": 1}, *EVENTS):
            assert SECRET not in json.dumps(function(given))


class Able(Core):
    """A core where `attentive` captures attention and nothing else can."""

    def capabilities(self, checkpoint: Checkpoint) -> frozenset[Capability]:
        more = {Capability.ATTENTION} if checkpoint.name == "attentive" else set()
        return frozenset({Capability.GENERATE, *more})


class Looking:
    """A panel that needs what few checkpoints have."""

    slug, title, order, purpose = "looking", "Looking", 5, "Look."
    needs = frozenset({Capability.GENERATE, Capability.ATTENTION})

    def build(self, bench: Bench) -> None: ...


def test_a_tab_that_cannot_serve_says_what_is_missing_and_who_could(history: History) -> None:
    able = Checkpoint("attentive", "attentive")
    bench = Bench(Able(), history, (parse_spec("tiny-llava"), able), False, lambda: None, str, str)
    assert shell._missing(bench, Looking(), SessionState(checkpoint="tiny-llava")) == (
        "Looking needs attention, which tiny-llava does not give. Choose attentive in the header."
    )
    bench.builtin = (parse_spec("tiny-llava"),)
    assert "Choose another in the header." in shell._missing(bench, Looking(), SessionState(checkpoint="tiny-llava"))
    assert shell._missing(bench, panels["chat"], SessionState(checkpoint="tiny-llava")) == ""


def test_on_a_public_page_only_what_is_listed_may_be_used(history: History) -> None:
    bench = Bench(Core(), history, (parse_spec("tiny-llava"),), True, lambda: None, str, str)
    assert bench.allowed(parse_spec("tiny-llava")).name == "tiny-llava"
    with pytest.raises(Exception, match="on a public page only the checkpoints listed can be used"):
        bench.allowed(parse_spec("somebody/other"))


def test_what_the_page_sends_must_be_there_and_of_its_kind() -> None:
    event = gr.EventData(None, {"run": "a", "index": True})
    assert sent(event, "run", str) == "a"
    for name, kind in (("index", int), ("run", int), ("gone", str)):
        with pytest.raises(InputError, match=f"The page sent no usable '{name}'"):
            sent(event, name, kind)
    with pytest.raises(InputError):
        sent(gr.EventData(None, None), "run", str)


def test_a_guarded_handler_is_closed_and_its_error_told_in_place() -> None:
    place, closed = gr.HTML(), []

    def steps() -> Iterator[dict[Any, Any]]:
        try:
            yield {place: "one"}
            raise InputError("Give a number.")
        finally:
            closed.append(True)

    found = list(guarded(steps(), place))
    assert found[0] == {place: "one"}
    assert found[1][place].value == "Give a number."
    assert closed == [True]
    left = guarded(steps(), place)
    next(left)
    left.close()
    assert closed == [True, True]
    assert len(list(guarded((step for step in ()), place))) == 1  # or Gradio would empty every output


def test_an_update_is_repeated_in_those_that_follow_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio's page loses the first of two that arrive together. What the server itself keeps is not touched twice."""
    now = [0.0]
    monkeypatch.setattr(base.time, "monotonic", lambda: now[0])
    place, box, live, kept = gr.HTML(), gr.Textbox(), gr.HTML(), gr.State()

    def steps() -> Iterator[dict[Any, Any]]:
        yield {box: "", kept: 1}
        yield {live: "a"}
        now[0] = 0.3
        yield {live: "b"}
        now[0] = 0.5
        yield {live: "c"}
        raise InputError("Give a number.")

    found = list(guarded(steps(), place))
    assert found[:4] == [{box: "", kept: 1}, {box: "", live: "a"}, {box: "", live: "b"}, {live: "c"}]
    assert set(found[4]) == {live, place}
    assert found[4][place].value == "Give a number."


def test_only_errors_written_for_people_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    assert explained(InputError("Give a number.")) == "Give a number."
    assert caplog.text == ""
    assert SECRET not in explained(ValueError(SECRET))
    assert SECRET in caplog.text
