"""What a folder holds where it is no checkpoint of transformers: an adapter, weights of another program, an author's layout.

Each form that people have is named with the file that shows it and the step that helps. "Download it again" is said
elsewhere, and only where bytes are missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..late import transformers

ADAPTER = "adapter_config.json"
POINTER = b"version https://git-lfs.github.com/spec"
"""How a file begins that git left in place of a large one."""
OWN_LAYOUT = re.compile(r"mm_vision_tower|mm_projector_type|vit_hidden_dim|vision_cfg|visual_hidden_size")
"""Settings of authors' own code, which configs of transformers do not have: LLaVA and what grew from it, nanoVLM, Molmo."""
_CONVERTED = "Use the version converted to transformers: its repository name often ends in -hf."
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_VARIANT = re.compile(r"model\.(\w+)\.safetensors")
_PROGRAMS: tuple[tuple[str, str], ...] = (
    ("*.gguf", "GGUF, which llama.cpp and Ollama read"),
    ("*.onnx", "ONNX"),
    ("*.mlmodel", "Core ML"),
    ("*.tflite", "TensorFlow Lite"),
    ("weights.*.safetensors", "MLX"),
    ("consolidated*.safetensors", "the layout of Mistral's own code"),
    ("consolidated*.pth", "the layout of Meta's own code"),
)


def without_config(folder: Path, name: str) -> str:
    """The sentence for a folder that has no config.json."""
    if (folder / ADAPTER).is_file():
        return _adapter(folder, name)
    if found := other_program(folder):
        return (
            f"{name} holds weights for another program: {found}. Use the original checkpoint, with config.json and safetensors."
        )
    runs = sorted(path.parent.name for path in folder.glob("checkpoint-*/config.json"))
    if runs:
        return f"{name} has no config.json; what lies in it has: {', '.join(runs[:3])}. Choose one of them."
    return f"{name} has no config.json in {folder}. Point to the folder that save_pretrained wrote."


def without_weights(folder: Path, name: str) -> str:
    """The sentence for a folder with a config and no weights that can be read."""
    if (folder / ADAPTER).is_file():
        return _adapter(folder, name)
    if found := other_program(folder):
        return f"The weights of {name} are there in another form: {found}. Use the original checkpoint, with safetensors."
    return f"{name} has a config but no weights (*.safetensors) in {folder}. Download it again."


def other_names(weights: Iterable[Path], name: str) -> str:
    """The sentence for safetensors that are not named as transformers looks for them; empty where they are."""
    names = sorted(path.name for path in weights)
    if not names or names == ["model.safetensors"]:
        return ""
    if all(map(_SHARD.fullmatch, names)):
        return (
            f"{name} has {len(names)} files of weights ({names[0]}) and no model.safetensors.index.json, which says what is in "
            "which. Copy that file from where the checkpoint came from."
        )
    if len(names) == 1 and (variant := _VARIANT.fullmatch(names[0])):
        return f"The weights of {name} are there as a variant ({variant[1]}). Rename {names[0]} to model.safetensors."
    if program := next((what for pattern, what in _PROGRAMS if any(Path(one).match(pattern) for one in names)), ""):
        return f"The weights of {name} are there in another form: {names[0]} ({program}). Use the original checkpoint."
    if "adapter_model.safetensors" in names:
        return f"{name} has an adapter (adapter_model.safetensors) and no weights of its own. Merge it into its base model first."
    return f"The weights of {name} are there under another name ({names[0]}). Rename it to model.safetensors."


def other_program(folder: Path) -> str:
    """The file of another program's weights, in this folder or one below, and the program; empty where there is none."""
    for pattern, program in _PROGRAMS:
        found = sorted([*folder.glob(pattern), *folder.glob(f"*/{pattern}")])
        if found:
            return f"{found[0].relative_to(folder)} ({program})"
    return ""


def own_layout(config: Mapping[str, Any]) -> str:
    """What of a config says that it is of an author's own code; empty where nothing does."""
    parts = "text_config" in config or "vision_config" in config
    found = "" if parts else next((key for key in config if OWN_LAYOUT.fullmatch(str(key))), "")
    return f"a vision-language model in its authors' own layout ({found} in config.json)" if found else ""


def other_kind(config: Mapping[str, Any], name: str) -> str:
    """The sentence for a config that is not of a model which takes pictures and writes text."""
    kind = config.get("model_type")
    if found := own_layout(config):
        return f"{name} is {found}. {_CONVERTED}"
    if not isinstance(kind, str) or not kind:
        return f"{name}'s config.json names no model_type, so nobody can tell what it is. {_CONVERTED}"
    known = "LLaVA, Qwen-VL, InternVL, SmolVLM, PaliGemma, BLIP-2 and the other image-text-to-text models of transformers"
    if kind not in transformers.CONFIG_MAPPING:
        return (
            f"{name} is a {kind}, which transformers {transformers.__version__} does not know. If it takes pictures, look for a "
            f"version converted to transformers (its repository name often ends in -hf). Read here: {known}."
        )
    several = transformers.models.auto.modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES
    if kind in several:
        return (
            f"{name} is a {kind}, which takes sound too and is not among transformers' image-text-to-text models, which are read "
            f"here: {known}."
        )
    return f"{name} is a {kind}, which does not answer questions about pictures. Choose one of {known}."


def mlx(config: Mapping[str, Any], name: str) -> str:
    """The sentence for weights that MLX packed into few bits; empty for others."""
    packed = config.get("quantization")
    if not isinstance(packed, Mapping) or "group_size" not in packed or "bits" not in packed:
        return ""
    return f"{name} is an MLX conversion ({packed['bits']} bits a weight), which only MLX reads. Use the original checkpoint."


def pointer(path: Path, name: str) -> str:
    """The sentence for a file that git-lfs left a pointer in place of; empty where the file is itself."""
    with path.open("rb") as file:
        if not file.read(len(POINTER)) == POINTER:
            return ""
    return f"{name}'s {path.name} is a git-lfs pointer, not the weights. Run 'git lfs install' and 'git lfs pull' in its folder."


def common_prefix(names: Iterable[str]) -> str:
    """What stands before all these names of weights, up to a dot; empty where nothing does."""
    shared: list[str] = []
    for parts in zip(*(name.split(".") for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)


def _adapter(folder: Path, name: str) -> str:
    try:
        said = json.loads((folder / ADAPTER).read_text(encoding="utf-8-sig"))
        base = said.get("base_model_name_or_path") if isinstance(said, dict) else None
    except (OSError, ValueError):
        base = None
    of = f" of {base}" if isinstance(base, str) and base else ""
    return (
        f"{name} is an adapter{of} ({ADAPTER}), not a whole checkpoint. Merge it into its base model and save that: "
        "PeftModel.from_pretrained(base, folder).merge_and_unload().save_pretrained(new_folder)."
    )
