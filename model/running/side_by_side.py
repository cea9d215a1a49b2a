"""Several prompts answered at once, side by side: their columns, the events of each, and the record of each.

Columns of one slot take turns in a `RoundRobin`; checkpoints that are not loaded are fetched meanwhile, on threads of their
own. A column whose checkpoint runs elsewhere is answered on a thread of its own.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any

from ..checkpoint import Checkpoint
from ..events import Event, Finished, Queued, Token, Waiting
from ..recorder import CallStart, Recorder, Status, new_id
from .call_record import CallRecord
from .pool import Fetched, Pool
from .round_robin import Column, ColumnError, ColumnEvent, ColumnStarted, Feed, QueuedColumn, RoundRobin, column_error
from .tasks import Slot
from .worker import HEARTBEAT_S, Emit

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ColumnFailed:
    """A column cannot go on. `error` is a sentence for the user; no event of this column follows."""

    column: int
    error: str


@dataclass
class RunningColumn:
    """A column that is being answered."""

    queued: QueuedColumn
    record: CallRecord
    stop: threading.Event = field(default_factory=threading.Event)


class SideBySide:
    """The columns of one call. `events` is iterated once, on any thread but the model's."""

    def __init__(
        self,
        columns: Sequence[Column],
        slot_of: Callable[[Checkpoint], Slot],
        recorder: Recorder,
        *,
        panel: str,
        session: str,
        group: str,
    ) -> None:
        self._asked_at = time.perf_counter()
        calls = [CallStart(c.run_id or new_id(), c.checkpoint, c.prompt, c.options, panel, session, group) for c in columns]
        assert len({call.run_id for call in calls}) == len(columns), "each column is a run of its own"
        self.columns = [
            RunningColumn(QueuedColumn(i, replace(column, run_id=call.run_id), self._asked_at), CallRecord(recorder, call))
            for i, (column, call) in enumerate(zip(columns, calls, strict=True))
        ]
        self._open = dict(enumerate(self.columns))
        """Columns that have not ended. Belongs to the thread that iterates."""
        self._feed = Feed({i: column.stop for i, column in enumerate(self.columns)})
        self._notes: queue.SimpleQueue[ColumnEvent | ColumnError | None] = queue.SimpleQueue()
        self._slots = [slot_of(column.checkpoint) for column in columns]
        self._shared = next((slot for slot in self._slots if slot.pool is not None), None)
        """The slot in which columns take turns. Those of any other slot are answered each on a thread of its own."""

    @property
    def stops(self) -> dict[str, Callable[[], None]]:
        """How to end each column, by its run id."""
        return {column.record.run_id: column.stop.set for column in self.columns}

    def events(self) -> Iterator[ColumnEvent | ColumnFailed]:
        """Events of all columns as they come. Each column is recorded when it begins and when it ends."""
        with ExitStack() as records:
            for column in self.columns:
                records.enter_context(column.record.open())
            try:
                self._prepare()
                while self._open:
                    yield from self._wait() if self._feed.empty else self._answer()
            finally:
                self.stop()

    def stop(self) -> None:
        """End every column."""
        for column in self.columns:
            column.stop.set()

    def _prepare(self) -> None:
        """Loaded checkpoints answer at once; the others are fetched meanwhile, each once."""
        for column, slot in zip(self.columns, self._slots, strict=True):
            if slot is not self._shared and self._feed.claim(column.queued.index):
                self._begin_thread(self._answer_alone, column, slot)
        if self._shared is None or self._shared.pool is None:
            return
        pool = self._shared.pool
        queued = [one.queued for one, slot in zip(self.columns, self._slots, strict=True) if slot is self._shared]
        loaded = [one for one in queued if one.column.checkpoint in pool]
        if loaded:
            self._feed.put(loaded)
        absent: dict[str, list[QueuedColumn]] = {}
        for one in queued:
            if one not in loaded:
                absent.setdefault(one.column.checkpoint.id, []).append(one)
        for group in absent.values():
            self._begin_thread(self._fetch, pool, group)

    def _begin_thread(self, work: Callable[..., None], *given: Any) -> None:
        """Run on a thread of its own, in the context of whoever asked."""
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(work, *given), name="column", daemon=True).start()

    def _answer_alone(self, column: RunningColumn, slot: Slot) -> None:
        """Answer a column in a slot that it does not share."""
        index = column.queued.index
        try:
            with closing(column.record.answered(slot, column.queued.column.session, column.stop)) as events:
                for event in events:
                    self._notes.put(ColumnEvent(index, event))
        except Exception as error:
            self._notes.put(column_error(index, error))

    def _fetch(self, pool: Pool, queued: list[QueuedColumn]) -> None:
        """Fetch the checkpoint of these columns."""
        try:
            with closing(pool.fetch(queued[0].column.checkpoint)) as steps:
                for step in steps:
                    if all(self.columns[one.index].stop.is_set() for one in queued):
                        return
                    if isinstance(step, Fetched):
                        self._feed.put(queued, step)
                        self._notes.put(None)  # wakes `_wait`
                    else:
                        for one in queued:
                            self._notes.put(ColumnEvent(one.index, step))
        except Exception as error:
            for one in queued:
                self._notes.put(column_error(one.index, error))

    def _wait(self) -> Iterator[ColumnEvent | ColumnFailed]:
        """Events while no column can answer yet."""
        try:
            yield from self._passed(self._notes.get(timeout=HEARTBEAT_S))
        except queue.Empty:
            yield from self._to_all(Waiting((time.perf_counter() - self._asked_at) * 1e3))
        yield from self._stopped()

    def _answer(self) -> Iterator[ColumnEvent | ColumnFailed]:
        """Events while columns take turns, until those that are ready have ended."""
        assert self._shared is not None, "the feed is filled for a shared slot alone"
        slot = self._shared
        checkpoints = frozenset(column.queued.column.checkpoint.id for column in self.columns)
        task = RoundRobin(self._feed.take(), checkpoints, self._feed)

        def job(emit: Emit, stop: threading.Event) -> None:
            def relay(told: ColumnEvent | ColumnStarted | ColumnError) -> None:
                record = self.columns[told.column].record
                if isinstance(told, ColumnStarted):
                    record.dequeued()
                elif isinstance(told, ColumnEvent):
                    record.events.append(told.event)
                emit(told)

            try:
                slot.run(task, relay, stop)
            except Exception as error:  # no GPU was lent, for instance: its columns fail, the others go on
                for index in sorted(self._feed.claimed | {one.index for one in task.first[0]}):
                    relay(column_error(index, error))

        stream = slot.worker.stream(job)
        try:
            for event in stream:
                while not self._notes.empty():
                    yield from self._passed(self._notes.get())
                yield from self._to_all(event) if isinstance(event, (Queued, Waiting)) else self._passed(event)
                yield from self._stopped()
                if not self._open:
                    return
        except GeneratorExit:
            self.stop()
            raise
        finally:
            stream.close()  # waits a little for the running step

    def _to_all(self, event: Event) -> Iterator[ColumnEvent]:
        for index in list(self._open):
            yield ColumnEvent(index, event)

    def _passed(self, told: ColumnEvent | ColumnStarted | ColumnError | None) -> Iterator[ColumnEvent | ColumnFailed]:
        """Pass an event on; the last of a column is recorded first."""
        column = self._open.get(told.column) if told is not None else None
        if column is None or told is None or isinstance(told, ColumnStarted):
            return
        if isinstance(told, ColumnError):
            log.log(
                logging.INFO if told.known else logging.ERROR, "A column of a comparison failed: %s", told.trace or told.error
            )
            self._end(column, "failed", told.error)
            yield ColumnFailed(told.column, told.sentence)
            return
        if isinstance(told.event, Finished):
            self._end(column, "done")
        yield told

    def _stopped(self) -> Iterator[ColumnEvent | ColumnFailed]:
        """End columns that were stopped where no stop reaches them: before they began, or in another process."""
        for index, column in list(self._open.items()):
            if column.stop.is_set() and self._feed.claim(index):
                tokens = [event for event in column.record.events if isinstance(event, Token)]
                text, chosen = "".join(token.text for token in tokens), sum(not token.given for token in tokens)
                last = Finished(column.record.run_id, text, "stopped", chosen, 0.0)
                column.record.events.append(last)
                yield from self._passed(ColumnEvent(index, last))

    def _end(self, column: RunningColumn, status: Status, error: str | None = None) -> None:
        del self._open[column.queued.index]
        column.record.end(status, error)
