"""LLaVA-OneVision: tiles for one picture, a padded square each for several.

One picture is squashed to a tile, and read once more as the raster of a canvas of tiles, its padding dropped. A raster of
more than nine tiles' patches is shrunk, and then a token is a blend of neighbours. A line break stands behind each row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import PictureError, Unsupported
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
class OneVisionLayout:
    """One picture: its views, the cell of each of its tokens, counted from its first view, and its tiles where it has any."""

    views: tuple[View, ...]
    cell: np.ndarray
    tiles: Raster | None = None
    shrunk: bool = False


@families.add
class LlavaOnevision(Family):
    slug = "llava_onevision"
    title = "LLaVA-OneVision"
    model_types = ("llava_onevision",)
    capabilities = FULL
    paths = LLAVA_PATHS

    def inputs(self, parts: Parts, prompt: Prompt) -> Inputs:
        sizes = [part.image.size for part in prompt.images]
        layouts = self._layouts(parts, sizes)
        token = parts.tokenizer.convert_ids_to_tokens(parts.image_token_id)
        text = render(parts, prompt, plain="USER: {images}{text} ASSISTANT:")
        text = place_pictures(text, token, [len(layout.cell) for layout in layouts])
        tensors = extend(parts.model, encode(parts, text), prompt.answer_tokens)
        if layouts:
            tensors |= self._pictures(parts, prompt)
        tensors = to_device(tensors, parts)
        ids = tensors["input_ids"][0].tolist()
        single = []
        for i, (part, layout) in enumerate(zip(prompt.images, layouts, strict=True)):
            alone = {name: tensors[name][i : i + 1] for name in ("pixel_values", "image_sizes")}
            # How many there are says whether they are tiled, also when one is encoded by itself.
            alone["batch_num_images"] = tensors["batch_num_images"]
            single.append(ImageInput(part.id if layout.tiles else f"{part.id} in a square", alone, len(layout.cell)))
        visual = visual_positions(ids, parts.image_token_id)
        grid = joined([(layout.views, layout.cell) for layout in layouts], sizes)
        return Inputs(tensors, ids, visual, grid, tuple(single), pictures=len(layouts))

    def _pictures(self, parts: Parts, prompt: Prompt) -> dict[str, torch.Tensor]:
        if len(prompt.images) == 1:
            made: dict[str, Any] = preprocess(parts, prompt.images[0])
        else:
            try:
                made = dict(parts.image_processor(images=[[part.image for part in prompt.images]], return_tensors="pt"))
            except ValueError as error:
                raise PictureError(f"This checkpoint cannot take these pictures together: {error}.") from error
        side = parts.config.vision_config.image_size
        if tuple(made["pixel_values"].shape[-2:]) != (side, side):
            raise Unsupported(
                f"This checkpoint's image processor makes tiles of {made['pixel_values'].shape[-1]} pixels, and its tower takes "
                f"{side}. Where they look is not known here."
            )
        return {name: torch.as_tensor(made[name]) for name in ("pixel_values", "image_sizes", "batch_num_images")}

    def _layouts(self, parts: Parts, sizes: Sequence[tuple[int, int]]) -> list[OneVisionLayout]:
        """How each of these pictures is laid out in a prompt that has all of them."""
        if len(sizes) != 1:
            return [_padded(parts, size, i) for i, size in enumerate(sizes)]
        vision, size = parts.config.vision_config, sizes[0]
        side = vision.image_size // vision.patch_size
        whole = trimmed(squashed_view(size, side, side), vision.image_size, vision.patch_size)
        tiles = raster(size, parts.config.image_grid_pinpoints, vision.image_size, vision.patch_size)
        rows, cols = tiles.cell.shape
        ratio = math.sqrt(rows * cols / (int(parts.config.vision_aspect_ratio.removeprefix("anyres_max_")) * side**2))
        views, cell = tuple(tile.view for tile in tiles.tiles if tile.view is not None), tiles.cell
        if ratio > 1.1:
            rows, cols = int(rows // ratio), int(cols // ratio)
            views, cell = (View(tiles.box, rows, cols, 0, "all tiles"),), np.arange(rows * cols).reshape(rows, cols)
        cell = np.pad(cell + side**2, ((0, 0), (0, 1)), constant_values=-1)
        return [OneVisionLayout((whole, *views), np.concatenate([np.arange(side**2), cell.reshape(-1)]), tiles, ratio > 1.1)]

    def seen(self, parts: Parts, inputs: Inputs) -> list[SeenPicture]:
        if inputs.grid is None:
            return []
        found = []
        for i, (layout, size) in enumerate(zip(self._layouts(parts, inputs.grid.sizes), inputs.grid.sizes, strict=True)):
            pictures = to_uint8(inputs.images[i].tensors["pixel_values"][0], parts.image_processor)
            if layout.tiles is None:
                found.append(SeenPicture(pictures[0], i, "the picture", _square(size)))
                continue
            found += seen_tiles(pictures, layout.tiles, size, i)
        return found

    def tower_places(self, parts: Parts, inputs: Inputs) -> list[TowerPlaces]:
        """A token is a patch of its tile. Line breaks are none."""
        pictures = []
        for layout in self._layouts(parts, inputs.grid.sizes if inputs.grid else ()):
            if layout.shrunk:
                raise Unsupported(
                    "This picture has more tiles than LLaVA-OneVision reads, so its tokens are blends of patches of several "
                    "tiles, which are not followed into the tower. Use a smaller picture."
                )
            whole = np.arange(layout.views[0].rows * layout.views[0].cols)
            pictures.append((layout.cell, [whole, *(tile.cells for tile in (layout.tiles.tiles if layout.tiles else ()))]))
        return tile_places(pictures)


def _square(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The square a (width, height) picture is padded to, in the picture's own pixels."""
    longest = max(size)
    left, top = -((longest - size[0]) // 2), -((longest - size[1]) // 2)
    return float(left), float(top), float(left + longest), float(top + longest)


def _padded(parts: Parts, size: tuple[int, int], image: int) -> OneVisionLayout:
    """One of several pictures: a square, and one line break."""
    vision = parts.config.vision_config
    side = vision.image_size // vision.patch_size
    view = trimmed(View(_square(size), side, side, image, "the picture"), vision.image_size, vision.patch_size)
    return OneVisionLayout((view,), np.append(np.arange(side**2), -1))
