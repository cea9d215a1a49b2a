"""Model work as plain data: tasks, and the slot that runs them against the checkpoints in memory.

A task and all it emits pickle: on ZeroGPU it crosses into a forked process that holds the GPU, and only its events come
back (`app.zerogpu`). Elsewhere `Here` runs the same task in this process, so there is one path to test. Caches a task fills
(features of pictures, keys and values, subjects) stay in its process and are lost with a fork; results are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from ..checkpoint import Checkpoint
from ..events import Found, Loading, Queued, Share, Waiting
from ..families.base import SeenPicture
from ..generation import scoring
from ..generation.hooks import Interrupted
from ..generation.vlm import VisionLanguageModel
from ..geometry.grid import ImageGrid
from ..internals.subject import Subject, subject_of
from ..options import Options
from ..progress import Run
from ..prompt import Prompt
from .pool import Pool
from .worker import Emit, Worker

Work = Callable[[Subject, Run], Any]
"""Work on an answer: a module's function, its other arguments bound by `functools.partial`, since a lambda does not pickle."""


class Task(Protocol):
    """A job for the model thread. `gpu_s` is how long it may hold a lent GPU."""

    gpu_s: ClassVar[int]

    def __call__(self, pool: Pool, emit: Emit, stop: threading.Event) -> None: ...


class Slot(Protocol):
    """A place where tasks run: this process, a lent GPU, a second device, an endpoint.

    `worker` is the thread that calls `run`, one task at a time. `pool` holds the checkpoints in memory; None where the place
    keeps them elsewhere, and then its answers do not take turns with others in one task.
    """

    @property
    def worker(self) -> Worker: ...

    @property
    def pool(self) -> Pool | None: ...

    def load(self, checkpoint: Checkpoint) -> Generator[Loading | Queued | Waiting, None, None]:
        """Make a checkpoint ready, telling each step. Not on the worker. Raises CheckpointError."""

    def run(self, task: Task, emit: Emit, stop: threading.Event) -> None:
        """Run a task. On the worker. Errors of the task are raised."""


@dataclass(frozen=True)
class Here:
    """Runs tasks in this process."""

    pool: Pool

    @property
    def worker(self) -> Worker:
        return self.pool.worker

    def load(self, checkpoint: Checkpoint) -> Generator[Loading | Queued | Waiting, None, None]:
        return self.pool.load(checkpoint)

    def run(self, task: Task, emit: Emit, stop: threading.Event) -> None:
        task(self.pool, emit, stop)


def load_on(slot: Slot, checkpoint: Checkpoint, stop: threading.Event) -> Generator[Loading | Queued | Waiting, None, None]:
    """The steps of making a checkpoint ready in a slot, until it is or `stop` is set."""
    with closing(slot.load(checkpoint)) as steps:
        for step in steps:
            yield step
            if stop.is_set():
                return


@dataclass(frozen=True)
class AnswerTask:
    """Answer a prompt: Encoded, Prefilled, Token... and Finished."""

    gpu_s: ClassVar[int] = 60
    checkpoint: Checkpoint
    run_id: str
    prompt: Prompt
    options: Options
    conversation: str = ""

    def __call__(self, pool: Pool, emit: Emit, stop: threading.Event) -> None:
        pool.ready(self.checkpoint).answer(emit, stop, self.run_id, self.prompt, self.options, self.conversation)


@dataclass(frozen=True)
class ExamineTask:
    """Work on an answer, given as text or as token ids: Share as it goes on, then Found. A stopped one has no Found."""

    gpu_s: ClassVar[int] = 90
    checkpoint: Checkpoint
    prompt: Prompt
    answer: str | Sequence[int]
    work: Work

    def __call__(self, pool: Pool, emit: Emit, stop: threading.Event) -> None:
        vlm = pool.ready(self.checkpoint)
        ids = scoring.answer_ids(vlm, self.prompt, self.answer) if isinstance(self.answer, str) else self.answer
        with suppress(Interrupted):
            run = Run(stop, lambda share: emit(Share(share)))
            emit(Found(vlm.sparing(lambda: self.work(subject_of(vlm, self.prompt, ids), run))))


@dataclass(frozen=True)
class ScoreTask:
    """Log-likelihoods of each prompt's own answers: Found with a list of `scoring.Scores`."""

    gpu_s: ClassVar[int] = 60
    checkpoint: Checkpoint
    prompts: tuple[Prompt, ...]
    answers: tuple[tuple[str, ...], ...]

    def __call__(self, pool: Pool, emit: Emit, stop: threading.Event) -> None:
        vlm = pool.ready(self.checkpoint)
        emit(Found(vlm.sparing(lambda: scoring.score_many(vlm, self.prompts, self.answers))))


@dataclass(frozen=True)
class ForceTask:
    """Whether each token of an answer is the most likely one after the true tokens before it: Found with bool [tokens]."""

    gpu_s: ClassVar[int] = 30
    checkpoint: Checkpoint
    prompt: Prompt
    answer: str

    def __call__(self, pool: Pool, emit: Emit, stop: threading.Event) -> None:
        vlm = pool.ready(self.checkpoint)
        emit(Found(vlm.sparing(lambda: scoring.forced(vlm, self.prompt, self.answer))))


@dataclass(frozen=True)
class SeenPrompt:
    """A prompt as the model sees it: its pictures as they enter the encoder, and token counts."""

    pictures: tuple[SeenPicture, ...]
    visual_tokens: int
    prompt_tokens: int
    grid: ImageGrid | None


@dataclass(frozen=True)
class LookTask:
    """The prompt as the model would see it, without running it: Found with a SeenPrompt."""

    gpu_s: ClassVar[int] = 15
    checkpoint: Checkpoint
    prompt: Prompt

    def __call__(self, pool: Pool, emit: Emit, stop: threading.Event) -> None:
        vlm = pool.ready(self.checkpoint)
        emit(Found(vlm.sparing(lambda: self._seen(vlm))))

    def _seen(self, vlm: VisionLanguageModel) -> SeenPrompt:
        inputs = vlm.prepare(self.prompt)
        return SeenPrompt(tuple(vlm.family.seen(vlm.parts, inputs)), len(inputs.visual), len(inputs.ids), inputs.grid)
