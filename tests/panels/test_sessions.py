"""Sessions on a page that the server has forgotten, as after a long sleep: the same road as Chat and Compare take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from store_fixtures import says, turn

from app.log.history import History
from app.log.store import Store
from model import Core, parse_spec
from panels import panels
from panels.base.bench import Bench, SessionState
from panels.base.components import component
from panels.base.handlers import event_handler, found_again
from panels.sessions import FORGOTTEN, Entry


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    store = Store(tmp_path / "data")
    yield History(store)
    store.close()


@pytest.fixture
def bench(history: History) -> Bench:
    bench = Bench(Core(), history, (parse_spec("tiny-llava"),), False, lambda: None, str, str)
    bench.state, bench.remembered, bench.opened = gr.State(SessionState()), gr.BrowserState(""), gr.State(None)
    bench.checkpoint, bench.specimen = gr.Dropdown(["tiny-llava"]), component("specimen")
    return bench


@pytest.fixture
def session(history: History) -> str:
    session = history.new_session()
    history.keep_settings(session, {"checkpoint": "tiny-llava"})
    return session


class Tab:
    """The least that handles events."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.message, self.seen = bench, gr.HTML(), []

    @event_handler
    def look(self, values: dict[Any, Any], event: gr.EventData) -> Iterator[dict[Any, Any]]:
        self.seen.append(values[self.bench.state])
        yield {}


EVENT = gr.EventData(None, {})


def test_a_handler_gets_the_session_that_the_browser_remembers(bench: Bench, history: History, session: str) -> None:
    stood = turn(history.store, says("user", "What?"), session=session)
    tab, fresh = Tab(bench), SessionState(checkpoint="other")
    list(tab.look({bench.state: fresh, bench.remembered: session}, EVENT))
    list(tab.look({bench.state: SessionState("another", "other", "r"), bench.remembered: session}, EVENT))
    list(tab.look({bench.state: fresh, bench.remembered: None}, EVENT))
    assert tab.seen == [SessionState(session, "tiny-llava", stood), SessionState("another", "other", "r"), fresh]


def test_a_session_that_is_gone_is_a_sentence_in_the_tab(bench: Bench, history: History, session: str) -> None:
    history.delete_session(session)
    tab = Tab(bench)
    *_, last = tab.look({bench.state: SessionState(), bench.remembered: session}, EVENT)
    assert last[tab.message].value == f"There is no session {session!r}. It may have been deleted."
    public = replace(bench, public=True)
    public.state, public.remembered = bench.state, bench.remembered
    with pytest.raises(Exception, match="There is no session 'gone'"):
        found_again(public, {bench.state: SessionState("gone"), bench.remembered: ""})
    assert tab.seen == []


@pytest.mark.parametrize("slug", ["chat", "compare", "sessions"])
def test_every_handler_that_reads_the_state_is_given_what_the_browser_remembers(slug: str, bench: Bench) -> None:
    tab = layout(bench, slug)
    handlers = [event for event in tab.fns.values() if getattr(event.fn, "__wrapped__", None) and bench.state in event.inputs]
    assert len(handlers) >= 5
    assert [event.fn.__name__ for event in handlers if bench.remembered not in event.inputs] == []


def layout(bench: Bench, slug: str) -> gr.Blocks:
    """The page with that tab alone."""

    async def build() -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as demo:
            for part in (bench.state, bench.remembered, bench.opened, bench.checkpoint, bench.specimen):
                part.render()
            with gr.Tabs() as bench.tabs, gr.Tab(slug, id=slug):
                panels[slug].build(bench)
        return demo

    return asyncio.run(build())  # without a running loop Gradio makes one and never closes it


def sessions_tab(bench: Bench) -> Any:
    """The tab being built, whose handlers Gradio holds."""
    demo = layout(bench, "sessions")
    return next(event.fn.__self__ for event in demo.fns.values() if getattr(event.fn, "__name__", "") == "open_in_chat")


def test_sessions_goes_on_in_the_session_of_the_page(bench: Bench, history: History, session: str) -> None:
    run_id = turn(history.store, says("user", "What?"), session=session)
    tab = sessions_tab(bench)
    slept = {bench.state: SessionState(), bench.remembered: session, tab.chosen: run_id}
    assert list(tab.turn.actions) == ["into", "compare"]
    for action, tab_id in (("into", "attention"), ("compare", "compare")):
        *_, last = Entry(tab, action).open(slept, EVENT)
        assert (last[bench.state].session, last[bench.state].at_hand, last[bench.state].checkpoint) == (
            session,
            run_id,
            "tiny-llava",
        )
        assert last[bench.tabs].selected == tab_id


def test_a_deleted_session_is_left_also_after_a_long_sleep(bench: Bench, history: History, session: str) -> None:
    turn(history.store, says("user", "What?"), session=session)
    kept = turn(history.store, says("user", "Why?"), session=history.new_session())
    tab = sessions_tab(bench)
    slept = {bench.state: SessionState(), bench.remembered: session, tab.chosen: "", tab.pending: ("session", session)}
    *_, last = tab.delete(slept, EVENT)
    assert last[bench.remembered] == last[bench.state].session
    assert last[bench.remembered] not in ("", session)
    assert history.session(last[bench.remembered]).runs == 0
    assert [row.id for row in history.search()] == [kept]


def test_a_turn_that_the_server_has_forgotten_is_to_be_chosen_again(bench: Bench, session: str) -> None:
    tab = sessions_tab(bench)
    slept = {bench.state: SessionState(), bench.remembered: session, tab.chosen: "", tab.pending: ("", "")}
    for handler in (tab.open_in_chat, tab.replay, tab.rate, tab.export, tab.ask_delete_turn, tab.delete):
        *_, last = handler(slept, EVENT)
        assert last[tab.message].value == FORGOTTEN, handler.__name__
