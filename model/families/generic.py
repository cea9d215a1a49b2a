"""Any other checkpoint that transformers opens as image-text-to-text: it chats, and little more is promised."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..errors import PromptError, Unsupported
from ..geometry.grid import ImageGrid
from ..geometry.pixels import to_uint8
from ..geometry.views import squashed_view
from ..late import torch
from ..prompt import ImagePart, Prompt
from . import families
from .base import Capability, Family, ImageInput, Inputs, Parts, SeenPicture
from .base.chat_template import image_token, render
from .base.tokens import extend, special_tokens, takes_features, to_device, visual_positions

ONE_IMAGE = frozenset({"instructblip", "kosmos-2", "florence2", "git"})
UNTEMPLATED = {
    "instructblip": "{text}",
    "kosmos-2": "{text}",
    "florence2": "{text}",
    "git": "{text}",
}
"""How kinds without a chat template are asked. Their processors put the picture's tokens in by themselves."""
DROPPED = frozenset({"labels", "video_metadata", "return_metadata"})


@families.add
class Generic(Family):
    slug = "generic"
    title = "any image-text-to-text model"
    capabilities = frozenset({Capability.GENERATE})
    limits = (
        "This family has no file of its own here, so nothing ties its visual tokens to pixels: it answers, "
        "but maps on the picture are not offered. The families above it in README's table have them."
    )

    def inputs(self, parts: Parts, prompt: Prompt) -> Inputs:
        if parts.processor is None:
            raise Unsupported("This checkpoint has no processor that puts pictures and text together. Choose another checkpoint.")
        images = prompt.images
        if len(images) > 1 and parts.config.model_type in ONE_IMAGE:
            raise PromptError(
                f"{parts.config.model_type} takes one picture a prompt, not {len(images)}. Start a new chat or remove pictures."
            )
        text = render(parts, prompt, plain=UNTEMPLATED.get(parts.config.model_type, "{images}{text}"))
        try:
            made = parts.processor(
                text=text if parts.chat_template is None else [text],
                images=_nested(parts, images),
                return_tensors="pt",
                **special_tokens(parts, text),
            )
        except (ValueError, TypeError, IndexError, KeyError, RuntimeError) as error:  # its own checks, in its own words
            raise PromptError(f"This checkpoint's processor refuses the prompt: {error}") from error
        tensors = {k: v for k, v in made.items() if isinstance(v, torch.Tensor) and k not in DROPPED}
        tensors = to_device(extend(parts.model, tensors, prompt.answer_tokens), parts)
        ids = tensors["input_ids"][0].tolist()
        visual = _visual(tensors, ids, parts)
        names = tuple(name for name in tensors if "pixel" in name or name == "image_embeds")
        together = _together(parts, images, tensors, visual)
        return Inputs(tensors, ids, visual, _guess(images, len(visual)), together, names, len(images))

    def seen(self, parts: Parts, inputs: Inputs) -> list[SeenPicture]:
        pixels = inputs.tensors.get("pixel_values")
        if pixels is None or pixels.ndim < 4 or pixels.shape[-3] != 3:
            return []
        flat = pixels.reshape(-1, *pixels.shape[-3:])
        return [SeenPicture(p, 0, f"view {i + 1}", None) for i, p in enumerate(to_uint8(flat, parts.image_processor))]


def _visual(tensors: dict[str, torch.Tensor], ids: list[int], parts: Parts) -> np.ndarray:
    """Where the visual tokens stand: by their id, or by Kosmos-2's mask, which has no id of its own."""
    mask = tensors.get("image_embeds_position_mask")
    return np.flatnonzero(mask[0].cpu().numpy()) if mask is not None else visual_positions(ids, parts.image_token_id)


def _nested(parts: Parts, images: tuple[ImagePart, ...]) -> list[Image.Image] | list[list[Image.Image]] | None:
    """Pictures as one sample's list. Processors without a placeholder in the text want them flat."""
    pictures = [part.image for part in images]
    if not pictures:
        return None
    return pictures if parts.chat_template is None or image_token(parts) is None else [pictures]


def _together(
    parts: Parts, images: Sequence[ImagePart], tensors: dict[str, torch.Tensor], visual: np.ndarray
) -> tuple[ImageInput, ...]:
    """All pictures as one input of the encoder, where the model has a method that encodes them alone."""
    if not images or not len(visual) or not takes_features(parts.model):
        return ()
    wanted = inspect.signature(parts.model.base_model.get_image_features).parameters
    alone = {name: value for name, value in tensors.items() if name in wanted}
    if "pixel_values" not in alone:
        return ()
    return (ImageInput("|".join(image.id for image in images), alone, len(visual), len(images)),)


def _guess(images: tuple[ImagePart, ...], tokens: int) -> ImageGrid | None:
    """A raster over each whole picture where the token count allows one. Marked as a guess."""
    if not images or tokens % len(images):
        return None
    side = math.isqrt(tokens // len(images))
    if side < 2 or side * side * len(images) != tokens:
        return None
    views = tuple(squashed_view(part.image.size, side, side, i, "image") for i, part in enumerate(images))
    return ImageGrid(views, np.arange(tokens), tuple(part.image.size for part in images), exact=False)
