"""Forms of checkpoints that people have: each loads right, or is refused with what lies there and the step that helps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import picture
from safetensors.torch import load_file, save_file

from model.checkpoint import parse_spec
from model.core import Core
from model.errors import CheckpointError, PictureError, Unsupported, WorkbenchError
from model.generation.vlm import context_tokens
from model.options import Options

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def copy(folder_of: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint that may be changed, named `mine`."""

    def make(name: str = "llava_clip") -> Path:
        return shutil.copytree(folder_of(name), tmp_path / "mine")

    return make


def settings(folder: Path, file: str, change: Callable[[dict[str, Any]], Any] | None = None, **values: Any) -> None:
    path = folder / file
    found = json.loads(path.read_text()) if path.exists() else {}
    if change:
        change(found)
    path.write_text(json.dumps(found | values))


def weights(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    path = folder / "model.safetensors"
    save_file({key: value.contiguous().clone() for key, value in change(load_file(path)).items()}, path, {"format": "pt"})


def without(part: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {key: value for key, value in tensors.items() if part not in key}


def renamed(folder: Path, *names: str) -> None:
    """The weights in files of these names instead, without an index."""
    tensors = sorted(load_file(folder / "model.safetensors").items())
    (folder / "model.safetensors").unlink()
    for i, name in enumerate(names):
        save_file(dict(tensors[i :: len(names)]), folder / name, {"format": "pt"})


def answer(folder: Path, size: tuple[int, int] = (90, 60), spec: str = "") -> str:
    core = Core()
    return core.answer("What is there?", picture(0, size), checkpoint=f"{folder}{spec}", options=Options(max_new_tokens=4)).text


def refusal(folder: Path) -> str:
    with pytest.raises((CheckpointError, Unsupported)) as refused:
        list(Core().load(parse_spec(str(folder))))
    said = str(refused.value)
    assert said.startswith(("mine", "The token", "The canvases", "The tokenizer", "The weights", "An adapter"))
    assert said.endswith(".")
    return said


def adapter(folder: Path) -> None:
    for name in ("model.safetensors", "config.json", "generation_config.json"):
        (folder / name).unlink()
    save_file({"base_model.model.lm_head.lora_A.weight": torch.zeros(4, 64)}, folder / "adapter_model.safetensors")
    settings(folder, "adapter_config.json", peft_type="LORA", base_model_name_or_path="someone/base-vlm", r=4)


def other_program(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"GGUF" + bytes(64))

    return change


def own_layout(**config: Any) -> Callable[[Path], None]:
    return lambda folder: (folder / "config.json").write_text(json.dumps(config)) and None


def mlx(folder: Path) -> None:
    settings(folder, "config.json", quantization={"group_size": 64, "bits": 4})


def stored(**how: Any) -> Callable[[Path], None]:
    return lambda folder: settings(folder, "config.json", quantization_config=how)


def no_image_token(folder: Path) -> None:
    settings(
        folder, "tokenizer.json", lambda t: t.update(added_tokens=[a for a in t["added_tokens"] if a["content"] != "<image>"])
    )

    def fewer(config: dict[str, Any]) -> None:
        known = config.get("added_tokens_decoder", {})
        config["added_tokens_decoder"] = {key: one for key, one in known.items() if one["content"] != "<image>"}

    settings(folder, "tokenizer_config.json", fewer)


def pieces_alone(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02")


FORMS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "adapter alone": (adapter, "is an adapter of someone/base-vlm (adapter_config.json), not a whole checkpoint. Merge it"),
    "adapter with a config": (
        lambda f: ((f / "model.safetensors").unlink(), settings(f, "adapter_config.json", base_model_name_or_path="a/base")),
        "is an adapter of a/base",
    ),
    "GGUF": (other_program("model-q4_k_m.gguf"), "there in another form: model-q4_k_m.gguf (GGUF, which llama.cpp and Ollama read)"),
    "ONNX in a folder": (other_program("onnx/decoder.onnx"), "there in another form: onnx/decoder.onnx (ONNX)"),
    "GGUF without a config": (
        lambda f: (other_program("a.gguf")(f), (f / "config.json").unlink()),
        "holds weights for another program: a.gguf (GGUF",
    ),
    "shards without an index": (
        lambda f: renamed(f, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
        "has 2 files of weights (model-00001-of-00002.safetensors) and no model.safetensors.index.json",
    ),
    "variant": (lambda f: renamed(f, "model.fp16.safetensors"), "as a variant (fp16). Rename model.fp16.safetensors to model.safeten"),
    "MLX's names": (lambda f: renamed(f, "weights.00.safetensors"), "there in another form: weights.00.safetensors (MLX)"),
    "Mistral's names": (lambda f: renamed(f, "consolidated.safetensors"), "the layout of Mistral's own code"),
    "a name of their own": (lambda f: renamed(f, "llava.safetensors"), "under another name (llava.safetensors). Rename it to"),
    "git-lfs pointer": (
        lambda f: (f / "model.safetensors").write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"),
        "model.safetensors is a git-lfs pointer, not the weights. Run 'git lfs install' and 'git lfs pull'",
    ),
    "one prefix": (
        lambda f: weights(f, lambda w: {f"base_model.model.{key}": value for key, value in w.items()}),
        "All names in its files begin with 'base_model.model.': it was saved from within a wrapper",
    ),
    "sizes that differ": (
        lambda f: weights(f, lambda w: {k: v[:-3] if "embed_tokens" in k or "lm_head" in k else v for k, v in w.items()}),
        "lm_head.weight is 504 x 64 in the files and 507 x 64 by the config, and 1 more",
    ),
    "LLaVA's own layout": (
        own_layout(model_type="llava", architectures=["LlavaQwenForCausalLM"], mm_vision_tower="openai/clip-vit-large-patch14-336"),
        "is a vision-language model in its authors' own layout (mm_vision_tower in config.json). Use the version converted",
    ),
    "llava_mistral": (own_layout(model_type="llava_mistral", mm_projector_type="mlp2x_gelu"), "in its authors' own layout"),
    "nanoVLM": (own_layout(vit_hidden_dim=768, lm_hidden_dim=576), "in its authors' own layout (vit_hidden_dim in config.json)"),
    "unknown to transformers": (own_layout(model_type="molmo"), "is a molmo, which transformers"),
    "sound too": (own_layout(model_type="qwen2_5_omni"), "is a qwen2_5_omni, which takes sound too"),
    "known not to": (own_layout(model_type="bert"), "is a bert, which does not answer questions about pictures"),
    "byte order mark": (
        lambda f: (f / "config.json").write_text("\ufeff" + (f / "config.json").read_text()),
        "config.json begins with a byte order mark",
    ),
    "MLX": (mlx, "is an MLX conversion (4 bits a weight), which only MLX reads. Use the original"),
    "trainer's checkpoint": (lambda f: (f / "preprocessor_config.json").unlink(), "after training, from the model that was trained on"),
    "bitsandbytes": (
        stored(quant_method="bitsandbytes", load_in_4bit=True),
        "is stored quantised (bitsandbytes), which needs more packages: pip install accelerate bitsandbytes",
    ),
    "bitsandbytes of old": (stored(load_in_8bit=True), "is stored quantised (bitsandbytes)"),
    "AWQ": (stored(quant_method="awq", bits=4, group_size=128), "pip install accelerate gptqmodel"),
    "GPTQ": (stored(quant_method="gptq", bits=4), "pip install accelerate optimum gptqmodel"),
    "FP8": (stored(quant_method="fp8"), "is stored quantised (fp8), which needs more packages: pip install accelerate"),
    "no projector": (lambda f: weights(f, without("multi_modal_projector")), "lacks 2 of its weights (model.multi_modal_projector.linear_1"),
    "no embedding": (lambda f: weights(f, without("embed_tokens")), "lacks 1 of its weights (model.language_model.embed_tokens.weight)"),
    "no head": (lambda f: weights(f, without("lm_head")), "lacks 1 of its weights (lm_head.weight), without which an answer is noise"),
    "one matrix of attention": (lambda f: weights(f, without("layers.1.self_attn.k_proj.weight")), "without which an answer is noise"),
    "one matrix of an MLP": (lambda f: weights(f, without("layers.1.mlp.up_proj")), "without which an answer is noise"),
    "a vector that is drawn": (lambda f: weights(f, without("class_embedding")), "class_embedding), without which an answer is noise"),
    "no image token": (no_image_token, "The token of mine that stands for a picture is 506 by config.json; its tokenizer has 506 tokens"),
    "an image token that is not there": (
        lambda f: settings(f, "config.json", image_token_index=32000),
        "The token of mine that stands for a picture is 32000 by config.json; its tokenizer has",
    ),
    "tokenizer.model alone": (pieces_alone, "is there as tokenizer.model alone, which needs sentencepiece (pip install sentencepiece"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_cannot_be_read_is_named_with_the_step_that_helps(form: str, copy: Callable[..., Path]) -> None:
    change, said = FORMS[form]
    folder = copy()
    change(folder)
    found = refusal(folder)
    assert said in found
    assert "Download it again" not in found or form.startswith(("no ", "one ", "a vector"))


def test_image_newline_of_tiles_is_part_of_the_model(copy: Callable[..., Path]) -> None:
    folder = copy("llava_next")
    weights(folder, without("image_newline"))
    assert "image_newline), without which an answer is noise" in refusal(folder)


@pytest.mark.parametrize("name", ["qwen3_vl", "idefics3", "smolvlm", "llava_clip"])
def test_a_head_is_tied_where_any_config_says_so(name: str, copy: Callable[..., Path], tmp_path: Path) -> None:
    """As transformers 4.5x wrote it: the flag in text_config alone, no head in the files. The oracle has the flag on top."""
    folder = copy(name)
    weights(folder, without("lm_head"))
    oracle = shutil.copytree(folder, tmp_path / "oracle")
    settings(oracle, "config.json", tie_word_embeddings=True)

    def below(config: dict[str, Any]) -> None:
        config.pop("tie_word_embeddings", None)
        config["text_config"]["tie_word_embeddings"] = True

    settings(folder, "config.json", below)
    core = Core()
    list(core.load(parse_spec(str(folder))))
    (status,) = core.loaded()
    model = core.vlm(status.checkpoint).parts.model
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert not any("Not in its files" in note for note in status.warnings)
    assert answer(folder) == answer(oracle)


def test_a_norm_that_is_missing_is_said(copy: Callable[..., Path]) -> None:
    folder = copy()
    weights(folder, without("layers.1.input_layernorm"))
    core = Core()
    list(core.load(parse_spec(str(folder))))
    assert "input_layernorm.weight" in core.loaded()[0].warnings[0]


def test_an_adapter_beside_whole_weights_is_said(copy: Callable[..., Path]) -> None:
    folder = copy()
    settings(folder, "adapter_config.json", peft_type="LORA", base_model_name_or_path="someone/base")
    core = Core()
    list(core.load(parse_spec(str(folder))))
    assert core.loaded()[0].warnings[0] == "An adapter lies beside its weights (adapter_config.json) and is not used."


@pytest.mark.parametrize("wish", [{"_attn_implementation": "flash_attention_2"}, {"attn_implementation": "flash_attention_2"}])
@pytest.mark.parametrize("spec", ["", ":sdpa", ":eager"])
def test_a_wish_for_flash_attention_is_overridden(wish: dict[str, str], spec: str, copy: Callable[..., Path]) -> None:
    folder = copy()
    right = answer(folder, spec=spec)
    settings(folder, "config.json", **wish)
    assert answer(folder, spec=spec) == right
    core = Core()
    list(core.load(parse_spec(f"{folder}{spec}")))
    model = core.vlm(core.loaded()[0].checkpoint).parts.model
    wanted = spec.removeprefix(":") or "sdpa"
    assert {model.config._attn_implementation, model.config.get_text_config()._attn_implementation} == {wanted}


YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64, "rope_theta": 10000.0}


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({"max_position_embeddings": 64}, 64),
        ({"max_position_embeddings": 64, "rope_parameters": YARN}, 512),
        ({"max_position_embeddings": 64, "rope_scaling": YARN}, 512),
        ({"max_position_embeddings": 512, "rope_parameters": YARN}, 512),
        ({"max_position_embeddings": 64, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, 64),
        ({"max_position_embeddings": 64, "rope_parameters": {"full_attention": YARN, "sliding_attention": {}}}, 512),
        ({"max_position_embeddings": 64, "rope_parameters": {"rope_type": "yarn", "factor": 8.0}}, 64),
        ({"rope_parameters": None}, None),
    ],
)
def test_the_context_is_as_long_as_scaled_positions_reach(config: dict[str, Any], limit: int | None) -> None:
    assert context_tokens(config) == limit


def test_a_prompt_within_scaled_positions_is_answered(copy: Callable[..., Path]) -> None:
    folder = copy()
    scaled = {"max_position_embeddings": 64, "rope_parameters": YARN, "rope_scaling": YARN}
    settings(folder, "config.json", lambda c: c["text_config"].update(scaled))
    core = Core()
    found = core.answer("what is there " * 20, picture(0), checkpoint=str(folder), options=Options(max_new_tokens=4))
    assert found.new_tokens > 0


# --- shapes of pictures -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (20, 1), (3, 1)])
def test_a_picture_a_processor_fails_on_is_refused_with_its_size(size: tuple[int, int], folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(PictureError, match=rf"cannot take .* of {size[0]} x {size[1]} pixels: ZeroDivisionError"):
        answer(folder_of("idefics2"), size)


def test_a_processor_that_keeps_shapes_its_tower_does_not_take_is_told_at_load_and_when_asked(copy: Callable[..., Path]) -> None:
    """CLIP without its centre crop: square pictures are answered."""
    folder = copy()
    settings(folder, "preprocessor_config.json", do_center_crop=False)
    core = Core()
    list(core.load(parse_spec(str(folder))))
    notes = core.loaded()[0].notes
    assert [note.split(" cannot")[0] for note in notes if "cannot be asked about" in note] == ["Wide pictures", "Tall pictures"]
    assert answer(folder, (60, 60))
    with pytest.raises(PictureError, match=r"The vision tower of mine cannot take .*120 x 40 pixels: .*Crop it to a square"):
        answer(folder, (120, 40))


@pytest.mark.parametrize("change", [lambda canvases: [*canvases, [56, 168]], lambda canvases: canvases[::-1]])
def test_canvases_that_differ_between_two_files_are_named(
    change: Callable[[list[Any]], list[Any]], copy: Callable[..., Path]
) -> None:
    """In their order, too: of two that fit a square picture alike the first is taken."""
    folder = copy("llava_next")
    canvases = json.loads((folder / "config.json").read_text())["image_grid_pinpoints"]
    settings(folder, "preprocessor_config.json", image_grid_pinpoints=change(canvases))
    said = refusal(folder)
    assert f"(image_grid_pinpoints) of mine are {list(map(tuple, canvases))} in config.json and" in said


def test_a_template_of_a_text_model_is_told_with_its_cure(copy: Callable[..., Path]) -> None:
    folder = copy()
    template = "{% for m in messages %}{{ 'USER: ' + m['content'] + ' ' }}{% endfor %}ASSISTANT:"
    (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(WorkbenchError, match=r"put the chat_template\.jinja of the original"):
        answer(folder)
