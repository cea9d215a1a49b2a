"""What browser tests stand on: a Chromium, a page that is watched, files to attach.

A watched page fails its test when anything it loads comes from elsewhere, and when its console shows an error.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WAIT_MS = 30_000
TURN = ".fv-transcript .fv-turn"


def chromium() -> str | None:
    """The path of an installed Chromium, FOVEA_CHROMIUM first."""
    named = os.environ.get("FOVEA_CHROMIUM")
    return next((found for name in ([named] if named else NAMES) if (found := shutil.which(name))), None)


@contextmanager
def opened_browser(playwright: Playwright) -> Iterator[Browser]:
    """A headless Chromium. Skips the test where there is none, unless FOVEA_REQUIRE_BROWSER is 1."""
    path = chromium()
    if path is None:
        if os.environ.get("FOVEA_REQUIRE_BROWSER") == "1":
            pytest.fail("FOVEA_REQUIRE_BROWSER is 1 and no Chromium was found.")
        pytest.skip("no Chromium was found")
    browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
    yield browser
    browser.close()


class Watched:
    """One page of one browser context, with what went wrong on it."""

    def __init__(self, context: BrowserContext, served_url: str) -> None:
        self.url, self.context = served_url, context
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.errors: list[str] = []
        self.strangers: list[str] = []
        context.on("request", self._asked)
        context.on("response", lambda found: self._failed(f"{found.status} {found.url}") if found.status >= 400 else None)
        context.on("console", lambda said: self._failed(f"{said.text} {said.location['url']}") if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:", "about:")):
            self.strangers.append(request.url)

    def _failed(self, what: str) -> None:
        """Remember it, but for Gradio's cancelling of an event that the server has not numbered yet."""
        if not ("422" in what and what.endswith(("/gradio_api/cancel", "/gradio_api/reset"))):
            self.errors.append(what)

    def open(self, query: str = "", turns: int = 1) -> Watched:
        """Load the page and wait until that many turns are shown and nothing is being written."""
        self.page.goto(self.url + query)
        return self.settled(turns)

    def settled(self, turns: int) -> Watched:
        """Wait until that many turns are shown and nothing is being written."""
        self.page.wait_for_function(
            f"() => document.querySelectorAll('{TURN}').length === {turns} && !document.querySelector('.fv-live .fv-turn')"
        )
        return self

    def ask(self, question: str, turns: int | None = None) -> Watched:
        """Type a question, send it with Enter, wait for the answer."""
        count = self.turns.count() + 1 if turns is None else turns
        before = self.run_id() if self.turns.count() else ""
        self.box.fill(question)
        self.box.press("Enter")
        self.page.wait_for_function(f"() => [...document.querySelectorAll('{TURN}')].pop()?.dataset.run !== '{before}'")
        self.page.wait_for_function(
            "document.querySelector('#ask textarea').value === '' && !document.querySelector('#ask .thumbnail-item')"
        )
        return self.settled(count)

    def new_chat(self) -> Watched:
        """Begin anew and wait until the page has: it remembers another session then."""
        session = "localStorage.getItem('fovea-session')"
        before = self.page.evaluate(session)
        self.page.click("#new-chat")
        self.page.wait_for_function(f"before => {session} !== before", arg=before)
        return self.settled(0)

    def reload(self, turns: int) -> Watched:
        """Load the page again. What Gradio complains of while it leaves is not the page's."""
        before = len(self.errors)
        self.page.reload()
        self.errors[before:] = [e for e in self.errors[before:] if not re.search("AbortError|Connection errored out", e)]
        return self.settled(turns)

    def attach(self, *files: tuple[str, str, bytes]) -> None:
        """Attach files, each (name, media type, bytes), and wait for their thumbnails."""
        before = self.thumbnails.count()
        self.page.set_input_files(
            "#ask input[type=file]", [{"name": name, "mimeType": kind, "buffer": data} for name, kind, data in files]
        )
        self.page.wait_for_function(
            f"() => document.querySelectorAll('#ask .thumbnail-item').length === {before + len(files)}"
            " && !document.querySelector('#ask .uploading')"
        )

    def choose(self, name: str) -> None:
        """Use a loaded checkpoint, by its chip in the header."""
        self.page.get_by_role("group", name="Checkpoints").get_by_role("button", name=name, exact=True).click()
        self.page.wait_for_function(f"document.querySelector('.fv-ck.on .fv-ck-name')?.innerText === '{name}'")

    def begin(self, question: str, length: int = 1024) -> None:
        """Ask the checkpoint that writes until it is stopped, and wait until it writes."""
        self.choose("endless-llava")
        self.set("length", length)
        self.box.fill(question)
        self.box.press("Enter")
        self.page.wait_for_function("document.querySelector('.fv-growing')?.textContent.length > 20")

    def set(self, name: str, value: float) -> None:
        """Type a number into a setting and leave the field."""
        field = self.page.locator(f"#set-{name} input:not([type=range])")
        field.fill(str(value))
        field.press("Tab")

    def tab(self, name: str) -> None:
        """Open a tab, out of the menu of those that find no room where it is there."""
        tab = self.page.get_by_role("tab", name=name)
        if not tab.count():
            self.page.locator(".overflow-menu > button").click()
            tab = self.page.locator(".overflow-dropdown button", has_text=name)
        tab.click()

    def do(self, turn: int, action: str) -> None:
        """Press a button of a turn, by its text or its name."""
        self.turns.nth(turn).get_by_role("button", name=action, exact=True).click()

    @property
    def box(self) -> Locator:
        return self.page.locator("#ask textarea")

    @property
    def thumbnails(self) -> Locator:
        return self.page.locator("#ask .thumbnail-item")

    @property
    def turns(self) -> Locator:
        return self.page.locator(TURN)

    def answer(self, turn: int = -1) -> str:
        return self.turns.nth(turn).locator(".fv-said .fv-text").inner_text()

    def error(self) -> str:
        """The sentence above the question box, waited for."""
        return self.page.locator("#chat-error .fv-error:not(:empty)").inner_text()

    def run_id(self, turn: int = -1) -> str:
        return str(self.turns.nth(turn).get_attribute("data-run"))

    def round_trip_s(self) -> float:
        """How long the page waits for a small answer of the server: the middle of five. Long where others use the processors."""
        return float(
            self.page.evaluate(
                """async () => { const took = [];
                for (let i = 0; i < 5; i += 1) { const at = performance.now(); await (await fetch('gradio_api/app_id')).text();
                  took.push(performance.now() - at); }
                return took.sort((a, b) => a - b)[2] / 1000; }"""
            )
        )

    def check(self) -> None:
        """Nothing came from elsewhere, and the console is quiet."""
        assert self.strangers == [], self.strangers
        assert self.errors == [], self.errors


def png(colour: str = "red", size: tuple[int, int] = (60, 40)) -> bytes:
    """A picture of one colour."""
    return encoded(Image.new("RGB", size, colour), "PNG")


def encoded(image: Image.Image, kind: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


class Finger:
    """One finger on a page that was made with `has_touch`, as the browser itself takes it: it scrolls what a finger scrolls."""

    def __init__(self, page: Page) -> None:
        self._page, self._session = page, page.context.new_cdp_session(page)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 12) -> None:
        """Down at one place of the window, in steps to another, and up."""
        self._send("touchStart", start)
        for i in range(1, steps + 1):
            self._send("touchMove", tuple(a + (b - a) * i / steps for a, b in zip(start, end, strict=True)))
            self._page.wait_for_timeout(16)
        self._session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def _send(self, what: str, at: tuple[float, ...]) -> None:
        self._session.send("Input.dispatchTouchEvent", {"type": what, "touchPoints": [{"x": at[0], "y": at[1]}]})


FAINT, WIDE = ((Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("faint.js", "wide.js"))


def faint(page: Page) -> list[str]:
    """The visible texts of a page that WCAG AA finds too faint: contrast below 4.5, or 3 where the letters are large.

    Text over pictures and of disabled controls is left out. Fails where no text is found at all.
    """
    judged, found = page.evaluate(FAINT)
    assert judged > 20, "the page shows no text"
    return sorted(set(found))


def wide(page: Page) -> list[str]:
    """What reaches over an edge of the window, where it can neither be seen nor scrolled to."""
    return list(page.evaluate(WIDE))
