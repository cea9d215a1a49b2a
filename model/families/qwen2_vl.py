"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: pictures at their own size and aspect ratio, 2 x 2 patches merged to a token, M-RoPE.

Qwen2.5-VL's tower attends in windows, and takes the patches in the order of these windows. Qwen3-VL hands features of
earlier tower layers to the first layers of the decoder too.

The processor class needs torchvision for its video half, so prompts are built from tokenizer and
image processor here, which need nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..geometry.grid import ImageGrid
from ..geometry.pixels import to_uint8
from ..geometry.views import squashed_view
from ..late import torch
from ..prompt import ImagePart, Prompt
from . import families
from .base import FULL, Family, ImageInput, Inputs, Parts, SeenPicture, TowerPlaces
from .base.chat_template import render
from .base.tokens import encode, extend, place_pictures, preprocess, to_device, visual_mask, visual_positions

PAD = "<|image_pad|>"


@families.add
class Qwen2VL(Family):
    slug = "qwen2_vl"
    title = "Qwen2-VL, Qwen2.5-VL, Qwen3-VL"
    model_types = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
    capabilities = FULL
    paths = {
        "vision": "model.visual", "connector": "model.visual.merger",
        "layers": "model.language_model.layers", "norm": "model.language_model.norm", "head": "lm_head",
    }  # fmt: skip

    def inputs(self, parts: Parts, prompt: Prompt) -> Inputs:
        images, merge = prompt.images, parts.image_processor.merge_size
        made = [preprocess(parts, image) for image in images]
        counts = [int(one["image_grid_thw"].prod()) // merge**2 for one in made]
        text = place_pictures(render(parts, prompt, plain="{images}{text}\n"), PAD, counts)
        tensors = extend(parts.model, encode(parts, text), prompt.answer_tokens)
        if images:
            tensors |= {name: torch.cat([one[name] for one in made]) for name in ("pixel_values", "image_grid_thw")}
            # Positions in two dimensions are made from these.
            tensors["mm_token_type_ids"] = visual_mask(tensors["input_ids"], parts)
        tensors = to_device(tensors, parts)
        ids = tensors["input_ids"][0].tolist()
        visual = visual_positions(ids, parts.image_token_id)
        single = self._single(tensors, images, counts)
        return Inputs(tensors, ids, visual, self._grid(images, made, merge), single, pictures=len(images))

    def _grid(self, images: Sequence[ImagePart], made: Sequence[Mapping[str, torch.Tensor]], merge: int) -> ImageGrid | None:
        if not images:
            return None
        views = []
        for i, (part, one) in enumerate(zip(images, made, strict=True)):
            _, rows, cols = one["image_grid_thw"][0].tolist()
            views.append(squashed_view(part.image.size, rows // merge, cols // merge, i, "image"))
        tokens = sum(view.rows * view.cols for view in views)
        return ImageGrid(tuple(views), np.arange(tokens), tuple(part.image.size for part in images))

    def _single(
        self, tensors: Mapping[str, torch.Tensor], images: Sequence[ImagePart], counts: list[int]
    ) -> tuple[ImageInput, ...]:
        found, at = [], 0
        for i, part in enumerate(images):
            shape = tensors["image_grid_thw"][i : i + 1]
            patches = int(shape.prod())
            one = {"pixel_values": tensors["pixel_values"][at : at + patches], "image_grid_thw": shape}
            found.append(ImageInput(part.id, one, counts[i]))
            at += patches
        return tuple(found)

    def seen(self, parts: Parts, inputs: Inputs) -> list[SeenPicture]:
        found = []
        for image, view in zip(inputs.images, inputs.grid.views if inputs.grid else (), strict=True):
            picture = _unfold(image.tensors["pixel_values"], image.tensors["image_grid_thw"][0].tolist(), parts.image_processor)
            found.append(SeenPicture(to_uint8(picture[None], parts.image_processor)[0], view.image, "the picture", view.box))
        return found

    def positions(self, parts: Parts, inputs: Inputs, start: int, depths: torch.Tensor) -> torch.Tensor:
        """Three equal rows. A picture takes as many positions as its longer side, not as it has tokens."""
        ids, begin = inputs.tensors["input_ids"][:, :start], 0
        if start:
            kinds = visual_mask(ids, parts)
            placed, _ = parts.model.model.get_rope_index(ids, kinds, inputs.tensors.get("image_grid_thw"))  # [3, 1, start]
            begin = int(placed.max()) + 1
        return (begin + depths)[None, None].expand(3, 1, -1)

    def forget_prompt(self, parts: Parts) -> None:
        """The model keeps the position shift of its last prompt and would continue another's kept keys with it."""
        parts.model.model.rope_deltas = None

    def tower_places(self, parts: Parts, inputs: Inputs) -> list[TowerPlaces]:
        """Patches come in the order they are merged in: each token's stand together, token after token or window by window."""
        found, token, patch, merge = [], 0, 0, parts.image_processor.merge_size
        for i, image in enumerate(inputs.images):
            _, rows, cols = image.tensors["image_grid_thw"][0].tolist()
            turn = _turns(parts.config.vision_config, rows // merge, cols // merge)
            positions = turn[:, None] * merge**2 + np.arange(merge**2)
            found.append(TowerPlaces(np.arange(token, token + image.tokens), positions, picture=i, offset=patch))
            token, patch = token + image.tokens, patch + image.tokens * merge**2
        return found


def _turns(vision: Any, rows: int, cols: int) -> np.ndarray:
    """When the tower takes each merged token of a picture, counted from 0: in windows where it has them. int64 [rows * cols]."""
    if vision.model_type != "qwen2_5_vl_vision":
        return np.arange(rows * cols)
    side = vision.window_size // vision.spatial_merge_size // vision.patch_size
    row, col = np.divmod(np.arange(rows * cols), cols)
    return np.argsort(np.lexsort((col, row, col // side, row // side)))


def _unfold(patches: torch.Tensor, shape: list[int], processor: Any) -> torch.Tensor:
    """Flattened patches in merge order, [patches, 3 * t * p * p], back to a picture [3, H, W]."""
    _, rows, cols = shape
    p, m, t = processor.patch_size, processor.merge_size, processor.temporal_patch_size
    blocks = patches.reshape(rows // m, cols // m, m, m, 3, t, p, p)[:, :, :, :, :, 0]  # [r, c, m, m, 3, p, p]
    return blocks.permute(4, 0, 2, 5, 1, 3, 6).reshape(3, rows * p, cols * p)
