"""ZeroGPU: a GPU that is lent for one job at a time, in a process forked for that job.

The checkpoints are placed once, from the list the program was started with, and every fork inherits them. A
task goes in as plain data and its events come out (`model.running.tasks`). What a fork keeps is lost when it ends:
features of pictures and a chat's keys and values are computed anew in each job, with the same results. A stop
crosses the fork through shared memory, because closing the generator alone does not end what runs in there.
"""

from __future__ import annotations

import importlib
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `prepare` has to run before torch is imported
    from model.checkpoint import Checkpoint
    from model.events import Loading, Queued, Waiting
    from model.generation.vlm import FastPaths
    from model.running.pool import Pool
    from model.running.tasks import Task
    from model.running.worker import Emit, Worker

log = logging.getLogger(__name__)
VARIABLE = "SPACES_ZERO_GPU"
FLAGS = 64
"""Jobs whose stops can be told apart. One runs at a time; more only so that a late stop never meets a later job."""
SPARE_S = 5
"""So long before its time is up a job is stopped from within: an answer then ends with what was written."""
POLL_S = 0.05
FIXED = (
    "On ZeroGPU the checkpoints are those the program was started with. Choose one of them, or run Fovea on a GPU of your own."
)


def is_lent(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this program runs on ZeroGPU."""
    return bool((os.environ if environment is None else environment).get(VARIABLE))


def prepare() -> Any:
    """The package `spaces`, which stands in for CUDA until a GPU is lent; None elsewhere. Before anything imports torch."""
    return importlib.import_module("spaces") if is_lent() else None


@dataclass(frozen=True)
class _Raised:
    """An error of the job on its way home."""

    error: Exception


@dataclass(frozen=True)
class _Done:
    """The job has ended. `tested` holds what was found of checkpoints that had not run on the GPU before."""

    tested: Mapping[str, FastPaths]


class LentSlot:
    """Runs each task in a process that `spaces` forks and gives a GPU. Built once, after the checkpoints are placed."""

    def __init__(self, pool: Pool, spaces: Any) -> None:
        self.pool = pool
        self._stops = RawArray("b", FLAGS)
        self._jobs = 0
        self._lent = spaces.GPU(duration=gpu_s)(self._function())

    def _function(self) -> Any:
        def work(task: Task, flag: int) -> Iterator[Any]:
            yield from self._inside(task, flag)

        return work

    @property
    def worker(self) -> Worker:
        return self.pool.worker

    def load(self, checkpoint: Checkpoint) -> Generator[Loading | Queued | Waiting, None, None]:
        """Only what is loaded already: `pool.fixed` refuses others. Raises CheckpointError."""
        return self.pool.load(checkpoint)

    def run(self, task: Task, emit: Emit, stop: threading.Event) -> None:
        """In the parent, on its model thread. Raises what the task raises, and WorkbenchError where no GPU was lent."""
        flag, self._jobs = self._jobs % FLAGS, self._jobs + 1
        self._stops[flag] = 0
        over = threading.Event()
        threading.Thread(target=self._pass_on, args=(stop, over, flag), name="stop", daemon=True).start()
        try:
            self._relay(task, emit, flag)
        finally:
            over.set()

    def _relay(self, task: Task, emit: Emit, flag: int) -> None:
        from model.errors import WorkbenchError

        raised: _Raised | None = None
        done: _Done | None = None
        try:
            for event in self._lent(task, flag):
                match event:
                    case _Raised():
                        raised = event
                    case _Done():
                        done = event
                    case _:
                        emit(event)
        except Exception as error:  # of `spaces` itself: no quota, no GPU free, time over
            log.warning("No GPU was lent", exc_info=error)
            said = re.sub(r"<[^>]*>", "", str(error)).strip().rstrip(".")[:300] or type(error).__name__
            raise WorkbenchError(f"The GPU was not lent, or not for long enough: {said}. Try again later.") from error
        if raised is not None:
            raise raised.error
        if done is None:
            raise WorkbenchError("The GPU's process ended before the job did. Ask again.")
        for vlm in self.pool.values():
            vlm.fast = done.tested.get(vlm.checkpoint.id, vlm.fast)

    def _pass_on(self, stop: threading.Event, over: threading.Event, flag: int) -> None:
        while not over.is_set():
            if stop.wait(POLL_S):
                self._stops[flag] = 1
                return

    # --- in the fork ---------------------------------------------------------------------------

    def _inside(self, task: Task, flag: int) -> Iterator[Any]:
        """The task's events as they come, then _Done, or _Raised."""
        from model.errors import WorkbenchError
        from model.events import Finished, Found

        out: queue.SimpleQueue[Any] = queue.SimpleQueue()
        stop, begun, late, answered = threading.Event(), time.monotonic(), False, False
        untested = [vlm for vlm in self.pool.values() if not vlm.fast.tested]
        worker = threading.Thread(target=_work, args=(task, self.pool, out, stop), name="model", daemon=True)
        worker.start()
        while True:
            late = late or time.monotonic() - begun > task.gpu_s - SPARE_S
            if late or self._stops[flag]:
                stop.set()
            try:
                event = out.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if event is None:
                break
            answered = answered or isinstance(event, (Finished, Found, _Raised))
            yield event
        if late and not answered:
            yield _Raised(WorkbenchError(f"This takes longer than the {task.gpu_s} s a GPU is lent for. Ask for less at once."))
        yield _Done({vlm.checkpoint.id: vlm.fast for vlm in untested if vlm.fast.tested})


def gpu_s(task: Task, flag: int) -> int:
    """For how long to ask for the GPU, in seconds. `spaces` calls it with what it calls the job with."""
    return task.gpu_s


def _work(task: Task, pool: Pool, out: queue.SimpleQueue[Any], stop: threading.Event) -> None:
    import torch

    from model.errors import WorkbenchError

    torch.set_num_threads(1)  # the threads of the parent's pool are not in here, and waiting for them would never end
    try:
        task(pool, out.put, stop)
    except WorkbenchError as error:
        out.put(_Raised(error))
    except Exception as error:  # told in words: its class may not pickle
        log.error("An unexpected error on the lent GPU", exc_info=error)
        out.put(_Raised(RuntimeError(f"{type(error).__name__}: {error}")))
    finally:
        out.put(None)
