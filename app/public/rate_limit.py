"""What a visitor of a public page may have of the model: how often, how much at once, how long.

Whoever asks is known by the address the request came from. A proxy of the host's own names it last in
X-Forwarded-For; what stands before that anybody may have written.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from gradio.context import LocalContext

from model import Checkpoint, Core, Options, Prompt, WorkbenchError
from model.errors import InputError, OptionsError
from model.events import Encoded, Share, Token
from model.running.round_robin import ColumnEvent

MOST_ADDRESSES = 10_000
_BEGUN = (Encoded, Share, Token)


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


class Door:
    """Lets calls in. Used from many threads."""

    def __init__(self, limits: Limits, address: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self._address, self._clock = limits, address, clock
        self._visits: OrderedDict[str, _Visits] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def entered(self, calls: int = 1) -> Iterator[None]:
        """Within it so many calls run. Raises WorkbenchError where this address has had its share."""
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


class PublicCore(Core):
    """A core whose calls go through a door. `door` is set before it is used."""

    door: Door

    def generate(self, checkpoint: Checkpoint, prompt: Prompt, options: Options | None = None, **more: Any) -> Iterator[Any]:
        self.door.check(prompt, options or Options())
        with self.door.entered(), closing(super().generate(checkpoint, prompt, options, **more)) as events:
            yield from self._timed(events, lambda: self.stop(more.get("run_id", "")))

    def side_by_side(self, columns: Sequence[Any], **more: Any) -> Iterator[Any]:
        for column in columns:
            self.door.check(column.prompt, column.options)
        with self.door.entered(len(columns)), closing(super().side_by_side(columns, **more)) as events:
            yield from self._timed(events, lambda: self.stop(more.get("group", "")))

    def examine(self, checkpoint: Checkpoint, prompt: Prompt, answer: Any, work: Any) -> Iterator[Any]:
        self.door.check(prompt)
        with self.door.entered(), closing(super().examine(checkpoint, prompt, answer, work)) as events:
            yield from self._timed(events, self._too_long)

    def _found(self, checkpoint: Checkpoint, task: Any) -> Any:
        with self.door.entered():
            return super()._found(checkpoint, task)

    def _timed(self, events: Iterator[Any], end: Callable[[], Any]) -> Iterator[Any]:
        """The events of a call, which is ended when the model has worked on it for too long."""
        begun: float | None = None
        ended = False
        for event in events:
            said = event.event if isinstance(event, ColumnEvent) else event
            if begun is None and isinstance(said, _BEGUN):
                begun = time.monotonic()
            if begun is not None and not ended and time.monotonic() - begun > self.door.limits.seconds:
                ended = True
                end()
            yield event

    def _too_long(self) -> None:
        most = f"{self.door.limits.seconds:.0f} s a visitor has here"
        raise WorkbenchError(f"This takes longer than the {most}. Choose a quicker method.")


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
