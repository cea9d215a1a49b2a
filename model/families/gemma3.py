"""Gemma 3: the picture squashed to a square, its patches averaged in squares to 16 x 16 tokens.

Pan and scan, which cuts a long picture into further crops, is off, as it is in the checkpoints.
"""

from __future__ import annotations

import math

import numpy as np

from ..geometry.grid import ImageGrid
from ..geometry.pixels import to_uint8
from ..geometry.views import shown_view
from ..late import torch
from ..prompt import Prompt
from . import families
from .base import FULL, LLAVA_PATHS, Family, ImageInput, Inputs, Parts, SeenPicture, TowerPlaces
from .base.chat_template import render
from .base.tokens import encode, extend, place_spans, preprocess, to_device, visual_mask, visual_positions

START, END = "<start_of_image>", "<end_of_image>"


@families.add
class Gemma3(Family):
    slug = "gemma3"
    title = "Gemma 3"
    model_types = ("gemma3",)
    capabilities = FULL
    paths = LLAVA_PATHS

    def inputs(self, parts: Parts, prompt: Prompt) -> Inputs:
        made = [preprocess(parts, image, do_pan_and_scan=False)["pixel_values"] for image in prompt.images]
        count = parts.config.mm_tokens_per_image
        token = parts.tokenizer.convert_ids_to_tokens(parts.image_token_id)
        span = f"\n\n{START}{token * count}{END}\n\n"
        text = place_spans(render(parts, prompt, plain=f"{START * len(made)}{{text}}\n"), START, [span] * len(made))
        tensors = encode(parts, text)
        # Ones are seen in both directions: a picture's own tokens.
        tensors["token_type_ids"] = visual_mask(tensors["input_ids"], parts)
        tensors = extend(parts.model, tensors, prompt.answer_tokens)
        if made:
            tensors["pixel_values"] = torch.cat(made)
        tensors = to_device(tensors, parts)
        ids = tensors["input_ids"][0].tolist()
        single = tuple(
            ImageInput(part.id, {"pixel_values": tensors["pixel_values"][i : i + 1]}, count)
            for i, part in enumerate(prompt.images)
        )
        visual = visual_positions(ids, parts.image_token_id)
        return Inputs(tensors, ids, visual, self._grid(parts, prompt), single, pictures=len(made))

    def _grid(self, parts: Parts, prompt: Prompt) -> ImageGrid | None:
        if not prompt.images:
            return None
        side, sizes = math.isqrt(parts.config.mm_tokens_per_image), tuple(part.image.size for part in prompt.images)
        views = tuple(shown_view(parts.image_processor, size, side, side, i) for i, size in enumerate(sizes))
        return ImageGrid(views, np.arange(len(views) * side**2), sizes)

    def seen(self, parts: Parts, inputs: Inputs) -> list[SeenPicture]:
        if inputs.grid is None:
            return []
        pictures = to_uint8(inputs.tensors["pixel_values"], parts.image_processor)
        return [SeenPicture(p, view.image, "the picture", view.box) for p, view in zip(pictures, inputs.grid.views, strict=True)]

    def tower_places(self, parts: Parts, inputs: Inputs) -> list[TowerPlaces]:
        """Patches stand row by row; a token is the mean of a square of them."""
        vision, side = parts.config.vision_config, math.isqrt(parts.config.mm_tokens_per_image)
        patches = vision.image_size // vision.patch_size
        pool = patches // side
        row, col = np.divmod(np.arange(side**2), side)
        inside = np.stack([(row * pool + r) * patches + col * pool + c for r in range(pool) for c in range(pool)], -1)
        return [
            TowerPlaces(np.arange(i * side**2, (i + 1) * side**2), inside, picture=i, sample=i) for i in range(inputs.pictures)
        ]
