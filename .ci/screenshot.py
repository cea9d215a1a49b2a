"""Take the picture of the page that README shows: the first minute, at 1440 x 900, light. Needs requirements-dev.txt."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "kit")]

from browser_kit import Watched, opened_browser  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from program import Program  # noqa: E402

with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright, opened_browser(playwright) as browser:
    program = Program(Path(folder))
    try:
        context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
        page = Watched(context, program.url).open()
        page.ask("Put a box on the small star.")
        page.do(1, "Tokens")
        page.page.wait_for_timeout(1500)
        page.page.screenshot(path=str(ROOT / "assets" / "screenshot.png"))
        page.check()
    finally:
        program.end()
