"""Work that pages wait for: how far each piece is, how to end it, and what it came to."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from model import Loading, Queued
from model.errors import InputError
from model.events import Event, Found, Share

T = TypeVar("T")
ABANDONED_S = 90.0
"""A page that looks asks several times a second, a hidden one once a minute; one that is gone never asks again."""
MAX_JOBS = 256


@dataclass(frozen=True)
class Progress:
    """How far a job is. `share` is 0 to 1, None where it is not known; `text` says what it is at, empty for the work itself."""

    text: str
    share: float | None
    elapsed_s: float


@dataclass
class _Job:
    stop: bool = False
    share: float | None = None
    text: str = ""
    begun: float = field(default_factory=time.monotonic)
    seen: float = field(default_factory=time.monotonic)

    def note(self, event: object) -> None:
        match event:
            case Share(share):
                self.share, self.text = share, ""
            case Loading(text, share):
                self.share, self.text = share, text
            case Queued(ahead):
                self.share, self.text = None, f"In line behind {ahead} {'call' if ahead == 1 else 'calls'}"

    @property
    def over(self) -> bool:
        """It was told to stop, or nobody has looked for long."""
        return self.stop or time.monotonic() - self.seen > ABANDONED_S


class Jobs:
    """The jobs in work, by a key of the page's own making. Used from many threads."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._lock = threading.Lock()

    def done(self, key: str, events: Iterator[Event | Share | Found[T]]) -> T:
        """The value some work comes to. Raises InputError where it was stopped or nobody waits any more, WorkbenchError."""
        job = _Job()
        with self._lock:
            self._jobs[key] = job
            while len(self._jobs) > MAX_JOBS:
                self._jobs.popitem(last=False)
        try:
            assert isinstance(events, Generator), f"{type(events).__name__} cannot be closed, so its work could not be ended"
            with closing(events):
                for event in events:
                    if isinstance(event, Found):
                        return event.value
                    job.note(event)
                    if job.over:
                        break
            raise InputError("Stopped.")
        finally:
            with self._lock:
                if self._jobs.get(key) is job:
                    del self._jobs[key]

    def progress(self, key: str) -> Progress | None:
        """How far a job is, None where it is not in work. That somebody looks is noted."""
        job = self._jobs.get(key)
        if job is None:
            return None
        job.seen = time.monotonic()
        return Progress(job.text, job.share, round(job.seen - job.begun, 1))

    def halt(self, key: str) -> None:
        """End a job at its next step."""
        job = self._jobs.get(key)
        if job is not None:
            job.stop = True
