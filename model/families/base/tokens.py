"""Small steps every family needs between a processor's output and a model's input."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import PictureError, PromptError
from ...late import Pretrained, torch, transformers
from ...memory import is_out_of_memory, size_bytes
from ...prompt import ImagePart
from . import Parts


def takes_features(model: Pretrained) -> bool:
    """Whether `forward` takes encoder outputs in place of pixels (`mm_encoder_outputs`, transformers 5.19 and later)."""
    names = inspect.signature(model.forward).parameters
    return "mm_encoder_outputs" in names and callable(getattr(model.base_model, "get_image_features", None))


def visual_positions(ids: Sequence[int], image_token_id: int | None) -> np.ndarray:
    """Where the visual tokens stand in a prompt. int64 [T], ascending."""
    if image_token_id is None:
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.asarray(ids) == image_token_id)


def visual_mask(ids: torch.Tensor, parts: Parts) -> torch.Tensor:
    """1 at each visual token, 0 elsewhere. int32, shaped like `ids`."""
    assert parts.image_token_id is not None, f"the config of {parts.config.model_type} names no image token"
    return (ids == parts.image_token_id).int()


def extend(
    model: transformers.GenerationMixin, tensors: Mapping[str, torch.Tensor], answer: Sequence[int]
) -> dict[str, torch.Tensor]:
    """Put tokens of an answer behind a prompt, with all that has to grow with it.

    The model's own bookkeeping of `generate` says how: PaliGemma's answer is seen in one direction, Mllama's
    sees the pictures its last token sees. What it leaves as long as the prompt is filled with zeros.
    """
    if not answer:
        return dict(tensors)
    ids = tensors["input_ids"]
    length = ids.shape[-1]
    grown = {name: value for name, value in tensors.items() if name != "input_ids"}
    for _ in answer:
        grown = model._update_model_kwargs_for_generation(
            transformers.utils.generic.ModelOutput(), grown, is_encoder_decoder=False
        )
    for name, value in grown.items():
        if value.ndim == 2 and value.shape == (1, length):
            grown[name] = torch.cat([value, value.new_zeros(1, len(answer))], -1)
    return grown | {"input_ids": torch.cat([ids, ids.new_tensor([list(answer)])], -1)}


def to_device(tensors: dict[str, torch.Tensor], parts: Parts) -> dict[str, torch.Tensor]:
    """Copies on the model's device, pictures in its dtype."""
    return {
        name: value.to(parts.device, parts.dtype) if value.is_floating_point() else value.to(parts.device)
        for name, value in tensors.items()
    }


def special_tokens(parts: Parts, text: str) -> dict[str, bool]:
    """How a rendered prompt is to be tokenised: where the template wrote the start token, no second one is put before it."""
    start = parts.tokenizer.bos_token
    return {"add_special_tokens": False} if start and text.startswith(start) else {}


def encode(parts: Parts, text: str, **more: bool) -> dict[str, torch.Tensor]:
    """Ids and mask of a rendered prompt, int64 [1, L]. `more` is how it is tokenised where that is not as usual."""
    encoded = parts.tokenizer(text, return_tensors="pt", **(more or special_tokens(parts, text)))
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


def preprocess(parts: Parts, image: ImagePart, **more: Any) -> dict[str, Any]:
    """What the image processor makes of one picture, kept for the next time. On the CPU, float32.

    `more` are the settings with which the checkpoint's processor calls it, always the same for a checkpoint.
    """
    held = parts.pictures.get(image.id)
    if held is None:
        try:
            held = dict(parts.image_processor(images=[image.image], return_tensors="pt", **more))
        except Exception as error:  # its own checks, of the aspect ratio for one, and arithmetic that nobody checked
            if is_out_of_memory(error):
                raise
            why = str(error).rstrip(".") if isinstance(error, ValueError) else f"{type(error).__name__}, {error}"
            raise PictureError(f"This checkpoint cannot take {named(image)}: {why}. Crop it or use another.") from error
        parts.pictures.put(image.id, held, size_bytes(held))
    return held


def named(image: ImagePart) -> str:
    width, height = image.image.size
    return f"{image.name or 'the picture'} of {width} x {height} pixels"


def place_pictures(text: str, placeholder: str, counts: Sequence[int]) -> str:
    """The text with each picture's placeholder repeated as often as it has tokens. Raises PromptError on a mismatch."""
    return place_spans(text, placeholder, [placeholder * count for count in counts])


def place_spans(text: str, placeholder: str, spans: Sequence[str]) -> str:
    """The text with each picture's placeholder replaced by the picture's own span. Raises PromptError on a mismatch."""
    pieces = text.split(placeholder)
    if len(pieces) != len(spans) + 1:
        raise PromptError(
            f"The chat template wrote {len(pieces) - 1} placeholders for {len(spans)} pictures. It may be a text model's: put "
            "the chat_template.jinja of the original vision-language model beside the checkpoint, or choose another."
        )
    return pieces[0] + "".join(span + piece for span, piece in zip(spans, pieces[1:], strict=True))


class Pieces:
    """The text of single tokens, as they are shown beside each other: with the space they start with."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._anchor = tokenizer("a", add_special_tokens=False).input_ids[-1:]
        self._known: dict[int, str] = {}

    def __getitem__(self, token: int) -> str:
        """Decoded behind a letter, which is then cut off: some decoders drop a space that nothing stands before."""
        if token not in self._known:
            both = self._decode([*self._anchor, token])
            self._known[token] = both[len(self._decode(self._anchor)) :]
        return self._known[token]

    def _decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


class Detokenizer:
    """Token ids to text, piece by piece. The pieces together are the decoded whole.

    A character spread over several tokens appears with its last one. Decoding starts a few tokens
    back each time, so that spaces between words come out right at constant cost.
    """

    def __init__(self, tokenizer: Any) -> None:
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
