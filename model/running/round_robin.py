"""Several answers on the one model thread, a step each in turn.

Each column's tokens and log-probabilities are those of running it alone. What it does not have is the machine to
itself: its wall time is longer, and `Spent` says how long the model worked for it. Weights that have to be read are
read between two rounds, one checkpoint at a time.
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
from .stepped_thread import Lane, cache_of
from .worker import Emit


@dataclass(frozen=True)
class Column:
    """One of several answers to be made at once. Plain data: it pickles.

    `run_id` is its id in the log, a new one where empty. `session` names the chat whose earlier keys and values may
    be reused and will be kept; empty for none.
    """

    checkpoint: Checkpoint
    prompt: Prompt
    options: Options = field(default_factory=Options)
    run_id: str = ""
    session: str = ""


@dataclass(frozen=True)
class Said:
    """A column says something. The last is a Finished, with a Spent just before it where the model was asked."""

    column: int
    event: Event


@dataclass(frozen=True)
class Began:
    """A column has left the queue."""

    column: int


@dataclass(frozen=True)
class Broke:
    """A column's error, as plain data. `sentence` is for the user, `error` for the log."""

    column: int
    error: str
    sentence: str
    known: bool
    trace: str = ""


@dataclass(frozen=True)
class Turn:
    """One column, which of them it is, and when it was asked for (`time.perf_counter`)."""

    index: int
    column: Column
    asked_at: float


Arrival = tuple[tuple[Turn, ...], Fetched | None]


class Feed:
    """What reaches a running comparison from outside: columns that are ready later, and stops of single ones.

    In another process nothing does. It pickles as an empty one.
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

    def put(self, turns: Sequence[Turn], fetched: Fetched | None = None) -> None:
        """These can begin, once the weights that were fetched for them are read."""
        self._arrived.put((tuple(turns), fetched))

    def take(self) -> Arrival:
        """The next that can begin. Waits for it."""
        return self._arrived.get()

    def stop_of(self, index: int) -> threading.Event:
        return self._stops.setdefault(index, threading.Event())

    @property
    def claimed(self) -> frozenset[int]:
        """Columns that have begun, or were ended before they did."""
        with self._lock:
            return frozenset(self._claimed)

    def claim(self, index: int) -> bool:
        """Whether the caller is the first, who begins the column, or ends it."""
        with self._lock:
            first = index not in self._claimed
            self._claimed.add(index)
            return first


@dataclass(frozen=True)
class Abreast:
    """Answer columns, a step each in turn: Began, then Said until Finished, or Broke, of each.

    `keep` are ids of checkpoints that make no room for another of the same comparison.
    """

    gpu_s: ClassVar[int] = 120
    first: Arrival
    keep: frozenset[str]
    feed: Feed = field(default_factory=Feed, compare=False)

    def __call__(self, pool: Pool, emit: Emit, stop: threading.Event) -> None:
        lanes: list[tuple[int, Lane]] = self._begin(pool, *self.first, emit)
        while lanes or not self.feed.empty:
            for index, lane in lanes:
                if stop.is_set():
                    self.feed.stop_of(index).set()
                lane.step()
            lanes = [(index, lane) for index, lane in lanes if not lane.over]
            if not self.feed.empty:  # one at a time: what answers goes on between
                lanes += self._begin(pool, *self.feed.take(), emit)

    def _begin(self, pool: Pool, turns: Iterable[Turn], fetched: Fetched | None, emit: Emit) -> list[tuple[int, Lane]]:
        """The columns that begin now, their weights read first if they have to be."""
        turns = [turn for turn in turns if not self.feed.stop_of(turn.index).is_set() and self.feed.claim(turn.index)]
        if not turns:
            return []

        def tell(step: Loading) -> None:
            for turn in turns:
                emit(Said(turn.index, step))

        try:
            if fetched is not None:
                pool.read(fetched, tell, self.keep)
            vlms = [pool.ready(turn.column.checkpoint) for turn in turns]
        except Exception as error:
            for turn in turns:
                emit(broke(turn.index, error))
            return []
        shared = [vlms.count(vlm) > 1 for vlm in vlms]
        return [(turn.index, self._lane(turn, *how, emit)) for turn, *how in zip(turns, vlms, shared, strict=True)]

    def _lane(self, turn: Turn, vlm: VisionLanguageModel, shared: bool, emit: Emit) -> Lane:
        def work(pause: Callable[[], None]) -> None:
            try:
                _answer(turn, vlm, self.feed.stop_of(turn.index), lane, pause, emit)
            except Exception as error:
                emit(broke(turn.index, error))

        lane = Lane(work, vlm.parts.model if shared else None)
        return lane


def _answer(
    turn: Turn, vlm: VisionLanguageModel, stop: threading.Event, lane: Lane, pause: Callable[[], None], emit: Emit
) -> None:
    """One column's answer, with a pause after each token the model chose and a Spent before its end."""
    column, first_at, first_ms = turn.column, None, 0.0

    def note(event: Event) -> None:
        nonlocal first_at, first_ms
        if isinstance(event, Prefilled):
            first_at, first_ms = time.perf_counter(), lane.busy_ms
        if isinstance(event, Finished) and first_at is not None:
            steps = max(0, event.new_tokens - 1 + (event.reason == "end"))
            waited_ms, decode_ms = (first_at - turn.asked_at) * 1e3, lane.busy_ms - first_ms
            spent = Spent(waited_ms, first_ms, decode_ms, event.decode_ms, steps, vlm.size_bytes, cache_bytes())
            emit(Said(turn.index, spent))
        emit(Said(turn.index, event))
        if isinstance(event, Token) and not event.given:
            pause()

    emit(Began(turn.index))
    with cache_of(vlm.parts.model) as cache_bytes:
        vlm.answer(note, stop, column.run_id, column.prompt, column.options, column.session)


def broke(index: int, error: Exception) -> Broke:
    """An error as plain data. What is not known is named to the user by its kind alone."""
    if isinstance(error, WorkbenchError):
        return Broke(index, str(error), str(error), True)
    kind = type(error).__name__
    trace = "".join(traceback.format_exception(error))
    return Broke(index, f"{kind}: {error}", f"Something went wrong with this column ({kind}). The log says more.", False, trace)
