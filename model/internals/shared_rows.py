"""Changed copies of one prompt in one batch through the decoder, what they begin with read once.

Copies differ from some visual token on. In a causal decoder all that stands before has the same keys and values in each: it
is read in one row, and kept, since the next batch begins much the same. A decoder that is given more than embeddings and
positions (a mask over parts of the past, states for its layers), or that forgets keys, reads every copy whole.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..generation.prefix_cache import held
from ..generation.vlm import VisionLanguageModel
from ..late import torch, transformers
from ..memory import size_bytes
from .roles import prefixes

CUT = ("inputs_embeds", "position_ids", "attention_mask")
"""What a decoder is given for each position and is known how to cut. Plain numbers and `logits_to_keep` name no position."""


class SharedRows:
    """The beginning of one prompt's copies, as far as the last batches needed it. On the model thread, without gradients."""

    def __init__(self, vlm: VisionLanguageModel) -> None:
        self._vlm = vlm
        self._cache: Any = vlm.new_cache()
        self._embeds: torch.Tensor | None = None

    @property
    def size_bytes(self) -> int:
        """What is held of it."""
        return 0 if self._embeds is None else size_bytes([self._embeds, *map(vars, self._cache.layers)])

    @contextmanager
    def reading(self, shared: int) -> Iterator[None]:
        """While open, the decoder takes a batch whose first `shared` positions are the same in all rows.

        States that it gives at those positions are zeros; their logits are not to be asked for.
        """
        decoder = self._vlm.parts.model.get_submodule(prefixes(self._vlm.family, self._vlm.parts).decoder)
        before, forward = vars(decoder).get("forward"), decoder.forward

        def reading(*args: Any, **given: Any) -> Any:
            if args or not self._plain(given):
                return forward(*args, **given)
            return self._read(decoder, forward, given, shared)

        decoder.forward = reading
        try:
            yield
        finally:
            del decoder.forward
            if before is not None:  # another library's hook
                decoder.forward = before

    def _plain(self, given: dict[str, Any]) -> bool:
        """Whether a row's state hangs on the embeddings and positions before it alone, and keys of all of them are kept."""
        mask = given.get("attention_mask")
        open_mask = mask is None or (isinstance(mask, torch.Tensor) and mask.ndim == 2 and bool(mask.all()))
        other = (value for name, value in given.items() if name not in (*CUT, "logits_to_keep"))
        known = all(value is None or isinstance(value, (bool, int, str)) for value in other)
        kept = all(type(layer) is transformers.cache_utils.DynamicLayer for layer in self._cache.layers)
        return given.get("inputs_embeds") is not None and open_mask and known and kept and len(self._cache.layers) > 0

    def _read(self, decoder: torch.nn.Module, forward: Any, given: dict[str, Any], shared: int) -> Any:
        embeds = given["inputs_embeds"]  # [B, L, D]
        self._extend(decoder, forward, given, shared)
        own = _first(self._cache, shared, len(embeds))
        out = forward(**given | _part(given, shared, embeds.shape[1], len(embeds)) | held(decoder, own) | {"use_cache": True})
        states = out.last_hidden_state.new_zeros(embeds.shape)
        states[:, shared:] = out.last_hidden_state
        out.last_hidden_state = states
        return out

    def _extend(self, decoder: torch.nn.Module, forward: Any, given: dict[str, Any], length: int) -> None:
        """Hold at least the first `length` positions of the batch, from what of them is held already."""
        wanted, known = given["inputs_embeds"][:1, :length], 0
        if self._embeds is not None:
            limit = min(length, self._embeds.shape[1])
            differ = (self._embeds[:, :limit] != wanted[:, :limit]).any(-1)[0]
            known = int(differ.int().argmax()) if bool(differ.any()) else limit
        if known == length:
            return
        self._cache = _first(self._cache, known, 1) if known else self._vlm.new_cache()
        forward(**given | _part(given, known, length, 1) | held(decoder, self._cache) | {"use_cache": True})
        self._embeds = wanted.clone()


def _first(cache: Any, length: int, rows: int) -> Any:
    """The first positions of a cache of one row, for so many rows. Nothing is copied; what is added to it is its own."""
    found = copy.copy(cache)
    found.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in found.layers:
        layer.keys, layer.values = (x[..., :length, :].expand(rows, -1, -1, -1) for x in (layer.keys, layer.values))
    return found


def _part(given: dict[str, Any], start: int, end: int, rows: int) -> dict[str, Any]:
    """Embeddings and positions of a part of the sequence, and the mask up to its end, of the first rows."""
    found: dict[str, Any] = {"inputs_embeds": given["inputs_embeds"][:rows, start:end]}
    if given.get("position_ids") is not None:
        found["position_ids"] = given["position_ids"][..., :rows, start:end]  # [B or 1, L], or three of them
    if given.get("attention_mask") is not None:
        found["attention_mask"] = given["attention_mask"][:rows, :end]
    return found
