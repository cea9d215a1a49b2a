"""What a decoder is: its card, the numbers it can be set with, and what it makes of the scores of a next token.

A decoder is a frozen dataclass, and an instance is one setting of it: each field is a `number`, of which the page, the API,
the log and the lines that describe a call are made. What is drawn in the end, and from which seed, is not a decoder's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import OptionsError

if TYPE_CHECKING:
    from ..families.base import Inputs, Parts
    from ..late import torch

    Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """Token ids so far int64 [1, N] and scores of the next float32 [1, V] -> the scores to draw from; -inf is never drawn.

    The scores that come in stay as they are: how likely each token was is recorded from them.
    """


@dataclass(frozen=True)
class Number:
    """A number that can be set: from `low` to `high`, or 0 where `or_zero`. A slider moves by `step`, up to `most` if given.

    `why` is a sentence on what it does.
    """

    label: str
    default: float
    low: float
    high: float
    step: float
    why: str
    or_zero: bool = False
    most: float | None = None

    def check(self, value: Any) -> None:
        """Raises OptionsError for what is no number in the range."""
        known = not isinstance(value, bool) and isinstance(value, (int, float))
        if not known or not (self.low <= value <= self.high or (self.or_zero and value == 0)):
            also = "0 or " if self.or_zero else ""
            raise OptionsError(f"{self.label} is {value!r}. Choose {also}a number from {self.low:g} to {self.high:g}.")


def number(setting: Number) -> Any:
    """A field of a decoder."""
    return field(default=setting.default, metadata={"number": setting})


TEMPERATURE = Number("Temperature", 0.0, 0.01, 5.0, 0.05, "Temperature 0 is greedy.", or_zero=True, most=2.0)
"""That of every decoder that has one: settings of one name are one setting of the page."""


def settings_of(kind: Decoder | type[Decoder]) -> Mapping[str, Number]:
    """The numbers of a decoder by the names of their fields."""
    return {one.name: one.metadata["number"] for one in fields(kind) if "number" in one.metadata}


@dataclass(frozen=True)
class Decoder:
    """One way of choosing tokens, as it is set. `paper` is where it is from and how this departs from it.

    `says` is one sentence on what it does. Raises OptionsError where a number is out of range.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    says: ClassVar[str]
    paper: ClassVar[str]

    def __post_init__(self) -> None:
        for name, one in settings_of(self).items():
            one.check(getattr(self, name))

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self.slug

    @property
    def sampled(self) -> bool:
        """Whether tokens are drawn by chance; else the one of the highest score is taken."""
        raise NotImplementedError

    def begin(self, parts: Parts, inputs: Inputs) -> Step:
        """What makes the scores of one answer, step by step. Raises OptionsError where this checkpoint cannot be decoded so.

        It is called once for every token, given ones included. It may run the model of `parts` on inputs of its own, such as
        `inputs` without the pictures, and keep what it needs from one step to the next.
        """
        raise NotImplementedError

    @property
    def settings(self) -> dict[str, float]:
        """The numbers it is set to, by name."""
        return {name: getattr(self, name) for name in settings_of(self)}

    @property
    def words(self) -> str:
        """How it is set: 'greedy', or 'temperature 0.7, top-p 0.9'."""
        set_to = [f"{one.label.lower()} {getattr(self, name):g}" for name, one in settings_of(self).items()]
        return ", ".join([*([] if self.slug == "plain" else [self.title]), *set_to])


def one_by_one(warpers: Sequence[Callable[..., torch.Tensor]]) -> Step:
    """The step of transformers' own logits processors, in order; without any, the scores as they are."""

    def step(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for warp in warpers:
            scores = warp(ids, scores)
        return scores

    return step


@dataclass(frozen=True)
class Missing(Decoder):
    """The decoder of a logged call that there is not any more, or not with these settings."""

    slug, title, says, paper = "missing", "Missing", "It is not there any more.", "None."
    gone: str = ""
    held: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        return self.gone

    @property
    def sampled(self) -> bool:
        return False

    def begin(self, parts: Parts, inputs: Inputs) -> Step:
        raise OptionsError(f"This was decoded by {self.gone!r}, which is not there with these settings. Ask again with others.")

    @property
    def settings(self) -> dict[str, float]:
        return dict(self.held)

    @property
    def words(self) -> str:
        return ", ".join([f"{self.gone}, which is not there any more", *(f"{name} {value}" for name, value in self.held)])
