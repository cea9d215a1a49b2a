"""`tiny-qwen2-vl`: pictures at their own aspect ratio, rotary positions in the tower, 2 x 2 patches to a token, M-RoPE.

The tower has no absolute positions, so it is asked for boxes relative to each patch; where things are the decoder
learns at its second layer, from how far an image token lies from the token that opens the picture.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from transformers import (
    AttentionInterface,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from .recipe import Recipe, TowerOutput, cosine_filters
from .sizes import PictureSize
from .tokenizer import BOS, EOS, PAD, QWEN, token_id

PATCH_PX, MERGE, FRAMES = 8, 2, 2
MIN_PX, MAX_PX = 64 * 64, 128 * 128
HEADS = 4
SHAPES = ((8, 8), (6, 9), (9, 6), (7, 8), (8, 7), (6, 10), (10, 6), (7, 7), (6, 6))
"""Rows and columns of image tokens met in training: what the processor makes of 1:1, 3:2, 5:4, 16:10 and smaller squares."""


def build(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    ids = {name: token_id(tokenizer, name) for name in (PAD, BOS, EOS, *recipe.dialect.special)}
    head = recipe.width // HEADS
    vision = {
        "depth": 4,
        "embed_dim": recipe.width,
        "hidden_size": recipe.width,
        "mlp_ratio": 4,
        "num_heads": HEADS,
        "patch_size": PATCH_PX,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": FRAMES,
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": recipe.width,
        "intermediate_size": 3 * recipe.width,
        "num_hidden_layers": 5,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "bos_token_id": ids[BOS],
        "eos_token_id": ids[EOS],
        "pad_token_id": ids[PAD],
        # Time, row and column take turns over the frequencies, so that each has fast and slow ones (as in Qwen3-VL).
        "rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [1] * (head // 2)},
    }
    config = Qwen2VLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config.update(bos_token_id=ids[BOS], eos_token_id=ids[EOS], pad_token_id=ids[PAD])
    _start(model)
    return model


def image_processor(recipe: Recipe) -> Qwen2VLImageProcessorPil:
    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": MIN_PX, "longest_edge": MAX_PX},
        patch_size=PATCH_PX,
        merge_size=MERGE,
        temporal_patch_size=FRAMES,
        image_mean=[recipe.picture.mean] * 3,
        image_std=[recipe.picture.std] * 3,
    )


def _save_processor(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, folder: str) -> None:
    """Tokenizer and image processor. The processor class of the architecture would need torchvision for its videos."""
    image_processor(recipe).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _start(model: PreTrainedModel) -> None:
    """Start from cosine filters, and from random query and key biases, in place.

    A bias makes attention depend on distance alone from the first step on: without it, positions that only
    rotate queries and keys say nothing until both are learned.
    """
    filters = model.model.visual.patch_embed.proj.weight.data  # [D, 3, frames, n, n]
    bank = cosine_filters(filters.shape[0], PATCH_PX)
    filters[: len(bank)] = bank[:, :, None] / FRAMES
    width = filters.shape[0]
    for block in model.model.visual.blocks:
        block.attn.qkv.bias.data[: 2 * width].normal_()
    for layer in model.model.language_model.layers:
        for part in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            part.bias.data.normal_()


def see(model: PreTrainedModel, pixels: torch.Tensor) -> TowerOutput:
    """The tower over pictures of one size, [B, 3, H, W]: as `Qwen2VLModel.visual`, which takes them one after the other."""
    visual, (pictures, _, height, width) = model.model.visual, pixels.shape
    rows, cols = height // (PATCH_PX * MERGE), width // (PATCH_PX * MERGE)
    flat = patches_of(pixels)  # [B * P, 3 * frames * n * n]
    proj = visual.patch_embed.proj
    hidden = F.linear(flat, proj.weight.flatten(1))
    turns = visual.rotary_pos_emb(hidden, _places(rows, cols, pixels.device).repeat(pictures, 1))
    ends = torch.tensor([0, len(hidden)], device=pixels.device)
    config, before = visual.config, visual.config._attn_implementation
    config._attn_implementation = EACH
    try:
        for block in visual.blocks:
            hidden = block(hidden, cu_seqlens=ends, position_embeddings=turns, pictures=pictures)
    finally:
        config._attn_implementation = before
    embeds = visual.merger(hidden).reshape(pictures, rows * cols, -1)
    last = hidden.reshape(pictures, rows, cols, MERGE, MERGE, -1).permute(0, 1, 3, 2, 4, 5).flatten(1, 4)
    return TowerOutput(last, embeds)


def patches_of(pixels: torch.Tensor) -> torch.Tensor:
    """Pictures [B, 3, H, W] as flat patches in the order they are merged in, [B * P, 3 * frames * n * n]."""
    n, m = PATCH_PX, MERGE
    blocks = pixels.unflatten(2, (-1, m, n)).unflatten(5, (-1, m, n))  # [B, 3, rows, m, n, cols, m, n]
    blocks = blocks.permute(0, 2, 5, 3, 6, 1, 4, 7).unsqueeze(6).expand(*[-1] * 6, FRAMES, -1, -1)
    return blocks.reshape(-1, 3 * FRAMES * n * n)


def _places(rows: int, cols: int, device: torch.device) -> torch.Tensor:
    """Row and column of each patch in the order they are merged in, [P, 2]."""
    y, x = torch.meshgrid(torch.arange(rows * MERGE), torch.arange(cols * MERGE), indexing="ij")
    at = torch.stack([y, x], -1).reshape(rows, MERGE, cols, MERGE, 2).transpose(1, 2)
    return at.reshape(-1, 2).to(device)


def _attend_each(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None,
    scaling: float, dropout: float = 0.0, pictures: int = 1, **kwargs: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention within each of `pictures` equally long stretches of one sequence: [1, heads, B * P, d], all at once."""
    query, key, value = (part[0].unflatten(1, (pictures, -1)).transpose(0, 1) for part in (query, key, value))
    if query.device.type == "cuda":
        out = F.scaled_dot_product_attention(query, key, value, scale=scaling)
    else:
        out = (query @ key.transpose(2, 3) * scaling).softmax(-1, dtype=torch.float32).to(value.dtype) @ value
    return out.transpose(1, 2).flatten(0, 1)[None], None


EACH = "each_picture"
AttentionInterface.register(EACH, _attend_each)

TINY_QWEN2_VL = Recipe(
    name="tiny-qwen2-vl",
    title="Qwen2-VL",
    sizes=tuple(PictureSize(16 * cols, 16 * rows, PATCH_PX, MERGE) for rows, cols in SHAPES),
    pictures="Pictures keep their aspect ratio and take 4,096 to 16,384 pixels; patches are 8 px, four of them make a token, "
    "64 tokens for a square.",
    text_tokens=224,
    width=128,
    dialect=QWEN,
    parts={
        "tower": ("model.visual.patch_embed", "model.visual.blocks"),
        "connector": ("model.visual.merger",),
        "decoder": ("model.language_model",),
    },
    build=build,
    save_processor=_save_processor,
    see=see,
    place_layer=2,
)
