"""One Chromium for all browser tests; a fresh context for each page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser_kit import Watched, opened_browser
from playwright.sync_api import Browser, sync_playwright
from program import Program

AS_STARTED = ("tiny-llava", "endless-llava")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, opened_browser(playwright) as found:
        yield found


@pytest.fixture(scope="session", autouse=True)
def as_started(browser: Browser, served: Program) -> None:
    """What tests of the API have loaded into the program is unloaded: pages find it as it was started."""
    context = browser.new_context()
    page = Watched(context, served.url).open().page
    for chip in page.locator(".fv-ck-name").all_inner_texts():
        if chip not in AS_STARTED:
            page.get_by_role("button", name=f"Unload {chip} and free").click()
            page.wait_for_function(
                "chip => [...document.querySelectorAll('.fv-ck-name')].every(node => node.innerText !== chip)", arg=chip
            )
    context.close()


@pytest.fixture
def new_page(browser: Browser, served: Program) -> Iterator[Callable[..., Watched]]:
    """Pages in contexts of their own. At the end each must have stayed at home and quiet."""
    pages: list[Watched] = []

    def make(width: int = 1440, height: int = 900, url: str = "", **settings: Any) -> Watched:
        context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        pages.append(Watched(context, url or served.url))
        return pages[-1]

    yield make
    for page in pages:
        page.context.close()
    for page in pages:
        page.check()


@pytest.fixture
def page(new_page: Callable[..., Watched]) -> Watched:
    """A page at 1440 px, opened on a session of its own."""
    return new_page().open()
