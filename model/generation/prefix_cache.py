"""What the keys and values of one prompt are worth to the next: names of tokens, the prefix two prompts share, cuts."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..families.base import Inputs
from ..late import nn, transformers
from ..memory import size_bytes


@dataclass
class Kept:
    """A conversation's keys and values: `names` says for each token held in `cache` what it is, in order."""

    names: list[Any]
    cache: transformers.DynamicCache

    @property
    def size_bytes(self) -> int:
        return size_bytes([(layer.keys, layer.values) for layer in self.cache.layers if layer.is_initialized])


@functools.cache
def cache_argument(model: type[nn.Module]) -> str:
    """What a class calls the keys and values it is given: `cache` since transformers 5.24, `past_key_values` before.

    Where `forward` passes them on without naming them, as in BLIP-2, the method that makes its arguments names them.
    """
    for method in ("forward", "prepare_inputs_for_generation"):
        named = inspect.signature(getattr(model, method)).parameters
        for name in ("cache", "past_key_values"):
            if name in named:
                return name
    raise TypeError(f"{model.__name__} of transformers {transformers.__version__} takes neither cache nor past_key_values.")


def held(model: nn.Module, cache: transformers.DynamicCache) -> dict[str, transformers.DynamicCache]:
    """Keys and values as an argument of `forward` and `generate`. They are written into."""
    return {cache_argument(type(model)): cache}


def token_names(inputs: Inputs, image_ids: Sequence[str]) -> list[Any]:
    """A name for every prompt token: its id, or for a visual token which picture and which part of it.

    Equal names up to a place mean equal keys and values up to there. SGLang does the same with hashed ids.
    Where pictures enter the model without tokens of their own, all that is said hangs on them from the start.
    """
    names: list[Any] = list(inputs.ids)
    if inputs.images:
        places = [(image.id, j) for image in inputs.images for j in range(image.tokens)]
    else:
        places = [("|".join(image_ids), j) for j in range(len(inputs.visual))]
    assert len(places) == len(inputs.visual), f"{len(places)} names for {len(inputs.visual)} visual tokens"
    for position, place in zip(inputs.visual.tolist(), places, strict=True):
        names[position] = place
    if image_ids and not places:
        names[0] = ("|".join(image_ids), names[0])
    return names


def image_spans(inputs: Inputs) -> list[tuple[int, int]]:
    """Where each picture's visual tokens stand in the prompt: the first, and the one after the last."""
    spans, at = [], 0
    for image in inputs.images:
        spans.append((int(inputs.visual[at]), int(inputs.visual[at + image.tokens - 1]) + 1))
        at += image.tokens
    return spans


def shared_prefix(held: Sequence[Any], wanted: Sequence[Any]) -> int:
    """How many leading names agree, at most all but the last wanted: one token must be left to compute."""
    limit = min(len(held), len(wanted) - 1)
    return next((i for i in range(limit) if held[i] != wanted[i]), limit)


def reusable(inputs: Inputs, shared: int, ahead: bool) -> int:
    """The largest prefix of at most `shared` tokens that can be continued: never from inside a picture.

    Unless `ahead`, a prefix is usable only if no picture comes after it.
    """
    if len(inputs.visual) == 0:
        return shared
    if not inputs.images or not ahead:
        return shared if shared > int(inputs.visual[-1]) else 0
    return next((start for start, end in image_spans(inputs) if start < shared < end), shared)


def cut(cache: transformers.DynamicCache, length: int) -> bool:
    """Make a cache hold its first `length` tokens only. False where it cannot: a layer may have let go of some already."""
    surplus = cache.get_seq_length() - length
    if surplus <= 0:
        return surplus == 0
    filled = [layer for layer in cache.layers if layer.is_initialized]  # a layer that looks at pictures may not be
    try:
        for layer in filled:
            layer.crop(-surplus)
    except (RuntimeError, ValueError):  # a sliding window that is full, a recurrent state
        return False
    return all(layer.get_seq_length() == length for layer in filled)


def whole_tokens(cache: transformers.DynamicCache) -> int:
    """Cut an interrupted pass's cache to the tokens that every layer holds, and say how many; 0 where that cannot be done.

    What is cut off is freed: a slice alone would keep it.
    """
    plain = transformers.cache_utils.DynamicLayer
    if not cache.layers or any(type(layer) is not plain or not layer.is_initialized for layer in cache.layers):
        return 0
    length = min(layer.get_seq_length() for layer in cache.layers)
    for layer in cache.layers:
        layer.keys, layer.values = layer.keys[..., :length, :].clone(), layer.values[..., :length, :].clone()
    return length
