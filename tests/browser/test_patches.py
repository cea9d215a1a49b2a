"""The Patches tab in a browser: click, drag and keys; maps without requests; words, lens, hiding, two pictures, the file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from browser_kit import Finger, Watched
from PIL import Image
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


def patch(page: Watched, row: float, column: float) -> tuple[float, float]:
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
            kind = data.get("kind", "") if isinstance(data, dict) else ""
            if kind != "keep":  # what stays is logged a while later
                self.kinds.append(kind)


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
    details = opened.page.locator(".fv-patches details.fv-psection")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    opened.page.locator(".fv-plens-w").first.wait_for()
    assert "tiny-llava" in details.inner_text()
    assert details.locator("tbody tr").count() == 6


def kept(page: Watched, words: str) -> None:
    """Wait until the map that is shown is logged: what is written of it has these words."""
    page.page.wait_for_function("words => (document.querySelector('.fv-patches').dataset.kept || '').includes(words)", arg=words)


def test_files_are_made_of_what_is_shown(opened: Watched) -> None:
    choose_map(opened, "Like a word")
    field(opened, "Word").locator("input").fill("pink")
    opened.page.locator(".fv-pleft", has_text="Read as").wait_for()
    opened.page.locator(".fv-patches .fv-export summary").click()
    files: dict[str, bytes] = {}
    for name in ("PNG", "SVG", "NPZ", "Markdown"):
        with opened.page.expect_download() as saved:
            opened.page.locator(".fv-patches .fv-export").get_by_role("button", name=name, exact=True).click()
        files[Path(saved.value.suggested_filename).suffix] = saved.value.path().read_bytes()
        assert saved.value.suggested_filename.startswith("like_word-")
    with Image.open(io.BytesIO(files[".png"])) as image:
        assert image.width == 1280
        assert len(image.convert("RGB").getcolors(10**7) or []) > 50
    texts = [node.text or "" for node in ElementTree.fromstring(files[".svg"]).iter("{http://www.w3.org/2000/svg}text")]
    assert "Like a word: \u201cpink\u201d" in texts
    assert any("cosine, linear about 0" in text for text in texts)
    with np.load(io.BytesIO(files[".npz"])) as held:
        assert held["similarity"].shape == (144, 144)
        assert held["shown"].shape == (144,)
    assert b"checkpoint: `tiny-llava`" in files[".md"]
    assert b"| 1 | " in files[".md"]


def test_maps_are_logged_and_come_back_from_sessions(opened: Watched) -> None:
    opened.page.mouse.click(*patch(opened, 5, 2))
    choose_map(opened, "Tower attention")
    field(opened, "Head").locator("select").select_option("1")
    field(opened, "Attention").locator("select").select_option("from")
    kept(opened, '"way":"from","layer":3,"head":1')
    before = reading(opened, 4, 4, "attention")
    choose_map(opened, "Colours")
    kept(opened, '"coloured"')
    opened.page.mouse.click(*patch(opened, 9, 9))
    opened.page.locator(".fv-specimen").get_by_role("button", name="Find again").click()
    again = opened.page.locator(".fv-maps button", has_text="Tower attention: row 6, column 3")
    again.wait_for()
    assert opened.page.locator(".fv-maps button", has_text="Colours").count() == 1
    again.click()
    opened.page.wait_for_function("() => document.querySelector('.fv-pwhere')?.textContent === 'Row 6, column 3'")
    told(opened)
    assert opened.page.get_by_role("tab", name="Patches").get_attribute("aria-selected") == "true"
    assert field(opened, "Head").locator("select").input_value() == "1"
    assert field(opened, "Attention").locator("select").input_value() == "from"
    assert reading(opened, 4, 4, "attention") == before


def test_lens_health_is_measured_from_the_page_stopped_and_gone_on_with(page: Watched) -> None:
    page.begin("What is there?", 400)
    page.page.keyboard.press("Escape")
    shown(page.settled(2))
    details = page.page.locator(".fv-patches details.fv-psection")
    assert details.get_attribute("open") is None, "a lens that was not measured is not shown of itself"
    details.locator("summary").click()
    assert "Not measured on" in details.inner_text()
    measure = details.get_by_role("button", name="Measure lens health")
    measure.click()
    line = page.page.locator(".fv-asking", has_text="Measuring")
    line.wait_for()
    line.get_by_role("button", name="Stop").click()
    details.locator(".fv-error", has_text="goes on there").wait_for()
    measure.click()
    details.locator(".fv-lens-health", has_text="not to be believed").wait_for()
    assert "n = 20" in details.inner_text()
    assert measure.count() == 0
    page.tab("Attention")
    page.page.locator("#attention-method").wait_for()
    labels = page.page.locator("#attention-method option").all_inner_texts()
    assert "TAM (lens not to be believed)" in labels


def test_a_finger_draws_regions_where_that_is_asked_for(new_page: Callable[..., Watched]) -> None:
    page = shown(new_page(390, 844, has_touch=True, is_mobile=True).open())
    frame, finger = page.page.locator(FRAME).first, Finger(page.page)
    page.page.locator(".fv-patches").get_by_role("button", name="Draw a region").tap()
    frame.evaluate("node => node.scrollIntoView({ block: 'center' })")  # clear of the specimen's strip
    page.page.wait_for_timeout(300)  # the page comes to rest
    finger.drag(patch(page, 2.7, 1.7), patch(page, 5.3, 4.3))
    page.page.wait_for_function("() => document.querySelector('.fv-pwhere').textContent === 'Region of 9 patches'")
    told(page)


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
