"""The Patches tab in a browser: click, drag and keys; maps without requests; words, lens, hiding, two pictures, the file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from browser_kit import Watched
from playwright.sync_api import Locator, Route

pytestmark = pytest.mark.browser
FRAME = ".fv-patches .fv-pleft .fv-heat-frame"


@pytest.fixture
def opened(page: Watched) -> Watched:
    """The tab on the first answer, a patch chosen and what was asked about it told."""
    return shown(page)


def shown(page: Watched) -> Watched:
    page.tab("Patches")
    page.page.locator(".fv-pgrid").wait_for()
    return told(page)


def told(page: Watched) -> Watched:
    """Wait until what hides and what is said is of the patches now chosen."""
    page.page.wait_for_function(
        "() => !document.querySelector('.fv-patches .stale') && document.querySelector('.fv-ploss').textContent"
    )
    return page


def patch(page: Watched, row: int, column: int) -> tuple[float, float]:
    box = page.page.locator(FRAME).first.bounding_box()
    assert box is not None
    return box["x"] + (column + 0.5) / 12 * box["width"], box["y"] + (row + 0.5) / 12 * box["height"]


def where(page: Watched) -> str:
    return page.page.locator(".fv-pwhere").inner_text()


def choose_map(page: Watched, name: str) -> None:
    page.page.locator(".fv-pmaps button", has_text=name).click()


def field(page: Watched, label: str) -> Locator:
    return page.page.locator(".fv-patches .fv-pfield", has_text=label).first


def reading(page: Watched, row: int, column: int, words: str) -> str:
    """What stands under the picture when the pointer is over a patch, once it has these words."""
    page.page.mouse.move(*patch(page, row, column))
    found = page.page.locator(".fv-preading", has_text=words)
    found.wait_for()
    return found.inner_text()


class Requests:
    """What the page asked the server for."""

    def __init__(self, page: Watched) -> None:
        self.kinds: list[str] = []
        page.page.on("request", self._asked)

    def _asked(self, request: Any) -> None:
        if "component_server" in request.url:
            data = json.loads(request.post_data or "{}").get("data")
            self.kinds.append(data.get("kind", "") if isinstance(data, dict) else "")


def test_it_opens_on_the_first_answer_with_a_patch_chosen(opened: Watched) -> None:
    assert where(opened).startswith("Row ")
    rows = opened.page.locator(".fv-ptable tbody tr")
    assert rows.count() >= 1
    assert rows.first.locator("td").nth(1).inner_text().startswith(".")
    assert "1.00" in opened.page.locator(".fv-pleft .fv-scale").inner_text()
    assert "No attention sinks" in opened.page.locator(".fv-pleft").inner_text()


def test_a_click_asks_only_for_what_needs_the_model(opened: Watched) -> None:
    asked = Requests(opened)
    opened.page.mouse.click(*patch(opened, 5, 2))
    assert where(opened) == "Row 6, column 3"
    assert reading(opened, 5, 2, "cosine") == "row 6, column 3: 1.00 cosine"
    told(opened)
    assert set(asked.kinds) <= {"hidden", "says"}
    opened.page.mouse.click(*patch(opened, 9, 9))
    told(opened)
    opened.page.mouse.click(*patch(opened, 5, 2))  # known already: nothing is asked at all
    before = len(asked.kinds)
    told(opened)
    opened.page.wait_for_timeout(400)
    assert len(asked.kinds) == before


def test_a_click_is_painted_within_a_frame(opened: Watched) -> None:
    took = opened.page.evaluate(
        """() => {
            const frame = document.querySelector('.fv-patches .fv-pleft .fv-heat-frame'), took = [];
            const box = frame.getBoundingClientRect(), mouse = { bubbles: true, button: 0, pointerId: 1, pointerType: 'mouse' };
            for (let i = 0; i < 24; i++) {
                const x = (0.5 + i % 12) / 12, y = (0.5 + i % 7) / 12;
                const at = { ...mouse, clientX: box.left + x * box.width, clientY: box.top + y * box.height };
                const begun = performance.now();
                for (const kind of ['pointermove', 'pointerdown', 'pointerup']) frame.dispatchEvent(new PointerEvent(kind, at));
                took.push(performance.now() - begun);
            }
            return took.sort((a, b) => a - b);
        }"""
    )
    assert took[len(took) // 2] < 16, took


def test_a_region_is_dragged_and_keys_move_and_widen(opened: Watched) -> None:
    mouse, keys = opened.page.mouse, opened.page.keyboard
    mouse.move(*patch(opened, 2, 2))
    mouse.down()
    mouse.move(*patch(opened, 3, 4), steps=4)
    x, y = patch(opened, 4, 5)
    mouse.move(x + 8, y + 8)
    mouse.up()
    assert where(opened) in ("Region of 12 patches", "Region of 6 patches")
    told(opened)
    assert "Without them" in opened.page.locator(".fv-ploss").inner_text()
    mouse.click(*patch(opened, 5, 5))
    keys.press("ArrowRight")
    keys.press("ArrowDown")
    assert where(opened) == "Row 7, column 7"
    keys.press("Shift+ArrowRight")
    keys.press("Shift+ArrowDown")
    assert where(opened) == "Region of 4 patches"
    told(opened)


def test_hiding_the_thing_asked_about_is_told_and_answered_again(opened: Watched) -> None:
    mouse = opened.page.mouse
    mouse.move(*patch(opened, 0, 0))
    mouse.down()
    mouse.move(*patch(opened, 11, 11), steps=3)
    x, y = patch(opened, 11, 11)
    mouse.move(x + 5, y + 5)
    mouse.up()
    told(opened)
    loss = opened.page.locator(".fv-ploss").inner_text()
    assert "less likely" in loss or "loses most" in loss
    opened.page.get_by_role("button", name="Answer again without it").click()
    again = opened.page.locator(".fv-patches", has_text="Answered again, greedily")
    again.wait_for()
    field(opened, "Hidden by").locator("select").select_option("cut")
    told(opened)
    assert opened.page.locator(".fv-ptable tbody tr").first.locator("td").nth(4).inner_text() not in ("", "\u2026")


def test_every_map_shows_its_numbers(opened: Watched) -> None:
    opened.page.mouse.click(*patch(opened, 5, 2))
    choose_map(opened, "Tower attention")
    field(opened, "Head").locator("select").select_option("1")
    reading(opened, 5, 2, "attention")
    choose_map(opened, "A word\u2019s attention")
    assert "of its attention falls on the picture" in opened.page.locator(".fv-pleft").inner_text()
    choose_map(opened, "Like a word")
    field(opened, "Word").locator("input").fill("pink")
    opened.page.locator(".fv-pleft", has_text="Read as").wait_for()
    reading(opened, 5, 2, "cosine")
    choose_map(opened, "Colours")
    opened.page.locator(".fv-pleft", has_text="1st to its 99th percentile").wait_for()
    assert len(reading(opened, 5, 2, "row 6").split(": ")[1].split()) == 3
    choose_map(opened, "Like this patch")
    field(opened, "Features of").locator("select").select_option("tower")
    layer = field(opened, "Layer").locator("input")
    layer.fill("0")
    assert "Layer 1 of 4" in field(opened, "Layer").inner_text()


def test_two_pictures(opened: Watched) -> None:
    choose_map(opened, "Two pictures")
    partner = field(opened, "Other picture").locator("select")
    opened.page.wait_for_function("() => document.querySelectorAll('.fv-pleft .fv-pfield option').length > 2")
    labels = partner.locator("option").all_inner_texts()
    star = next(label for label in labels if " in " in label)
    partner.select_option(label=star)
    opened.page.get_by_role("button", name="Patch", exact=True).click()
    table = opened.page.locator(".fv-psecond .fv-ptable")
    table.wait_for()
    assert table.locator("tbody tr").first.locator("td").last.inner_text() == "1.00"
    reading(opened, 5, 2, "share")
    choose_map(opened, "Colours")
    opened.page.locator(".fv-psecond .fv-heat").wait_for()
    assert "one fit" in opened.page.locator(".fv-pleft").inner_text()


def test_what_takes_long_says_so_and_escape_ends_it(opened: Watched) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        sent = route.request.post_data or ""
        if '"hidden"' in sent:
            held.append(route)
        else:
            route.continue_()

    opened.page.route("**/component_server**", hold)
    opened.page.mouse.click(*patch(opened, 8, 8))
    line = opened.page.locator(".fv-asking").first
    line.wait_for()
    assert "Reading" in line.inner_text()
    with opened.page.expect_request(lambda request: '"halt"' in (request.post_data or "")):
        opened.page.keyboard.press("Escape")
    for route in held:
        route.continue_()
    told(opened)
    line.wait_for(state="detached")


def test_the_lens_is_shown_with_its_health(opened: Watched) -> None:
    details = opened.page.locator(".fv-patches details")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    opened.page.locator(".fv-plens-w").first.wait_for()
    assert "tiny-llava" in details.inner_text()
    assert details.locator("tbody tr").count() == 6


def test_the_file_is_saved(opened: Watched) -> None:
    with opened.page.expect_download() as saved:
        opened.page.get_by_role("button", name="Export NPZ").click()
    with np.load(io.BytesIO(saved.value.path().read_bytes())) as held:
        assert held["similarity"].shape == (144, 144)


def test_it_follows_the_chat(opened: Watched) -> None:
    opened.tab("Chat")
    opened.ask("How many objects are there?")
    shown(opened)
    words = opened.page.locator(".fv-ptable .fv-pword").all_inner_texts()
    assert "".join(words).replace("\u00b7", "").strip() == opened.page.locator(".fv-specimen .fv-answer").inner_text().replace(
        " ", ""
    )
    opened.tab("Chat")
    opened.new_chat()
    opened.tab("Patches")
    opened.page.locator(".fv-patches", has_text="Nothing on the bench yet").wait_for()


def test_a_turn_without_a_picture_says_so(page: Watched) -> None:
    page.new_chat()
    page.ask("Hello")
    page.tab("Patches")
    page.page.locator(".fv-patches", has_text="has no picture").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_one_column_and_no_sideways_scroll(new_page: Callable[..., Watched], scheme: str) -> None:
    page = shown(new_page(390, 844, color_scheme=scheme).open())
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    left, right = (page.page.locator(name).bounding_box() for name in (".fv-pleft", ".fv-pright"))
    assert left is not None
    assert right is not None
    assert right["y"] >= left["y"] + left["height"]
