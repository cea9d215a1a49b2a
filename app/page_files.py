"""What a browser loads of ours, sent once and compressed: scripts of the page, and the page itself.

Scripts stand under an address that names their version, so a second visit asks for none of them. They are open also where
the page needs a password, as Gradio's own are: they hold nothing of anybody. A plain route, not a mount of a folder: behind a
proxy that strips its path, Starlette would look for the files under the path that is no longer there.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from panels.base.scripts import PREFIX, SCRIPTS, script_paths, version

FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
COMPRESSED = ("/", "/config", "/gradio_api/info")
"""What Gradio sends as it is: it compresses what has the name of a file."""
SMALL_BYTES = 500
LEVEL = 6

App = Callable[[MutableMapping[str, Any], Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]]], Awaitable[None]]


@dataclass(frozen=True)
class Script:
    """One module, and the same compressed."""

    body: bytes
    zipped: bytes
    tag: str

    @classmethod
    def of(cls, body: bytes) -> Script:
        return cls(body, gzip.compress(body, mtime=0), hashlib.sha256(body).hexdigest()[:16])

    def answer(self, accepts: str, known: str, fresh: bool) -> Response:
        """The module, or 304 where the client has it. `fresh`: the address names this version."""
        zipped = "gzip" in accepts
        tag = f'"{self.tag}{"-gzip" if zipped else ""}"'
        headers = {"ETag": tag, "Vary": "Accept-Encoding", "Cache-Control": FOREVER if fresh else ASK_AGAIN}
        if tag in [given.strip().removeprefix("W/") for given in known.split(",")]:
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["Content-Encoding"] = "gzip"
        headers["X-Content-Type-Options"] = "nosniff"
        return Response(self.zipped if zipped else self.body, headers=headers, media_type="text/javascript")


class PageFiles:
    """All modules, read once."""

    def __init__(self) -> None:
        self._scripts = {path.relative_to(SCRIPTS).as_posix(): Script.of(path.read_bytes()) for path in script_paths()}
        self._version = version()

    def routes(self) -> list[Route]:
        """For the server. Nothing but GET and HEAD, nothing but these files."""
        return [Route(f"/{PREFIX}/{{version}}/{{path:path}}", self.script)]

    async def script(self, request: Request) -> Response:
        """One module by its path."""
        script = self._scripts.get(request.path_params["path"])
        if script is None:
            return Response("There is no such script.", status_code=404, media_type="text/plain")
        accepts, known = (request.headers.get(name, "") for name in ("accept-encoding", "if-none-match"))
        return script.answer(accepts, known, request.path_params["version"] == self._version)


class Compressed:
    """ASGI middleware: the page and what it is described by are compressed where the client asks."""

    def __init__(self, app: App, paths: Iterable[str] = COMPRESSED) -> None:
        self.app, self._paths = app, frozenset(paths)
        self._zipped = GZipMiddleware(app, minimum_size=SMALL_BYTES, compresslevel=LEVEL)

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[Any]]
    ) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", "")) or "/"
        app = self._zipped if scope["type"] == "http" and path in self._paths else self.app
        await app(scope, receive, send)
