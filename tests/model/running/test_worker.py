"""The model thread: one job at a time in order, events as they come, stops and errors where they belong."""

from __future__ import annotations

import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from fakes import STOP_S, best_of_three, soon

from model.events import Queued, Waiting
from model.running import worker as worker_module
from model.running.worker import Emit, Worker

LONG_S = 20.0


@pytest.fixture
def worker() -> Worker:
    return Worker("under test")


def values(events: list[Any]) -> list[Any]:
    return [event for event in events if not isinstance(event, (Queued, Waiting))]


def spin(emit: Emit, stop: threading.Event) -> None:
    """Emits a number every millisecond until it is stopped."""
    number = 0
    while not stop.wait(0.001):
        emit(number)
        number += 1
    emit("stopped")


def until_stopped(started: threading.Event) -> Callable[[Emit, threading.Event], None]:
    """A job that says nothing and goes on until it is stopped."""

    def job(emit: Emit, stop: threading.Event) -> None:
        started.set()
        assert stop.wait(LONG_S)

    return job


def test_jobs_run_one_at_a_time_in_the_order_they_came(worker: Worker) -> None:
    running, order, streams = [], [], []

    def job(index: int) -> Callable[[Emit, threading.Event], None]:
        def run(emit: Emit, stop: threading.Event) -> None:
            assert running == []
            running.append(index)
            order.append(index)
            emit(index)
            running.pop()

        return run

    hold = threading.Event()
    streams = [worker.stream(job(i)) for i in range(6)]
    blocker = threading.Thread(target=lambda: worker.call(lambda: hold.wait(LONG_S)))
    blocker.start()
    while worker.busy < 1:
        pass
    threads = []
    for i, stream in enumerate(streams):
        thread = threading.Thread(target=lambda s=stream: list(s))
        thread.start()
        threads.append(thread)
        while worker.busy < i + 2:
            pass
    assert worker.busy == 7
    hold.set()
    for thread in [blocker, *threads]:
        thread.join(LONG_S)
    assert order == list(range(6))
    assert worker.call(lambda: worker.busy) == 1, "none waits, and this one runs"


def test_events_come_as_they_are_emitted_and_on_the_model_thread(worker: Worker) -> None:
    go_on = threading.Event()

    def job(emit: Emit, stop: threading.Event) -> None:
        emit(threading.current_thread().name)
        assert go_on.wait(LONG_S)
        emit("second")

    events = worker.stream(job)
    assert next(events) == "under test"
    assert isinstance(next(events), Waiting), "it waits, and says so"
    go_on.set()
    assert values(list(events)) == ["second"]


def test_whoever_waits_is_told_how_many_come_first(worker: Worker) -> None:
    hold, inside = threading.Event(), threading.Event()

    def blocking() -> None:
        inside.set()
        assert hold.wait(LONG_S)

    blocker = threading.Thread(target=lambda: worker.call(blocking))
    blocker.start()
    assert inside.wait(LONG_S)
    first, second = worker.stream(lambda emit, stop: emit("a")), worker.stream(lambda emit, stop: emit("b"))
    assert next(first) == Queued(1)
    assert next(second) == Queued(2)
    waiting = next(second)
    assert isinstance(waiting, Waiting), "the same number is told once"
    assert waiting.elapsed_ms >= worker_module.HEARTBEAT_S * 1000
    hold.set()
    assert values(list(second)) == ["b"]
    assert values(list(first)) == ["a"]
    blocker.join(LONG_S)


class Odd(Exception):
    pass


@pytest.mark.parametrize("kind", [Odd, KeyError, MemoryError, SystemExit, KeyboardInterrupt, torch.OutOfMemoryError])
def test_an_error_is_raised_where_next_is_called_and_the_thread_goes_on(kind: type[BaseException], worker: Worker) -> None:
    def job(emit: Emit, stop: threading.Event) -> None:
        emit("before")
        raise kind("no")

    events = worker.stream(job)
    assert next(events) == "before"
    with pytest.raises(kind, match="no"):
        list(events)
    with pytest.raises(kind, match="no"):
        worker.call(lambda: (_ for _ in ()).throw(kind("no")))
    assert worker.call(lambda: 5) == 5
    assert list(events) == []


@best_of_three
def test_closing_stops_the_job_and_waits_for_its_last_words(worker: Worker) -> None:
    heard: list[Any] = []

    def job(emit: Emit, stop: threading.Event) -> None:
        spin(heard.append, stop)

    def speaking(emit: Emit, stop: threading.Event) -> None:
        emit("begun")
        job(emit, stop)

    events = worker.stream(speaking)
    assert next(events) == "begun"
    closed_at = time.perf_counter()
    events.close()
    soon(closed_at)
    assert heard[-1] == "stopped"


@best_of_three
def test_an_iterator_that_nobody_holds_stops_its_job(worker: Worker) -> None:
    stopped = threading.Event()

    def job(emit: Emit, stop: threading.Event) -> None:
        emit("begun")
        assert stop.wait(LONG_S)
        stopped.set()

    events = worker.stream(job)
    next(events)
    lost_at = time.perf_counter()
    del events
    assert stopped.wait(LONG_S)
    soon(lost_at)


@best_of_three
def test_a_stop_from_outside_lets_the_last_events_through(worker: Worker) -> None:
    stop = threading.Event()
    events = worker.stream(spin, stop)
    assert next(events) == 0
    stopped_at = time.perf_counter()
    stop.set()
    rest = values(list(events))
    soon(stopped_at)
    assert rest[-1] == "stopped"


@best_of_three
def test_a_job_stopped_before_its_turn_never_runs_and_keeps_nobody(worker: Worker) -> None:
    ran, started = [], threading.Event()
    blocker = worker.stream(until_stopped(started))
    assert isinstance(next(blocker), Waiting)
    assert started.is_set()
    stop = threading.Event()
    events = worker.stream(lambda emit, stop: ran.append(1), stop)
    assert next(events) == Queued(1)
    stopped_at = time.perf_counter()
    stop.set()
    assert values(list(events)) == []
    soon(stopped_at)
    closed = worker.stream(lambda emit, stop: ran.append(2))
    assert isinstance(next(closed), Queued)
    closed_at = time.perf_counter()
    closed.close()
    soon(closed_at)
    blocker.close()
    assert worker.call(lambda: "next") == "next"
    assert ran == []


@best_of_three
def test_closing_does_not_wait_for_a_job_that_cannot_be_broken_off(worker: Worker) -> None:
    hold = threading.Event()

    def deaf(emit: Emit, stop: threading.Event) -> None:
        emit("begun")
        assert hold.wait(LONG_S)

    events = worker.stream(deaf, drain_s=0.0)
    next(events)
    closed_at = time.perf_counter()
    events.close()
    soon(closed_at)
    hold.set()
    assert worker_module.HEARTBEAT_S <= STOP_S / 2, "a stop is noticed in time"


def test_context_variables_of_the_caller_are_seen_and_not_changed(worker: Worker) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")
    who.set("the caller")

    def job(emit: Emit, stop: threading.Event) -> None:
        emit(who.get())
        who.set("the job")

    assert values(list(worker.stream(job))) == ["the caller"]
    assert who.get() == "the caller"


def test_a_stream_is_resumed_from_any_thread(worker: Worker) -> None:
    events, heard = worker.stream(lambda emit, stop: [emit(i) for i in range(8)]), []
    for _ in range(8):
        thread = threading.Thread(target=lambda: heard.append(next(events)))
        thread.start()
        thread.join(LONG_S)
    assert heard == list(range(8))


def test_a_call_from_the_model_thread_runs_at_once_and_a_stream_is_refused(worker: Worker) -> None:
    assert worker.call(lambda: worker.call(lambda: "inner")) == "inner"
    with pytest.raises(AssertionError, match="wait for itself"):
        worker.call(lambda: next(worker.stream(lambda emit, stop: None)))


def test_nothing_runs_before_the_first_next(worker: Worker) -> None:
    ran: list[int] = []
    events = worker.stream(lambda emit, stop: ran.append(1))
    worker.call(lambda: None)
    assert ran == []
    list(events)
    assert ran == [1]


def test_what_a_job_held_is_let_go_of(worker: Worker) -> None:
    class Heavy:
        pass

    heavy = Heavy()
    gone = weakref.ref(heavy)

    def job(held: Heavy) -> Callable[[Emit, threading.Event], None]:
        def run(emit: Emit, stop: threading.Event) -> None:
            emit(1)
            if held is None:
                raise AssertionError

        return run

    assert values(list(worker.stream(job(heavy)))) == [1]
    del heavy
    worker.call(lambda: None)
    gc.collect()
    assert gone() is None


def test_many_threads_at_once_each_get_their_own(worker: Worker) -> None:
    results: dict[int, list[int]] = {}

    def ask(index: int) -> Iterator[Any]:
        results[index] = values(list(worker.stream(lambda emit, stop: [emit(index * 100 + i) for i in range(20)])))
        return iter(())

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert results == {i: [i * 100 + j for j in range(20)] for i in range(16)}
