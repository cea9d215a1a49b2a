"""The tab of CONTRIBUTING in a copy of the program, which nothing else of it knows: entered, asked, kept, opened again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser_kit import Watched
from guide import extended_copy
from playwright.sync_api import Locator
from program import Program, soon_true

pytestmark = [pytest.mark.browser, pytest.mark.slow]
BROKEN = "model/heat/broken.py"
WHY = "ModuleNotFoundError: No module named 'no_such_package'"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The copy being served, with a heat method besides that fails to load."""
    root = extended_copy(tmp_path_factory.mktemp("copied") / "fovea")
    (root / BROKEN).write_text("import no_such_package\n", encoding="utf-8")

    class Copied(Program):
        script = (str(root / "app.py"),)

    program = Copied(tmp_path_factory.mktemp("served-copy"), "--checkpoint", "tiny-llava")
    yield program
    program.end()


def answers(page: Watched) -> Locator:
    return page.page.locator("fv-brightness tbody tr")


def shown(page: Watched) -> list[list[str]]:
    answers(page).nth(3).wait_for()
    return [row.locator("td").all_inner_texts() for row in answers(page).all()]


def test_a_tab_is_entered_asked_kept_and_opened_again(copied: Program, new_page: Callable[..., Watched]) -> None:
    page = new_page(url=copied.url).open().ask("Describe the image.")
    run = page.run_id()
    page.do(1, "Darker")
    found = shown(page)
    assert page.page.get_by_role("tab", name="Brightness").get_attribute("aria-selected") == "true"
    assert [light for light, _ in found] == ["100 %", "75 %", "50 %", "25 %"]
    assert found[0][1] == copied.history.run(run).row.answer
    logged = [row.answer for row in copied.history.search(panel="brightness")]
    assert sorted(logged) == sorted(text for _, text in found[1:])
    assert len(set(text for _, text in found)) > 1, "the light makes no difference, so the test shows nothing"
    page.page.get_by_role("button", name="Keep", exact=True).and_(page.page.locator("fv-brightness button")).click()
    page.page.locator("fv-brightness", has_text="Kept with the turn").wait_for()
    (kept,) = copied.history.kept(run, "darker")
    assert kept.meta["answers"] == [[int(light.split()[0]), text] for light, text in found[1:]]

    again = new_page(url=copied.url).open()
    again.tab("Sessions")
    again.page.locator(f".fv-run[data-run='{run}']").click()
    again.page.get_by_role("button", name="Answers in the dark").click()
    assert shown(again) == found
    assert again.page.locator("fv-brightness", has_text="Kept with the turn").count() == 1
    assert len(copied.history.search(panel="brightness")) == 3, "what was kept is shown, not asked again"

    addressed = new_page(url=copied.url).open(f"?run={run}&darker={kept.name}", turns=2)
    assert shown(addressed) == found


def test_a_decoder_s_numbers_stand_in_the_settings(copied: Program, new_page: Callable[..., Watched]) -> None:
    page = new_page(url=copied.url).open()
    slider = page.page.locator("#set-min_p")
    assert not slider.is_visible()
    page.page.locator("#set-decoder input").click()
    page.page.get_by_role("option", name="Min-p", exact=True).click()
    slider.wait_for()
    assert not page.page.locator("#set-top_p").is_visible()
    page.set("temperature", 1.5)
    page.set("min_p", 0.3)
    page.ask("Hello")
    record = copied.history.run(page.run_id())
    assert record.options.to_json() | {"alternatives": 0} == {
        "max_new_tokens": 256, "decoder": "min_p", "temperature": 1.5, "min_p": 0.3, "seed": 0, "alternatives": 0,
    }  # fmt: skip


def test_a_file_that_fails_to_load_is_named_in_the_header_and_the_log(copied: Program, new_page: Callable[..., Watched]) -> None:
    page = new_page(url=copied.url).open()
    page.page.locator(".fv-status .fv-error", has_text=f"{BROKEN} is left out: {WHY}").wait_for()
    soon_true(lambda: f"{BROKEN} fails to load, so this heat method is left out: {WHY}" in copied.words)
    assert Path(copied.data).exists()


def test_a_column_is_asked_with_a_decoder_of_its_own(copied: Program, new_page: Callable[..., Watched]) -> None:
    page = new_page(url=copied.url).open()
    page.tab("Compare")
    card = page.page.locator(".fv-versus-card").nth(1)
    card.locator("summary").click()
    assert card.get_by_role("spinbutton", name="Min-p").count() == 0
    card.get_by_role("combobox", name="Decoder").select_option("min_p")
    card.get_by_role("spinbutton", name="Min-p").fill("0.4")
    card.get_by_role("spinbutton", name="Temperature").fill("1.5")
    card.get_by_role("spinbutton", name="Temperature").press("Tab")
    assert card.locator("summary").inner_text() == "Min-p, temperature 1.5, min-p 0.4"
    page.page.locator("#compare-setup [data-go]").click()
    soon_true(lambda: len(copied.history.search(panel="compare")) == 2)
    options = [copied.history.run(row.id).options.to_json() for row in copied.history.search(panel="compare")]
    asked = {str(one["decoder"]): (one["temperature"], one.get("min_p")) for one in options}
    assert asked == {"plain": (0, None), "min_p": (1.5, 0.4)}
