"""PaliGemma: the picture squashed to a square, its patches in front of the question, and both seen in both directions.

There is no chat template. A question without a picture is not taken.
"""

from __future__ import annotations

import numpy as np

from ..errors import PromptError
from ..geometry.grid import ImageGrid, View
from ..geometry.pixels import to_uint8
from ..geometry.views import shown_view, trimmed
from ..late import torch
from ..prompt import Prompt
from . import families
from .base import FULL, LLAVA_PATHS, Family, ImageInput, Inputs, Parts, SeenPicture, TowerPlaces
from .base.chat_template import render
from .base.tokens import encode, extend, preprocess, to_device, visual_positions


@families.add
class PaliGemma(Family):
    slug = "paligemma"
    title = "PaliGemma"
    model_types = ("paligemma",)
    capabilities = FULL
    paths = LLAVA_PATHS

    def inputs(self, parts: Parts, prompt: Prompt) -> Inputs:
        if not prompt.images:
            raise PromptError("PaliGemma takes a picture with every question. Attach one.")
        made = [preprocess(parts, image)["pixel_values"] for image in prompt.images]
        views = tuple(
            _view(parts, image.image.size, pixels, i) for i, (image, pixels) in enumerate(zip(prompt.images, made, strict=True))
        )
        counts = [view.rows * view.cols for view in views]
        token = parts.tokenizer.convert_ids_to_tokens(parts.image_token_id)
        text = token * sum(counts) + parts.tokenizer.bos_token + render(parts, prompt, plain="{text}\n")
        tensors = encode(parts, text, add_special_tokens=False)
        # Zeros are what is seen in both directions: the picture and the question.
        tensors["token_type_ids"] = torch.zeros_like(tensors["input_ids"])
        tensors = extend(parts.model, tensors, prompt.answer_tokens) | {"pixel_values": torch.cat(made)}
        tensors = to_device(tensors, parts)
        ids = tensors["input_ids"][0].tolist()
        single = tuple(
            ImageInput(part.id, {"pixel_values": tensors["pixel_values"][i : i + 1]}, counts[i])
            for i, part in enumerate(prompt.images)
        )
        grid = ImageGrid(views, np.arange(sum(counts)), tuple(part.image.size for part in prompt.images))
        return Inputs(tensors, ids, visual_positions(ids, parts.image_token_id), grid, single, pictures=len(made))

    def seen(self, parts: Parts, inputs: Inputs) -> list[SeenPicture]:
        pictures = to_uint8(inputs.tensors["pixel_values"], parts.image_processor)
        boxes = [shown_view(parts.image_processor, size, 1, 1).box for size in (inputs.grid.sizes if inputs.grid else ())]
        return [SeenPicture(p, i, "the picture", box) for i, (p, box) in enumerate(zip(pictures, boxes, strict=True))]

    def tower_places(self, parts: Parts, inputs: Inputs) -> list[TowerPlaces]:
        """A token is a patch."""
        found, token = [], 0
        for i, image in enumerate(inputs.images):
            patches = np.arange(image.tokens)
            found.append(TowerPlaces(token + patches, patches[:, None], picture=i, sample=i))
            token += image.tokens
        return found


def _view(parts: Parts, size: tuple[int, int], pixels: torch.Tensor, image: int) -> View:
    """What the patches of a picture show of its (width, height) source."""
    height, width = pixels.shape[-2:]
    patch = parts.config.vision_config.patch_size
    return trimmed(shown_view(parts.image_processor, size, height // patch, width // patch, image), (width, height), patch)
