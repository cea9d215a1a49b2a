"""LLaVA-NeXT: the picture squashed to a tile, then the tiles of the canvas that suits it best, read as one raster.

Rows and columns of the raster that hold only padding are dropped, and a line break stands behind each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import Unsupported
from ..geometry.grid import View, joined
from ..geometry.pixels import to_uint8
from ..geometry.views import squashed_view, trimmed
from ..late import torch
from ..prompt import Prompt
from . import families
from .base import FULL, LLAVA_PATHS, Family, ImageInput, Inputs, Parts, SeenPicture, TowerPlaces
from .base.anyres import Raster, raster, seen_tiles, tile_places
from .base.chat_template import render
from .base.tokens import encode, extend, place_pictures, preprocess, to_device, visual_positions


@dataclass(frozen=True)
class NextLayout:
    """One picture: the whole of it, its tiles, and the cell of each of its tokens, counted from its first view."""

    whole: View
    tiles: Raster
    cell: np.ndarray

    @property
    def views(self) -> tuple[View, ...]:
        return (self.whole, *(tile.view for tile in self.tiles.tiles if tile.view is not None))

    @property
    def patches(self) -> list[np.ndarray]:
        """For the whole and each tile, the patches that its cells are."""
        return [np.arange(self.whole.rows * self.whole.cols), *(tile.cells for tile in self.tiles.tiles)]


@families.add
class LlavaNext(Family):
    slug = "llava_next"
    title = "LLaVA-NeXT"
    model_types = ("llava_next",)
    capabilities = FULL
    paths = LLAVA_PATHS

    def inputs(self, parts: Parts, prompt: Prompt) -> Inputs:
        made = [preprocess(parts, image) for image in prompt.images]
        layouts = self._layouts(parts, [part.image.size for part in prompt.images])
        for one in made:
            _check(parts, one["pixel_values"])
        token = parts.tokenizer.convert_ids_to_tokens(parts.image_token_id)
        text = render(parts, prompt, plain="USER: {images}{text} ASSISTANT:")
        text = place_pictures(text, token, [len(layout.cell) for layout in layouts])
        tensors = extend(parts.model, encode(parts, text), prompt.answer_tokens)
        if made:
            tensors["pixel_values"] = _stacked([one["pixel_values"] for one in made])
            tensors["image_sizes"] = torch.cat([one["image_sizes"] for one in made])
        tensors = to_device(tensors, parts)
        ids = tensors["input_ids"][0].tolist()
        single = []
        for i, (part, layout) in enumerate(zip(prompt.images, layouts, strict=True)):
            pixels = tensors["pixel_values"][i : i + 1, : len(layout.tiles.tiles) + 1]
            alone = {"pixel_values": pixels, "image_sizes": tensors["image_sizes"][i : i + 1]}
            single.append(ImageInput(part.id, alone, len(layout.cell)))
        visual = visual_positions(ids, parts.image_token_id)
        grid = joined([(layout.views, layout.cell) for layout in layouts], [part.image.size for part in prompt.images])
        return Inputs(tensors, ids, visual, grid, tuple(single), pictures=len(made))

    def _layouts(self, parts: Parts, sizes: Sequence[tuple[int, int]]) -> list[NextLayout]:
        vision, found = parts.config.vision_config, []
        side = vision.image_size // vision.patch_size
        for i, size in enumerate(sizes):
            whole = trimmed(squashed_view(size, side, side, i), vision.image_size, vision.patch_size)
            tiles = raster(size, parts.config.image_grid_pinpoints, vision.image_size, vision.patch_size, i)
            rows = np.pad(np.where(tiles.cell >= 0, tiles.cell + side**2, -1), ((0, 0), (0, 1)), constant_values=-1)
            found.append(NextLayout(whole, tiles, np.concatenate([np.arange(side**2), rows.reshape(-1)])))
        return found

    def seen(self, parts: Parts, inputs: Inputs) -> list[SeenPicture]:
        if inputs.grid is None:
            return []
        found = []
        for i, layout in enumerate(self._layouts(parts, inputs.grid.sizes)):
            pictures = to_uint8(inputs.images[i].tensors["pixel_values"][0], parts.image_processor)
            found += seen_tiles(pictures, layout.tiles, inputs.grid.sizes[i], i)
        return found

    def tower_places(self, parts: Parts, inputs: Inputs) -> list[TowerPlaces]:
        """A token is a patch of its tile, behind the tower's class token where it has one. Line breaks are none."""
        tower = parts.model.get_submodule(self.paths["vision"])
        shift = int(any(name.endswith(("class_embedding", "cls_token")) for name, _ in tower.named_parameters()))
        layouts = self._layouts(parts, inputs.grid.sizes if inputs.grid else ())
        return tile_places([(layout.cell, layout.patches) for layout in layouts], shift)


def _stacked(pictures: list[torch.Tensor]) -> torch.Tensor:
    """Tiles of all pictures, [1, n, 3, S, S] each, as one tensor; fewer tiles are filled up with zeros."""
    most = max(one.shape[1] for one in pictures)
    return torch.cat([torch.nn.functional.pad(one, (0, 0, 0, 0, 0, 0, 0, most - one.shape[1])) for one in pictures])


def _check(parts: Parts, pixels: torch.Tensor) -> None:
    side = parts.config.vision_config.image_size
    if tuple(pixels.shape[-2:]) != (side, side):
        raise Unsupported(
            f"This checkpoint's image processor makes tiles of {pixels.shape[-1]} x {pixels.shape[-2]} pixels, and its tower "
            f"takes {side} x {side}. Where they look is not known here."
        )
