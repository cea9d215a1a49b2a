"""`tiny-llava`: a SigLIP tower, a two-layer connector and a Llama decoder, on square pictures of one size."""

from __future__ import annotations

import math

import torch
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.siglip.modeling_siglip import SiglipVisionEmbeddings

from .recipe import Recipe, TowerOutput, cosine_filters
from .sizes import PictureSize
from .tokenizer import BOS, EOS, LLAVA, PAD, token_id


def build(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    pad, bos, eos, image = (token_id(tokenizer, t) for t in (PAD, BOS, EOS, recipe.dialect.image))
    vision = SiglipVisionConfig(
        hidden_size=recipe.width,
        intermediate_size=4 * recipe.width,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=recipe.picture.width_px,
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
    _start_from_space(model.model.vision_tower.embeddings, recipe.picture)
    return model


def processor(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    size = recipe.picture
    pictures = LlavaImageProcessorPil(
        do_pad=True,
        size={"shortest_edge": size.width_px},
        crop_size={"height": size.height_px, "width": size.width_px},
        resample=3,
        image_mean=[size.mean] * 3,
        image_std=[size.std] * 3,
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=size.patch_px,
        vision_feature_select_strategy="full",
        chat_template=tokenizer.chat_template,
        num_additional_image_tokens=0,
    )


def _save_processor(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, folder: str) -> None:
    processor(recipe, tokenizer).save_pretrained(folder)


def _see(model: PreTrainedModel, pixels: torch.Tensor) -> TowerOutput:
    out = model.model.vision_tower(pixel_values=pixels, output_hidden_states=True)
    return TowerOutput(out.last_hidden_state, model.model.multi_modal_projector(out.hidden_states[-1]))


def _start_from_space(embeddings: SiglipVisionEmbeddings, picture: PictureSize) -> None:
    """Start a SigLIP tower from cosine filters and from positions that are two-dimensional sines, in place."""
    bank = cosine_filters(embeddings.patch_embedding.weight.shape[0], picture.patch_px)
    embeddings.patch_embedding.weight.data[: len(bank)] = bank
    g = picture.cols
    y, x = torch.meshgrid(torch.arange(g).float(), torch.arange(g).float(), indexing="ij")
    steps = embeddings.position_embedding.weight.shape[1] // 4
    rates = math.pi / g * 2 ** (torch.arange(steps) / steps * math.log2(g))
    waves = [wave(axis.reshape(-1, 1) * rates[None]) for axis in (x, y) for wave in (torch.sin, torch.cos)]
    embeddings.position_embedding.weight.data.copy_(0.5 * torch.cat(waves, 1))


TINY_LLAVA = Recipe(
    name="tiny-llava",
    title="LLaVA",
    sizes=(PictureSize(96, 96, 8),),
    pictures="Pictures are 96 px square, patches 8 px, 144 image tokens a picture.",
    text_tokens=224,
    width=128,
    dialect=LLAVA,
    parts={
        "tower": ("model.vision_tower",),
        "connector": ("model.multi_modal_projector",),
        "decoder": ("model.language_model",),
    },
    build=build,
    save_processor=_save_processor,
    see=_see,
    with_stage1=True,
)
