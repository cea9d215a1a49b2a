"""Scripts are sent once, compressed where that is asked for, under whatever path; the page itself is compressed, too."""

from __future__ import annotations

import gzip
import re

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from app.page_files import Compressed, PageFiles
from panels.base.scripts import SCRIPTS, address, script_paths, version

MAIN = address("main.js")
PLAIN = {"accept-encoding": "identity"}


async def page(request: Request) -> Response:
    return PlainTextResponse("word " * 1000)


def client(root_path: str = "") -> TestClient:
    app = Starlette(
        routes=[*PageFiles().routes(), Route("/", page), Route("/config", page), Route("/other", page)],
        middleware=[Middleware(Compressed)],
    )
    return TestClient(app, root_path=root_path)


@pytest.mark.parametrize("path", [path.relative_to(SCRIPTS).as_posix() for path in script_paths()])
def test_every_module_is_served_as_it_lies(path: str) -> None:
    answer = client().get(f"/{address(path)}", headers=PLAIN)
    assert answer.status_code == 200
    assert answer.content == (SCRIPTS / path).read_bytes()
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "content-encoding" not in answer.headers


def test_a_module_is_compressed_where_the_client_takes_it() -> None:
    with client().stream("GET", f"/{MAIN}", headers={"accept-encoding": "br;q=1, gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(raw) == (SCRIPTS / "main.js").read_bytes()
    assert len(raw) < 0.6 * len((SCRIPTS / "main.js").read_bytes())


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_second_visit_repeats_nothing(encoding: str) -> None:
    asked = {"accept-encoding": encoding}
    first = client().get(f"/{MAIN}", headers=asked)
    assert first.headers["cache-control"] == "public, max-age=31536000, immutable", "a browser does not even ask again"
    for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
        second = client().get(f"/{MAIN}", headers={**asked, "if-none-match": known})
        assert (second.status_code, second.content) == (304, b"")
        assert second.headers["etag"] == first.headers["etag"]
    assert client().get(f"/{MAIN}", headers={**asked, "if-none-match": '"other"'}).status_code == 200
    other = {"identity": "gzip", "gzip": "identity"}[encoding]
    assert client().get(f"/{MAIN}", headers={"accept-encoding": other}).headers["etag"] != first.headers["etag"]


def test_an_address_of_another_version_is_answered_and_not_kept() -> None:
    answer = client().get("/scripts/000000000000/main.js")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


def test_the_version_is_of_the_content() -> None:
    assert re.fullmatch(r"scripts/[0-9a-f]{12}/main\.js", MAIN)
    assert version() == version()


@pytest.mark.parametrize("path", ["", "..%2F..%2Fcss%2Ffovea.css", "dom", "dom/", "tsconfig.json", "/etc/passwd", "dom/make.js/"])
def test_nothing_but_modules_is_served(path: str) -> None:
    assert client().get(f"/scripts/{version()}/{path}").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_is_taken_in(method: str) -> None:
    assert client().request(method, f"/{MAIN}", content=b"x").status_code == 405


@pytest.mark.parametrize("path", ["/", "/config"])
def test_the_page_is_compressed_where_the_client_asks(path: str) -> None:
    plain, zipped = (client().get(path, headers={"accept-encoding": encoding}) for encoding in ("identity", "gzip"))
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.text == plain.text
    assert int(zipped.headers["content-length"]) < 0.1 * int(plain.headers["content-length"])
    assert "content-encoding" not in client().get("/other").headers


@pytest.mark.parametrize("prefix", ["", "/fovea"], ids=["the proxy strips its path", "the proxy leaves it"])
def test_under_a_path_scripts_and_page_are_found(prefix: str) -> None:
    under = client(root_path="/fovea")
    assert under.get(f"{prefix}/{MAIN}", headers=PLAIN).content == (SCRIPTS / "main.js").read_bytes()
    assert under.get(f"{prefix}/").headers["content-encoding"] == "gzip"
