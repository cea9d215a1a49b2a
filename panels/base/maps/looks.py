"""Which answer is looked into, and its traces: read from the log, computed once, kept within a limit of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from model import Checkpoint, Prompt
from model.errors import PromptError, Unsupported
from model.events import Event, Found, Share
from model.families.base import Capability
from model.geometry.grid import ImageGrid
from model.heat.base import Choice
from model.heat.base.scores import reduced
from model.internals.interventions import visual_dependence
from model.internals.subject import Subject
from model.internals.trace import Trace, Want
from model.progress import Run

from ..bench import Bench
from ..turn_views import whole

LIMIT_BYTES = 256 * 2**20
MAX_TYPED = 4000
NEEDS = frozenset({Capability.GENERATE, Capability.ATTENTION, Capability.GRID})


@dataclass(frozen=True)
class Look:
    """An answer on the table. `answer` is its token ids, or the text somebody typed in its place.

    `run_id` is empty where the question came over the API. Equal looks share a trace.
    """

    run_id: str
    checkpoint: Checkpoint
    prompt: Prompt = field(repr=False)
    answer: str | tuple[int, ...]

    @property
    def typed(self) -> str:
        return self.answer if isinstance(self.answer, str) else ""


@dataclass(frozen=True)
class Seen:
    """What one pass over the answer showed. `dependence` float32 [K] in nats, None where `why_not` says so.

    `weights` is the sha256 of what it was run with.
    """

    trace: Trace
    dependence: np.ndarray | None
    why_not: str = ""
    weights: str = ""

    @property
    def grid(self) -> ImageGrid:
        """Where the visual tokens look."""
        assert self.trace.grid is not None, "a look is refused where it is not known"
        return self.trace.grid

    @property
    def layers(self) -> int:
        return self.attention.shape[0]

    @property
    def heads(self) -> int:
        return self.attention.shape[1]

    @property
    def attention(self) -> np.ndarray:
        """float32 [L, H, K, T]."""
        assert self.trace.attention is not None, "a look is refused where there is no attention"
        return self.trace.attention

    @property
    def mass(self) -> np.ndarray:
        """Share of attention on the pictures, float32 [L, H, K]."""
        assert self.trace.image_mass is not None, "it comes with the attention"
        return self.trace.image_mass

    @property
    def size_bytes(self) -> int:
        return self.trace.size_bytes


def look_at(bench: Bench, run_id: str, typed: str = "") -> Look:
    """The look at a logged turn, or at a typed answer to its question. Raises WorkbenchError where there is nothing to see."""
    record = bench.history.run(run_id)
    prompt = whole(record)
    if len(typed) > MAX_TYPED:
        raise PromptError(f"The answer has {len(typed):,} characters; at most {MAX_TYPED:,} are traced. Shorten it.")
    answer: str | tuple[int, ...] = typed if typed.strip() else tuple(token.id for token in record.tokens)
    if not answer:
        answer = record.row.answer
    if not answer:
        raise PromptError("This turn has no answer to look into. Type one, or choose another turn.")
    prefix = "" if typed.strip() else prompt.answer_prefix
    return checked(bench, Look(record.row.id, record.checkpoint, Prompt(prompt.messages, prefix), answer))


def checked(bench: Bench, look: Look) -> Look:
    """The look itself. Raises WorkbenchError where its checkpoint cannot be looked into, or there is no picture."""
    if not look.prompt.images:
        raise PromptError("This turn has no picture, so there is nothing to draw attention on. Choose one with a picture.")
    lacking = NEEDS - bench.core.capabilities(bench.allowed(look.checkpoint))
    if lacking:
        raise Unsupported(
            f"{look.checkpoint.name} does not give {', '.join(sorted(lacking)).replace('_', ' ')}, which maps of attention need. "
            "Ask another checkpoint the same question."
        )
    return look


def seen_by(subject: Subject, run: Run, rows: str = "predicting") -> Seen:
    """Trace and visual dependence of an answer. On the model thread."""
    trace = subject.trace(Want(rows=rows), run.stop)  # type: ignore[arg-type]
    if trace.attention is None or trace.grid is None:
        raise Unsupported(
            f"{subject.vlm.checkpoint.name} has no self-attention over picture tokens that could be drawn. "
            "Choose another checkpoint."
        )
    run.step(1, 2)
    try:
        return Seen(trace, visual_dependence(subject), weights=subject.vlm.weights)
    except Unsupported as error:
        return Seen(trace, None, str(error), subject.vlm.weights)


class Looks:
    """Traces by look, the newest first to stay. Use from any thread."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._held: OrderedDict[tuple[Look, str], Seen] = OrderedDict()
        self._lock = threading.Lock()

    def events(self, look: Look, rows: str = "predicting") -> Iterator[Event | Share | Found[Seen]]:
        """Events of the core until the trace is held. Nothing where it is held already."""
        if self.held(look, rows) is not None:
            return
        steps = self.bench.core.examine(look.checkpoint, look.prompt, look.answer, partial(seen_by, rows=rows))
        with closing(steps):
            for event in steps:
                if isinstance(event, Found):
                    self.keep(look, rows, event.value)
                yield event

    def seen(self, look: Look, rows: str = "predicting") -> Seen:
        """What is seen of an answer, waited for where it is not held."""
        for _ in self.events(look, rows):
            pass
        found = self.held(look, rows)
        assert found is not None, "the events end with what was found"
        return found

    def held(self, look: Look, rows: str) -> Seen | None:
        with self._lock:
            found = self._held.get((look, rows))
            if found is not None:
                self._held.move_to_end((look, rows))
            return found

    def keep(self, look: Look, rows: str, seen: Seen) -> None:
        with self._lock:
            self._held[look, rows] = seen
            while len(self._held) > 1 and sum(one.size_bytes for one in self._held.values()) > LIMIT_BYTES:
                self._held.popitem(last=False)


def raw(seen: Seen, words: tuple[int, ...], choice: Choice) -> tuple[np.ndarray, float, str]:
    """Raw attention of words together, float32 [T], the share on the pictures, and what was averaged.

    The same numbers as the method `attention`, from a trace that is held.
    """
    scores, note = reduced(seen.attention[:, :, list(words)].mean(2), choice)
    mass, _ = reduced(seen.mass[:, :, list(words)].mean(2), Choice(choice.layer, choice.head))
    scores = np.array(scores, np.float32)
    scores[list(choice.without)] = 0
    return scores, float(mass), note
