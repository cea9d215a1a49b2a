"""The interface panels and studies use: checkpoints loaded within a budget, prompts answered, answers scored and explained."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar

import numpy as np

from .checkpoint import Checkpoint, parse_spec
from .events import Event, Finished, Found, Loading, Queued, Share, Waiting
from .families import families, family_for
from .families.base import Capability, Family
from .generation import scoring
from .generation.encoder_cache import EncoderCache
from .generation.vlm import VisionLanguageModel
from .internals.subject import Subject
from .loading import hub
from .loading.files import check_kind
from .options import Options
from .progress import Run
from .prompt import ImagePart, Prompt, ask
from .recorder import CallStart, NullRecorder, Recorder, new_id
from .running.call_record import CallRecord
from .running.pool import CheckpointStatus, Pool
from .running.round_robin import Column, ColumnEvent
from .running.side_by_side import ColumnFailed, SideBySide
from .running.tasks import ExamineTask, ForceTask, Here, LookTask, ScoreTask, SeenPrompt, Slot, Task, load_on
from .running.worker import Worker

T = TypeVar("T")


Admission = Callable[[Sequence[tuple[Prompt, Options | None]]], AbstractContextManager[None]]
"""Entered with the prompts of a call before anything else is done for it, left when the call is over. Raises to refuse it."""


class Core:
    """Loads checkpoints and runs them, one job at a time, on a thread of its own. Use from any thread."""

    def __init__(self, recorder: Recorder | None = None) -> None:
        self.worker = Worker()
        self.recorder: Recorder = recorder or NullRecorder()
        self.pool = Pool(self.worker, lambda loaded: self.recorder.loaded(loaded))
        here = Here(self.pool)
        self.slot_of: Callable[[Checkpoint], Slot] = lambda checkpoint: here
        """Where the work of a checkpoint runs. `app` puts a lent GPU or a time limit in its place."""
        self.admission: Admission = lambda calls: nullcontext()
        """Which calls may run. A public page puts its limits in its place."""
        self._running: dict[str, Callable[[], None]] = {}
        """How to end what runs, by the id of a run or of a group of them."""

    @property
    def encoder_cache(self) -> EncoderCache:
        """Features of pictures, over all checkpoints."""
        return self.pool.encoder_cache

    def load(self, checkpoint: Checkpoint) -> Generator[Loading | Queued | Waiting, None, None]:
        """Load a checkpoint, telling each step. Already loaded: nothing happens.

        Others are unloaded, least recently used first, where memory is short. Raises CheckpointError;
        what was loaded before stays and answers.
        """
        return self.slot_of(checkpoint).load(checkpoint)

    def unload(self, checkpoint: Checkpoint) -> bool:
        """Free a checkpoint's memory. False where it was not loaded. Waits for a running answer to end."""
        return self.worker.call(lambda: self.pool.drop(checkpoint))

    def loaded(self) -> list[CheckpointStatus]:
        """The checkpoints in memory, in order of loading."""
        return self.pool.statuses()

    def is_loaded(self, checkpoint: Checkpoint) -> bool:
        return checkpoint in self.pool

    def capabilities(self, checkpoint: Checkpoint) -> frozenset[Capability]:
        """What a checkpoint can be used for, from config.json alone. Raises CheckpointError."""
        return self.family(checkpoint).capabilities

    def family(self, checkpoint: Checkpoint) -> Family:
        """The family file that answers for a checkpoint. Raises CheckpointError."""
        vlm = self.pool.get(checkpoint)
        if vlm is not None:
            return vlm.family
        config = hub.read_config(checkpoint)
        family = family_for(config)
        if family is families["generic"]:  # the others answer for kinds that are known, and transformers need not be asked
            check_kind(config, checkpoint.name)
        return family

    def generate(
        self,
        checkpoint: Checkpoint,
        prompt: Prompt,
        options: Options | None = None,
        *,
        panel: str = "python",
        session: str = "",
        group: str = "",
        run_id: str = "",
    ) -> Generator[Event, None, None]:
        """Answer a prompt as a stream of events; the checkpoint is loaded if it is not.

        The last event is a Finished, stopped or not. Closing the iterator stops the model within one layer's
        work and keeps what was said. The call is recorded when it starts and when it ends, however it ends.
        `session` names the chat whose earlier turns may be reused. Raises WorkbenchError where `next` is called.
        """
        options = options or Options()
        call = CallStart(run_id or new_id(), checkpoint, prompt, options, panel, session, group)
        record, stop = CallRecord(self.recorder, call), threading.Event()
        with self.admission([(prompt, options)]), record.open(), self._stoppable({call.run_id: stop.set}):
            yield from record.answered(self.slot_of(checkpoint), session, stop)

    @contextmanager
    def _stoppable(self, stops: Mapping[str, Callable[[], None]]) -> Iterator[None]:
        """While open, `stop` ends these calls by their ids."""
        self._running |= stops
        try:
            yield
        finally:
            for name in stops:
                self._running.pop(name, None)

    def stop(self, run_id: str) -> bool:
        """End a running answer; its events end with a Finished that holds what was said. False where none runs.

        The group of a comparison ends all its columns.
        """
        stop = self._running.get(run_id)
        if stop is not None:
            stop()
        return stop is not None

    def side_by_side(
        self, columns: Sequence[Column], *, panel: str = "python", session: str = "", group: str = ""
    ) -> Generator[ColumnEvent | ColumnFailed, None, None]:
        """Answer several prompts at once, one step each in turn; checkpoints are loaded if they are not.

        Each answer equals what the column would give alone. A column ends with a Finished or a ColumnFailed, the others go on.
        `stop` takes the run id of a column, or the group for all; closing the iterator ends all. Each column is
        recorded as a run of its own under the same group, a new one where none is given.
        """
        group = group or new_id()
        call = SideBySide(columns, self.slot_of, self.recorder, panel=panel, session=session, group=group)
        admitted = self.admission([(column.prompt, column.options) for column in columns])
        with admitted, self._stoppable({group: call.stop, **call.stops}):
            yield from call.events()

    def answer(
        self, question: str, *images: ImagePart, checkpoint: Checkpoint | str = "tiny-llava", options: Options | None = None
    ) -> Finished:
        """The whole answer to one question about these pictures."""
        spec = parse_spec(checkpoint) if isinstance(checkpoint, str) else checkpoint
        events = list(self.generate(spec, ask(question, *images), options))
        return next(event for event in events if isinstance(event, Finished))

    def score(self, checkpoint: Checkpoint, prompt: Prompt, answers: Sequence[str]) -> scoring.Scores:
        """Log-likelihoods of given answers to one prompt. Raises PromptError, CheckpointError, OutOfMemory."""
        return self.score_many(checkpoint, [prompt], [answers])[0]

    def score_many(
        self, checkpoint: Checkpoint, prompts: Sequence[Prompt], answers: Sequence[Sequence[str]]
    ) -> list[scoring.Scores]:
        """Log-likelihoods of each prompt's own answers, all at once over the prefix the prompts share."""
        return self._found(checkpoint, ScoreTask(checkpoint, tuple(prompts), tuple(map(tuple, answers))), prompts)

    def forced(self, checkpoint: Checkpoint, prompt: Prompt, answer: str) -> np.ndarray:
        """Whether each token of an answer is the most likely one after the true tokens before it. bool [tokens]."""
        return self._found(checkpoint, ForceTask(checkpoint, prompt, answer), [prompt])

    def examine(
        self, checkpoint: Checkpoint, prompt: Prompt, answer: str | Sequence[int], work: Callable[[Subject, Run], T]
    ) -> Generator[Event | Share | Found[T], None, None]:
        """Some work on an answer, given as text or as token ids: Share as it goes on, Found with its value at the end.

        Closing the iterator ends the work at its next step, and then there is no Found. `work` and its value pickle:
        a function of a module with `functools.partial`, arrays instead of tensors (see `tasks`). Raises WorkbenchError
        where `next` is called.
        """
        task = ExamineTask(checkpoint, prompt, answer if isinstance(answer, str) else tuple(answer), work)
        slot, stop = self.slot_of(checkpoint), threading.Event()
        with self.admission([(prompt, None)]):
            yield from load_on(slot, checkpoint, stop)
            yield from slot.worker.stream(partial(slot.run, task), stop)

    def examined(
        self, checkpoint: Checkpoint, prompt: Prompt, answer: str | Sequence[int], work: Callable[[Subject, Run], T]
    ) -> T:
        """The value of some work on an answer, waited for."""
        events = self.examine(checkpoint, prompt, answer, work)
        return next(event.value for event in events if isinstance(event, Found))

    def look(self, checkpoint: Checkpoint, prompt: Prompt) -> SeenPrompt:
        """What the model sees of a prompt, without running it."""
        return self._found(checkpoint, LookTask(checkpoint, prompt), [prompt])

    def _found(self, checkpoint: Checkpoint, task: Task, prompts: Sequence[Prompt]) -> Any:
        """The value of a task, waited for; the checkpoint is loaded first if need be."""
        said: list[Any] = []
        slot = self.slot_of(checkpoint)
        with self.admission([(prompt, None) for prompt in prompts]):
            for _ in slot.load(checkpoint):
                pass
            slot.worker.call(lambda: slot.run(task, said.append, threading.Event()))
        return next(event.value for event in said if isinstance(event, Found))

    def vlm(self, checkpoint: Checkpoint) -> VisionLanguageModel:
        """The loaded model itself, for code that runs on the model thread. Raises CheckpointError where it is not loaded."""
        return self.pool[checkpoint]


def open_core(*specs: str, recorder: Recorder | None = None) -> Core:
    """A core with these checkpoints loaded. Raises CheckpointError."""
    core = Core(recorder)
    for spec in specs:
        for _ in core.load(parse_spec(spec)):
            pass
    return core
