"""The checkpoints in memory: loaded step by step, unloaded least recently used first where memory is short."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial

from ..checkpoint import Checkpoint
from ..errors import CheckpointError
from ..events import Loading, Queued, Waiting
from ..families.base import Capability
from ..generation import selftest
from ..generation.encoder_cache import EncoderCache
from ..generation.vlm import VisionLanguageModel
from ..late import all_imported, import_all, torch
from ..loading import hub
from ..loading import load as loading
from ..loading.files import Files
from ..memory import free_bytes, free_unused, human_bytes
from ..recorder import Loaded
from .worker import Emit, Job, Worker

SMALL_PARAMETERS = 50_000_000
"""Where all checkpoints are smaller, one thread computes them: several would mostly wait for each other."""
DIGEST_BYTES = 2 * 10**9
"""Weights up to this size are hashed on loading, a second or two; larger ones are not."""


@dataclass(frozen=True)
class CheckpointStatus:
    """What a checkpoint in memory is: for pickers, badges and logs. `family` is the family's title.

    `notes` say which short cuts are not used, `warnings` why its answers are not to be believed.
    """

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
    warnings: tuple[str, ...]
    context_tokens: int | None
    weights: str


@dataclass(frozen=True)
class Fetched:
    """A checkpoint whose files are on this machine. `digest` is the sha256 of its weights, empty where they are too many."""

    checkpoint: Checkpoint
    files: Files
    placement: loading.Placement
    digest: str


class Pool:
    """Loaded checkpoints. They come and go on the model thread alone; any thread may ask what is there."""

    def __init__(self, worker: Worker, loaded: Callable[[Loaded], None]) -> None:
        self.encoder_cache = EncoderCache()
        self.worker, self._tell = worker, loaded
        self._vlms: dict[str, VisionLanguageModel] = {}
        """Replaced, never changed, so that whoever reads it on another thread has a whole one."""
        self.tests_later = False
        """Whether short cuts are tested in the first job instead of at loading: where there is no GPU until then."""
        self._imported = False
        self._at: Loading | None = None
        """What the model thread is loading, as whoever waits for it is told."""
        self.fixed = ""
        """Why no other checkpoint may come or go; empty where any may."""

    def load(self, checkpoint: Checkpoint) -> Generator[Loading | Queued | Waiting, None, None]:
        """Load a checkpoint, telling each step. Already loaded: nothing happens.

        Files are found and fetched on the caller's thread, so that answers go on. Raises CheckpointError;
        what was loaded before stays and answers.
        """
        if checkpoint.id in self._vlms:
            return
        for step in self.fetch(checkpoint):
            if not isinstance(step, Fetched):
                yield step
                continue
            yield from self._told(partial(self._read_fetched, step))

    def _told(self, job: Job) -> Generator[Loading | Queued | Waiting, None, None]:
        """The steps of a job that loads; until its turn comes, those of the load it waits for."""
        begun = False
        # Reading weights cannot be broken off, so nobody waits for it who has left.
        with closing(self.worker.stream(job, drain_s=0.0)) as steps:
            for step in steps:
                begun = begun or isinstance(step, Loading)
                other = self._at
                yield other if other is not None and not begun else step

    def _import(self, emit: Emit, stop: threading.Event) -> None:
        """Import what all loading needs. On the model thread. Raises CheckpointError where it cannot be."""
        if not all_imported():
            self._at = Loading("Waiting for torch and transformers to be imported")
            emit(Loading("Importing torch and transformers"))
        try:
            import_all()
        except (ImportError, OSError) as error:
            raise CheckpointError(
                f"torch or transformers cannot be imported ({error}). Run python app.py doctor; it says what to install."
            ) from error
        finally:
            self._at = None
        self._imported = True

    def fetch(self, checkpoint: Checkpoint) -> Generator[Loading | Queued | Waiting | Fetched, None, None]:
        """Find a checkpoint's files and fetch them if need be. Not on the model thread. Raises CheckpointError."""
        if self.fixed:
            raise CheckpointError(self.fixed)
        if not self._imported:
            yield from self._told(self._import)
        yield Loading(f"Looking for {checkpoint.name}")
        files: Files | None = None
        for step in hub.find(checkpoint):
            if isinstance(step, Files):
                files = step
            else:
                yield _fetching(step)
        assert files is not None, "find ends with the files or raises"
        placement = loading.place(checkpoint, files)
        yield Loading(f"About {human_bytes(placement.needed_bytes)} needed on {placement.device}")
        digest = loading.weights_digest(files) if files.stored_bytes <= DIGEST_BYTES else ""
        yield Fetched(checkpoint, files, placement, digest)

    def _read_fetched(self, fetched: Fetched, emit: Emit, stop: threading.Event) -> None:
        self.read(fetched, emit)

    def read(self, fetched: Fetched, tell: Callable[[Loading], None], keep: frozenset[str] = frozenset()) -> None:
        """Read the weights of a checkpoint whose files are there. On the model thread. Raises CheckpointError.

        Checkpoints whose ids are in `keep` are not unloaded for it.
        """
        checkpoint = fetched.checkpoint
        if checkpoint.id in self._vlms:  # somebody else asked for it at the same time
            return

        def say(text: str) -> None:
            self._at = Loading(f"Waiting for {checkpoint.name} to load: {text[0].lower()}{text[1:]}")
            tell(Loading(text))

        try:
            self._read(fetched, say, keep)
        finally:
            self._at = None
            self._share_threads()
        tell(Loading(f"{checkpoint.name} is ready", 1.0))

    def _read(self, fetched: Fetched, say: Callable[[str], None], keep: frozenset[str]) -> None:
        checkpoint = fetched.checkpoint
        self._make_room(checkpoint, fetched.placement, keep)
        self._share_threads(fetched.files.elements)
        family, parts = loading.load_parts(checkpoint, fetched.files, fetched.placement, say)
        vlm = VisionLanguageModel(checkpoint, family, parts, self.encoder_cache, fetched.digest)
        try:
            if not self.tests_later:
                say("Testing which short cuts are exact")
                selftest.run(vlm)
        except BaseException:
            vlm.forget()
            raise
        self._vlms = {**self._vlms, checkpoint.id: vlm}
        dtype = str(parts.dtype).removeprefix("torch.")
        self._tell(Loaded(checkpoint, family.slug, str(parts.device), dtype, vlm.parameters, fetched.digest))

    def _make_room(self, checkpoint: Checkpoint, placement: loading.Placement, keep: frozenset[str]) -> None:
        same = [v for v in self._vlms.values() if v.parts.device == placement.device and v.checkpoint.id not in keep]
        same.sort(key=lambda v: v.used_at)
        loading.check_fits(checkpoint, placement, sum(v.size_bytes for v in same))
        for vlm in same:
            if placement.needed_bytes <= free_bytes(placement.device):
                return
            self.drop(vlm.checkpoint)

    def drop(self, checkpoint: Checkpoint) -> bool:
        """Free a checkpoint's memory. On the model thread. False where it was not loaded."""
        vlm = self._vlms.get(checkpoint.id)
        if vlm is None:
            return False
        if self.fixed:
            raise CheckpointError(self.fixed)
        self._vlms = {key: other for key, other in self._vlms.items() if other is not vlm}
        self._share_threads()
        vlm.forget()
        device = vlm.parts.device
        del vlm
        free_unused(device)
        return True

    @cached_property
    def _threads(self) -> int:
        """As many as torch takes before it is told otherwise."""
        return torch.get_num_threads()

    def _share_threads(self, coming: int = 0) -> None:
        """Take as many threads as what is loaded, and the parameters to come, are worth.

        On the model thread, whose number alone this is.
        """
        largest = max((vlm.parameters for vlm in self._vlms.values()), default=0)
        most = self._threads
        torch.set_num_threads(1 if max(largest, coming) < SMALL_PARAMETERS else most)

    def __contains__(self, checkpoint: Checkpoint) -> bool:
        return checkpoint.id in self._vlms

    def get(self, checkpoint: Checkpoint) -> VisionLanguageModel | None:
        return self._vlms.get(checkpoint.id)

    def __getitem__(self, checkpoint: Checkpoint) -> VisionLanguageModel:
        vlm = self._vlms.get(checkpoint.id)
        if vlm is None:
            raise CheckpointError(f"{checkpoint.name} was unloaded in the meantime. Ask again to load it.")
        return vlm

    def ready(self, checkpoint: Checkpoint) -> VisionLanguageModel:
        """The model, its short cuts tested. On the model thread. Raises CheckpointError where it is not loaded."""
        vlm = self[checkpoint]
        if not vlm.fast.tested:
            selftest.run(vlm)
        return vlm

    def values(self) -> list[VisionLanguageModel]:
        """In order of loading."""
        return list(self._vlms.values())

    def statuses(self) -> list[CheckpointStatus]:
        return [_status_of(vlm) for vlm in self.values()]


def _fetching(step: hub.Fetching) -> Loading:
    if step.total:
        return Loading(f"Downloading {human_bytes(step.done)} of {human_bytes(step.total)}", step.done / step.total)
    return Loading(f"Downloading {human_bytes(step.done)}")


def _status_of(vlm: VisionLanguageModel) -> CheckpointStatus:
    return CheckpointStatus(
        vlm.checkpoint, vlm.family.title, vlm.family.capabilities, vlm.family.limits, str(vlm.parts.device),
        str(vlm.parts.dtype).removeprefix("torch."), vlm.parameters, vlm.size_bytes, vlm.conversations.used_bytes,
        (*vlm.parts.asides, *map(str, vlm.fast.notes)), vlm.parts.warnings, vlm.context_tokens, vlm.weights,
    )  # fmt: skip
