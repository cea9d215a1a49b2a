"""What a newcomer finds, and how it looks: one page, three widths, two themes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browser_kit import Watched, faint, wide

pytestmark = pytest.mark.browser
WIDTHS = ((1440, 900), (1024, 768), (390, 844))


def test_a_newcomer_finds_a_drawn_scene_asked_about_and_answered(page: Watched) -> None:
    assert page.turns.count() == 1
    assert page.answer() != ""
    turn = page.turns.first
    assert turn.locator(".fv-picture img").evaluate("image => image.naturalWidth") > 0
    assert "image tokens" in turn.locator(".fv-meter").inner_text()
    assert turn.locator(".fv-truth").inner_text().startswith("Truth of the drawing:")
    assert page.page.locator(".fv-chipq").count() == 3
    assert page.page.locator(".fv-scenes .fv-thumb").count() == 8
    specimen = page.page.locator(".fv-specimen")
    assert specimen.locator(".fv-question").inner_text() == turn.locator(".fv-asked .fv-text").inner_text()
    assert specimen.locator(".fv-answer").inner_text() == page.answer()


def test_the_newcomer_goes_on_with_one_click(page: Watched) -> None:
    offered = page.page.locator(".fv-chipq").first
    question = offered.inner_text()
    offered.click()
    page.settled(2)
    assert page.turns.last.locator(".fv-asked .fv-text").inner_text() == question
    assert page.turns.last.locator(".fv-truth").count() == 1
    assert page.page.locator(".fv-chipq").all_inner_texts().count(question) == 0


def test_the_specimen_stays_in_view_on_every_tab(page: Watched) -> None:
    question = page.page.locator(".fv-specimen .fv-question").inner_text()
    for tab in page.page.get_by_role("tab").all():
        tab.click()
        box = page.page.locator(".fv-specimen").bounding_box()
        assert box is not None
        assert 0 <= box["y"] < 200
        assert page.page.locator(".fv-specimen .fv-question").inner_text() == question


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_tab_at_every_width(new_page: Callable[..., Watched], theme: str) -> None:
    """No horizontal scrolling, specimen and question box in the first view, and no text too faint to read."""
    page = new_page().open(f"?__theme={theme}")
    page.do(0, "Tokens")
    page.turns.first.locator(".fv-chip").first.focus()
    page.box.fill(" ")
    page.box.press("Enter")
    assert "empty" in page.error()
    for width, height in WIDTHS:
        page.page.set_viewport_size({"width": width, "height": height})
        for tab in page.page.get_by_role("tab").all_inner_texts():
            page.tab(tab)
            page.page.get_by_role("tab", name=tab, selected=True).wait_for()
            if tab == "Sessions" and not page.page.locator("#delete-yes").is_visible():
                page.page.locator(".fv-run").first.click()
                page.page.locator("#delete-run").click()
                page.page.locator("#delete-yes").wait_for()
            assert wide(page.page) == [], f"{tab} at {width} px"
            assert faint(page.page) == [], f"{tab} at {width} px"
        page.tab("Chat")
        if width >= 1024:
            page.page.wait_for_function("document.querySelector('#ask').getBoundingClientRect().bottom <= innerHeight")
            assert page.page.locator(".fv-specimen").bounding_box()["y"] < 150  # type: ignore[index]
            assert page.page.locator(".fv-head").bounding_box()["height"] <= 84  # type: ignore[index]


def test_a_text_that_is_too_faint_is_found(page: Watched) -> None:
    assert faint(page.page) == []
    page.page.locator(".fv-who").first.evaluate("node => { node.style.color = 'rgb(148, 163, 184)'; }")
    found = faint(page.page)
    assert len(found) == 1
    assert found[0].startswith("2.5")
    assert found[0].endswith("tiny-llava")
    page.page.locator(".fv-who").first.evaluate("node => { node.style.cssText = 'background: #888'; }")
    assert len(faint(page.page)) == 1


def test_what_reaches_over_the_edge_is_found(page: Watched) -> None:
    assert wide(page.page) == []
    page.page.locator(".fv-specimen").evaluate("node => { node.style.minWidth = '1600px'; }")
    assert any("fv-specimen" in found for found in wide(page.page))


def test_dialogs_can_be_read_and_closed_by_keys(new_page: Callable[..., Watched]) -> None:
    for theme in ("light", "dark"):
        page = new_page(390, 844).open(f"?__theme={theme}")
        page.page.locator(".fv-chipq").first.focus()
        page.page.keyboard.press("?")
        shown = page.page.locator("dialog[open]")
        shown.wait_for()
        assert "stop the running answer" in shown.inner_text()
        assert faint(page.page) == []
        page.page.keyboard.press("Escape")
        assert shown.count() == 0
        page.do(0, "What it saw")
        shown.locator(".fv-saw-row").wait_for()
        assert faint(page.page) == []
        assert wide(page.page) == []
        page.page.keyboard.press("Escape")
        assert shown.count() == 0


def test_the_strip_keeps_the_specimen_on_a_phone(new_page: Callable[..., Watched]) -> None:
    page = new_page(390, 844).open()
    assert page.page.locator(".fv-bench").bounding_box()["height"] <= 150  # type: ignore[index]
    page.page.mouse.wheel(0, 1500)
    page.page.wait_for_function("scrollY > 300")
    box = page.page.locator(".fv-bench").bounding_box()
    assert box is not None
    assert -1 <= box["y"] < 100


def test_the_header_tells_what_is_loaded(page: Watched) -> None:
    chips = page.page.locator(".fv-ck")
    assert chips.count() == 2
    chosen = page.page.locator(".fv-ck.on")
    assert chosen.inner_text().startswith("tiny-llava")
    assert "MB" in chosen.inner_text()
    title = chosen.locator(".fv-ck-name").get_attribute("title") or ""
    assert "M parameters" in title
    assert "Gives answers" in title
    assert page.page.locator(".fv-badge").all_inner_texts()[0] == "answers"
    page.page.locator("#checkpoint input").click()
    options = page.page.get_by_role("option").all_inner_texts()
    page.page.keyboard.press("Escape")
    assert [text.strip().lstrip("✓").strip() for text in options][:1] == ["tiny-llava"]
    assert [text for text in options if "SmolVLM" in text and "on the Hub" in text]


def test_the_document_is_well_formed(page: Watched) -> None:
    """One heading of the page, a name for every button and picture, nothing in the way of Tab."""
    assert page.page.locator("h1").count() == 1
    unnamed = page.page.evaluate(
        """() => [...document.querySelectorAll('button, a, [role=button]')].filter(node => node.offsetParent
            && !(node.innerText || '').trim() && !node.getAttribute('aria-label') && !node.title
            && !node.querySelector('img[alt]:not([alt=""])')).map(node => node.outerHTML.slice(0, 200))"""
    )
    assert unnamed == []
    assert page.page.locator("img:not([alt])").count() == 0
