"""The one door panels and studies use: checkpoints loaded within a budget, prompts answered, answers scored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

import numpy as np

from .checkpoint import Checkpoint, parse_spec
from .errors import WorkbenchError
from .events import Event, Finished, Found, Loading, Queued, Share, Waiting
from .families import family_for
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
from .recorder import CallStart, NullRecorder, Recorder, Status, new_id
from .running.call_record import Heard
from .running.pool import CheckpointStatus, Pool
from .running.round_robin import Column, Said
from .running.side_by_side import Comparison, Failed
from .running.tasks import Answer, Examine, Force, Here, Look, Score, Sight, Slot, Task
from .running.worker import Emit, Worker

T = TypeVar("T")


class Core:
    """Loads checkpoints and runs them, one job at a time, on a thread of its own. Use from any thread."""

    def __init__(self, recorder: Recorder | None = None) -> None:
        self.worker = Worker()
        self.recorder: Recorder = recorder or NullRecorder()
        self.pool = Pool(self.worker, lambda loaded: self.recorder.loaded(loaded))
        self.slot: Slot = Here(self.pool)
        """Where model work runs; `app.zerogpu` puts another in its place."""
        self._running: dict[str, Callable[[], None]] = {}
        """How to end what runs, by the id of a run or of a group of them."""

    @property
    def encoder_cache(self) -> EncoderCache:
        """Features of pictures, over all checkpoints."""
        return self.pool.encoder_cache

    def load(self, checkpoint: Checkpoint) -> Iterator[Loading | Queued | Waiting]:
        """Load a checkpoint, telling each step. Already loaded: nothing happens.

        Others are unloaded, least recently used first, where memory is short. Raises CheckpointError;
        what was loaded before stays and answers.
        """
        return self.pool.load(checkpoint)

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
        check_kind(config, checkpoint.name)
        return family_for(config)

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
    ) -> Iterator[Event]:
        """Answer a prompt as a stream of events; the checkpoint is loaded if it is not.

        The last event is a Finished, stopped or not. Closing the iterator stops the model within one layer's
        work and keeps what was said. The call is recorded when it starts and when it ends, however it ends.
        `session` names the chat whose earlier turns may be reused. Raises WorkbenchError where `next` is called.
        """
        options = options or Options()
        heard, stop = Heard(run_id or new_id()), threading.Event()
        self.recorder.start(CallStart(heard.run_id, checkpoint, prompt, options, panel, session, group))
        self._running[heard.run_id] = stop.set
        status: Status = "failed"
        error: str | None = None

        task = Answer(checkpoint, heard.run_id, prompt, options, session)

        def job(emit: Emit, stop: threading.Event) -> None:
            def note(event: Event) -> None:
                heard.events.append(event)
                emit(event)

            heard.start()
            self.slot.run(task, note, stop)

        try:
            yield from self._loading(checkpoint, stop)
            yield from self.worker.stream(job, stop)
            if heard.finished is None:  # stopped before its turn
                heard.events.append(Finished(heard.run_id, "", "stopped", 0, 0.0))
                yield heard.events[-1]
            status = "done"
        except GeneratorExit:
            status = "stopped"
            raise
        except WorkbenchError as known:
            error = str(known)
            raise
        except Exception as unknown:
            error = f"{type(unknown).__name__}: {unknown}"
            raise
        finally:
            self._running.pop(heard.run_id, None)
            self.recorder.finish(heard.ending(status, error))

    def _loading(self, checkpoint: Checkpoint, stop: threading.Event) -> Iterator[Event]:
        """The steps of loading, until they are done or somebody wants to stop."""
        with closing(self.load(checkpoint)) as steps:
            for step in steps:
                yield step
                if stop.is_set():
                    return

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
    ) -> Iterator[Said | Failed]:
        """Answer several prompts at once, one step each in turn; checkpoints are loaded if they are not.

        What each says is what it would say alone. A column ends with a Finished or a Failed, the others go on.
        `stop` takes the run id of a column, or the group for all; closing the iterator ends all. Each column is
        recorded as a run of its own under the same group, a new one where none is given.
        """
        group = group or new_id()
        comparison = Comparison(columns, self.pool, self.worker, self.slot, self.recorder)
        ends = {group: comparison.stop} | {part.heard.run_id: part.stop.set for part in comparison.parts}
        self._running |= ends
        try:
            yield from comparison.events(panel, session, group)
        finally:
            for name in ends:
                self._running.pop(name, None)

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
        return self._found(checkpoint, Score(checkpoint, tuple(prompts), tuple(map(tuple, answers))))

    def forced(self, checkpoint: Checkpoint, prompt: Prompt, answer: str) -> np.ndarray:
        """Whether each token of an answer is the most likely one after the true tokens before it. bool [tokens]."""
        return self._found(checkpoint, Force(checkpoint, prompt, answer))

    def examine(
        self, checkpoint: Checkpoint, prompt: Prompt, answer: str | Sequence[int], work: Callable[[Subject, Run], T]
    ) -> Iterator[Event | Share | Found[T]]:
        """Some work on an answer, given as text or as token ids: Share as it goes on, Found with its value at the end.

        Closing the iterator ends the work at its next step, and then there is no Found. `work` and its value pickle:
        a function of a module with `functools.partial`, arrays instead of tensors (see `tasks`). Raises WorkbenchError
        where `next` is called.
        """
        stop, task = threading.Event(), Examine(checkpoint, prompt, answer if isinstance(answer, str) else tuple(answer), work)
        yield from self._loading(checkpoint, stop)
        yield from self.worker.stream(partial(self.slot.run, task), stop)

    def examined(
        self, checkpoint: Checkpoint, prompt: Prompt, answer: str | Sequence[int], work: Callable[[Subject, Run], T]
    ) -> T:
        """The value of some work on an answer, waited for."""
        events = self.examine(checkpoint, prompt, answer, work)
        return next(event.value for event in events if isinstance(event, Found))

    def look(self, checkpoint: Checkpoint, prompt: Prompt) -> Sight:
        """What the model sees of a prompt, without running it."""
        return self._found(checkpoint, Look(checkpoint, prompt))

    def _found(self, checkpoint: Checkpoint, task: Task) -> Any:
        """The value of a task, waited for; the checkpoint is loaded first if need be."""
        for _ in self.load(checkpoint):
            pass
        said: list[Any] = []
        self.worker.call(lambda: self.slot.run(task, said.append, threading.Event()))
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
