"""Checkpoints in the header: chosen, loaded with progress, refused in words, unloaded, and the same on every tab."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser_kit import Watched
from program import Program

pytestmark = pytest.mark.browser
STAGE1 = "tiny-llava-stage1"


def type_spec(page: Watched, spec: str) -> None:
    page.page.locator("#checkpoint input").fill(spec)
    page.page.locator("#checkpoint input").press("Enter")


def chips(page: Watched) -> list[str]:
    return page.page.locator(".fv-ck-name").all_inner_texts()


def in_use(page: Watched, name: str) -> None:
    page.page.wait_for_function(f"document.querySelector('.fv-ck.on .fv-ck-name')?.innerText === '{name}'")


def release(page: Watched, name: str) -> None:
    page.page.get_by_role("button", name=f"Unload {name} and free").click()


def test_one_is_typed_loaded_used_and_unloaded(page: Watched, served: Program) -> None:
    """What is loaded is a chip with its memory; freeing the one in use keeps it chosen, and asking loads it again."""
    before = chips(page)
    assert STAGE1 not in before
    page.page.evaluate(
        """() => { window.told = []; const root = document.querySelector('.fv-status');
        new MutationObserver(() => { const at = root.querySelector('.fv-progress span'); if (at) told.push(at.innerText); })
          .observe(root, { childList: true, subtree: true }); }"""
    )
    type_spec(page, STAGE1)
    in_use(page, STAGE1)
    assert page.page.evaluate("told.length") > 0  # the load told how it goes
    assert chips(page) == [*before, STAGE1]
    assert "MB" in page.page.locator(".fv-ck.on").inner_text()
    page.ask("What color is the heart?")
    assert page.turns.last.locator(".fv-who").inner_text() == STAGE1
    assert served.history.run(page.run_id()).row.checkpoint == STAGE1
    release(page, STAGE1)
    page.page.wait_for_function("document.querySelector('.fv-ck.on')?.innerText.includes('not loaded')")
    page.ask("Is there a star?")
    assert page.turns.last.locator(".fv-who").inner_text() == STAGE1
    page.choose("tiny-llava")
    release(page, STAGE1)
    page.page.wait_for_function(f"[...document.querySelectorAll('.fv-ck-name')].every(node => node.innerText !== '{STAGE1}')")
    assert chips(page) == before
    page.ask("What color is the heart?")
    assert served.history.run(page.run_id()).row.checkpoint == "tiny-llava"


def test_the_choice_holds_on_every_tab_and_after_a_reload(page: Watched, endless: Path) -> None:
    page.choose("endless-llava")
    for tab in page.page.get_by_role("tab").all_inner_texts():
        page.tab(tab)
        assert page.page.locator(".fv-ck.on .fv-ck-name").inner_text() == "endless-llava"
    page.reload(1)
    in_use(page, "endless-llava")
    assert page.page.locator("#checkpoint input").input_value() == str(endless)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("tiny-lava", "There is no checkpoint 'tiny-lava'. Built in: tiny-llava, tiny-llava-stage1, tiny-qwen2-vl."),
        ("tiny-llava:fp12", "'fp12' is no option of a checkpoint."),
        ("somebody/nothing", "somebody/nothing"),
        ("{folder}", "config.json"),
    ],
)
def test_one_that_cannot_be_had_is_refused_and_the_one_in_use_stays(page: Watched, tmp_path: Path, spec: str, words: str) -> None:
    """Not there, a wrong option, no network, a folder without a checkpoint: a sentence in the header, and work goes on."""
    type_spec(page, spec.format(folder=tmp_path))
    told = page.page.locator(".fv-status .fv-error")
    told.wait_for()
    assert words in told.inner_text()
    assert "Traceback" not in told.inner_text()
    in_use(page, "tiny-llava")
    assert page.page.locator("#checkpoint input").input_value() == "tiny-llava"
    page.ask("What color is the heart?")
    assert page.turns.last.locator(".fv-who").inner_text() == "tiny-llava"


def test_a_load_waits_for_a_running_answer_and_spares_it(page: Watched, served: Program) -> None:
    page.begin("Kowari, go on.", length=600)
    release(page, "endless-llava")
    page.page.locator(".fv-progress", has_text="Unloading when the running answer has ended").wait_for()
    page.settled(2)
    row = served.history.run(page.run_id()).row
    assert (row.status, row.new_tokens) == ("done", 600)
    page.page.wait_for_function("document.querySelector('.fv-ck.on')?.innerText.includes('not loaded')")
    page.page.locator(".fv-ck-name", has_text="endless-llava").click()  # as other tests found it
    page.page.wait_for_function("document.querySelector('.fv-ck.on')?.innerText.includes('MB')")
