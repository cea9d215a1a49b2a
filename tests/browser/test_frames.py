"""A turn about frames of a video in the page: named by their times in every tab, when a map fell, one frame alone, as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from browser_kit import Watched, wide
from gradio_client import Client, handle_file
from playwright.sync_api import Locator
from program import Program

from studies.world.files import to_png
from studies.world.film import make_film

pytestmark = pytest.mark.browser
FILM = make_film(5)
TIMES = [0, 0.75, 2, 5.5]
NAMES = ["frame at 0 s", "frame at 0.75 s", "frame at 2 s", "frame at 5.5 s"]
CAPTIONS = [name.capitalize() for name in NAMES]


@dataclass(frozen=True)
class Film:
    """A logged turn about the film, and raw attention of its first word over the API."""

    run: str
    map: dict[str, Any]


@pytest.fixture(scope="module")
def film(served: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Film]:
    folder = tmp_path_factory.mktemp("film")
    for number, time_s in enumerate(TIMES):
        (folder / f"{number}.png").write_bytes(to_png(FILM.at(time_s), 192))
    client = Client(served.url, verbose=False, analytics_enabled=False)
    files = [handle_file(str(path)) for path in sorted(folder.iterdir())]
    turn = client.predict(
        question="Which picture has more things?", images=files, times=TIMES, max_new_tokens=6, api_name="/chat_ask"
    )
    found = client.predict(run_id=turn["run_id"], method="attention", words=[0], api_name="/attention_map")
    yield Film(turn["run_id"], found)
    client.close()


@pytest.fixture
def shown(film: Film, new_page: Callable[..., Watched]) -> Watched:
    """The turn in Chat."""
    return new_page().open(f"?run={film.run}", turns=1)


def captions(page: Watched, within: str) -> list[str]:
    """What stands under the pictures that are shown."""
    found = page.page.locator(f"{within} .fv-heat-picture:not([hidden]) figcaption")
    found.first.wait_for()
    return found.all_inner_texts()


def strip(page: Watched, within: str) -> Locator:
    found = page.page.locator(f"{within} .fv-when-frame")
    found.first.wait_for()
    return found


def looked(page: Watched) -> Watched:
    """The turn in Attention, raw attention of its first word drawn."""
    page.do(-1, "Look into")
    drawn = "(what) => (document.querySelector('.fv-attention')?.dataset.drawn || '').startsWith(what)"
    page.page.wait_for_function(drawn, arg="[")
    page.page.select_option("#attention-method", "attention")
    page.page.locator(".fv-wchip").first.click()
    page.page.wait_for_function(drawn, arg='["attention",[0]')
    return page


def test_chat_and_the_bench_name_frames_by_their_times(shown: Watched) -> None:
    assert shown.page.locator(".fv-turn .fv-picture span").all_inner_texts() == NAMES
    assert "4 of 4: frame at 5.5 s, 192 x 192 px" in shown.page.locator(".fv-specimen figcaption").inner_text()
    shown.page.locator(".fv-specimen").get_by_role("button", name="Find again").click()
    shown.page.locator(".fv-detail .fv-picture").first.wait_for()
    assert shown.page.locator(".fv-detail .fv-picture span").all_inner_texts() == NAMES


def test_attention_says_when_a_word_looked(shown: Watched, film: Film) -> None:
    looked(shown)
    within = ".fv-attention .fv-map"
    assert captions(shown, within) == CAPTIONS
    labels = [str(strip(shown, within).nth(k).get_attribute("aria-label")) for k in range(4)]
    assert [label.split(":")[0] for label in labels] == NAMES
    values = [float(label.split(": ")[1].split(" attention")[0]) for label in labels]
    assert values == pytest.approx([one["sum"] for one in film.map["pictures"]], rel=6e-3)
    assert sum(values) == pytest.approx(film.map["image_attention"], rel=6e-3)
    most = max(range(4), key=lambda k: values[k])
    assert f"Most on the {NAMES[most]}" in shown.page.locator(f"{within} .fv-when-line").inner_text()


def test_a_frame_is_shown_alone_and_read(shown: Watched, film: Film) -> None:
    looked(shown)
    within = ".fv-attention .fv-map"
    strip(shown, within).nth(2).click()
    assert captions(shown, within) == CAPTIONS[2:3]
    frame = shown.page.locator(f"{within} .fv-heat-picture:not([hidden]) .fv-heat-frame")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    assert box is not None
    shown.page.mouse.move(box["x"] + box["width"] * 4.5 / 12, box["y"] + box["height"] * 6.5 / 12)
    line = shown.page.locator(".fv-attention .fv-readout", has_text="row 7, column 5")
    line.wait_for()
    name, value = line.inner_text().split(", row 7, column 5: ")
    assert name == NAMES[2]
    read = value.removesuffix(" attention").replace("\u2212", "-").replace("e\u2212", "e-")
    assert float(read) == pytest.approx(film.map["views"][2]["values"][6][4], rel=6e-2)
    strip(shown, within).nth(2).press("ArrowRight")
    assert captions(shown, within) == CAPTIONS[3:]
    shown.page.locator(within).get_by_role("button", name="All frames").click()
    assert captions(shown, within) == CAPTIONS
    assert wide(shown.page) == []


def test_the_figure_names_its_frames(shown: Watched) -> None:
    looked(shown)
    shown.page.locator(".fv-attention .fv-export summary").click()
    with shown.page.expect_download() as download:
        shown.page.locator(".fv-attention .fv-export").get_by_role("button", name="SVG").click()
    root = ElementTree.fromstring(Path(download.value.path()).read_bytes())
    texts = [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text in CAPTIONS] == CAPTIONS
    assert all(any(f"{name}: ." in text for name in [name]) for name, text in zip(NAMES, [" ".join(texts)] * 4, strict=True))
    images = list(root.iter("{http://www.w3.org/2000/svg}image"))
    assert len(images) == 8, "each frame and its map"
    places = [(node.attrib["x"], node.attrib["width"]) for node in root.iter("{http://www.w3.org/2000/svg}image")]
    assert len({width for _, width in places}) == 1


def test_patches_of_frames_are_named_by_time(shown: Watched) -> None:
    shown.tab("Patches")
    within = ".fv-pleft"
    assert captions(shown, within) == CAPTIONS
    last = shown.page.locator(f"{within} .fv-heat-frame").nth(3)
    last.scroll_into_view_if_needed()
    box = last.bounding_box()
    assert box is not None
    shown.page.mouse.click(box["x"] + box["width"] * 2.5 / 12, box["y"] + box["height"] * 1.5 / 12)
    shown.page.locator(".fv-pwhere", has_text="Frame at 5.5 s, row 2, column 3").wait_for()
    strip(shown, within).nth(3).and_(shown.page.locator("[aria-label^='frame at 5.5 s: 1.00 cosine']")).wait_for()
    assert "Highest value on each frame" in shown.page.locator(f"{within} .fv-when-line").inner_text()
    strip(shown, within).nth(0).click()
    assert captions(shown, within) == CAPTIONS[:1]


def test_the_film_of_the_shelf_is_asked_about_at_once(page: Watched) -> None:
    page.page.get_by_role("button", name="Two frames of a drawn film, with a question").click()
    page.page.wait_for_function("document.querySelectorAll('.fv-transcript .fv-picture').length === 2")
    page.settled(1)
    assert page.turns.last.locator(".fv-picture span").all_inner_texts() == ["frame at 0 s", "frame at 5 s"]
    assert page.answer() == "second"
    assert "second" in page.turns.last.locator(".fv-truth").inner_text()
    looked(page)
    labels = [str(strip(page, ".fv-attention .fv-map").nth(k).get_attribute("aria-label")) for k in range(2)]
    shares = [float(label.split(", ")[1].split(" %")[0]) for label in labels]
    assert shares[1] > 80, labels
