"""A page that is open while its checkpoints load: what it shows, what is asked meanwhile, what fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from browser_kit import Watched
from program import HeldProgram, without_weights

pytestmark = pytest.mark.browser


@pytest.fixture
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeldProgram]:
    folder = tmp_path_factory.mktemp("starting")
    program = HeldProgram(folder, "--checkpoint", "tiny-llava", "--checkpoint", str(without_weights(folder)))
    yield program
    program.end()


def test_chips_tell_the_load_and_become_ready_by_themselves(starting: HeldProgram, new_page: Callable[..., Watched]) -> None:
    watched = new_page(url=starting.url).open(turns=0)
    page = watched.page
    chip = page.locator(".fv-ck.on")
    page.locator(".fv-progress", has_text="Loading tiny-llava: reading tokenizer and image processor").wait_for()
    assert chip.inner_text().split() == ["tiny-llava", "loading"]
    assert page.get_by_role("button", name="Stop loading").count() == 0, "others wait for it, too"
    watched.box.fill("What color is the heart?")
    watched.box.press("Enter")
    page.locator(".fv-live", has_text="Waiting for tiny-llava to load").wait_for()
    starting.release()
    watched.settled(1)
    assert watched.turns.last.locator(".fv-who").inner_text() == "tiny-llava"
    page.wait_for_function("document.querySelector('.fv-ck.on')?.innerText.includes('MB')")
    told = page.locator(".fv-status .fv-error")
    told.wait_for()
    assert told.inner_text().startswith("half-llava has a config but no weights")
    assert page.locator(".fv-ck-name").all_inner_texts() == ["tiny-llava"]
    assert page.locator(".fv-progress").count() == 0
