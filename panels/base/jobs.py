"""Questions of pages that are being worked on: how far each is, how to end it, and what it came to."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from model import Loading, Queued
from model.errors import InputError
from model.events import Found, Share

ABANDONED_S = 90.0
"""A page that looks asks several times a second, a hidden one once a minute; one that is gone never asks again."""
MAX_JOBS = 256


@dataclass
class _Job:
    stop: bool = False
    share: float | None = None
    text: str = ""
    begun: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)


class Desk:
    """The questions in work, by a key of the page's own making. Used from many threads."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._lock = threading.Lock()

    def done(self, key: str, events: Iterator[Any]) -> Any:
        """The value some work comes to. Raises InputError where it was stopped or nobody waits any more, WorkbenchError."""
        job = _Job()
        with self._lock:
            self._jobs[key] = job
            while len(self._jobs) > MAX_JOBS:
                self._jobs.popitem(last=False)
        try:
            assert isinstance(events, Generator)
            with closing(events):
                for event in events:
                    if isinstance(event, Found):
                        return event.value
                    self._heard(job, event)
                    if job.stop or time.monotonic() - job.heard > ABANDONED_S:
                        break
            raise InputError("Stopped.")
        finally:
            with self._lock:
                if self._jobs.get(key) is job:
                    del self._jobs[key]

    @staticmethod
    def _heard(job: _Job, event: Any) -> None:
        match event:
            case Share(share):
                job.share, job.text = share, ""
            case Loading(text, share):
                job.share, job.text = share, text
            case Queued(ahead):
                job.share, job.text = None, f"In line behind {ahead} {'call' if ahead == 1 else 'calls'}"

    def seen(self, key: str) -> dict[str, Any]:
        """How far a question is: {text, share, elapsed_s}; empty where it is not in work. That somebody looks is noted."""
        job = self._jobs.get(key)
        if job is None:
            return {}
        job.heard = time.monotonic()
        return {"text": job.text, "share": job.share, "elapsed_s": round(job.heard - job.begun, 1)}

    def halt(self, key: str) -> None:
        """End a question at its next step."""
        job = self._jobs.get(key)
        if job is not None:
            job.stop = True
