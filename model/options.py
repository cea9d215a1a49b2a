"""How an answer is decoded: length, seed, and the decoder with its own settings. Checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .decoders import decoder as decoder_of
from .decoders import logged_decoder
from .decoders.base import Decoder
from .decoders.plain import Plain
from .errors import OptionsError

MAX_NEW_TOKENS = 4096
ALTERNATIVES = 5


@dataclass(frozen=True, slots=True)
class Options:
    """Decoding settings. Raises OptionsError where a value is out of range.

    `decoder` chooses the tokens; where it draws them it draws with `seed`, and the same seed gives the same tokens.
    `max_new_tokens` is the longest answer. `alternatives` is how many candidates each token is recorded with.
    """

    max_new_tokens: int = 256
    decoder: Decoder = field(default_factory=Plain)
    seed: int = 0
    alternatives: int = ALTERNATIVES

    def __post_init__(self) -> None:
        _whole("Length", self.max_new_tokens, 1, MAX_NEW_TOKENS)
        _whole("Seed", self.seed, 0, 2**31 - 1)
        _whole("Alternatives", self.alternatives, 0, 50)

    @property
    def words(self) -> str:
        """The decoder as it is set, with the seed where that matters."""
        return f"{self.decoder.words}, seed {self.seed}" if self.decoder.sampled else self.decoder.words

    def to_json(self) -> dict[str, Any]:
        """Flat, as the log keeps it: the decoder by its name, its settings beside the others."""
        return {
            "max_new_tokens": self.max_new_tokens,
            "decoder": self.decoder.name,
            **self.decoder.settings,
            "seed": self.seed,
            "alternatives": self.alternatives,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, logged: bool = False) -> Options:
        """The options in `to_json`'s form; what is missing has its default. Raises OptionsError.

        Of a `logged` call the decoder may not be there any more: see `decoders.logged_decoder`.
        """
        own = {name: data[name] for name in ("max_new_tokens", "seed", "alternatives") if name in data}
        rest = {name: value for name, value in data.items() if name not in (*own, "decoder")}
        name = data.get("decoder", Plain.slug)
        return cls(**own, decoder=logged_decoder(name, rest) if logged else decoder_of(name, rest))


def _whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise OptionsError(f"{name} is {value!r}. Choose a whole number from {low} to {high}.")
