"""The settings beside a chat: from the page to decoding options, and back from a session that kept them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeGuard

from model import Options
from model.decoders import decoder as decoder_of
from model.decoders import decoders, numbers
from model.decoders.base import Decoder, Number, settings_of
from model.decoders.plain import Plain
from model.errors import OptionsError

from .bench import LONGEST
from .records import Json

MAX_SYSTEM_CHARACTERS = 8000


def is_number(value: object) -> TypeGuard[int | float]:
    return type(value) in (int, float)


@dataclass(frozen=True)
class Range:
    """A number a person can set. `whole` ones are cut to integers."""

    low: float
    high: float
    default: float
    whole: bool = False

    def holds(self, value: object) -> bool:
        return is_number(value) and math.isfinite(value) and self.low <= value <= self.high


RANGES = {
    "length": Range(1, LONGEST, 256, whole=True),
    "seed": Range(0, 2**31 - 1, 0, whole=True),
}
"""Numbers that every decoder takes. Those of one alone are `decoders.numbers`."""


def decoder(values: Json) -> Decoder:
    """The decoder that values name, set with those of its numbers that are there. Raises OptionsError."""
    name = values.get("decoder") or Plain.slug
    own = settings_of(decoders[name]) if isinstance(name, str) and name in decoders else {}
    given = {field: values[field] for field in own if values.get(field) is not None}
    return decoder_of(name, {field: float(value) if type(value) is int else value for field, value in given.items()})


def options(values: Json) -> Options:
    """Decoding options from values as anybody may send them; a missing one has its default. Raises OptionsError."""
    found = {name: number(name, values.get(name), wanted) for name, wanted in RANGES.items()}
    return Options(int(found["length"]), decoder(values), int(found["seed"]))


def slid(wanted: Number) -> Range:
    """Where the slider of a decoder's number goes."""
    return Range(0 if wanted.or_zero else wanted.low, wanted.high if wanted.most is None else wanted.most, wanted.default)


def number(name: str, value: object, wanted: Range) -> float:
    """The number in a value, the default where it is None. Raises OptionsError for what is no number. Ranges are the core's."""
    if value is None:
        return wanted.default
    title = name.replace("_", " ").capitalize()
    if not is_number(value) or not math.isfinite(value):
        raise OptionsError(f"{title} is {str(value)[:40]!r}. Choose a number.")
    if wanted.whole and value != int(value):
        raise OptionsError(f"{title} is {value!r}. Choose a whole number.")
    return value


def kept(settings: Json, longest: int = LONGEST) -> dict[str, object]:
    """Those of a session's settings that the page can show. A session may have been imported from anywhere.

    A length above `longest` is brought down to it.
    """
    ranges = {**{name: slid(one) for name, one in numbers().items()}, **RANGES}
    found: dict[str, object] = {name: settings[name] for name, wanted in ranges.items() if wanted.holds(settings.get(name))}
    if isinstance(chosen := settings.get("decoder"), str) and chosen in decoders:
        found["decoder"] = chosen
    if is_number(length := found.get("length")):
        found["length"] = min(length, longest)
    system = settings.get("system")
    return found | ({"system": system[:MAX_SYSTEM_CHARACTERS]} if isinstance(system, str) else {})
