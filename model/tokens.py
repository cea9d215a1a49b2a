"""Small steps every family needs between a processor's output and a model's input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .errors import PromptError
from .families.base import Parts
from .memory import size_bytes
from .prompt import ImagePart


def visual_positions(ids: Sequence[int], image_token_id: int | None) -> np.ndarray:
    """Where the visual tokens stand in a prompt. int64 [T], ascending."""
    if image_token_id is None:
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.asarray(ids) == image_token_id)


def extend(tensors: dict[str, torch.Tensor], answer: Sequence[int]) -> dict[str, torch.Tensor]:
    """Put tokens the answer begins with behind the prompt: into ids, mask, and zeros into all that is as long."""
    if not answer:
        return tensors
    length = tensors["input_ids"].shape[-1]
    more = torch.tensor([list(answer)])
    grown = {}
    for name, value in tensors.items():
        if name == "input_ids":
            value = torch.cat([value, more.to(value.dtype)], -1)
        elif value.ndim == 2 and value.shape == (1, length):
            fill = torch.ones_like(more) if name == "attention_mask" else torch.zeros_like(more)
            value = torch.cat([value, fill.to(value.dtype)], -1)
        grown[name] = value
    return grown


def to_device(tensors: dict[str, torch.Tensor], parts: Parts) -> dict[str, torch.Tensor]:
    """On the model's device, pictures in its dtype."""
    return {
        name: value.to(parts.device, parts.dtype) if value.is_floating_point() else value.to(parts.device)
        for name, value in tensors.items()
    }


def special_tokens(parts: Parts, text: str) -> dict[str, bool]:
    """How a rendered prompt is to be tokenised: where the template wrote the start token, no second one is put before it."""
    start = parts.tokenizer.bos_token
    return {"add_special_tokens": False} if start and text.startswith(start) else {}


def encode(parts: Parts, text: str) -> dict[str, torch.Tensor]:
    """Ids and mask of a rendered prompt, int64 [1, L]."""
    encoded = parts.tokenizer(text, return_tensors="pt", **special_tokens(parts, text))
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


def preprocess(parts: Parts, image: ImagePart) -> dict[str, torch.Tensor]:
    """What the image processor makes of one picture, kept for the next time. On the CPU, float32."""
    held = parts.pictures.get(image.id)
    if held is None:
        held = dict(parts.image_processor(images=[image.image], return_tensors="pt"))
        parts.pictures.put(image.id, held, size_bytes(held))
    return held


def place_pictures(text: str, placeholder: str, counts: Sequence[int]) -> str:
    """The text with each picture's placeholder repeated as often as it has tokens. Raises PromptError on a mismatch."""
    pieces = text.split(placeholder)
    if len(pieces) != len(counts) + 1:
        raise PromptError(f"The chat template wrote {len(pieces) - 1} placeholders for {len(counts)} pictures. Choose another checkpoint.")
    return pieces[0] + "".join(placeholder * count + piece for count, piece in zip(counts, pieces[1:], strict=True))


class Detokenizer:
    """Token ids to text, piece by piece. The pieces together are the decoded whole.

    A character spread over several tokens appears with its last one. Decoding starts a few tokens
    back each time, so that spaces between words come out right at constant cost.
    """

    def __init__(self, tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._from = self._read = 0
        self.text = ""

    def push(self, token: int) -> str:
        """What this token adds to the text; empty while a character is incomplete."""
        self._ids.append(token)
        before, after = self._decode(self._from, self._read), self._decode(self._from, len(self._ids))
        if after.endswith("\ufffd") and len(self._ids) - self._read < 8:
            return ""
        piece = after[len(before) :]
        self._from, self._read = self._read, len(self._ids)
        self.text += piece
        return piece

    def flush(self) -> str:
        """What is left of an incomplete character at the end, as replacement characters."""
        piece = self._decode(self._from, len(self._ids))[len(self._decode(self._from, self._read)) :]
        self._read = self._from = len(self._ids)
        self.text += piece
        return piece

    def _decode(self, start: int, end: int) -> str:
        return self._tokenizer.decode(self._ids[start:end], skip_special_tokens=False, clean_up_tokenization_spaces=False)
