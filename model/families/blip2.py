"""BLIP-2: the picture squashed to a square, and a Q-Former's queries in front of the question. One picture, no template.

A query has no place. It is drawn where the Q-Former's cross-attention has it read, as `mixing` says, and a new
picture is encoded once more to hear that.
"""

from __future__ import annotations

import numpy as np

from ..errors import PromptError, Unsupported
from ..geometry.grid import ImageGrid
from ..geometry.pixels import to_uint8
from ..geometry.views import shown_view, trimmed
from ..prompt import Prompt
from . import families
from .base import Capability, Family, ImageInput, Inputs, Parts, SeenPicture
from .base.chat_template import render
from .base.mixing import drawn, mixed
from .base.tokens import extend, special_tokens, to_device, visual_positions


@families.add
class Blip2(Family):
    slug = "blip2"
    title = "BLIP-2"
    model_types = ("blip-2",)
    capabilities = frozenset({Capability.GENERATE, Capability.GRID, Capability.ATTENTION})
    limits = (
        "It takes one picture a prompt, and no picture features in place of pixels, so maps that change or differentiate "
        "features are not offered; raw attention is, drawn where the Q-Former's queries read."
    )

    def inputs(self, parts: Parts, prompt: Prompt) -> Inputs:
        if parts.processor is None:
            raise Unsupported("This checkpoint has no processor that puts pictures and text together. Choose another checkpoint.")
        if len(prompt.images) > 1:
            raise PromptError(
                f"BLIP-2 takes one picture a prompt, not {len(prompt.images)}. Start a new chat or remove pictures."
            )
        if parts.config.text_config.is_encoder_decoder and prompt.answer_tokens:
            raise Unsupported("BLIP-2 with T5 writes its answer in a decoder of its own, which is not looked into here.")
        text = render(parts, prompt, plain="Question: {text} Answer:")
        pictures = [part.image for part in prompt.images] or None
        try:
            made = parts.processor(text=text, images=pictures, return_tensors="pt", **special_tokens(parts, text))
        except (ValueError, TypeError) as error:  # its own checks, in its own words
            raise PromptError(f"This checkpoint's processor refuses the prompt: {error}") from error
        tensors = to_device(extend(parts.model, dict(made), prompt.answer_tokens), parts)
        ids = tensors["input_ids"][0].tolist()
        visual = visual_positions(ids, parts.image_token_id)
        images = tuple(ImageInput(part.id, {"pixel_values": tensors["pixel_values"]}, len(visual)) for part in prompt.images)
        return Inputs(tensors, ids, visual, self._grid(parts, prompt, images), images, pictures=len(images))

    def _grid(self, parts: Parts, prompt: Prompt, images: tuple[ImageInput, ...]) -> ImageGrid | None:
        if not images:
            return None
        pixels, patch = images[0].tensors["pixel_values"], parts.config.vision_config.patch_size
        size, width, height = prompt.images[0].image.size, pixels.shape[-1], pixels.shape[-2]
        whole = shown_view(parts.image_processor, size, height // patch, width // patch)
        modules = [
            name
            for name, _ in parts.model.named_modules()
            if name.startswith("qformer.") and name.endswith("crossattention.attention")
        ]
        weights = drawn(parts, prompt.images[0].id, images[0].tensors, modules)[0].numpy()
        mixing = mixed([weights[:, 1:]])  # the first key is the tower's class token
        return ImageGrid((trimmed(whole, (width, height), patch),), np.full(len(mixing), -1), (size,), mixing)

    def seen(self, parts: Parts, inputs: Inputs) -> list[SeenPicture]:
        if inputs.grid is None:
            return []
        box = shown_view(parts.image_processor, inputs.grid.sizes[0], 1, 1).box
        return [SeenPicture(to_uint8(inputs.tensors["pixel_values"], parts.image_processor)[0], 0, "the picture", box)]
