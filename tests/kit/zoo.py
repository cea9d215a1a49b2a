"""Tiny random checkpoints of real architectures, saved like Hub repositories, for tests. They know nothing.

Each has its family's own model, tokenizer class, special tokens, shortened chat template and processor
files; about 1 MB, made in a tenth of a second, the same weights every time. Weights are large enough that
another picture gives other logits, and what training starts at zero (gates, Gemma's projector) is not zero.
Dimensions and ids are not the Hub's, and nothing here says anything about quality.

    folder = build("llava_clip", tmp_path)
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import (
    GemmaTokenizer,
    GPT2Tokenizer,
    LlamaTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
)
from zoo_parts import (
    CLIP_COLOURS,
    HALF_COLOURS,
    LLAVA_TEMPLATE,
    NEXT_TEMPLATE,
    ONEVISION_TEMPLATE,
    QWEN_SYSTEM,
    SMOLVLM_TEMPLATE,
    bare_byte_level,
    byte_level,
    save,
    sentencepiece,
    text,
    token_id,
    tower,
    turns,
)

BUILDERS: dict[str, Callable[[Path], None]] = {}
"""Name -> function that writes the checkpoint into an empty folder."""
LAYOUTS: dict[str, list[str]] = {}
"""Layout -> names of the checkpoints whose visual tokens are placed that way, in their order here."""

SQUARE = {"height": 56, "width": 56}
TILES = [[56, 112], [112, 56], [112, 112]]
"""Canvases (height, width) of LLaVA-NeXT."""


def builder(layout: str = "") -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Decorator: make the function an entry of BUILDERS under its own name, and of LAYOUTS where its tokens have places.

    `layout` is "plain" where each patch is seen once, "tiled" where pictures are cut into tiles, empty elsewhere.
    """

    def add(function: Callable[[Path], None]) -> Callable[[Path], None]:
        BUILDERS[function.__name__] = function
        if layout:
            LAYOUTS.setdefault(layout, []).append(function.__name__)
        return function

    return add


def build(name: str, folder: Path | str) -> Path:
    """The checkpoint's own folder inside `folder`, made unless it is there already."""
    target, draft = Path(folder) / name, Path(folder) / f".{name}"
    if not target.is_dir():
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        BUILDERS[name](draft)
        draft.rename(target)
    return target


def zoo(tmp_path_factory: Any) -> Callable[[str], Path]:
    """For a session-scoped fixture: name -> folder, built on first use and shared by all test files of the run."""
    folder = tmp_path_factory.getbasetemp() / "zoo"
    return lambda name: build(name, folder)


def _llava(folder: Path, vision: dict[str, Any], pictures: dict[str, Any], strategy: str) -> None:
    tokenizer = _llama_tokenizer()
    config = {
        "model_type": "llava", "text_config": text(tokenizer, "llama"), "vision_config": vision, "image_seq_length": 16,
        "image_token_index": token_id(tokenizer, "<image>"), "vision_feature_select_strategy": strategy,
        "vision_feature_layer": -2 if strategy == "default" else -1,
    }  # fmt: skip
    processor = {
        "processor_class": "LlavaProcessor", "patch_size": 14, "vision_feature_select_strategy": strategy,
        "num_additional_image_tokens": 1 if strategy == "default" else 0,
    }  # fmt: skip
    save(folder, tokenizer, config, pictures, processor, template=LLAVA_TEMPLATE)


def _llama_tokenizer() -> PreTrainedTokenizerBase:
    return sentencepiece(LlamaTokenizer, "<unk> <s> </s>", "<image> <pad>", pad_token="<pad>")


@builder("plain")
def llava_clip(folder: Path) -> None:
    """LLaVA-1.5: second to last layer of CLIP without its class token; shortest edge resized, then the centre cut out."""
    size = {"size": {"shortest_edge": 56}, "crop_size": SQUARE, "do_center_crop": True}
    pictures = {"image_processor_type": "CLIPImageProcessor", **size, **CLIP_COLOURS}
    _llava(folder, tower("clip_vision_model", projection_dim=32), pictures, "default")


@builder("plain")
def llava_pad(folder: Path) -> None:
    """LLaVA-1.5 as its authors ran it: padded to a square in the mean colour, so nothing is cut off."""
    size = {"size": {"shortest_edge": 56}, "crop_size": SQUARE, "do_center_crop": True, "do_pad": True}
    pictures = {"image_processor_type": "LlavaImageProcessor", **size, **CLIP_COLOURS}
    _llava(folder, tower("clip_vision_model", projection_dim=32), pictures, "default")


@builder("plain")
def llava_siglip(folder: Path) -> None:
    """LLaVA with SigLIP: no class token, the picture squashed to a square."""
    pictures = {"image_processor_type": "SiglipImageProcessor", "size": SQUARE, **HALF_COLOURS}
    _llava(folder, tower("siglip_vision_model", vision_use_head=False), pictures, "full")


@builder("plain")
def vipllava(folder: Path) -> None:
    """ViP-LLaVA: several layers of CLIP side by side, without the class token; a norm before the connector."""
    tokenizer = _llama_tokenizer()
    config = {
        "model_type": "vipllava", "text_config": text(tokenizer, "llama"), "image_seq_length": 16,
        "vision_config": tower("clip_vision_model", projection_dim=32), "vision_feature_layers": [-2, -1, 1],
        "image_token_index": token_id(tokenizer, "<image>"),
    }  # fmt: skip
    size = {"size": {"shortest_edge": 56}, "crop_size": SQUARE, "do_center_crop": True}
    pictures = {"image_processor_type": "CLIPImageProcessor", **size, **CLIP_COLOURS}
    processor = {
        "processor_class": "LlavaProcessor", "patch_size": 14, "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }  # fmt: skip
    save(folder, tokenizer, config, pictures, processor, template=LLAVA_TEMPLATE)


@builder("tiled")
def llava_next(folder: Path) -> None:
    """LLaVA-NeXT: the squashed picture, then tiles of the best canvas without their padding, a newline token after each row."""
    tokenizer = _llama_tokenizer()
    config = {
        "model_type": "llava_next", "text_config": text(tokenizer, "mistral", sliding_window=None),
        "vision_config": tower("clip_vision_model", projection_dim=32), "image_token_index": token_id(tokenizer, "<image>"),
        "image_grid_pinpoints": TILES, "image_seq_length": 16, "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
    }  # fmt: skip
    pictures = {
        "image_processor_type": "LlavaNextImageProcessor", "size": {"shortest_edge": 56}, "crop_size": SQUARE,
        "do_center_crop": True, "do_pad": True, "image_grid_pinpoints": TILES, **CLIP_COLOURS,
    }  # fmt: skip
    processor = {
        "processor_class": "LlavaNextProcessor", "patch_size": 14, "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }  # fmt: skip
    save(folder, tokenizer, config, pictures, processor, template=NEXT_TEMPLATE)


@builder("tiled")
def llava_onevision(folder: Path) -> None:
    """LLaVA-OneVision: tiles for one picture, one padded square each for several. Patches leave 4 pixels of a tile's 60."""
    tokenizer = _qwen_tokenizer("<image> <video>")
    tiles = [[60 * rows, 60 * cols] for rows in range(1, 5) for cols in range(1, 5)]
    config = {
        "model_type": "llava_onevision", "text_config": text(tokenizer, "qwen2"),
        "vision_config": tower("siglip_vision_model", image_size=60, vision_use_head=False),
        "image_token_index": token_id(tokenizer, "<image>"), "video_token_index": token_id(tokenizer, "<video>"),
        "image_grid_pinpoints": tiles, "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full", "vision_aspect_ratio": "anyres_max_9",
    }  # fmt: skip
    pictures = {
        "image_processor_type": "LlavaOnevisionImageProcessor", "size": {"height": 60, "width": 60}, "do_pad": True,
        "image_grid_pinpoints": tiles, **HALF_COLOURS,
    }  # fmt: skip
    processor = {
        "processor_class": "LlavaOnevisionProcessor", "num_image_tokens": 16, "vision_feature_select_strategy": "full",
        "vision_aspect_ratio": "anyres_max_9",
    }  # fmt: skip
    save(folder, tokenizer, config, pictures, processor, template=ONEVISION_TEMPLATE, video="LlavaOnevisionVideoProcessor")


def _qwen_tokenizer(control: str, **named: str) -> PreTrainedTokenizerBase:
    ends = {"unk_token": "<|endoftext|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return byte_level(Qwen2Tokenizer, f"<|endoftext|> <|im_start|> <|im_end|> {control}", **ends, **named)


def _qwen_vl(folder: Path, model_type: str, vision: dict[str, Any], processor: str, **decoder: Any) -> None:
    tokenizer = _qwen_tokenizer("<|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>")
    ids = {name: token_id(tokenizer, f"<|{token}|>") for name, token in {
        "image_token_id": "image_pad", "video_token_id": "video_pad", "vision_start_token_id": "vision_start",
        "vision_end_token_id": "vision_end",
    }.items()}  # fmt: skip
    # Head width 16: half of it is shared out to time, rows and columns.
    rope = {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [2, 3, 3]}
    config = {
        "model_type": model_type, "text_config": text(tokenizer, f"{model_type}_text", rope_parameters=rope, **decoder),
        "vision_config": vision, "tie_word_embeddings": False, **ids,
    }  # fmt: skip
    pictures = {
        "image_processor_type": "Qwen2VLImageProcessor", "patch_size": vision["patch_size"], "merge_size": 2,
        "temporal_patch_size": 2, "size": {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}, **CLIP_COLOURS,
    }  # fmt: skip
    picture = "<|vision_start|><|image_pad|><|vision_end|>"
    template = QWEN_SYSTEM + turns("<|im_start|>ROLE\n", "<|im_end|>\n", picture, "<|im_start|>assistant\n")
    save(folder, tokenizer, config, pictures, {"processor_class": processor}, template=template, video="Qwen2VLVideoProcessor")


@builder("plain")
def qwen2_vl(folder: Path) -> None:
    """Qwen2-VL: any size, patches merged 2 x 2, positions in time, row and column."""
    vision = {
        "model_type": "qwen2_vl_vision", "depth": 3, "embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2, "num_heads": 4,
        "patch_size": 14, "initializer_range": 0.2,
    }  # fmt: skip
    _qwen_vl(folder, "qwen2_vl", vision, "Qwen2VLProcessor")


@builder("plain")
def qwen2_5_vl(folder: Path) -> None:
    """Qwen2.5-VL: as Qwen2-VL, with a tower that attends in windows of 56 pixels but for its last layer."""
    vision = {
        "model_type": "qwen2_5_vl_vision", "depth": 3, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4,
        "patch_size": 14, "out_hidden_size": 64, "window_size": 56, "fullatt_block_indexes": [2], "initializer_range": 0.2,
    }  # fmt: skip
    _qwen_vl(folder, "qwen2_5_vl", vision, "Qwen2_5_VLProcessor")


@builder("plain")
def qwen3_vl(folder: Path) -> None:
    """Qwen3-VL: patches of 16 pixels; a layer of the tower also feeds the decoder's first layer."""
    vision = {
        "model_type": "qwen3_vl_vision", "depth": 3, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4,
        "patch_size": 16, "out_hidden_size": 64, "num_position_embeddings": 16, "deepstack_visual_indexes": [1],
        "initializer_range": 0.2,
    }  # fmt: skip
    _qwen_vl(folder, "qwen3_vl", vision, "Qwen3VLProcessor", head_dim=16)


@builder("tiled")
def internvl(folder: Path) -> None:
    """InternVL3: tiles of the squashed picture and a thumbnail, each pixel-shuffled from 4 x 4 to 2 x 2."""
    named = {
        "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }  # fmt: skip
    tokenizer = _qwen_tokenizer(" ".join(named.values()), **named)
    vision = tower("internvl_vision", image_size=[56, 56], patch_size=[14, 14], layer_scale_init_value=1.0, use_qk_norm=False)
    config = {
        "model_type": "internvl", "text_config": text(tokenizer, "qwen2"), "vision_config": vision, "downsample_ratio": 0.5,
        "image_token_id": token_id(tokenizer, "<IMG_CONTEXT>"), "image_seq_length": 4, "tie_word_embeddings": False,
    }  # fmt: skip
    pictures = {
        "image_processor_type": "GotOcr2ImageProcessor", "size": SQUARE, "crop_to_patches": True, "min_patches": 1,
        "max_patches": 4, **CLIP_COLOURS,
    }  # fmt: skip
    template = turns("<|im_start|>ROLE\n", "<|im_end|>\n", "<IMG_CONTEXT>\n", "<|im_start|>assistant\n")
    processor = {"processor_class": "InternVLProcessor", "image_seq_length": 4}
    save(folder, tokenizer, config, pictures, processor, template=template, video="InternVLVideoProcessor")


def _idefics(folder: Path, tokenizer: PreTrainedTokenizerBase, kind: str, template: str, video: str | None = None) -> None:
    lower = kind.lower()
    config = {
        "model_type": lower, "text_config": text(tokenizer, "llama"), "vision_config": tower(f"{lower}_vision"),
        "scale_factor": 2, "image_token_id": token_id(tokenizer, "<image>"), "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    pictures = {
        "image_processor_type": f"{kind}ImageProcessor", "size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 56},
        "do_image_splitting": True, "do_pad": True, "resample": 1, **HALF_COLOURS,
    }  # fmt: skip
    processor = {"processor_class": f"{kind}Processor", "image_seq_len": 4}
    save(folder, tokenizer, config, pictures, processor, template=template, video=video)


IDEFICS_CONTROL = "<fake_token_around_image> <image> <end_of_utterance> <global-img> " + " ".join(
    f"<row_{row}_col_{col}>" for row in range(1, 7) for col in range(1, 7)
)


@builder("tiled")
def idefics3(folder: Path) -> None:
    """Idefics3: tiles with row and column markers, then the whole picture, each pixel-shuffled from 4 x 4 to 2 x 2."""
    control = f"<|begin_of_text|> <|end_of_text|> <|finetune_right_pad_id|> {IDEFICS_CONTROL}"
    ends = {"bos_token": "<|begin_of_text|>", "eos_token": "<end_of_utterance>", "pad_token": "<|finetune_right_pad_id|>"}
    tokenizer = bare_byte_level(PreTrainedTokenizerFast, control, "<|begin_of_text|>", **ends)
    _idefics(folder, tokenizer, "Idefics3", SMOLVLM_TEMPLATE.replace("<|im_start|>", "<|begin_of_text|>", 1))


@builder()
def idefics2(folder: Path) -> None:
    """Idefics2: four quarters and the whole picture at their own shape, 8 queries of a resampler for each."""
    tokenizer = sentencepiece(
        LlamaTokenizer, "<unk> <s> </s>", "<fake_token_around_image> <image> <end_of_utterance> <pad>", pad_token="<pad>"
    )
    reader = {
        "model_type": "idefics2_perceiver", "hidden_size": 64, "resampler_n_latents": 8, "resampler_depth": 2,
        "resampler_n_heads": 4, "resampler_head_dim": 16, "num_key_value_heads": 2, "initializer_range": 0.2,
    }  # fmt: skip
    config = {
        "model_type": "idefics2", "text_config": text(tokenizer, "mistral", sliding_window=None), "perceiver_config": reader,
        "vision_config": tower("idefics2_vision"), "image_token_id": token_id(tokenizer, "<image>"),
    }  # fmt: skip
    pictures = {
        "image_processor_type": "Idefics2ImageProcessor", "size": {"shortest_edge": 42, "longest_edge": 56},
        "do_image_splitting": True, "do_pad": True, "resample": 2, **HALF_COLOURS,
    }  # fmt: skip
    processor = {"processor_class": "Idefics2Processor", "image_seq_len": 8}
    save(folder, tokenizer, config, pictures, processor, template=SMOLVLM_TEMPLATE.replace("<|im_start|>", "", 1))


@builder("tiled")
def smolvlm(folder: Path) -> None:
    """SmolVLM2: Idefics3 with a small decoder and a video processor."""
    named = {
        "fake_image_token": "<fake_token_around_image>", "image_token": "<image>", "end_of_utterance_token": "<end_of_utterance>",
        "global_image_token": "<global-img>",
    }  # fmt: skip
    ends = {
        "bos_token": "<|im_start|>", "eos_token": "<end_of_utterance>", "pad_token": "<|im_end|>", "unk_token": "<|endoftext|>",
    }  # fmt: skip
    tokenizer = byte_level(GPT2Tokenizer, f"<|endoftext|> <|im_start|> <|im_end|> {IDEFICS_CONTROL}", **ends, **named)
    _idefics(folder, tokenizer, "SmolVLM", SMOLVLM_TEMPLATE, "SmolVLMVideoProcessor")


def _gemma_tokenizer(control: str, **named: str) -> PreTrainedTokenizerBase:
    return sentencepiece(GemmaTokenizer, "<pad> <eos> <bos> <unk> <mask>", control, **named)


@builder("plain")
def paligemma(folder: Path) -> None:
    """PaliGemma: squashed picture, prefix seen in both directions, no chat template; 1024 location tokens."""
    places = [f"<loc{i:0>4}>" for i in range(1024)] + [f"<seg{i:0>3}>" for i in range(128)]
    tokenizer = _gemma_tokenizer(" ".join(["<image>", *places]))
    config = {
        "model_type": "paligemma", "text_config": text(tokenizer, "gemma", head_dim=16, num_key_value_heads=1),
        "vision_config": tower("siglip_vision_model", vision_use_head=False), "image_token_index": token_id(tokenizer, "<image>"),
        "projection_dim": 64, "hidden_size": 64,
    }  # fmt: skip
    pictures = {"image_processor_type": "SiglipImageProcessor", "size": SQUARE, "image_seq_length": 16, **HALF_COLOURS}
    save(folder, tokenizer, config, pictures, {"processor_class": "PaliGemmaProcessor"})


@builder("plain")
def gemma3(folder: Path) -> None:
    """Gemma 3: 8 x 8 patches pooled to 4 x 4 tokens; two layers see a sliding window only, the third everything."""
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokenizer = _gemma_tokenizer(" ".join(["<start_of_turn>", "<end_of_turn>", *named.values()]), **named)
    layers = ["sliding_attention", "sliding_attention", "full_attention"]
    decoder = text(tokenizer, "gemma3_text", head_dim=16, query_pre_attn_scalar=16, sliding_window=32, layer_types=layers)
    config = {
        "model_type": "gemma3", "text_config": decoder, "mm_tokens_per_image": 16, "tie_word_embeddings": True,
        "vision_config": tower("siglip_vision_model", image_size=112, vision_use_head=False),
        "boi_token_index": token_id(tokenizer, "<start_of_image>"), "eoi_token_index": token_id(tokenizer, "<end_of_image>"),
        "image_token_index": token_id(tokenizer, "<image_soft_token>"),
    }  # fmt: skip
    pictures = {
        "image_processor_type": "Gemma3ImageProcessor", "size": {"height": 112, "width": 112}, "image_seq_length": 16,
        "resample": 2, **HALF_COLOURS,
    }  # fmt: skip
    role = "'model' if message['role'] == 'assistant' else message['role']"
    template = turns("<start_of_turn>ROLE\n", "<end_of_turn>\n", "<start_of_image>", "<start_of_turn>model\n", role)
    processor = {"processor_class": "Gemma3Processor", "image_seq_length": 16}
    save(folder, tokenizer, config, pictures, processor, template="{{ bos_token }}" + template)


@builder()
def blip2(folder: Path) -> None:
    """BLIP-2 with OPT: 8 queries of a Q-Former stand in front of the text; no chat template."""
    ends = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    tokenizer = byte_level(GPT2Tokenizer, "</s> <pad> <image>", add_bos_token=True, **ends)
    decoder = text(tokenizer, "opt", max_position_embeddings=512, ffn_dim=96, word_embed_proj_dim=64, init_std=0.2, dropout=0.0)
    queries = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "encoder_hidden_size": 32,
        "cross_attention_frequency": 1, "initializer_range": 0.2, "vocab_size": 4, "max_position_embeddings": 4,
    }  # fmt: skip
    config = {
        "model_type": "blip-2", "text_config": decoder, "vision_config": tower("blip_2_vision_model"), "qformer_config": queries,
        "num_query_tokens": 8, "image_token_index": token_id(tokenizer, "<image>"), "initializer_range": 0.2,
        "image_text_hidden_size": 16,
    }  # fmt: skip
    pictures = {"image_processor_type": "BlipImageProcessor", "size": SQUARE, **CLIP_COLOURS}
    save(folder, tokenizer, config, pictures, {"processor_class": "Blip2Processor", "num_query_tokens": 8})


@builder()
def kosmos2(folder: Path) -> None:
    """Kosmos-2: 64 latents in place of the picture, 1024 location tokens, no chat template."""
    tags = (
        "</doc> <image> </image> </chunk> </line> <phrase> </phrase> <object> </object> "
        "</delimiter_of_multi_objects/> <grounding>"
    )
    places = " ".join(f"<patch_index_{i:0>4}>" for i in range(1024))
    tokenizer = sentencepiece(LlamaTokenizer, "<s> <pad> </s> <unk>", f"{tags} {places}", pad_token="<pad>")
    decoder = {
        "vocab_size": len(tokenizer), "embed_dim": 64, "layers": 3, "ffn_dim": 96, "attention_heads": 4, "init_std": 0.2,
        "dropout": 0.0, "attention_dropout": 0.0, "max_position_embeddings": 1024, "scale_embedding": True,
    }  # fmt: skip
    config = {
        "model_type": "kosmos-2", "text_config": decoder, "latent_query_num": 64,
        "vision_config": {**tower("kosmos_2_vision_model"), "initializer_factor": 4.0},
    }  # fmt: skip
    pictures = {
        "image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 56}, "crop_size": SQUARE, "do_center_crop": True,
        **CLIP_COLOURS,
    }  # fmt: skip
    save(folder, tokenizer, config, pictures, {"processor_class": "Kosmos2Processor", "num_patch_index_tokens": 1024})


@builder()
def mllama(folder: Path) -> None:
    """Llama 3.2 Vision: pictures are keys of the cross-attention layer, not part of the text."""
    control = (
        "<|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|python_tag|> "
        "<|finetune_right_pad_id|> <|image|>"
    )
    ends = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "pad_token": "<|finetune_right_pad_id|>"}
    tokenizer = bare_byte_level(PreTrainedTokenizerFast, control, "<|begin_of_text|>", **ends)
    vision = {
        "model_type": "mllama_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
        "num_global_layers": 2, "attention_heads": 4, "image_size": 56, "patch_size": 14, "max_num_tiles": 4,
        "intermediate_layers_indices": [0, 2], "vision_output_dim": 96, "initializer_range": 0.2,
    }  # fmt: skip
    # The picture token is the last id: the real model has no logit for it.
    layers = {"num_hidden_layers": 4, "cross_attention_layers": [1, 3], "vocab_size": len(tokenizer) - 1}
    decoder, image = text(tokenizer, "mllama_text_model", **layers), token_id(tokenizer, "<|image|>")
    config = {"model_type": "mllama", "text_config": decoder, "vision_config": vision, "image_token_index": image}
    pictures = {
        "image_processor_type": "MllamaImageProcessor", "size": SQUARE, "max_image_tiles": 4, "do_pad": True, "resample": 2,
        **CLIP_COLOURS,
    }  # fmt: skip
    start = "<|start_header_id|>ROLE<|end_header_id|>\n\n"
    template = turns(start, "<|eot_id|>", "<|image|>", start.replace("ROLE", "assistant"))
    save(folder, tokenizer, config, pictures, {"processor_class": "MllamaProcessor"}, template="{{ bos_token }}" + template)


for _path in sorted(Path(__file__).parent.glob("zoo_*.py")):  # checkpoints in files of their own
    if _path.stem != "zoo_parts":
        importlib.import_module(_path.stem)
