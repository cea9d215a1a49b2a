"""Limits of a public page on calls of the model: how often, how many at once, how large, how long.

A visitor is known by the address the request came from. A proxy of the host's own names it last in X-Forwarded-For;
anybody may have written what stands before that.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gradio.context import LocalContext

from model import Checkpoint, ColumnEvent, Finished, Loading, Options, Prompt, Queued, Waiting, WorkbenchError
from model.errors import InputError, OptionsError
from model.events import Found
from model.running.pool import Pool
from model.running.tasks import Slot, Task
from model.running.worker import Emit, Worker

MOST_ADDRESSES = 10_000


@dataclass(frozen=True)
class Limits:
    """Of one address: `calls` of the model in `within_s`, `at_once` running or waiting. Of one call: the rest."""

    calls: int = 60
    within_s: float = 60.0
    at_once: int = 4
    new_tokens: int = 512
    pictures: int = 8
    pixels: int = 25_000_000
    seconds: float = 60.0


@dataclass
class _Visits:
    left: float
    at: float
    running: int = 0


class RateLimiter:
    """Admits calls of a core within the limits. Used from many threads."""

    def __init__(self, limits: Limits, address: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self._address, self._clock = limits, address, clock
        self._visits: OrderedDict[str, _Visits] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def admit(self, calls: Sequence[tuple[Prompt, Options | None]]) -> Iterator[None]:
        """An admission for `Core`: these calls run while it is open. Raises WorkbenchError where one is too large or too many."""
        for prompt, options in calls:
            self.check(prompt, options)
        with self.entered(len(calls)):
            yield

    @contextmanager
    def entered(self, calls: int = 1) -> Iterator[None]:
        """While open so many calls run. Raises WorkbenchError where this address has used up its calls."""
        address = self._address()
        self._enter(address, calls)
        try:
            yield
        finally:
            with self._lock:
                self._visits[address].running -= 1

    def _enter(self, address: str, calls: int) -> None:
        limits, now = self.limits, self._clock()
        with self._lock:
            visits = self._visits.pop(address, None) or _Visits(limits.calls, now)
            visits.left = min(limits.calls, visits.left + (now - visits.at) * limits.calls / limits.within_s)
            visits.at = now
            self._visits[address] = visits
            if visits.running >= limits.at_once:
                raise WorkbenchError(f"{visits.running} of your calls run or wait already; this public page takes no more. Wait.")
            if visits.left < calls:
                wait = (calls - visits.left) * limits.within_s / limits.calls
                most = f"{limits.calls} calls in {limits.within_s:.0f} s"
                raise WorkbenchError(f"That is more than {most}. Try again in {wait:.0f} s.")
            visits.left -= calls
            visits.running += 1
            idle = [name for name, other in self._visits.items() if not other.running]
            for name in idle[: max(0, len(self._visits) - MOST_ADDRESSES)]:
                del self._visits[name]

    def check(self, prompt: Prompt, options: Options | None = None) -> None:
        """Raises OptionsError, InputError where a call is larger than a visitor may ask for."""
        limits = self.limits
        if options is not None and options.max_new_tokens > limits.new_tokens:
            raise OptionsError(f"Length is {options.max_new_tokens}; at most {limits.new_tokens} on this public page. Lower it.")
        sizes = [part.image.width * part.image.height for part in prompt.images]
        if len(sizes) > limits.pictures:
            raise InputError(f"This chat holds {len(sizes)} pictures; at most {limits.pictures} on this public page. Begin anew.")
        if max(sizes, default=0) > limits.pixels:
            most = f"at most {limits.pixels / 1e6:.0f} on this public page"
            raise InputError(f"A picture has {max(sizes) / 1e6:.0f} megapixels; {most}. Scale it down.")


@dataclass(frozen=True)
class TimedSlot:
    """A slot whose tasks are stopped after so many seconds: an answer keeps what it has, other work fails with a sentence."""

    inner: Slot
    seconds: float

    @property
    def worker(self) -> Worker:
        return self.inner.worker

    @property
    def pool(self) -> Pool | None:
        return self.inner.pool

    def load(self, checkpoint: Checkpoint) -> Generator[Loading | Queued | Waiting, None, None]:
        return self.inner.load(checkpoint)

    def run(self, task: Task, emit: Emit, stop: threading.Event) -> None:
        late, answered = threading.Event(), False

        def relay(event: Any) -> None:
            nonlocal answered
            answered = answered or isinstance(event.event if isinstance(event, ColumnEvent) else event, (Finished, Found))
            emit(event)

        def end() -> None:
            late.set()
            stop.set()

        timer = threading.Timer(self.seconds, end)
        timer.daemon = True
        timer.start()
        try:
            self.inner.run(task, relay, stop)
        finally:
            timer.cancel()
        if late.is_set() and not answered:
            raise WorkbenchError(f"This takes longer than the {self.seconds:.0f} s a visitor has here. Choose a quicker method.")


def address_here() -> str:
    """The address of whoever is being answered on this thread."""
    request = LocalContext.request.get(None)
    if request is None or request.client is None:
        return "unknown"
    return address_of(request.client.host, request.headers.get("x-forwarded-for", ""))


def address_of(peer: str, forwarded: str) -> str:
    """The last address on the way here that is no proxy of the host's own network; the peer's where there is none."""
    if not _inside(peer):
        return peer
    named = [one.strip() for one in forwarded.split(",") if one.strip()]
    return next((one for one in reversed(named) if not _inside(one)), named[0] if named else peer)


def _inside(address: str) -> bool:
    try:
        return not ipaddress.ip_address(address).is_global
    except ValueError:
        return False
