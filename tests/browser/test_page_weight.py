"""What a visit costs: bytes of the page and of its scripts, nothing twice, and nothing again on the second visit."""

from __future__ import annotations

import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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
    assert sorted(name for name, _, _ in second) == sorted(names)
    assert [name for name, crossed, _ in second if crossed] == [], "all of them come from the browser's own cache"


def modules() -> list[str]:
    root = next(path.parent for path in script_paths() if path.name == "main.js")
    return [path.relative_to(root).as_posix() for path in script_paths()]


class Stripping(BaseHTTPRequestHandler):
    """A proxy that serves the program under /fovea and asks it without that path."""

    port = 0

    def do_GET(self) -> None:
        self._pass_on(None)

    def do_POST(self) -> None:
        self._pass_on(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _pass_on(self, body: bytes | None) -> None:
        if not self.path.startswith("/fovea/"):
            self.send_error(404)
            return
        back = HTTPConnection("127.0.0.1", self.port, timeout=300)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        back.request(self.command, self.path.removeprefix("/fovea"), body, {**headers, "X-Forwarded-Host": self.headers["Host"]})
        answer = back.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while part := answer.read1(65536):
            self.wfile.write(part)
            self.wfile.flush()
        back.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def under_a_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a program behind a proxy that serves it under a path."""
    program = Program(tmp_path_factory.mktemp("path"), "--checkpoint", "tiny-llava", FOVEA_ROOT_PATH="/fovea")
    handler = type("Here", (Stripping,), {"port": program.port})
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{proxy.server_port}/fovea/"
    proxy.shutdown()
    program.end()


def test_under_a_path_everything_of_the_page_is_found(new_page: Callable[..., Watched], under_a_path: str) -> None:
    """Also its scripts, its pictures, and the answers of the model: the page is watched for what is not found."""
    page = new_page(url=under_a_path).open()
    assert page.answer(0) == "red"
    widths = "[...document.querySelectorAll('.fv-specimen img, .fv-scenes img')].map((img) => img.complete && img.naturalWidth)"
    page.page.wait_for_function(f"() => {widths}.every(Boolean)")
    page.ask("How many objects exist?")
    assert page.answer() != ""
    page.check()
