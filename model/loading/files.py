"""The files of a checkpoint, checked before any weight is read: its kind, what its weights are, that they are whole."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BrokenCheckpoint, NotAVisionLanguageModel, RemoteCode, UnsafeWeights
from ..late import transformers
from .forms import mlx, other_kind, other_names, own_layout, pointer, without_config, without_weights

INDEX = "model.safetensors.index.json"
UNSAFE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
_ELEMENT_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2}


@dataclass(frozen=True)
class Files:
    """A checkpoint on disk. `elements` is its number of parameters, `stored_bytes` their size in the `weights` files."""

    folder: Path
    config: dict[str, Any]
    weights: tuple[Path, ...]
    elements: int
    stored_bytes: int


def inspect_folder(folder: Path, name: str) -> Files:
    """Check a folder's config and weights without loading them. Raises CheckpointError."""
    config = folder_config(folder, name)
    check_kind(config, name)
    if told := mlx(config, name):
        raise BrokenCheckpoint(told)
    weights = _weights(folder, name)
    if not weights:
        unsafe = sorted(p.name for p in folder.iterdir() if p.suffix in UNSAFE)
        if unsafe:
            raise UnsafeWeights(
                f"{name} has only {unsafe[0]}, a pickle that can run code when opened. Ask its author for safetensors, or "
                "convert it where you trust it: AutoModelForImageTextToText.from_pretrained(...).save_pretrained(folder)."
            )
        raise BrokenCheckpoint(without_weights(folder, name))
    if not (folder / INDEX).is_file() and (told := other_names(weights, name)):
        raise BrokenCheckpoint(told)
    sizes = [_header(path, name) for path in weights]
    return Files(folder, config, weights, sum(count for count, _ in sizes), sum(size for _, size in sizes))


def _weights(folder: Path, name: str) -> tuple[Path, ...]:
    """The files that hold the weights: what the index lists, else the one of the usual name, else all there are."""
    index, usual = folder / INDEX, folder / "model.safetensors"
    if usual.is_file() or not index.is_file():
        return (usual,) if usual.is_file() else tuple(sorted(folder.glob("*.safetensors")))
    try:
        listed = {str(file) for file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenCheckpoint(f"{name}'s {index.name} is damaged ({type(error).__name__}). Download it again.") from error
    absent = sorted(file for file in listed if not (folder / file).is_file() or "/" in file)
    if absent:
        raise BrokenCheckpoint(
            f"{name} lacks {absent[0]}{f' and {len(absent) - 1} more' if absent[1:] else ''}. Download it again."
        )
    return tuple(folder / file for file in sorted(listed))


def check_kind(config: dict[str, Any], name: str) -> None:
    """Raise where a config is not of a model that takes pictures and writes text, or wants its own code."""
    kind = config.get("model_type")
    if own_layout(config):
        raise NotAVisionLanguageModel(other_kind(config, name))
    if isinstance(kind, str) and kind in transformers.models.auto.modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return
    if config.get("auto_map"):
        raise RemoteCode(
            f"{name} wants its own Python code to run (auto_map in config.json), which is never done here. Use a version "
            "converted to transformers: its repository name often ends in -hf."
        )
    raise NotAVisionLanguageModel(other_kind(config, name))


def folder_config(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.exists():
        raise BrokenCheckpoint(without_config(folder, name))
    try:
        text = path.read_text(encoding="utf-8")
        if text.startswith("\ufeff"):
            raise BrokenCheckpoint(
                f"{name}'s config.json begins with a byte order mark, which transformers does not read. Save it as plain UTF-8."
            )
        config = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenCheckpoint(f"{name}'s config.json is damaged: {error}. Download it again.") from error
    if not isinstance(config, dict):
        raise BrokenCheckpoint(f"{name}'s config.json holds no settings. Download it again.")
    return config


def _header(path: Path, name: str) -> tuple[int, int]:
    """Number and bytes of the tensors in a safetensors file, from its header alone."""
    if told := pointer(path, name):
        raise BrokenCheckpoint(told)
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > 100_000_000:
                raise ValueError("header too long")
            header = json.loads(file.read(length))
        count = size = 0
        for key, tensor in header.items():
            if key == "__metadata__":
                continue
            start, end = tensor["data_offsets"]
            size += end - start
            count += (end - start) // _ELEMENT_BYTES.get(tensor["dtype"], 1)
        if path.stat().st_size < 8 + length + size:
            raise ValueError(f"{path.stat().st_size} bytes of {8 + length + size}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise BrokenCheckpoint(f"{name}'s {path.name} is cut off or damaged ({error}). Download it again.") from error
    return count, size
