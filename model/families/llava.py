"""LLaVA 1.5 and its kin: a vision transformer, a two-layer MLP, a decoder. Each patch is one token, row by row.

The processor decides what is seen: a centre crop (LLaVA-1.5 as converted on the Hub), the picture
padded to a square, or the picture squashed (SigLIP).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..geometry.grid import ImageGrid, joined
from ..geometry.pixels import to_uint8
from ..geometry.views import shown_view, trimmed
from ..late import torch
from ..prompt import Prompt
from . import families
from .base import FULL, LLAVA_PATHS, Family, ImageInput, Inputs, Parts, SeenPicture, TowerPlaces
from .base.chat_template import render
from .base.tokens import encode, extend, place_pictures, preprocess, to_device, visual_positions

Layout = tuple[tuple[int, int], np.ndarray]


@families.add
class Llava(Family):
    slug = "llava"
    title = "LLaVA"
    model_types = ("llava", "vipllava")
    capabilities = FULL
    paths = LLAVA_PATHS

    def answers_for(self, config: Mapping[str, Any]) -> bool:
        """Pixtral calls itself LLaVA too, but writes row breaks between its patches."""
        vision = config.get("vision_config")
        return super().answers_for(config) and not (isinstance(vision, dict) and vision.get("model_type") == "pixtral")

    def inputs(self, parts: Parts, prompt: Prompt) -> Inputs:
        text = render(parts, prompt, plain="USER: {images}{text} ASSISTANT:")
        made = [preprocess(parts, image) for image in prompt.images]
        layouts = [self._layout(parts, tensors["pixel_values"]) for tensors in made]
        token = parts.tokenizer.convert_ids_to_tokens(parts.image_token_id)
        text = place_pictures(text, token, [len(cells) for _, cells in layouts])
        tensors = extend(parts.model, encode(parts, text), prompt.answer_tokens)
        if made:
            tensors["pixel_values"] = torch.cat([one["pixel_values"] for one in made])
        tensors = to_device(tensors, parts)
        ids = tensors["input_ids"][0].tolist()
        single = tuple(
            ImageInput(part.id, {"pixel_values": tensors["pixel_values"][i : i + 1]}, len(layouts[i][1]))
            for i, part in enumerate(prompt.images)
        )
        visual, grid = visual_positions(ids, parts.image_token_id), self._grid(parts, prompt, made, layouts)
        return Inputs(tensors, ids, visual, grid, single, pictures=len(made))

    def _layout(self, parts: Parts, pixels: torch.Tensor) -> Layout:
        """(rows, cols) of a picture's patches, and the patch of each of its tokens: -1 for a class token that is kept."""
        patch = parts.config.vision_config.patch_size
        rows, cols = pixels.shape[-2] // patch, pixels.shape[-1] // patch
        chosen = parts.config.to_dict().get("vision_feature_select_strategy", "default")  # ViP-LLaVA has no choice
        keeps_class = chosen == "full" and "siglip" not in parts.config.vision_config.model_type
        return (rows, cols), np.concatenate([np.full(int(keeps_class), -1), np.arange(rows * cols)])

    def _grid(
        self, parts: Parts, prompt: Prompt, made: Sequence[Mapping[str, torch.Tensor]], layouts: Sequence[Layout]
    ) -> ImageGrid | None:
        pictures = []
        for i, (part, ((rows, cols), cell)) in enumerate(zip(prompt.images, layouts, strict=True)):
            height, width = made[i]["pixel_values"].shape[-2:]
            view = shown_view(parts.image_processor, part.image.size, rows, cols, i)
            pictures.append(((trimmed(view, (width, height), parts.config.vision_config.patch_size),), cell))
        return joined(pictures, [part.image.size for part in prompt.images])

    def seen(self, parts: Parts, inputs: Inputs) -> list[SeenPicture]:
        if inputs.grid is None:
            return []
        pictures = to_uint8(inputs.tensors["pixel_values"], parts.image_processor)
        boxes = [shown_view(parts.image_processor, size, 1, 1).box for size in inputs.grid.sizes]
        return [SeenPicture(p, i, "the picture", box) for i, (p, box) in enumerate(zip(pictures, boxes, strict=True))]

    def tower_places(self, parts: Parts, inputs: Inputs) -> list[TowerPlaces]:
        """A token is a patch, behind the tower's class token where it has one."""
        tower = parts.model.get_submodule(self.paths["vision"])
        shift = int(any(name.endswith(("class_embedding", "cls_token")) for name, _ in tower.named_parameters()))
        found, start = [], 0
        for i, pixels in enumerate(inputs.tensors.get("pixel_values", ())):
            _, cell = self._layout(parts, pixels)
            tokens = np.arange(start, start + len(cell))
            found.append(TowerPlaces(tokens, np.where(cell >= 0, cell + shift, 0)[:, None], picture=i, sample=i))
            start += len(cell)
        return found
