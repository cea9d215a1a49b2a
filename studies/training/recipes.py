"""What is trained: for each built-in checkpoint its transformers architecture and its picture size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    SiglipVisionConfig,
)
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from .batches import PictureSize
from .packing import PackedText
from .tokenizer import BOS, EOS, IMAGE, PAD


@dataclass(frozen=True)
class Seen:
    """What a tower makes of a batch: `last` [B, P, D] for the patch heads, `embeds` [B, T, H] for the decoder."""

    last: torch.Tensor
    embeds: torch.Tensor


@dataclass(frozen=True)
class Recipe:
    """How one checkpoint is built and fed. `parts` names its modules: tower, connector, decoder."""

    name: str
    picture: PictureSize
    text_tokens: int
    width: int
    parts: dict[str, str]
    build: Callable[[Recipe, PreTrainedTokenizerFast], PreTrainedModel]
    processor: Callable[[Recipe, PreTrainedTokenizerFast], ProcessorMixin]
    see: Callable[[PreTrainedModel, torch.Tensor], Seen]


def _build_llava(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    pad, bos, eos, image = (tokenizer.convert_tokens_to_ids(t) for t in (PAD, BOS, EOS, IMAGE))
    vision = SiglipVisionConfig(
        hidden_size=recipe.width,
        intermediate_size=4 * recipe.width,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=recipe.picture.side_px,
        patch_size=recipe.picture.patch_px,
        hidden_act="gelu",
        vision_use_head=False,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=3 * recipe.width,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=bos,
        eos_token_id=eos,
        pad_token_id=pad,
        rms_norm_eps=1e-5,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=image,
        projector_hidden_act="gelu",
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_seq_length=recipe.picture.tokens,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.update(bos_token_id=bos, eos_token_id=eos, pad_token_id=pad)
    start_from_space(model.model.vision_tower.embeddings, recipe.picture)
    return model


def _llava_processor(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> ProcessorMixin:
    side = recipe.picture.side_px
    pictures = LlavaImageProcessorPil(
        do_pad=True,
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        resample=3,
        image_mean=[recipe.picture.mean] * 3,
        image_std=[recipe.picture.std] * 3,
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=recipe.picture.patch_px,
        vision_feature_select_strategy="full",
        chat_template=tokenizer.chat_template,
        num_additional_image_tokens=0,
    )


def _see_llava(model: PreTrainedModel, pixels: torch.Tensor) -> Seen:
    out = model.model.vision_tower(pixel_values=pixels, output_hidden_states=True)
    return Seen(out.last_hidden_state, model.model.multi_modal_projector(out.hidden_states[-1]))


def start_from_space(embeddings: torch.nn.Module, picture: PictureSize) -> None:
    """Start a SigLIP tower from sensible spatial features, in place.

    Patch filters start as the lowest two-dimensional cosines over three colour mixes, positions as
    two-dimensional sines: the first thousand steps then go into shapes, not into finding edges.
    """
    weight = embeddings.patch_embedding.weight.data  # [D, 3, n, n]
    n, width = picture.patch_px, weight.shape[0]
    k = torch.arange(n).float()
    cosines = torch.cos(math.pi * (k[None] + 0.5) * k[:, None] / n) * math.sqrt(2 / n)  # [n, n]
    cosines[0] *= math.sqrt(0.5)
    mixes = torch.tensor([[1.0, 1, 1], [1, 0, -1], [-0.5, 1, -0.5]])
    mixes = mixes / mixes.norm(dim=1, keepdim=True)
    order = sorted((i * i + j * j, i, j) for i in range(n) for j in range(n))
    basis = [mix[:, None, None] * torch.outer(cosines[i], cosines[j])[None] for _, i, j in order for mix in mixes]
    bank = torch.stack(basis[:width])
    weight[: len(bank)] = bank * 0.25 * (1 + torch.arange(len(bank)) / 24)[:, None, None, None].sqrt()

    g = picture.side_px // n
    y, x = torch.meshgrid(torch.arange(g).float(), torch.arange(g).float(), indexing="ij")
    steps = width // 4
    rates = math.pi / g * 2 ** (torch.arange(steps) / steps * math.log2(g))
    waves = [wave(axis.reshape(-1, 1) * rates[None]) for axis in (x, y) for wave in (torch.sin, torch.cos)]
    embeddings.position_embedding.weight.data.copy_(0.5 * torch.cat(waves, 1))


TINY_LLAVA = Recipe(
    name="tiny-llava",
    picture=PictureSize(96, 8),
    text_tokens=224,
    width=128,
    parts={"tower": "model.vision_tower", "connector": "model.multi_modal_projector", "decoder": "model.language_model"},
    build=_build_llava,
    processor=_llava_processor,
    see=_see_llava,
)

RECIPES = {recipe.name: recipe for recipe in (TINY_LLAVA,)}
"""Checkpoints that `python app.py train NAME` can make."""


def decode(model: PreTrainedModel, text: PackedText, embeds: torch.Tensor | None) -> torch.Tensor:
    """Last hidden states [B, T, H] of packed rows. `embeds` [pictures, P, H] take the placeholders' places, in order."""
    words = model.get_input_embeddings()(text.ids)
    if embeds is not None:
        places = (text.ids == model.config.image_token_id)[..., None]
        words = words.masked_scatter(places, embeds.to(words.dtype))
    hidden = torch.zeros(text.mask.shape, dtype=words.dtype, device=words.device).masked_fill_(
        ~text.mask, torch.finfo(words.dtype).min
    )
    out = model.model.language_model(inputs_embeds=words, attention_mask=hidden, position_ids=text.positions, use_cache=False)
    return out.last_hidden_state
