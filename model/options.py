"""How an answer is decoded: length, sampling, seed. Checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import OptionsError

MAX_NEW_TOKENS = 4096
ALTERNATIVES = 5


@dataclass(frozen=True, slots=True)
class Options:
    """Decoding settings. Raises OptionsError where a value is out of range.

    `temperature` 0 is greedy; above 0 tokens are sampled with `seed`, and the same seed gives the same
    tokens. `top_p` keeps the most likely tokens that together have that probability. `max_new_tokens`
    is the longest answer. `alternatives` is how many candidates each token is recorded with.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    alternatives: int = ALTERNATIVES

    def __post_init__(self) -> None:
        _whole("Length", self.max_new_tokens, 1, MAX_NEW_TOKENS)
        if self.temperature != 0 or isinstance(self.temperature, bool):
            _within("Temperature", self.temperature, 0.01, 5.0, "0 or ")
        _within("Top-p", self.top_p, 0.01, 1.0)
        _whole("Seed", self.seed, 0, 2**31 - 1)
        _whole("Alternatives", self.alternatives, 0, 50)


def _whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise OptionsError(f"{name} is {value!r}. Choose a whole number from {low} to {high}.")


def _within(name: str, value: float, low: float, high: float, also: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise OptionsError(f"{name} is {value!r}. Choose {also}a number from {low:g} to {high:g}.")
