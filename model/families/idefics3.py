"""Idefics3 and SmolVLM: the picture squashed to a canvas of square tiles, then the whole of it, small. Pixel shuffle.

Each tile has its row and column written in front of it, and the whole picture comes last; a picture
that fits one tile is shown once.
"""

from __future__ import annotations

import numpy as np

from ..errors import Unsupported
from ..geometry.grid import ImageGrid, View
from ..geometry.pixels import to_uint8
from ..geometry.views import squashed_view, tile_views
from ..late import torch
from ..prompt import Prompt
from . import families
from .base import FULL, IDEFICS_PATHS, Family, ImageInput, Inputs, Parts, SeenPicture, TowerPlaces
from .base.chat_template import render
from .base.tokens import encode, extend, place_spans, preprocess, to_device, visual_positions

FAKE, GLOBAL = "<fake_token_around_image>", "<global-img>"
PIXELS = ("pixel_values", "pixel_attention_mask")


@families.add
class Idefics3(Family):
    slug = "idefics3"
    title = "Idefics3, SmolVLM"
    model_types = ("idefics3", "smolvlm")
    capabilities = FULL
    paths = IDEFICS_PATHS

    def inputs(self, parts: Parts, prompt: Prompt) -> Inputs:
        made = [preprocess(parts, image, return_row_col_info=True) for image in prompt.images]
        token = parts.tokenizer.convert_ids_to_tokens(parts.image_token_id)
        views, spans = [], []
        for i, (image, one) in enumerate(zip(prompt.images, made, strict=True)):
            down, across = one["rows"][0][0], one["cols"][0][0]
            views.append(self._views(parts, image.image.size, down, across, one["pixel_values"], i))
            spans.append(_span(down, across, token * (views[i][-1].rows * views[i][-1].cols)))
        text = place_spans(render(parts, prompt, plain="User: {images}{text}\nAssistant:"), token, spans)
        tensors = extend(parts.model, encode(parts, text), prompt.answer_tokens)
        if made:
            tensors |= {name: torch.cat([one[name] for one in made], 1) for name in PIXELS}  # [1, tiles, ...]
        tensors = to_device(tensors, parts)
        ids = tensors["input_ids"][0].tolist()
        counts = [sum(view.rows * view.cols for view in of) for of in views]
        single, at = [], 0
        for part, of, count in zip(prompt.images, views, counts, strict=True):
            single.append(ImageInput(part.id, {name: tensors[name][:, at : at + len(of)] for name in PIXELS}, count))
            at += len(of)
        sizes = tuple(part.image.size for part in prompt.images)
        grid = ImageGrid(tuple(view for of in views for view in of), np.arange(sum(counts)), sizes) if made else None
        visual = visual_positions(ids, parts.image_token_id)
        return Inputs(tensors, ids, visual, grid, tuple(single), PIXELS, len(made))

    def _views(
        self, parts: Parts, size: tuple[int, int], down: int, across: int, pixels: torch.Tensor, image: int
    ) -> tuple[View, ...]:
        """The tiles [1, n, 3, S, S] of one picture, row by row, and the whole of it."""
        height, width = pixels.shape[-2:]
        side = parts.config.vision_config.patch_size * parts.config.scale_factor
        if height != width or pixels.shape[1] != down * across + 1:
            raise Unsupported(
                f"This checkpoint's image processor makes {pixels.shape[1]} pictures of {width} x {height} pixels, not square "
                "tiles and a whole. Where they look is not known here."
            )
        whole = squashed_view(size, height // side, width // side, image)
        return (*tile_views(size, down, across, height // side, width // side, image), whole) if down else (whole,)

    def seen(self, parts: Parts, inputs: Inputs) -> list[SeenPicture]:
        if inputs.grid is None:
            return []
        pictures = to_uint8(inputs.tensors["pixel_values"][0], parts.image_processor)
        return [SeenPicture(p, view.image, view.name, view.box) for p, view in zip(pictures, inputs.grid.views, strict=True)]

    def tower_places(self, parts: Parts, inputs: Inputs) -> list[TowerPlaces]:
        """Patches stand row by row in each tile; pixel shuffle puts a square of them into a token."""
        found, token, side = [], 0, parts.config.scale_factor
        for sample, view in enumerate(inputs.grid.views if inputs.grid else ()):
            row, col = np.divmod(np.arange(view.rows * view.cols), view.cols)
            inside = [(row * side + r) * view.cols * side + col * side + c for r in range(side) for c in range(side)]
            tokens = np.arange(token, token + view.rows * view.cols)
            found.append(TowerPlaces(tokens, np.stack(inside, -1), picture=view.image, sample=sample))
            token += len(tokens)
        return found


def _span(down: int, across: int, tokens: str) -> str:
    """What stands for one picture: `tokens` for each tile behind its row and column, a line for each row, then the whole."""
    rows = ["".join(f"{FAKE}<row_{r + 1}_col_{c + 1}>{tokens}" for c in range(across)) + "\n" for r in range(down)]
    return "".join(rows) + ("\n" if down else "") + f"{FAKE}{GLOBAL}{tokens}{FAKE}"
