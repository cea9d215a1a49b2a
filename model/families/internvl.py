"""InternVL: the picture squashed to the canvas of square tiles that fits it best, and a thumbnail last. 2 x 2 patches a token.

The processor class needs torchvision for its video half, so prompts are built from tokenizer and
image processor here, which need nothing.
"""

from __future__ import annotations

import numpy as np

from ..geometry.grid import ImageGrid, View
from ..geometry.pixels import to_uint8
from ..geometry.views import squashed_view, tile_views
from ..late import torch
from ..prompt import Prompt
from . import families
from .base import FULL, LLAVA_PATHS, Family, ImageInput, Inputs, Parts, SeenPicture, TowerPlaces
from .base.chat_template import render
from .base.tokens import encode, extend, place_spans, preprocess, to_device, visual_positions

START, END = "<img>", "</img>"


@families.add
class InternVL(Family):
    slug = "internvl"
    title = "InternVL"
    model_types = ("internvl",)
    capabilities = FULL
    paths = LLAVA_PATHS

    def inputs(self, parts: Parts, prompt: Prompt) -> Inputs:
        made = [preprocess(parts, image, crop_to_patches=True) for image in prompt.images]
        views = [self._views(parts, image.image.size, one["pixel_values"], i)
                 for i, (image, one) in enumerate(zip(prompt.images, made, strict=True))]  # fmt: skip
        counts = [sum(view.rows * view.cols for view in of) for of in views]
        token = parts.tokenizer.convert_ids_to_tokens(parts.image_token_id)
        text = place_spans(render(parts, prompt, plain="{images}{text}\n"), token, [f"{START}{token * n}{END}" for n in counts])
        tensors = extend(parts.model, encode(parts, text), prompt.answer_tokens)
        if made:
            tensors["pixel_values"] = torch.cat([one["pixel_values"] for one in made])
        tensors = to_device(tensors, parts)
        ids = tensors["input_ids"][0].tolist()
        pixels = tensors["pixel_values"].split([len(of) for of in views]) if made else ()
        single = tuple(
            ImageInput(part.id, {"pixel_values": own}, n) for part, own, n in zip(prompt.images, pixels, counts, strict=True)
        )
        sizes = tuple(part.image.size for part in prompt.images)
        grid = ImageGrid(tuple(view for of in views for view in of), np.arange(sum(counts)), sizes) if made else None
        return Inputs(tensors, ids, visual_positions(ids, parts.image_token_id), grid, single, pictures=len(made))

    def _views(self, parts: Parts, size: tuple[int, int], pixels: torch.Tensor, image: int) -> tuple[View, ...]:
        """The tiles [n, 3, H, W] of one picture, row by row; behind several the whole picture, small."""
        height, width = pixels.shape[-2:]
        patch = parts.config.vision_config.patch_size
        down, right = (patch, patch) if isinstance(patch, int) else patch
        rows, cols = int(height // down * parts.config.downsample_ratio), int(width // right * parts.config.downsample_ratio)
        whole = squashed_view(size, rows, cols, image)
        if len(pixels) == 1:
            return (whole,)
        settings = parts.image_processor
        from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

        across, high = get_optimal_tiled_canvas(size[::-1], (height, width), settings.min_patches, settings.max_patches)
        assert across * high + 1 == len(pixels), f"{high} x {across} tiles and a thumbnail, but {len(pixels)} pictures"
        return (*tile_views(size, high, across, rows, cols, image), whole)

    def seen(self, parts: Parts, inputs: Inputs) -> list[SeenPicture]:
        if inputs.grid is None:
            return []
        pictures = to_uint8(inputs.tensors["pixel_values"], parts.image_processor)
        return [SeenPicture(p, view.image, view.name, view.box) for p, view in zip(pictures, inputs.grid.views, strict=True)]

    def tower_places(self, parts: Parts, inputs: Inputs) -> list[TowerPlaces]:
        """Behind a class token, patches stand row by row in each tile; pixel shuffle puts a square of them into a token."""
        found, token = [], 0
        for sample, view in enumerate(inputs.grid.views if inputs.grid else ()):
            side = round(1 / parts.config.downsample_ratio)
            row, col = np.divmod(np.arange(view.rows * view.cols), view.cols)
            inside = [(row * side + r) * view.cols * side + col * side + c for r in range(side) for c in range(side)]
            tokens = np.arange(token, token + view.rows * view.cols)
            found.append(TowerPlaces(tokens, np.stack(inside, -1) + 1, picture=view.image, sample=sample))
            token += len(tokens)
        return found
