"""What the keys and values of one prompt are worth to the next: names of tokens, the prefix two prompts share, cuts."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..families.base import Inputs
from ..late import nn, transformers
from ..memory import size_bytes


@dataclass
class KeptPrefix:
    """A conversation's keys and values: `names` says for each token held in `cache` what it is, in order."""

    names: list[Any]
    cache: transformers.DynamicCache

    @property
    def size_bytes(self) -> int:
        return size_bytes([vars(layer) for layer in self.cache.layers])


@functools.cache
def _parameters(method: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(method).parameters)


def cache_argument(model: type[nn.Module]) -> str:
    """What a class calls the keys and values it is given: `cache` since transformers 5.24, `past_key_values` before.

    Where `forward` passes them on without naming them, as in BLIP-2, the method that makes its arguments names them.
    """
    for method in ("forward", "prepare_inputs_for_generation"):
        named = _parameters(getattr(model, method))
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


def filled(cache: transformers.DynamicCache) -> list[transformers.cache_utils.DynamicLayer]:
    """The layers that hold keys and values by now. One that looks at pictures may not, a recurrent or shared one never does."""
    kind = transformers.cache_utils.DynamicLayer
    return [layer for layer in cache.layers if isinstance(layer, kind) and layer.is_initialized]


def _recurrent(cache: transformers.DynamicCache) -> bool:
    """Whether a layer holds a state in which tokens cannot be told apart."""
    return any(isinstance(layer, transformers.cache_utils.LinearAttentionCacheLayerMixin) for layer in cache.layers)


def cut(cache: transformers.DynamicCache, length: int) -> bool:
    """Make a cache hold its first `length` tokens only. False where it cannot: a layer may have let go of some already."""
    surplus = cache.get_seq_length() - length
    if surplus <= 0:
        return surplus == 0
    if _recurrent(cache):
        return False
    layers = filled(cache)
    try:
        for layer in layers:
            layer.crop(-surplus)
    except (RuntimeError, ValueError):  # a sliding window that is full
        return False
    return all(layer.get_seq_length() == length for layer in layers)


def whole_tokens(cache: transformers.DynamicCache) -> int:
    """Cut an interrupted pass's cache to the tokens that every layer holds, and say how many; 0 where that cannot be done.

    What is cut off is freed: a slice alone would keep it.
    """
    layers = [layer for layer in filled(cache) if type(layer) is transformers.cache_utils.DynamicLayer]
    if not layers or len(layers) < len(cache.layers):
        return 0
    length = min(layer.get_seq_length() for layer in layers)
    for layer in layers:
        assert layer.keys is not None, "a layer that is initialized holds keys"
        assert layer.values is not None, "and values"
        layer.keys, layer.values = layer.keys[..., :length, :].clone(), layer.values[..., :length, :].clone()
    return length
