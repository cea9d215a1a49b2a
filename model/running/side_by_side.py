"""Several answers at once, side by side: what each is asked, what it says, how each is written down.

Checkpoints that are not loaded are looked for and fetched on threads of their own while loaded columns answer.
The turns on the model thread are `abreast`'s.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from ..events import Event, Finished, Queued, Token, Waiting
from ..recorder import CallStart, Recorder, Status, new_id
from .call_record import Heard
from .pool import Fetched, Pool
from .round_robin import Abreast, Began, Broke, Column, Feed, Said, Turn, broke
from .tasks import Slot
from .worker import HEARTBEAT_S, Emit, Worker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failed:
    """A column cannot go on. `error` is a sentence for the user; nothing more comes of this column."""

    column: int
    error: str


@dataclass
class Part:
    """One column as it is being made."""

    turn: Turn
    heard: Heard
    stop: threading.Event = field(default_factory=threading.Event)


class Comparison:
    """The columns of one call. `events` is iterated once, on any thread but the model's."""

    def __init__(self, columns: Sequence[Column], pool: Pool, worker: Worker, slot: Slot, recorder: Recorder) -> None:
        self._asked_at = time.perf_counter()
        named = [replace(column, run_id=column.run_id or new_id()) for column in columns]
        self.parts = [Part(Turn(i, column, self._asked_at), Heard(column.run_id)) for i, column in enumerate(named)]
        assert len({column.run_id for column in named}) == len(columns), "each column is a run of its own"
        self._pool, self._worker, self._slot, self._recorder = pool, worker, slot, recorder
        self._open = dict(enumerate(self.parts))
        """Those that have not ended. Belongs to the thread that iterates."""
        self._feed = Feed({i: part.stop for i, part in enumerate(self.parts)})
        self._notes: queue.SimpleQueue[Said | Broke | None] = queue.SimpleQueue()

    def events(self, panel: str, session: str, group: str) -> Iterator[Said | Failed]:
        """What the columns say, as it comes. Each is recorded when it begins and when it ends, however it ends."""
        for part in self.parts:
            column = part.turn.column
            call = (column.run_id, column.checkpoint, column.prompt, column.options, panel, session, group)
            self._recorder.start(CallStart(*call))
        status: Status = "failed"
        error: str | None = None
        try:
            self._prepare()
            while self._open:
                yield from self._wait() if self._feed.empty else self._answer()
        except GeneratorExit:
            status = "stopped"
            raise
        except Exception as unknown:
            error = f"{type(unknown).__name__}: {unknown}"
            raise
        finally:
            self.stop()
            for part in list(self._open.values()):
                self._end(part, status, error)

    def stop(self) -> None:
        """End every column."""
        for part in self.parts:
            part.stop.set()

    def _prepare(self) -> None:
        """Loaded checkpoints answer at once, all others are fetched beside them, each once."""
        turns = [part.turn for part in self.parts]
        there = [turn for turn in turns if turn.column.checkpoint in self._pool]
        if there:
            self._feed.put(there)
        absent: dict[str, list[Turn]] = {}
        for turn in turns:
            if turn not in there:
                absent.setdefault(turn.column.checkpoint.id, []).append(turn)
        for group in absent.values():
            threading.Thread(target=self._fetch, args=(group,), name="fetch", daemon=True).start()

    def _fetch(self, turns: list[Turn]) -> None:
        try:
            with closing(self._pool.fetch(turns[0].column.checkpoint)) as steps:
                for step in steps:
                    if all(self.parts[turn.index].stop.is_set() for turn in turns):
                        return
                    if isinstance(step, Fetched):
                        self._feed.put(turns, step)
                        self._notes.put(None)  # somebody may be waiting for a word
                    else:
                        for turn in turns:
                            self._notes.put(Said(turn.index, step))
        except Exception as error:
            for turn in turns:
                self._notes.put(broke(turn.index, error))

    def _wait(self) -> Iterator[Said | Failed]:
        """What is said while no column can answer."""
        try:
            yield from self._told(self._notes.get(timeout=HEARTBEAT_S))
        except queue.Empty:
            yield from self._all(Waiting((time.perf_counter() - self._asked_at) * 1e3))
        yield from self._given_up()

    def _answer(self) -> Iterator[Said | Failed]:
        """What is said while columns answer, until those that are ready have ended."""
        task = Abreast(self._feed.take(), frozenset(part.turn.column.checkpoint.id for part in self.parts), self._feed)

        def job(emit: Emit, stop: threading.Event) -> None:
            def note(told: Said | Began | Broke) -> None:
                heard = self.parts[told.column].heard
                if isinstance(told, Began):
                    heard.start()
                elif isinstance(told, Said):
                    heard.events.append(told.event)
                emit(told)

            try:
                self._slot.run(task, note, stop)
            except Exception as error:  # no GPU was lent, say: whoever waits for it hears why, the others go on
                for index in sorted(self._feed.claimed | {turn.index for turn in task.first[0]}):
                    note(broke(index, error))

        stream = self._worker.stream(job)
        try:
            for event in stream:
                while not self._notes.empty():
                    yield from self._told(self._notes.get())
                yield from self._all(event) if isinstance(event, (Queued, Waiting)) else self._told(event)
                yield from self._given_up()
                if not self._open:
                    return
        except GeneratorExit:
            self.stop()
            raise
        finally:
            stream.close()  # waits a little for what is being said

    def _all(self, event: Event) -> Iterator[Said]:
        for index in list(self._open):
            yield Said(index, event)

    def _told(self, told: Said | Began | Broke | None) -> Iterator[Said | Failed]:
        """Pass it on, written down first where it is a column's last word."""
        part = self._open.get(told.column) if told is not None else None
        if part is None or isinstance(told, Began):
            return
        if isinstance(told, Broke):
            log.log(
                logging.INFO if told.known else logging.ERROR, "A column of a comparison failed: %s", told.trace or told.error
            )
            self._end(part, "failed", told.error)
            yield Failed(told.column, told.sentence)
            return
        if isinstance(told.event, Finished):
            self._end(part, "done")
        yield told

    def _given_up(self) -> Iterator[Said | Failed]:
        """Columns that were stopped and that no stop reaches: before their turn, or in another process."""
        for index, part in list(self._open.items()):
            if part.stop.is_set() and self._feed.claim(index):
                tokens = [event for event in part.heard.events if isinstance(event, Token)]
                text, chosen = "".join(token.text for token in tokens), sum(not token.given for token in tokens)
                last = Finished(part.turn.column.run_id, text, "stopped", chosen, 0.0)
                part.heard.events.append(last)
                yield from self._told(Said(index, last))

    def _end(self, part: Part, status: Status, error: str | None = None) -> None:
        del self._open[part.turn.index]
        self._recorder.finish(part.heard.ending(status, error))
