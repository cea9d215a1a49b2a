"""The one door panels and studies use: checkpoints loaded within a budget, prompts answered, answers scored."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from . import hub, loading, scoring, selftest
from .checkpoint import Checkpoint, parse_spec
from .encoder_cache import EncoderCache
from .errors import CheckpointError, WorkbenchError
from .events import Encoded, Event, Finished, Prefilled, Token
from .families import families, family_for
from .families.base import Capability, Family, SeenPicture
from .memory import human_bytes
from .options import Options
from .prompt import ImagePart, Prompt, ask
from .recorder import CallEnd, CallStart, Loaded, NullRecorder, Recorder, Status, new_id
from .vlm import VisionLanguageModel
from .worker import Worker

DIGEST_BYTES = 2 * 10**9
"""Weights up to this size are hashed on loading, a second or two; larger ones are not."""


@dataclass(frozen=True)
class Loading:
    """A step of loading. `share` is 0 to 1 where it is known."""

    text: str
    share: float | None = None


@dataclass(frozen=True)
class CheckpointStatus:
    """What a checkpoint in memory is: for pickers, badges and logs."""

    checkpoint: Checkpoint
    family: str
    capabilities: frozenset[Capability]
    limits: str
    device: str
    dtype: str
    parameters: int
    size_bytes: int
    cache_bytes: int
    notes: tuple[str, ...]
    context_tokens: int | None
    weights: str


@dataclass(frozen=True)
class Sight:
    """What a model would see of a prompt: its pictures as they enter the encoder, and token counts."""

    pictures: tuple[SeenPicture, ...]
    visual_tokens: int
    prompt_tokens: int
    grid: Any


class Core:
    """Loads checkpoints and runs them, one job at a time, on a thread of its own. Use from any thread."""

    def __init__(self, recorder: Recorder | None = None) -> None:
        self.worker = Worker()
        self.recorder: Recorder = recorder or NullRecorder()
        self.encoder_cache = EncoderCache()
        self._loaded: dict[str, VisionLanguageModel] = {}
        self._loading = threading.Lock()

    # --- checkpoints ---------------------------------------------------------------------------

    def load(self, checkpoint: Checkpoint) -> Iterator[Loading]:
        """Load a checkpoint, telling each step. Already loaded: nothing happens.

        Others are unloaded, least recently used first, where memory is short. Raises CheckpointError;
        what was loaded before stays and answers.
        """
        if checkpoint.id in self._loaded:
            return
        with self._loading:
            if checkpoint.id in self._loaded:
                return
            yield Loading(f"Looking for {checkpoint.name}")
            files: hub.Files | None = None
            for step in hub.find(checkpoint):
                if isinstance(step, hub.Files):
                    files = step
                else:
                    yield _fetching(step)
            assert files is not None
            placement = loading.place(checkpoint, files)
            yield Loading(f"About {human_bytes(placement.needed_bytes)} needed on {placement.device}")
            yield from self.worker.stream(lambda emit, stop: self._read(checkpoint, files, placement, emit))

    def _read(self, checkpoint: Checkpoint, files: hub.Files, placement: loading.Placement, emit: Callable[[Loading], None]) -> None:
        self._make_room(checkpoint, placement)
        digest = loading.weights_digest(files.folder) if files.stored_bytes <= DIGEST_BYTES else ""
        family, parts = loading.load_parts(checkpoint, files, placement, lambda text: emit(Loading(text)))
        vlm = VisionLanguageModel(checkpoint, family, parts, self.encoder_cache, digest)
        emit(Loading("Testing which short cuts are exact"))
        selftest.run(vlm)
        self._loaded[checkpoint.id] = vlm
        found = Loaded(checkpoint, _slug(family), str(parts.device), str(parts.dtype).removeprefix("torch."), vlm.parameters, digest)
        self.recorder.loaded(found)
        emit(Loading(f"{checkpoint.name} is ready", 1.0))

    def _make_room(self, checkpoint: Checkpoint, placement: loading.Placement) -> None:
        same = sorted((v for v in self._loaded.values() if v.parts.device == placement.device), key=lambda v: v.used_at)
        loading.check_fits(checkpoint, placement, sum(v.size_bytes for v in same))
        for vlm in same:
            if placement.needed_bytes <= loading.free_bytes(placement.device):
                return
            self._drop(vlm.checkpoint)

    def unload(self, checkpoint: Checkpoint) -> bool:
        """Free a checkpoint's memory. False where it was not loaded. Waits for a running answer to end."""
        return self.worker.call(lambda: self._drop(checkpoint))

    def _drop(self, checkpoint: Checkpoint) -> bool:
        vlm = self._loaded.pop(checkpoint.id, None)
        if vlm is None:
            return False
        vlm.forget()
        cuda = vlm.parts.device.type == "cuda"
        del vlm
        gc.collect()
        if cuda:
            torch.cuda.empty_cache()
        return True

    def loaded(self) -> list[CheckpointStatus]:
        """The checkpoints in memory, in order of loading."""
        return [_status(vlm) for vlm in list(self._loaded.values())]

    def is_loaded(self, checkpoint: Checkpoint) -> bool:
        return checkpoint.id in self._loaded

    def capabilities(self, checkpoint: Checkpoint) -> frozenset[Capability]:
        """What a checkpoint can be used for, from config.json alone. Raises CheckpointError."""
        return self.family(checkpoint).capabilities

    def family(self, checkpoint: Checkpoint) -> Family:
        """The family file that answers for a checkpoint."""
        vlm = self._loaded.get(checkpoint.id)
        if vlm is not None:
            return vlm.family
        config = hub.read_config(checkpoint)
        hub.check_kind(config, checkpoint.name)
        return family_for(config)

    # --- answering -----------------------------------------------------------------------------

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

        Closing the iterator stops the model within one layer's work and keeps what was said. The call
        is recorded when it starts and when it ends, however it ends. `session` names the chat whose
        earlier turns may be reused. Raises WorkbenchError where `next` is called.
        """
        run_id = run_id or new_id()
        options = options or Options()
        self.recorder.start(CallStart(run_id, checkpoint, prompt, options, panel, session, group))
        heard: list[Event] = []
        begun = time.perf_counter()
        started: list[float] = []
        status: Status = "failed"
        error: str | None = None

        def job(emit: Callable[[Event], None], stop: threading.Event) -> None:
            started.append(time.perf_counter())

            def note(event: Event) -> None:
                heard.append(event)
                emit(event)

            self._vlm(checkpoint).answer(note, stop, run_id, prompt, options, session)

        try:
            for _ in self.load(checkpoint):
                pass
            yield from self.worker.stream(job)
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
            queued_ms = (started[0] - begun) * 1e3 if started else None
            self.recorder.finish(_ending(run_id, status, error, heard, queued_ms))

    def answer(self, question: str, *images: ImagePart, checkpoint: Checkpoint | str = "tiny-llava", options: Options | None = None) -> Finished:
        """The whole answer to one question about these pictures."""
        spec = parse_spec(checkpoint) if isinstance(checkpoint, str) else checkpoint
        events = list(self.generate(spec, ask(question, *images), options))
        return next(event for event in events if isinstance(event, Finished))

    def score(self, checkpoint: Checkpoint, prompt: Prompt, answers: Sequence[str]) -> scoring.Scores:
        """Log-likelihoods of given answers to one prompt."""
        return self.score_many(checkpoint, [prompt], [answers])[0]

    def score_many(self, checkpoint: Checkpoint, prompts: Sequence[Prompt], answers: Sequence[Sequence[str]]) -> list[scoring.Scores]:
        """Log-likelihoods of each prompt's own answers, all at once over the prefix the prompts share."""
        for _ in self.load(checkpoint):
            pass
        return self.worker.call(lambda: scoring.score_many(self._vlm(checkpoint), prompts, answers))

    def forced(self, checkpoint: Checkpoint, prompt: Prompt, answer: str) -> np.ndarray:
        """Whether each token of an answer is the most likely one after the true tokens before it. bool [tokens]."""
        for _ in self.load(checkpoint):
            pass
        return self.worker.call(lambda: scoring.forced(self._vlm(checkpoint), prompt, answer))

    def look(self, checkpoint: Checkpoint, prompt: Prompt) -> Sight:
        """What the model sees of a prompt, without running it."""
        for _ in self.load(checkpoint):
            pass

        def run() -> Sight:
            vlm = self._vlm(checkpoint)
            inputs = vlm.prepare(prompt)
            return Sight(tuple(vlm.family.seen(vlm.parts, inputs)), len(inputs.visual), len(inputs.ids), inputs.grid)

        return self.worker.call(run)

    def forget_session(self, session: str) -> None:
        """Let go of a chat's keys and values on every checkpoint."""
        self.worker.call(lambda: [vlm.conversations.drop(session) for vlm in self._loaded.values()])

    def vlm(self, checkpoint: Checkpoint) -> VisionLanguageModel:
        """The loaded model itself, for code that runs on the model thread."""
        return self._vlm(checkpoint)

    def _vlm(self, checkpoint: Checkpoint) -> VisionLanguageModel:
        vlm = self._loaded.get(checkpoint.id)
        if vlm is None:
            raise CheckpointError(f"{checkpoint.name} was unloaded in the meantime. Ask again to load it.")
        return vlm


def open_core(*specs: str, recorder: Recorder | None = None) -> Core:
    """A core with these checkpoints loaded. Raises CheckpointError."""
    core = Core(recorder)
    for spec in specs:
        for _ in core.load(parse_spec(spec)):
            pass
    return core


def _fetching(step: hub.Fetching) -> Loading:
    if step.total:
        return Loading(f"Downloading {human_bytes(step.done)} of {human_bytes(step.total)}", step.done / step.total)
    return Loading(f"Downloading {human_bytes(step.done)}")


def _slug(family: Family) -> str:
    return next(name for name in families if families[name] is family)


def _status(vlm: VisionLanguageModel) -> CheckpointStatus:
    return CheckpointStatus(
        vlm.checkpoint, vlm.family.title, vlm.family.capabilities, vlm.family.limits, str(vlm.parts.device),
        str(vlm.parts.dtype).removeprefix("torch."), vlm.parameters, vlm.size_bytes, vlm.conversations.used_bytes,
        tuple(vlm.fast.notes), vlm.context_tokens, vlm.weights,
    )  # fmt: skip


def _ending(run_id: str, status: Status, error: str | None, heard: Sequence[Event], queued_ms: float | None) -> CallEnd:
    tokens = tuple(event for event in heard if isinstance(event, Token))
    encoded = next((event for event in heard if isinstance(event, Encoded)), None)
    prefilled = next((event for event in heard if isinstance(event, Prefilled)), None)
    finished = next((event for event in heard if isinstance(event, Finished)), None)
    end = CallEnd(run_id, status, "".join(token.text for token in tokens), None, error, tokens, queued_ms=queued_ms)
    if encoded is not None:
        end = replace(end, visual_tokens=encoded.visual_tokens, cached_images=encoded.cached_images)
    if prefilled is not None:
        end = replace(end, prompt_tokens=prefilled.prompt_tokens, reused_tokens=prefilled.reused_tokens, prefill_ms=prefilled.ms)
    if finished is not None:
        status = "stopped" if finished.reason == "stopped" else "done"
        end = replace(end, status=status, text=finished.text, reason=finished.reason, decode_ms=finished.decode_ms, error=None)
    return end
