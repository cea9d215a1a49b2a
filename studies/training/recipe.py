"""What a recipe is, and what all recipes share: packed decoding and filters to begin with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from .packing import PackedText
from .sizes import PictureSize
from .tokenizer import Dialect


@dataclass(frozen=True)
class TowerOutput:
    """What a tower makes of a batch: `last` [B, P, D] for the patch heads, row by row, `embeds` [B, T, H] for the decoder."""

    last: torch.Tensor
    embeds: torch.Tensor


@dataclass(frozen=True)
class Recipe:
    """How one checkpoint is built and fed.

    `parts` names its modules: tower, connector, decoder. `sizes` are those its pictures take in training, the
    commonest first. `save_processor` writes what `from_pretrained` needs beside the weights. `place_layer` is the
    decoder layer asked where things are, for a tower that does not know (see `patches.PatchHeads`).
    """

    name: str
    title: str
    sizes: tuple[PictureSize, ...]
    pictures: str
    text_tokens: int
    width: int
    dialect: Dialect
    parts: dict[str, tuple[str, ...]]
    build: Callable[[Recipe, PreTrainedTokenizerFast], PreTrainedModel]
    save_processor: Callable[[Recipe, PreTrainedTokenizerFast, str], None]
    see: Callable[[PreTrainedModel, torch.Tensor], TowerOutput]
    place_layer: int | None = None
    with_stage1: bool = False

    @property
    def picture(self) -> PictureSize:
        """The size pictures take most often; figures about the checkpoint are for it."""
        return self.sizes[0]

    def modules(self, model: PreTrainedModel) -> dict[str, nn.ModuleList]:
        """The model's modules by part."""
        return {part: nn.ModuleList(model.get_submodule(path) for path in paths) for part, paths in self.parts.items()}


def decode(model: PreTrainedModel, text: PackedText, embeds: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
    """Hidden states [B, T, H] of packed rows: what enters the first layer, then after each; the last one normalised.

    `embeds` [pictures, P, H] take the placeholders' places, in order.
    """
    words = model.get_input_embeddings()(text.ids)
    if embeds is not None:
        places = (text.ids == model.config.image_token_id)[..., None]
        words = words.masked_scatter(places, embeds.to(words.dtype))
    hidden = torch.zeros(text.mask.shape, dtype=words.dtype, device=words.device).masked_fill_(
        ~text.mask, torch.finfo(words.dtype).min
    )
    return model.model.language_model(
        inputs_embeds=words,
        attention_mask=hidden,
        position_ids=text.positions,
        use_cache=False,
        output_hidden_states=True,
    ).hidden_states


def cosine_filters(count: int, patch_px: int) -> torch.Tensor:
    """Patch filters to begin with, [<= count, 3, n, n]: the lowest two-dimensional cosines over three colour mixes.

    The first thousand steps then go into shapes, not into finding edges.
    """
    n = patch_px
    k = torch.arange(n).float()
    cosines = torch.cos(math.pi * (k[None] + 0.5) * k[:, None] / n) * math.sqrt(2 / n)  # [n, n]
    cosines[0] *= math.sqrt(0.5)
    mixes = torch.tensor([[1.0, 1, 1], [1, 0, -1], [-0.5, 1, -0.5]])
    mixes = mixes / mixes.norm(dim=1, keepdim=True)
    order = sorted((i * i + j * j, i, j) for i in range(n) for j in range(n))
    basis = [mix[:, None, None] * torch.outer(cosines[i], cosines[j])[None] for _, i, j in order for mix in mixes]
    bank = torch.stack(basis[:count])
    return bank * 0.25 * (1 + torch.arange(len(bank)) / 24)[:, None, None, None].sqrt()
