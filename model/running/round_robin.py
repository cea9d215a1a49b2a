"""Round robin over several answers on the one model thread: one step each in turn.

A column's tokens and log-probabilities equal those of running it alone. Its wall time is longer, since the columns share
the machine; `Spent` reports the compute time of each. Weights not in memory are read between two rounds, one checkpoint at
a time.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from ..checkpoint import Checkpoint
from ..errors import WorkbenchError
from ..events import Event, Finished, Loading, Prefilled, Spent, Token
from ..generation.vlm import VisionLanguageModel
from ..options import Options
from ..prompt import Prompt
from .pool import Fetched, Pool
from .stepped_thread import SteppedThread, cache_of
from .worker import Emit


@dataclass(frozen=True)
class Column:
    """One of several prompts to be answered side by side. Plain data: it pickles.

    `run_id` is its id in the log, a new one where empty. `session` names the chat whose earlier keys and values may
    be reused and will be kept; empty for none.
    """

    checkpoint: Checkpoint
    prompt: Prompt
    options: Options = field(default_factory=Options)
    run_id: str = ""
    session: str = ""


@dataclass(frozen=True)
class ColumnEvent:
    """An event of one column. The last is a Finished, with a Spent just before it where the model ran."""

    column: int
    event: Event


@dataclass(frozen=True)
class ColumnStarted:
    """A column has left the queue."""

    column: int


@dataclass(frozen=True)
class ColumnError:
    """The error of a column, as plain data. `sentence` is for the user, `error` for the log."""

    column: int
    error: str
    sentence: str
    known: bool
    trace: str = ""


@dataclass(frozen=True)
class QueuedColumn:
    """A column, its index among the columns of the call, and when the call was made (`time.perf_counter`)."""

    index: int
    column: Column
    asked_at: float


Arrival = tuple[tuple[QueuedColumn, ...], Fetched | None]
"""Columns of one checkpoint that can begin, and its fetched weights where they are still to be read."""


class Feed:
    """Input to a running round robin from other threads: columns whose weights arrive later, and stops of single columns.

    Pickles as an empty feed: nothing reaches a round robin in another process.
    """

    def __init__(self, stops: dict[int, threading.Event] | None = None) -> None:
        self._stops = dict(stops or {})
        self._arrived: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._claimed: set[int] = set()
        self._lock = threading.Lock()  # guards _claimed

    def __reduce__(self) -> tuple[type[Feed], tuple[()]]:
        return Feed, ()

    @property
    def empty(self) -> bool:
        return self._arrived.empty()

    def put(self, columns: Sequence[QueuedColumn], fetched: Fetched | None = None) -> None:
        """Add columns that can begin, once their fetched weights are read."""
        self._arrived.put((tuple(columns), fetched))

    def take(self) -> Arrival:
        """The next columns that can begin. Blocks."""
        return self._arrived.get()

    def stop_of(self, index: int) -> threading.Event:
        return self._stops.setdefault(index, threading.Event())

    @property
    def claimed(self) -> frozenset[int]:
        """Indices of columns that have begun, or were ended before they did."""
        with self._lock:
            return frozenset(self._claimed)

    def claim(self, index: int) -> bool:
        """Claim a column, to begin it or to end it before it begins. False where it is claimed already."""
        with self._lock:
            first = index not in self._claimed
            self._claimed.add(index)
            return first


@dataclass(frozen=True)
class RoundRobin:
    """Task: answer columns, one step each in turn. Emits for each ColumnStarted, then ColumnEvent until Finished, or ColumnError.

    `keep` are ids of checkpoints that are not unloaded to make room for another of the same call.
    """

    gpu_s: ClassVar[int] = 120
    first: Arrival
    keep: frozenset[str]
    feed: Feed = field(default_factory=Feed, compare=False)

    def __call__(self, pool: Pool, emit: Emit, stop: threading.Event) -> None:
        running = self._begin(pool, *self.first, emit)
        while running or not self.feed.empty:
            for index, thread in running:
                if stop.is_set():
                    self.feed.stop_of(index).set()
                thread.step()
            running = [(index, thread) for index, thread in running if not thread.over]
            if not self.feed.empty:  # one checkpoint at a time, so that running answers go on in between
                running += self._begin(pool, *self.feed.take(), emit)

    def _begin(
        self, pool: Pool, columns: Iterable[QueuedColumn], fetched: Fetched | None, emit: Emit
    ) -> list[tuple[int, SteppedThread]]:
        """Start these columns, reading their weights first where need be; their indices and threads."""
        columns = [one for one in columns if not self.feed.stop_of(one.index).is_set() and self.feed.claim(one.index)]
        if not columns:
            return []

        def tell(step: Loading) -> None:
            for one in columns:
                emit(ColumnEvent(one.index, step))

        try:
            if fetched is not None:
                pool.read(fetched, tell, self.keep)
            vlms = [pool.ready(one.column.checkpoint) for one in columns]
        except Exception as error:
            for one in columns:
                emit(column_error(one.index, error))
            return []
        return [(one.index, self._thread(one, vlm, vlms.count(vlm) > 1, emit)) for one, vlm in zip(columns, vlms, strict=True)]

    def _thread(self, queued: QueuedColumn, vlm: VisionLanguageModel, shared: bool, emit: Emit) -> SteppedThread:
        """The thread that answers a column, not started yet. `shared`: other columns run the same model."""

        def work(pause: Callable[[], None]) -> None:
            try:
                _answer(queued, vlm, self.feed.stop_of(queued.index), thread, pause, emit)
            except Exception as error:
                emit(column_error(queued.index, error))

        thread = SteppedThread(work, vlm.parts.model if shared else None)
        return thread


def _answer(
    queued: QueuedColumn,
    vlm: VisionLanguageModel,
    stop: threading.Event,
    thread: SteppedThread,
    pause: Callable[[], None],
    emit: Emit,
) -> None:
    """Answer one column, pausing after each token the model chose; a Spent comes before the Finished."""
    column, first_at, first_ms = queued.column, None, 0.0

    def relay(event: Event) -> None:
        nonlocal first_at, first_ms
        if isinstance(event, Prefilled):
            first_at, first_ms = time.perf_counter(), thread.busy_ms
        if isinstance(event, Finished) and first_at is not None:
            steps = max(0, event.new_tokens - 1 + (event.reason == "end"))
            waited_ms, decode_ms = (first_at - queued.asked_at) * 1e3, thread.busy_ms - first_ms
            spent = Spent(waited_ms, first_ms, decode_ms, event.decode_ms, steps, vlm.size_bytes, cache_bytes())
            emit(ColumnEvent(queued.index, spent))
        emit(ColumnEvent(queued.index, event))
        if isinstance(event, Token) and not event.given:
            pause()

    emit(ColumnStarted(queued.index))
    with cache_of(vlm.parts.model) as cache_bytes:
        vlm.answer(relay, stop, column.run_id, column.prompt, column.options, column.session)


def column_error(index: int, error: Exception) -> ColumnError:
    """An error as plain data. An unexpected one is named to the user by its type alone."""
    if isinstance(error, WorkbenchError):
        return ColumnError(index, str(error), str(error), True)
    kind = type(error).__name__
    sentence = f"Something went wrong with this column ({kind}). The log says more."
    return ColumnError(index, f"{kind}: {error}", sentence, False, "".join(traceback.format_exception(error)))
