"""What a visit costs: bytes of the page and of its scripts, nothing twice, and nothing again on the second visit."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable

import pytest
from browser_kit import Watched
from program import Program

from panels.base.scripts import PREFIX, script_paths, version

pytestmark = pytest.mark.browser
MOST_HTML_BYTES = 330_000
MOST_SENT_BYTES = 200_000
"""Page and scripts together, as they cross the network."""
LOADED = """() => performance.getEntriesByType('resource').filter(({ name }) => name.includes('/scripts/'))
    .map(({ name, transferSize, encodedBodySize }) => [name, transferSize, encodedBodySize])"""


def fetched(url: str, encoding: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept-Encoding": encoding})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers.get("Content-Encoding", "identity") == encoding
        return bytes(answer.read())


def test_a_first_visit_is_light_and_a_second_asks_for_no_script(new_page: Callable[..., Watched], served: Program) -> None:
    plain, zipped = fetched(served.url, "identity"), fetched(served.url, "gzip")
    assert len(plain) <= MOST_HTML_BYTES, "the page itself"
    assert plain.count(b"import(new URL(") == len(re.findall(rb'"js_on_load":"', plain)), "one line, the same for all"
    assert b"createElement" not in plain.partition(b"window.gradio_config = ")[2].partition(b"</script>")[0]
    visitor = new_page()
    first = visitor.open().page.evaluate(LOADED)
    names = [name for name, _, _ in first]
    assert sorted(names) == sorted({f"{served.url}{PREFIX}/{version()}/{path}" for path in modules()}), "each once"
    assert len(zipped) + sum(size for _, _, size in first) <= MOST_SENT_BYTES
    second = visitor.open().page.evaluate(LOADED)
    visitor.errors.clear()  # Gradio writes of the streams of the page that was left
    assert sorted(name for name, _, _ in second) == sorted(names)
    assert [name for name, crossed, _ in second if crossed] == [], "all of them come from the browser's own cache"


def modules() -> list[str]:
    root = next(path.parent for path in script_paths() if path.name == "main.js")
    return [path.relative_to(root).as_posix() for path in script_paths()]
