"""Idefics2: the quarters of the picture and the whole of it, at their own shape; a resampler's 64 queries for each.

A query has no place. It is drawn where the resampler's attention has it read, as `mixing` says, and a new
picture is encoded once more to hear that.
"""

from __future__ import annotations

import numpy as np

from ..errors import PromptError, Unsupported
from ..geometry.grid import ImageGrid, View
from ..geometry.pixels import to_uint8
from ..geometry.views import trimmed
from ..late import torch
from ..prompt import Prompt
from . import families
from .base import FULL, IDEFICS_PATHS, Family, ImageInput, Inputs, Parts, SeenPicture
from .base.chat_template import render
from .base.mixing import drawn, mixed
from .base.tokens import extend, preprocess, special_tokens, to_device, visual_positions

PIXELS = ("pixel_values", "pixel_attention_mask")


@families.add
class Idefics2(Family):
    slug = "idefics2"
    title = "Idefics2"
    model_types = ("idefics2",)
    capabilities = FULL
    paths = IDEFICS_PATHS

    def inputs(self, parts: Parts, prompt: Prompt) -> Inputs:
        if parts.processor is None:
            raise Unsupported("This checkpoint has no processor that writes its picture tokens. Choose another checkpoint.")
        made = [preprocess(parts, image) for image in prompt.images]
        text = render(parts, prompt, plain="User: {images}{text}<end_of_utterance>\nAssistant:")
        try:
            encoded = parts.processor(text=[text], return_tensors="pt", **special_tokens(parts, text))
        except ValueError as error:  # its own checks, in its own words
            raise PromptError(f"This checkpoint's processor refuses the prompt: {error}") from error
        tensors = extend(parts.model, {name: encoded[name] for name in ("input_ids", "attention_mask")}, prompt.answer_tokens)
        if made:
            tensors |= {name: _stacked([one[name] for one in made]) for name in PIXELS}
        tensors = to_device(tensors, parts)
        ids, queries = tensors["input_ids"][0].tolist(), parts.config.perceiver_config.resampler_n_latents
        single = tuple(
            ImageInput(part.id, to_device({name: one[name] for name in PIXELS}, parts), one["pixel_values"].shape[1] * queries)
            for part, one in zip(prompt.images, made, strict=True)
        )
        visual, grid = visual_positions(ids, parts.image_token_id), self._grid(parts, prompt, single)
        return Inputs(tensors, ids, visual, grid, single, PIXELS, len(made))

    def _grid(self, parts: Parts, prompt: Prompt, single: tuple[ImageInput, ...]) -> ImageGrid | None:
        if not single:
            return None
        views, samples, patch = [], [], parts.config.vision_config.patch_size
        depth = parts.config.perceiver_config.resampler_depth
        modules = [f"model.connector.perceiver_resampler.layers.{i}.self_attn" for i in range(depth)]
        for i, (part, image) in enumerate(zip(prompt.images, single, strict=True)):
            own = _views(part.image.size, image.tensors["pixel_attention_mask"][0], patch, i)
            across = image.tensors["pixel_values"].shape[-1] // patch
            for view, weights in zip(own, drawn(parts, part.id, image.tensors, modules), strict=True):
                keys = np.arange(view.rows)[:, None] * across + np.arange(view.cols)  # padding stands right of and below them
                samples.append(weights.numpy()[:, keys.reshape(-1)])
            views += own
        mixing = mixed(samples)
        return ImageGrid(tuple(views), np.full(len(mixing), -1), tuple(part.image.size for part in prompt.images), mixing)

    def seen(self, parts: Parts, inputs: Inputs) -> list[SeenPicture]:
        found = []
        for i, image in enumerate(inputs.images):
            pictures = to_uint8(image.tensors["pixel_values"][0], parts.image_processor)
            masks, size = image.tensors["pixel_attention_mask"][0], inputs.grid.sizes[i] if inputs.grid else (0, 0)
            for pixels, mask, view in zip(pictures, masks, _views(size, masks, 1, i), strict=True):
                width, height = _shown(mask)
                found.append(SeenPicture(pixels[:height, :width], i, view.name, view.box))
        return found


def _views(size: tuple[int, int], masks: torch.Tensor, patch: int, image: int) -> list[View]:
    """The views of one (width, height) picture from masks [n, H, W] of what is no padding: quarters and whole, or it alone."""
    (width, height), found = size, []
    middle, centre = width // 2, height // 2
    boxes = [("the whole picture", (0, 0, width, height))]
    if len(masks) > 1:
        quarters = [
            (0, 0, middle, centre),
            (middle, 0, width, centre),
            (0, centre, middle, height),
            (middle, centre, width, height),
        ]
        names = ("upper left", "upper right", "lower left", "lower right")
        boxes = [(f"{name} quarter", box) for name, box in zip(names, quarters, strict=True)] + boxes
    for (name, box), mask in zip(boxes, masks, strict=True):
        shown = _shown(mask)
        x0, y0, x1, y1 = map(float, box)
        view = View((x0, y0, x1, y1), shown[1] // patch, shown[0] // patch, image, name)
        found.append(trimmed(view, shown, patch))
    return found


def _shown(mask: torch.Tensor) -> tuple[int, int]:
    """How much of a padded picture [H, W] is picture: (width, height)."""
    return int(mask[0].sum()), int(mask[:, 0].sum())


def _stacked(pictures: list[torch.Tensor]) -> torch.Tensor:
    """Views of all pictures, [1, n, ..., H, W] each, as one; smaller ones are padded right and below, as the processor does."""
    height, width = (max(one.shape[axis] for one in pictures) for axis in (-2, -1))
    return torch.cat([torch.nn.functional.pad(one, (0, width - one.shape[-1], 0, height - one.shape[-2])) for one in pictures], 1)
