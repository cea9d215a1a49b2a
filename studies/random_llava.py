"""A LLaVA of real proportions with weights that mean nothing: what costs are measured on."""

from __future__ import annotations

from pathlib import Path

from model.checkpoint import builtin_folders
from model.late import torch, transformers


def random_llava(folder: Path) -> Path:
    """A LLaVA of LLaVA-1.5's shape at 77 M parameters with random weights: 336 px, 576 image tokens. The same each time."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    source = builtin_folders()["tiny-llava"]
    tokenizer = transformers.AutoProcessor.from_pretrained(source, trust_remote_code=False).tokenizer
    ids = {name: tokenizer.convert_tokens_to_ids(f"<{name}>") for name in ("pad", "bos", "eos", "image")}
    vision = transformers.CLIPVisionConfig(
        hidden_size=512, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=8, image_size=336, patch_size=14
    )
    text = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=512,
        intermediate_size=1376,
        num_hidden_layers=12,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=4096,
        bos_token_id=ids["bos"],
        eos_token_id=ids["eos"],
        pad_token_id=ids["pad"],
    )
    torch.manual_seed(0)
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=ids["image"], image_seq_length=576
    )
    model = transformers.LlavaForConditionalGeneration(config).eval()
    model.generation_config.update(eos_token_id=None, pad_token_id=ids["pad"], bos_token_id=ids["bos"])
    model.save_pretrained(folder)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
    transformers.LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=tokenizer.chat_template,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder
