"""Features of pictures, kept by what was fed to the encoder, bounded in bytes.

The key is the hash of the preprocessed tensors and the checkpoint, so that the same file under another
crop, size or processor is another entry. A hit gives the very tensors that were computed before.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..late import Pretrained, torch
from ..memory import ByteCache, size_bytes

LIMIT_BYTES = 512 * 2**20
LEFT_OUT = ("last_hidden_state", "hidden_states", "attentions")
"""Fields of an encoder's output that no decoder reads. Hidden states of every layer would be ten times the rest."""
JOINED = ("pooler_output", "deepstack_features")
"""Fields that are put together when pictures were encoded one by one."""


class EncoderCache:
    """Encoder outputs of single pictures, over all checkpoints."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._cache: ByteCache[Any] = ByteCache(limit_bytes)

    @property
    def used_bytes(self) -> int:
        return self._cache.used_bytes

    @property
    def hits(self) -> int:
        return self._cache.hits

    @property
    def misses(self) -> int:
        return self._cache.misses

    def features(self, model: Pretrained, owner: str, tensors: Mapping[str, torch.Tensor]) -> tuple[Any, bool]:
        """The encoder output for one picture's tensors, and whether it was held. `owner` names the loaded weights."""
        key = (owner, tensor_key(tensors))
        held = self._cache.get(key)
        if held is not None:
            return held, True
        made = _slim(model.base_model.get_image_features(**tensors, return_dict=True))
        self._cache.put(key, made, size_bytes(made))
        return made, False

    def forget(self, owner: str) -> None:
        """Let go of everything a checkpoint's encoder made."""
        self._cache.drop_if(lambda key: key[0] == owner)


def tensor_key(tensors: Mapping[str, torch.Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes. A millisecond a megabyte."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def joined(outputs: Sequence[Any]) -> Any:
    """Encoder outputs of several pictures as one, in order. A copy, since models write into what they are given."""
    if len(outputs) == 1:
        return copy.copy(outputs[0])
    fields: dict[str, Any] = {}
    for name in JOINED:
        values = [output[name] for output in outputs if output.get(name) is not None]
        if not values:
            continue
        if isinstance(values[0], torch.Tensor):
            fields[name] = torch.cat(values)
        elif name == "deepstack_features":
            fields[name] = [_together(layer) for layer in zip(*values, strict=True)]
        else:
            fields[name] = [one for value in values for one in value]
    return type(outputs[0])(**fields)


def _together(layer: Sequence[Any]) -> Any:
    """A layer's features of several pictures: one tensor each, or a tuple with one for each picture, as Qwen3-VL has it."""
    return torch.cat(list(layer)) if isinstance(layer[0], torch.Tensor) else tuple(one for several in layer for one in several)


def _slim(output: Any) -> Any:
    return type(output)(**{name: value for name, value in output.items() if name not in LEFT_OUT})
