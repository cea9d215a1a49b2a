"""A public page in real browsers: two visitors who must not meet, a link that is given away, what is logged and how it goes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from browser_kit import Watched
from gradio_client import Client
from gradio_client.exceptions import AppError
from program import Program, soon_true

pytestmark = pytest.mark.browser
HEART = "What color is the heart?"


@pytest.fixture
def visitor(new_page: Callable[..., Watched], public: Program) -> Callable[..., Watched]:
    """A browser of its own on the public page."""
    return lambda **settings: new_page(url=public.url, **settings)


def session_of(page: Watched, public: Program) -> str:
    return public.history.run(page.run_id()).row.session


def test_another_browser_reaches_nothing_by_any_id(visitor: Callable[..., Watched], public: Program) -> None:
    mine = visitor().open()
    mine.ask(f"{HEART} quagga")
    run, session = mine.run_id(), session_of(mine, public)
    # by address
    other = visitor()
    other.page.goto(f"{public.url}?run={run}")
    other.settled(1)
    assert f"There is no run '{run}'" in other.page.locator(".toast-body").inner_text()
    assert other.run_id() != run
    # in its own list
    other.tab("Sessions")
    other.page.locator(".fv-run").first.wait_for()
    assert "quagga" not in other.page.locator("#runs").inner_text()
    other.page.fill("#search input, #search textarea", "quagga")
    other.page.wait_for_function("document.querySelector('#runs').innerText.includes('No turn matches.')")
    # by the page's own functions, with this page's own name for itself
    found = other.page.evaluate(
        """async (run) => {
            const config = await (await fetch('config')).json(), said = [];
            for (const part of config.components) for (const name of part.props.server_fns || [])
              for (const data of [run, {run, what: 'open', kind: 'open', key: 'k'}]) {
                const body = {session_hash: 'guess', component_id: part.id, fn_name: name, data};
                const got = await fetch('gradio_api/component_server', {method: 'POST',
                  headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)});
                said.push(await got.text());
              }
            return said;
        }""",
        run,
    )
    assert len(found) >= 14
    assert not any("quagga" in text or "heart" in text for text in found)
    # as a program that knows the session's id
    program = Client(public.url, verbose=False, analytics_enabled=False)
    with pytest.raises(AppError, match="There is no session"):
        program.predict(question="Go on.", session=session, api_name="/chat_ask")
    # and with the session's id in its own storage, as if it had been there before
    stored = mine.page.evaluate("localStorage.getItem('fovea-session')")
    other.page.evaluate("value => localStorage.setItem('fovea-session', value)", stored)
    other.page.goto(public.url)
    other.settled(1)
    assert session_of(other, public) != session
    assert public.history.run(run).row.rating == 0
    assert len(public.history.thread(run)) == 2
    other.errors.clear()


def test_a_link_that_is_given_away_opens_a_copy(visitor: Callable[..., Watched], public: Program) -> None:
    mine = visitor(permissions=["clipboard-read", "clipboard-write"]).open()
    mine.ask(HEART)
    run = mine.run_id()
    mine.do(1, "Link")
    soon_true(lambda: bool(public.history.store.read("SELECT 1 FROM shares WHERE run_id = ?", [run])))
    other = visitor().open(f"?run={run}", turns=2)
    assert other.turns.last.locator(".fv-asked .fv-text").inner_text() == HEART
    assert other.answer() == "pink"
    assert other.run_id() != run
    other.ask("How many objects are there?", turns=3)
    other.reload(3)
    mine.reload(2)
    assert session_of(other, public) != session_of(mine, public)
    assert len(public.history.thread(run)) == 2


def test_what_is_logged_is_said_and_can_be_stopped_and_deleted(visitor: Callable[..., Watched], public: Program) -> None:
    page = visitor().open()
    assert "are kept in the log of its server" in page.page.locator("#guest-note").inner_text()
    page.ask(HEART)
    page.page.click("#guest-keep")
    page.page.wait_for_function("document.querySelector('#guest-note').innerText.includes('a minute after you close')")
    owner = public.history.store.read("SELECT owner FROM sessions WHERE id = ?", [session_of(page, public)])[0]["owner"]
    assert public.history.store.read("SELECT kept FROM guests WHERE id = ?", [owner]) == [{"kept": 0}]
    page.reload(2)
    page.page.wait_for_function("document.querySelector('#guest-note').innerText.includes('a minute after you close')")
    run, bystander = page.run_id(), visitor().open()
    page.page.click("#guest-delete")
    page.page.click("#guest-yes")
    soon_true(lambda: not public.history.store.read("SELECT 1 FROM runs WHERE id = ?", [run]))
    page.settled(1)
    bystander.reload(1)
    key = json.dumps(page.page.evaluate("localStorage.getItem('fovea-visitor')"))
    assert owner not in key, "the log does not know the key, the browser not the owner"


def test_no_checkpoint_is_typed_in_or_unloaded(visitor: Callable[..., Watched], public: Program) -> None:
    page = visitor().open()
    assert page.page.locator(".fv-ck").count() >= 1
    assert page.page.locator(".fv-ck .fv-x").count() == 0, "what nobody may do is not offered"
    assert page.page.locator("#set-length input[type=range]").get_attribute("max") == "512"
    assert "At most 512 tokens on this public page." in page.page.locator("#set-length").inner_text()
    picker = page.page.locator("#checkpoint input")
    picker.fill("/etc")
    picker.press("Enter")
    page.ask(HEART)
    assert page.answer() == "pink"
    assert {row["loaded"] for row in Client(public.url, verbose=False).predict(api_name="/checkpoints_list")} >= {True}
