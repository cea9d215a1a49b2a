"""The Attention tab in a browser: one click from Chat, maps that are drawn without requests, sliders, Stop, files."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from browser_kit import Finger, Watched
from PIL import Image
from playwright.sync_api import Locator
from program import Program

pytestmark = pytest.mark.browser
ROOT = "document.querySelector('.fv-attention')"
CANVAS = ".fv-map .fv-heat-frame canvas"
PAINT_MS = 16


class Looked:
    """The tab on a described picture, and what it asks the server for."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.page = watched, watched.page
        self.asked: list[str] = []
        self.page.on("request", self._asked)

    def _asked(self, request: Any) -> None:
        if "component_server" in request.url or "queue/join" in request.url:
            self.asked.append(request.post_data or "")

    def open(self) -> Looked:
        self.watched.do(-1, "Look into")
        return self.drawn()

    def drawn(self, method: str = "[") -> Looked:
        """Wait until a map, or a map of that method, stands."""
        self.page.wait_for_function(f"() => ({ROOT}?.dataset.drawn || '-').includes('{method}')")
        return self.still()

    def still(self) -> Looked:
        self.page.wait_for_function(f"() => !{ROOT}.querySelector('.fv-progress')")
        return self

    def method(self, slug: str) -> Looked:
        self.page.select_option("#attention-method", slug)
        return self

    def raw(self) -> Looked:
        """Raw attention, all of it held by the page, and asked for once more to be logged, as a map is that stays."""
        self.method("attention").drawn('"attention"')
        for _ in range(40):
            if any('"what":"heat"' in asked and '"method":"attention"' in asked for asked in self.asked):
                break
            self.page.wait_for_timeout(100)
        return self

    @property
    def chips(self) -> Locator:
        return self.page.locator(".fv-wchip")

    @property
    def title(self) -> str:
        return self.page.locator(".fv-map-title").inner_text()

    @property
    def note(self) -> str:
        return self.page.locator(".fv-map-note").inner_text()

    @property
    def pixels(self) -> str:
        return str(self.page.locator(CANVAS).first.evaluate("canvas => canvas.toDataURL()"))

    @property
    def paint_ms(self) -> float:
        return float(self.page.evaluate(f"{ROOT}.dataset.paint"))

    def patch(self, row: float, column: float) -> tuple[float, float]:
        box = self.page.locator(".fv-map .fv-heat-frame").first.bounding_box()
        assert box is not None
        return box["x"] + (column + 0.5) / 12 * box["width"], box["y"] + (row + 0.5) / 12 * box["height"]

    def button(self, name: str) -> Locator:
        return self.page.locator(".fv-attention").get_by_role("button", name=name)


@pytest.fixture
def described(page: Watched) -> Looked:
    """The tab on an answer of many words."""
    page.ask("Describe the picture.")
    return Looked(page).open()


def test_one_click_from_the_answer(page: Watched) -> None:
    looked = Looked(page).open()
    assert page.page.get_by_role("tab", name="Attention").get_attribute("aria-selected") == "true"
    assert looked.chips.count() == 1
    assert "of \u201cred\u201d" in looked.title
    assert re.search(r"image attention \.\d+", looked.note)
    assert (
        "Not yet measured" in page.page.locator(".fv-score").inner_text() or "lift" in page.page.locator(".fv-score").inner_text()
    )


def test_the_bench_and_the_tab_open_it_too(page: Watched) -> None:
    looked = Looked(page)
    page.page.locator(".fv-specimen").get_by_role("button", name="Look into").click()
    looked.drawn()
    page.tab("Chat")
    page.ask("How many objects are there?")
    page.tab("Attention")
    page.page.wait_for_function("() => document.querySelector('.fv-look-head bdi').textContent.includes('How many')")
    looked.drawn()
    page.tab("Chat")
    page.do(0, "Look into")
    page.page.wait_for_function("() => document.querySelector('.fv-look-head bdi').textContent.includes('star')")


def test_hovering_draws_without_asking(described: Looked) -> None:
    described.raw()
    described.asked.clear()
    seen, paints = set(), []
    for k in range(2, 10):
        described.chips.nth(k).hover()
        assert described.title.startswith("Preview: Raw attention of")
        seen.add(described.pixels)
        paints.append(described.paint_ms)
    assert len(seen) >= 7  # words of one answer look at different places
    assert described.asked == []
    assert min(paints) < PAINT_MS, paints
    described.page.mouse.move(*described.patch(3, 3))
    assert re.fullmatch(r"row 4, column 4: \S+ attention", described.page.locator(".fv-readout").inner_text())
    assert not described.title.startswith("Preview")


def test_opacity_scale_and_smoothing_ask_nothing(described: Looked) -> None:
    described.raw()
    described.asked.clear()
    before = described.pixels
    described.page.get_by_label("smooth").check()
    smooth = described.pixels
    described.page.get_by_label("Opacity").fill("0.3")
    faint = described.pixels
    described.page.get_by_label("Scale").select_option("percentile")
    assert len({before, smooth, faint, described.pixels}) == 4
    assert "1st to 99th percentile" in described.page.locator(".fv-map .fv-scale").inner_text()
    described.page.get_by_label("one for all words").check()
    assert "one scale for" in described.page.locator(".fv-map .fv-scale").inner_text()
    assert described.asked == []


def test_words_are_pinned_merged_and_walked(described: Looked) -> None:
    described.raw()
    described.chips.nth(2).click()
    assert described.chips.nth(2).get_attribute("aria-selected") == "true"
    described.chips.nth(3).click(modifiers=["Shift"])
    described.page.mouse.move(5, 5)
    texts = [described.chips.nth(k).inner_text().strip("\u00b7") for k in (2, 3)]
    assert described.title == f"Raw attention of \u201c{' '.join(texts)}\u201d"
    described.chips.nth(3).focus()
    described.page.keyboard.press("ArrowRight")
    assert described.title.startswith("Preview:")
    described.page.keyboard.press("Enter")
    assert [described.chips.nth(k).get_attribute("aria-selected") for k in (2, 3, 4)] == ["false", "false", "true"]


def test_a_drag_over_words_merges_them(described: Looked) -> None:
    described.raw()
    first, last = described.chips.nth(6).bounding_box(), described.chips.nth(8).bounding_box()
    assert first is not None
    assert last is not None
    described.page.mouse.move(first["x"] + 5, first["y"] + 5)
    described.page.mouse.down()
    described.page.mouse.move(last["x"] + 5, last["y"] + 5, steps=8)
    described.page.mouse.up()
    assert [described.chips.nth(k).get_attribute("aria-selected") for k in (5, 6, 7, 8, 9)] == [
        "false",
        "true",
        "true",
        "true",
        "false",
    ]


def test_layers_heads_and_their_figure(described: Looked) -> None:
    described.raw()
    before = described.pixels
    described.page.locator("#attention-layer").fill("3")
    described.page.wait_for_function("() => document.querySelector('.fv-map-note').textContent.startsWith('mean over layer 3')")
    described.page.locator("#attention-head").fill("2")
    described.page.wait_for_function("() => document.querySelector('.fv-map-note').textContent.startsWith('layer 3, head 2')")
    assert described.pixels != before
    figure = described.page.locator(".fv-overview-axes canvas")
    box = figure.bounding_box()
    assert box is not None
    described.page.mouse.click(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.9)
    described.page.wait_for_function("() => document.querySelector('.fv-map-note').textContent.startsWith('layer 5, head 1')")
    assert described.page.locator("#attention-layer").input_value() == "5"
    figure.focus()
    described.page.keyboard.press("ArrowRight")
    assert "layer 5, head 2" in described.page.locator(".fv-overview-line").inner_text()


def test_a_method_without_layers_says_so(described: Looked) -> None:
    described.method("relevancy").drawn("relevancy")
    assert described.page.locator("#attention-layer").is_disabled()
    described.method("attention").drawn('"attention"')
    assert described.page.locator("#attention-layer").is_enabled()


def test_what_falls_on_a_thing_is_shown_where_truth_is_known(described: Looked) -> None:
    target = described.page.get_by_label("What the figure of layers and heads shows")
    target.select_option(index=1)
    described.page.wait_for_function(
        "() => document.querySelector('.fv-overview-line').textContent.includes('share on the thing')"
    )
    assert described.page.locator(".fv-map .fv-line.truth").count() >= 1


def test_a_slow_method_tells_how_far_it_is_and_stops(described: Looked) -> None:
    before = described.pixels
    described.method("greedy")
    line = described.page.locator(".fv-attention .fv-progress")
    line.wait_for()
    assert "Greedy regions" in line.inner_text()
    line.get_by_role("button", name="Stop").click()
    described.still()
    assert "Stopped" in described.page.locator(".fv-attention > .fv-error").inner_text()
    assert described.pixels == before  # what was shown stays
    described.method("relevancy").drawn("relevancy")


def test_asking_for_another_map_ends_the_slow_one(described: Looked) -> None:
    described.method("greedy")
    described.page.locator(".fv-attention .fv-progress").wait_for()
    described.method("rollout").drawn("rollout")
    assert "Attention rollout" in described.title


def test_patches_are_hidden_and_the_answer_changes(page: Watched) -> None:
    looked = Looked(page).open()
    page.page.mouse.move(*looked.patch(-0.3, 7.7))
    page.page.mouse.down()
    page.page.mouse.move(*looked.patch(4.3, 11.3), steps=6)
    page.page.mouse.up()
    looked.button("Hide 20 patches").click()
    changed = page.page.locator(".fv-change")
    changed.locator(".fv-change-word").first.wait_for()
    assert "20 picture tokens hidden: the answer loses" in changed.inner_text()
    assert changed.locator(".fv-text").inner_text() != "red"
    looked.button("Clear").click()
    assert page.page.locator(".fv-line.chosen").count() == 0


def test_patches_are_patched_from_another_picture_and_the_answer_changes(page: Watched) -> None:
    looked = Looked(page).open()
    assert not looked.button("Patch from").is_visible()
    page.page.mouse.move(*looked.patch(-0.3, -0.3))
    page.page.mouse.down()
    page.page.mouse.move(*looked.patch(11.3, 11.3), steps=6)
    page.page.mouse.up()
    looked.button("Patch from").click()
    row = page.page.locator(".fv-patching")
    page.page.wait_for_function("() => document.querySelectorAll('.fv-patching option').length > 8")
    assert row.get_by_role("button", name="Patch", exact=True).is_disabled()
    labels = row.locator("select").first.locator("option").all_inner_texts()
    chosen = next(label for label in labels if "star in " in label)  # what the question is about, in another color
    row.locator("select").first.select_option(label=chosen)
    row.get_by_role("button", name="Patch", exact=True).click()
    changed = page.page.locator(".fv-change")
    changed.locator(".fv-ptable").wait_for()
    assert "144 picture tokens patched from the other picture, before the first layer: the answer" in changed.inner_text()
    assert changed.locator(".fv-change-word").count() == 1
    assert changed.locator(".fv-text").inner_text() == chosen.rsplit(" ", 1)[1]
    shares = changed.locator(".fv-ptable tbody tr").first.locator("td").all_inner_texts()
    assert shares == ["0, enters", "1.00", shares[2], "1.00"]  # all the patches were chosen
    page.page.wait_for_function("() => document.querySelector('.fv-change img')?.naturalWidth > 0")
    looked.button("Clear").click()
    assert not row.is_visible()


def test_two_maps_and_their_difference(described: Looked) -> None:
    described.raw()
    described.button("Keep as A").click()
    described.chips.nth(3).click()
    described.page.mouse.move(5, 5)
    described.page.locator(".fv-third").first.wait_for()
    assert described.page.locator(".fv-third figcaption").all_inner_texts()[2] == "A \u2212 B"
    scales = [scale.split("\n") for scale in described.page.locator(".fv-third .fv-scale").all_inner_texts()]
    assert scales[0] == scales[1]  # one scale for both
    assert scales[2][0].startswith("\u2212")
    described.method("relevancy").drawn("relevancy")
    assert "shares of itself" in described.note
    described.button("End comparing").click()
    assert described.page.locator(".fv-map").is_visible()


def test_all_methods_are_put_side_by_side_and_compared(page: Watched) -> None:
    looked = Looked(page).open()
    looked.button("Agreement").click()
    maps = page.page.locator(".fv-agree-map")
    maps.nth(4).wait_for()
    page.page.locator(".fv-agree .fv-progress").get_by_role("button", name="Stop").click()  # what is done is compared
    rows = page.page.locator(".fv-agree-table tr")
    rows.nth(5).wait_for()
    count = maps.count()
    assert rows.count() == count + 1
    values = [cell.replace("\u2212", "-") for cell in rows.nth(1).locator("td").all_inner_texts()]
    assert float(values[0]) == 1
    assert len(values) == count
    assert all(-1 <= float(value) <= 1 for value in values)


def test_another_answer_is_traced(page: Watched) -> None:
    looked = Looked(page).open()
    box = page.page.get_by_label("Another answer to trace")
    box.fill("a green square")
    box.press("Enter")
    page.page.wait_for_function("() => document.querySelectorAll('.fv-wchip').length > 2")
    looked.drawn()
    assert "".join(looked.chips.all_inner_texts()).replace("\u00b7", " ").strip() == "a green square"
    box = page.page.get_by_label("Another answer to trace")
    box.fill("")
    box.press("Enter")
    page.page.wait_for_function("() => document.querySelectorAll('.fv-wchip').length === 1")


def test_maps_come_back_from_sessions(page: Watched) -> None:
    looked = Looked(page).open().method("rollout").drawn("rollout")
    page.page.locator(".fv-specimen").get_by_role("button", name="Find again").click()
    page.page.locator(".fv-maps button", has_text="Attention rollout of").wait_for()
    page.tab("Attention")
    looked.method("relevancy").drawn("relevancy")
    page.tab("Sessions")
    page.page.locator(".fv-maps button", has_text="Attention rollout of").click()
    looked.drawn("rollout")
    assert looked.title.startswith("Attention rollout of")


def test_files_are_made_of_what_is_shown(page: Watched, served: Program) -> None:
    Looked(page).open()
    page.page.locator(".fv-export summary").click()
    files: dict[str, bytes] = {}
    for name in ("PNG", "SVG", "NPZ", "Markdown"):
        with page.page.expect_download() as download:
            page.page.locator(".fv-export").get_by_role("button", name=name, exact=True).click()
        path = download.value.path()
        files[Path(download.value.suggested_filename).suffix] = Path(path).read_bytes()
    with Image.open(io.BytesIO(files[".png"])) as image:
        assert image.width == 1280
        assert len(image.convert("RGB").getcolors(10**7) or []) > 50
    root = ElementTree.fromstring(files[".svg"])
    texts = [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any("of \u201cred\u201d" in text for text in texts)
    with np.load(io.BytesIO(files[".npz"])) as numbers:
        assert numbers["scores"].shape == (144,)
    assert b"## " not in files[".md"]
    assert b"checkpoint: `tiny-llava`" in files[".md"]
    assert not list(Path(served.uploads).rglob("*.npz"))


def test_a_finger_scrolls_the_page_and_draws_regions_where_that_is_asked_for(new_page: Callable[..., Watched]) -> None:
    page = new_page(390, 844, has_touch=True, is_mobile=True).open()
    looked, finger = Looked(page).open(), Finger(page.page)
    frame = page.page.locator(".fv-map .fv-heat-frame").first
    frame.evaluate("node => node.scrollIntoView({ block: 'center' })")
    before = frame.bounding_box()
    finger.drag(looked.patch(8, 5), looked.patch(2, 5))
    page.page.wait_for_function(
        "y => Math.abs(document.querySelector('.fv-map .fv-heat-frame').getBoundingClientRect().y - y) > 40", arg=before["y"]
    )
    assert page.page.locator(".fv-line.chosen").count() == 0, "a finger that scrolls chooses nothing"
    frame.evaluate("node => node.scrollIntoView({ block: 'center' })")
    looked.button("Draw a region").tap()
    frame.evaluate("node => node.scrollIntoView({ block: 'center' })")  # clear of the specimen's strip
    page.page.wait_for_timeout(300)  # what was flung comes to rest
    still = frame.bounding_box()
    finger.drag(looked.patch(2.7, 1.7), looked.patch(5.3, 4.3))
    page.page.locator(".fv-readout", has_text="9 patches selected").wait_for()
    assert frame.bounding_box() == still, "the page stays where it was"
    looked.button("Hide 9 patches").wait_for()
    page.page.wait_for_timeout(500)  # a tap right behind a drag is taken for a part of it
    looked.button("End drawing").tap()
    page.page.wait_for_function("() => getComputedStyle(document.querySelector('.fv-map .fv-heat-frame')).touchAction === 'auto'")


SIZES = [(1440, 900, "light"), (1440, 900, "dark"), (1024, 768, "light"), (390, 844, "dark")]


@pytest.mark.parametrize(("width", "height", "scheme"), SIZES)
def test_it_fits(new_page: Callable[..., Watched], tmp_path: Path, width: int, height: int, scheme: str) -> None:
    page = new_page(width, height, color_scheme=scheme).open()
    Looked(page).open()
    page.page.screenshot(path=str(tmp_path / f"attention-{width}-{scheme}.png"), full_page=True)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    frame = page.page.locator(".fv-map .fv-heat-frame").bounding_box()
    assert frame is not None
    assert frame["width"] >= 290
    if width == 1440:  # the map and its scale without scrolling
        assert frame["y"] + frame["height"] < height - 60
