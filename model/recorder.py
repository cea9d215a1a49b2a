"""What the core tells about its calls. `app.log.store` keeps it in SQLite; notebooks and tests need not."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Literal, Protocol

from .checkpoint import Checkpoint
from .events import Token
from .options import Options
from .prompt import Prompt

Status = Literal["done", "stopped", "failed"]


@dataclass(frozen=True)
class CallStart:
    """A model call about to run. `group` ties calls that belong together, such as a comparison's."""

    run_id: str
    checkpoint: Checkpoint
    prompt: Prompt
    options: Options
    panel: str
    session: str = ""
    group: str = ""


@dataclass(frozen=True)
class CallEnd:
    """How a call ended. Times are milliseconds; None where the call did not get that far."""

    run_id: str
    status: Status
    text: str = ""
    reason: str | None = None
    error: str | None = None
    tokens: tuple[Token, ...] = ()
    prompt_tokens: int | None = None
    reused_tokens: int | None = None
    visual_tokens: int | None = None
    cached_images: int | None = None
    queued_ms: float | None = None
    prefill_ms: float | None = None
    decode_ms: float | None = None
    warnings: tuple[str, ...] = ()
    """Why the answer is not to be believed, as `model.events.Finished` has it."""


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint turned out to be once loaded. `weights` is the sha256 of its weight files."""

    checkpoint: Checkpoint
    family: str
    device: str
    dtype: str
    parameters: int
    weights: str


class Recorder(Protocol):
    """Where calls are written down. An implementation never raises into a call: it reports its own trouble."""

    def loaded(self, loaded: Loaded) -> None: ...

    def start(self, call: CallStart) -> None: ...

    def finish(self, end: CallEnd) -> None: ...


class NullRecorder:
    """Keeps nothing."""

    def loaded(self, loaded: Loaded) -> None:
        return None

    def start(self, call: CallStart) -> None:
        return None

    def finish(self, end: CallEnd) -> None:
        return None


def new_id() -> str:
    """A fresh id that sorts by time: 12 hex digits of milliseconds, then 16 random ones."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"
