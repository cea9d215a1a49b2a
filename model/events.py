"""What a model call says while it runs. Immutable, picklable, no tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from .geometry.grid import ImageGrid

T = TypeVar("T")

Reason = Literal["end", "length", "stopped", "not_finite"]


@dataclass(frozen=True, slots=True)
class Queued:
    """The call waits; `ahead` calls come first."""

    ahead: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing new for a while. Sent so that whoever relays events can show time passing, or leave."""

    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Loading:
    """A step of loading the checkpoint. `share` is 0 to 1 where it is known."""

    text: str
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """The pictures are encoded. `cached_images` of `images` came from the encoder cache."""

    visual_tokens: int
    images: int
    cached_images: int
    ms: float
    grid: ImageGrid | None = field(default=None, repr=False)

    @property
    def cached(self) -> bool:
        return self.images > 0 and self.cached_images == self.images


@dataclass(frozen=True, slots=True)
class Prefilled:
    """The prompt is read. `reused_tokens` of `prompt_tokens` came from the conversation's keys and values.

    `ms` is the time from the start of the call to the first token's scores.
    """

    prompt_tokens: int
    reused_tokens: int
    ms: float


@dataclass(frozen=True, slots=True)
class Alternative:
    """A candidate for a token's place."""

    id: int
    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token.

    `text` is what it adds to the answer; empty inside a character of several tokens. `logprob` is the
    natural logarithm of its probability before temperature and top-p. `alternatives` are the most
    likely tokens at that place, best first. `given` tokens were not chosen by the model: the answer was
    made to begin with them. They are certain, `logprob` 0, where the model was not asked about them.
    """

    index: int
    id: int
    text: str
    logprob: float
    alternatives: tuple[Alternative, ...] = ()
    given: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is complete, or was stopped. `text` is all of it, what it was made to begin with included.

    `new_tokens` counts what the model chose, `decode_ms` is the time from its first to its last token. `reason` is
    "not_finite" where the scores of the next token were no numbers to choose by. `warnings` are sentences on why the answer
    is not to be believed: parts of the checkpoint that were made new, numbers that are not finite.
    """

    run_id: str
    text: str
    reason: Reason
    new_tokens: int
    decode_ms: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spent:
    """What one answer among several took. Comes just before its Finished.

    `first_token_ms` is from the question to the scores of the first token, loading and all waiting included.
    `first_compute_ms` and `decode_compute_ms` are how long the model worked for this answer alone, up to there and
    from there on; `decode_ms` is from its first to its last token, the others' turns included. `steps` are those after
    the first. `weights_bytes` are the checkpoint's, `cache_bytes` of keys and values at the end.
    """

    first_token_ms: float
    first_compute_ms: float
    decode_compute_ms: float
    decode_ms: float
    steps: int
    weights_bytes: int
    cache_bytes: int

    @property
    def tokens_per_s(self) -> float | None:
        """As a reader sees it. None where the first token was the only one."""
        return self.steps / self.decode_ms * 1e3 if self.steps and self.decode_ms else None

    @property
    def compute_tokens_per_s(self) -> float | None:
        """As it would be without the others. None where the first token was the only one."""
        return self.steps / self.decode_compute_ms * 1e3 if self.steps and self.decode_compute_ms else None


Event = Queued | Waiting | Loading | Encoded | Prefilled | Token | Spent | Finished


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a long piece of work is done, from 0 to 1."""

    share: float


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a piece of work on an answer came to. The last event of `Core.examine`."""

    value: T
