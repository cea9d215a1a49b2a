"""The plain decoder: the likeliest token, or one drawn from the likelier ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..late import torch, transformers
from . import decoders
from .base import TEMPERATURE, Decoder, Number, number, one_by_one

if TYPE_CHECKING:
    from ..families.base import Inputs, Parts
    from .base import Step


@decoders.add
@dataclass(frozen=True)
class Plain(Decoder):
    slug, title = "plain", "Plain"
    says = "Takes the likeliest token, or draws one after temperature and top-p."
    paper = "Top-p: Holtzman et al. 1904.09751. As transformers' own generate does it, token for token."

    temperature: float = number(TEMPERATURE)
    top_p: float = number(Number("Top-p", 1.0, 0.01, 1.0, 0.01, "Top-p: the share of probability sampled from."))

    @property
    def sampled(self) -> bool:
        return self.temperature > 0

    def begin(self, parts: Parts, inputs: Inputs) -> Step:
        warpers: list[Callable[..., torch.Tensor]] = []
        if self.temperature not in (0.0, 1.0):
            warpers.append(transformers.TemperatureLogitsWarper(float(self.temperature)))
        if self.sampled and self.top_p < 1.0:
            warpers.append(transformers.TopPLogitsWarper(self.top_p))
        return one_by_one(warpers)

    @property
    def words(self) -> str:
        if not self.sampled:
            return "greedy"
        return f"temperature {self.temperature:g}" + (f", top-p {self.top_p:g}" if self.top_p < 1 else "")
