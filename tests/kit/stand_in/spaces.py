"""Stands in for the package `spaces` of ZeroGPU: the same call, a real fork, everything pickled, no GPU.

Like the original (`spaces.zero.wrappers`) a decorated generator runs in a forked process, on a thread of a pool in
there; arguments and what it yields cross queues of `multiprocessing`; an exception comes back as its class name alone.
Unlike it, there is neither a quota nor a time limit, and every call gets a process of its own.
"""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

BEFORE_TORCH = "torch" not in sys.modules
CALLS: list[tuple[str, int, int]] = []
"""Of each call: what kind of job it was, the seconds it asked for, the bytes it sent in."""
_fork = multiprocessing.get_context("fork")


class error(Exception):
    """What the original raises is Gradio's, with a title; here its text is enough."""


def GPU(duration: int | Callable[..., int] = 60) -> Callable[[Callable[..., Iterator[Any]]], Callable[..., Iterator[Any]]]:
    def decorated(task: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        if asyncio.iscoroutinefunction(task):
            raise NotImplementedError
        assert inspect.isgeneratorfunction(task), "only generators are used here"
        if not os.environ.get("SPACES_ZERO_GPU"):
            return task

        def in_a_fork(*args: Any) -> Iterator[Any]:
            seconds = duration(*args) if callable(duration) else duration
            sent, found = pickle.dumps(args), _fork.SimpleQueue()
            CALLS.append((type(args[0]).__name__, seconds, len(sent)))
            process = _fork.Process(target=_child, args=(task, sent, found), daemon=True)
            process.start()
            try:
                while (got := pickle.loads(found.get()))[0] == "value":
                    yield got[1]
                if got[0] == "error":
                    raise error(f"ZeroGPU worker error: <b>{got[1]}</b>")
            finally:
                process.join(20)
                assert process.exitcode == 0, f"the fork ended with {process.exitcode}"

        return in_a_fork

    return decorated


def _child(task: Callable[..., Iterator[Any]], sent: bytes, found: Any) -> None:
    def run() -> None:
        for value in task(*pickle.loads(sent)):
            found.put(pickle.dumps(("value", value)))

    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(run).result()
            found.put(pickle.dumps(("end", None)))
        except BaseException as raised:
            found.put(pickle.dumps(("error", type(raised).__name__)))
