"""Decoders: how the next token is chosen from the scores of all. One file each, found by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import OptionsError
from ..registry import Registry
from .base import Decoder, Missing, Number, settings_of

decoders: Registry[Decoder] = Registry("decoder", "model.decoders")


def numbers() -> dict[str, Number]:
    """Every number that some decoder can be set with, by name: those of the plain decoder first."""
    entries = sorted(decoders.values(), key=lambda one: (one.slug != "plain", one.slug))
    return {name: number for one in entries for name, number in settings_of(one).items()}


def decoder(name: object, values: Mapping[str, Any]) -> Decoder:
    """The decoder of that name, set to these values; what is missing has its default. Raises OptionsError."""
    if not isinstance(name, str) or name not in decoders:
        raise OptionsError(f"There is no decoder named {str(name)[:40]!r}. Known: {', '.join(decoders)}.")
    kind = type(decoders[name])
    if unknown := sorted(set(values) - set(settings_of(kind))):
        raise OptionsError(f"The decoder {kind.title!r} has no setting {unknown[0][:40]!r}.")
    return kind(**values)


def logged_decoder(name: str, values: Mapping[str, Any]) -> Decoder:
    """The decoder of a logged call. One whose file is gone, or that is set otherwise now, cannot decode but can be read."""
    try:
        return decoder(name, values)
    except OptionsError:
        return Missing(name, tuple(values.items()))
