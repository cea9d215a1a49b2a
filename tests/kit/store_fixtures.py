"""Turns to put into a session log, by this process or by others."""

from __future__ import annotations

import multiprocessing
import sqlite3
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from PIL import Image

from app.log.store import FILE, Store
from model.checkpoint import Checkpoint
from model.events import Alternative, Token
from model.options import Options
from model.pictures import from_image
from model.prompt import ImagePart, Message, Prompt
from model.recorder import CallEnd, CallStart, new_id

TINY = Checkpoint("tiny-llava", "tiny-llava")
OTHER = Checkpoint("other", "somebody/other", revision="main")


def picture(colour: str = "red", name: str = "") -> ImagePart:
    return from_image(Image.new("RGB", (6, 4), colour), name)


def says(role: str, *parts: str | ImagePart) -> Message:
    return Message(role, parts)  # type: ignore[arg-type]


def begin(store: Store, *messages: Message, session: str = "s", panel: str = "chat", checkpoint: Checkpoint = TINY,
          group: str = "", options: Options | None = None, run_id: str = "") -> str:  # fmt: skip
    """The id of a call that has begun."""
    run_id = run_id or new_id()
    store.start(CallStart(run_id, checkpoint, Prompt(messages), options or Options(), panel, session, group))
    return run_id


def turn(store: Store, *messages: Message, answer: str = "yes", status: str = "done", **call: object) -> str:
    """The id of a call that has ended."""
    run_id = begin(store, *messages, **call)  # type: ignore[arg-type]
    store.finish(CallEnd(run_id, status, answer, "end"))  # type: ignore[arg-type]
    return run_id


def tokens(*texts: str) -> tuple[Token, ...]:
    return tuple(
        Token(i, 10 + i, text, -0.25 * i, (Alternative(10 + i, text, -0.25 * i), Alternative(7, "é", -3.5)), given=i == 0)
        for i, text in enumerate(texts)
    )


def rows(root: Path, sql: str, *params: object) -> list[tuple]:
    """What a connection of its own reads: the oracle for what is in the file."""
    db = sqlite3.connect(root / FILE)
    try:
        return db.execute(sql, params).fetchall()
    finally:
        db.close()


def write_turns(root: Path, name: str, turns: int, acknowledge: Connection) -> None:
    """What a writing process does: finishes turns and sends the id of each once it is written."""
    store = Store(root)
    shared = picture("blue")
    for number in range(turns):
        run_id = turn(store, says("user", shared, f"{name} asks {number}"), answer=f"{name} says {number}", session=name)
        acknowledge.send(store.trouble or run_id)
    store.close()


class Writer:
    """A process of its own that writes turns, and what it has acknowledged."""

    def __init__(self, root: Path, name: str, turns: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])  # imports once instead of in every process
        self.acknowledged: list[str] = []
        self._reader, sender = context.Pipe(duplex=False)
        self.process = context.Process(target=write_turns, args=(root, name, turns, sender))
        self.process.start()
        sender.close()

    def read(self, turns: int) -> None:
        """Waits for that many acknowledgements, or for the end of the process."""
        with suppress(EOFError):
            for _ in range(turns):
                self.acknowledged.append(self._reader.recv())

    def kill(self) -> None:
        """kill -9, and then what was acknowledged before it."""
        self.process.kill()
        self.read(1_000_000)
        self.process.join()
