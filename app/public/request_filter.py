"""What a public page does not take in: bodies without end, and addresses that the server would have to fetch.

Gradio fetches a picture that is given by its address, from public networks alone. A visitor attaches files; nothing here
needs the network on their behalf, so a request that names one is answered with a sentence before anything reads it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

MOST_BODY_BYTES = 4_000_000
"""Of a request other than an upload: an answer of the page with all its settings is a thousandth of it."""
UPLOADS = ("/upload", "/upload/")
FETCHED = ("http:", "https:", "ftp:", "file:", "//", "data:")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Gate:
    """ASGI middleware."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"].endswith(UPLOADS):
            await self.app(scope, receive, send)
            return
        body = await _whole(receive)
        wrong = _wrong(body)
        if wrong:
            await _refuse(send, *wrong)
            return
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        await self.app(scope, again, send)


async def _whole(receive: Receive) -> bytes | None:
    """The body; None where it is too long, or the caller has left."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > MOST_BODY_BYTES:
            return None
    return b"".join(parts)


def _wrong(body: bytes | None) -> tuple[int, str] | None:
    if body is None:
        return 413, f"The request is larger than {MOST_BODY_BYTES // 10**6} MB. Shorten it; attach pictures as files."
    try:
        given = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None  # no JSON: whoever it is for says what is wrong with it
    if _fetches(given):
        return 400, "Addresses are not fetched on a public page. Attach the picture as a file."
    return None


def _fetches(given: Any) -> bool:
    """Whether a file is named by an address, anywhere within."""
    waiting = [given]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and path.strip().lower().startswith(FETCHED):
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence, "error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
