"""Weights in few bits: made so while they are read, or stored so by one of the methods transformers reads."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from ..checkpoint import Checkpoint
from ..errors import CheckpointError
from ..late import torch

STORED: Mapping[str, tuple[str, ...]] = {
    "bitsandbytes": ("bitsandbytes",),
    "awq": ("gptqmodel",),
    "gptq": ("optimum", "gptqmodel"),
    "compressed-tensors": ("compressed-tensors",),
    "quanto": ("optimum-quanto",),
    "torchao": ("torchao",),
    "hqq": ("hqq",),
    "aqlm": ("aqlm",),
    "vptq": ("vptq",),
}
"""What weights stored in few bits need besides accelerate, by the method their config names; of others transformers says it."""


def _check_stored(checkpoint: Checkpoint, config: Mapping[str, Any]) -> None:
    """Raise where a package is missing that weights stored in few bits need to be read at all."""
    method = stored_as(config)
    needed = ["accelerate", *STORED.get(method, ())]
    absent = [name for name in needed if not is_installed(name)]
    if absent:
        raise CheckpointError(
            f"{checkpoint.name} is stored quantised ({method}), which needs more packages: pip install {' '.join(absent)}. "
            "Or use its original weights."
        )


def is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def stored_as(config: Mapping[str, Any]) -> str:
    """The method by which weights are stored in few bits, in the words of the config: bitsandbytes, awq, gptq, ..."""
    stored = config.get("quantization_config")
    method = stored.get("quant_method") if isinstance(stored, Mapping) else None
    if method is None and isinstance(stored, Mapping) and (stored.get("load_in_4bit") or stored.get("load_in_8bit")):
        method = "bitsandbytes"  # as older versions of transformers wrote it
    return str(method or "method not named")[:40]


def quantized_arguments(
    checkpoint: Checkpoint, config: Mapping[str, Any], device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """Arguments for fewer bits a weight, or for weights that are stored so."""
    placed = {"device_map": {"": device}}
    if checkpoint.quantization == "none":
        _check_stored(checkpoint, config)
        return placed
    try:
        import accelerate  # noqa: F401
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise CheckpointError(
            f"{checkpoint.quantization} needs two more packages: pip install accelerate bitsandbytes."
        ) from error
    from transformers import BitsAndBytesConfig

    if checkpoint.quantization == "int8":
        return placed | {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    packed = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return placed | {"quantization_config": packed}
