"""Coming back: a reload, another link, a server that was killed; two browsers at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from browser_kit import Watched
from program import Program, soon_true

pytestmark = pytest.mark.browser


def test_a_reload_loses_nothing(page: Watched, served: Program) -> None:
    page.ask("What color is the heart?")
    page.do(1, "Edit")
    page.page.locator(".fv-editing").wait_for()
    page.ask("How many objects are there?", turns=2)
    before = page.page.locator(".fv-transcript").inner_text()
    page.page.locator("#session-name input").fill("stars & <hearts>")
    page.page.locator("#session-name input").press("Enter")
    soon_true(lambda: served.history.session(served.history.run(page.run_id()).row.session).name == "stars & <hearts>")
    page.reload(2)
    assert page.page.locator(".fv-transcript").inner_text() == before
    page.page.wait_for_function("document.querySelector('#session-name input').value !== ''")
    assert page.page.locator("#session-name input").input_value() == "stars & <hearts>"


def test_a_link_opens_a_turn_in_another_browser(page: Watched, new_page: Callable[..., Watched]) -> None:
    page.ask("What color is the heart?")
    page.ask("How many objects are there?")
    other = new_page().open(f"?run={page.run_id(1)}", turns=2)
    assert other.run_id() == page.run_id(1)
    assert "run=" not in other.page.url  # a reload is to show where the chat stands then
    other.ask("Is there a star?")
    other.reload(3)


def test_a_link_to_a_turn_that_is_gone_is_a_sentence(new_page: Callable[..., Watched]) -> None:
    page = new_page().open("?run=<img src=x onerror=alert(1)>")
    assert "There is no run '<img src=x onerror=alert(1)>'" in page.page.locator(".toast-body").inner_text()


def test_leaving_in_the_middle_keeps_what_was_written(page: Watched) -> None:
    page.begin("Go on until I reload.")
    page.reload(2)
    assert "Stopped here." in page.turns.last.inner_text()
    assert len(page.answer()) > 10


def test_two_browsers_do_not_mix(new_page: Callable[..., Watched], served: Program) -> None:
    first, second = new_page().open(), new_page().open()
    first.box.fill("What color is the heart?")
    second.box.fill("How many objects are there?")
    first.box.press("Enter")
    second.box.press("Enter")
    first.settled(2)
    second.settled(2)
    sessions = {served.history.run(page.run_id()).row.session for page in (first, second)}
    assert len(sessions) == 2
    for page, question in ((first, "What color is the heart?"), (second, "How many objects are there?")):
        assert page.turns.last.locator(".fv-asked .fv-text").inner_text() == question
        page.reload(2)
        assert page.turns.last.locator(".fv-asked .fv-text").inner_text() == question


def test_a_killed_server_comes_back_with_the_finished_turns(
    new_page: Callable[..., Watched], tmp_path: Path, endless: Path
) -> None:
    """kill -9 in the middle of an answer. The page finds its way back by itself when the server is there again."""
    program = Program(tmp_path, "--checkpoint", "tiny-llava", "--checkpoint", str(endless))
    try:
        page = new_page(url=program.url).open()
        page.ask("What color is the heart?")
        page.begin("Killed in the middle.")
        assert program.end(signal.SIGKILL) == -signal.SIGKILL
        program.start()
        page.page.wait_for_load_state()
        page.settled(2)
        assert page.turns.last.locator(".fv-asked .fv-text").inner_text() == "What color is the heart?"
        page.choose("tiny-llava")
        page.ask("How many objects are there?")
        page.tab("Sessions")
        row = page.page.locator(".fv-run", has_text="Killed in the middle.")
        row.wait_for()
        assert "failed" in row.inner_text()
        assert "The program ended during this run." in row.inner_text()
        assert "Traceback" not in program.words
        page.page.close()
        page.errors.clear()  # what the browser said of the server that was away
    finally:
        program.end()
