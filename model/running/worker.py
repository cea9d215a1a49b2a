"""The one thread that touches models. Handlers relay what it says; nothing thread-local spans a yield.

Gradio resumes one generator in different threads, so grad mode, autocast or a lock held across a
`yield` would leak between users. Here jobs run one after the other on a thread of their own and push
events; whoever iterates only reads a queue.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..events import Queued, Waiting

T = TypeVar("T")
Emit = Callable[[Any], None]
Job = Callable[[Emit, threading.Event], None]
HEARTBEAT_S = 0.1
"""How long an iterator keeps silent, and so how late it notices that it was told to stop."""
DRAIN_S = 2.0


@dataclass
class _Entry:
    job: Job
    context: contextvars.Context
    stop: threading.Event
    out: queue.SimpleQueue[tuple[Any, BaseException | None]] = field(default_factory=queue.SimpleQueue)
    started: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


def _emitting(out: queue.SimpleQueue[tuple[Any, BaseException | None]]) -> Emit:
    return lambda event: out.put((event, None))


class Worker:
    """Runs jobs in order of arrival on one daemon thread. `stream` and `call` may be used from any other thread."""

    def __init__(self, name: str = "model") -> None:
        self._jobs: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        self._pending: list[_Entry] = []
        self._lock = threading.Lock()  # guards _pending
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def stream(self, job: Job, stop: threading.Event | None = None, *, drain_s: float = DRAIN_S) -> Generator[Any, None, None]:
        """Events of a job, as it emits them. Queued and Waiting are added while nothing else comes.

        `stop` ends the job early when it is set, from any thread; what it still emits is passed on. A job
        that was stopped before its turn never runs, and its events end at once.

        An error of the job is raised where `next` is called. Closing the iterator, or losing it, sets the
        stop event and waits at most `drain_s` for the job to end, so that all it said is known.
        """
        assert threading.current_thread() is not self._thread, "a job that streams another would wait for itself"
        entry = self._submit(job, stop or threading.Event())
        begun, ahead = time.perf_counter(), -1
        try:
            while True:
                try:
                    event, error = entry.out.get(timeout=HEARTBEAT_S)
                except queue.Empty:
                    if entry.stop.is_set() and not entry.started.is_set():
                        return
                    waiting = self._ahead(entry)
                    yield Queued(waiting) if waiting and waiting != ahead else Waiting((time.perf_counter() - begun) * 1e3)
                    ahead = waiting
                    continue
                if error is not None:
                    raise error
                if event is None:
                    return
                yield event
        finally:
            entry.stop.set()
            if entry.started.is_set():
                entry.done.wait(drain_s)

    def call(self, function: Callable[[], T]) -> T:
        """The value of a function run on the model thread. Its error is raised here."""
        if threading.current_thread() is self._thread:
            return function()
        box: list[T] = []
        entry = self._submit(lambda emit, stop: box.append(function()), threading.Event())
        _, error = entry.out.get()
        if error is not None:
            raise error
        return box[0]

    @property
    def busy(self) -> int:
        """How many jobs run or wait."""
        with self._lock:
            return len(self._pending)

    def _submit(self, job: Job, stop: threading.Event) -> _Entry:
        entry = _Entry(job, contextvars.copy_context(), stop)
        with self._lock:  # both at once, so that the order in the list is the order of turns
            self._pending.append(entry)
            self._jobs.put(entry)
        return entry

    def _ahead(self, entry: _Entry) -> int:
        with self._lock:
            return self._pending.index(entry) if entry in self._pending else 0

    def _loop(self) -> None:
        while True:
            entry = self._jobs.get()
            try:
                if not entry.stop.is_set():
                    entry.started.set()
                    entry.context.run(entry.job, _emitting(entry.out), entry.stop)
                entry.out.put((None, None))
            except BaseException as error:  # carried to whoever waits for it, and raised there
                entry.out.put((None, error))
            finally:
                with self._lock:
                    self._pending.remove(entry)
                entry.done.set()
                del entry
