"""From files to a model in memory: device and precision chosen, the need estimated first, nothing unsafe run."""

from __future__ import annotations

import gc
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForImageTextToText
from transformers.utils import logging as transformers_logging

from .checkpoint import Checkpoint
from .errors import BrokenCheckpoint, CheckpointError, TooBig
from .families import family_for
from .families.base import Family, Parts
from .hub import Files
from .memory import free_bytes, human_bytes
from .processors import load_processors

log = logging.getLogger(__name__)
OVERHEAD = 1.2
"""Memory for a checkpoint over its weights: buffers, activations of a short prompt, the loader's own."""
_BITS = {"none": None, "int8": 8, "nf4": 4.5}


@dataclass(frozen=True)
class Placement:
    """Where and how a checkpoint will be held, and what that takes."""

    device: torch.device
    dtype: torch.dtype
    needed_bytes: int


def place(checkpoint: Checkpoint, files: Files) -> Placement:
    """Device, precision and the memory estimate. Raises CheckpointError for a device that is not there."""
    device = pick_device(checkpoint.device)
    dtype = pick_dtype(checkpoint.dtype, files.config, device)
    bits = _BITS[checkpoint.quantization] or torch.empty(0, dtype=dtype).element_size() * 8
    return Placement(device, dtype, round(files.elements * bits / 8 * OVERHEAD))


def pick_device(wanted: str) -> torch.device:
    """The device a spec means: "auto" is the first GPU, else Apple's, else the processor."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    device = torch.device(wanted)
    there = {"cpu": True, "cuda": cuda and (device.index or 0) < torch.cuda.device_count(), "mps": mps}[device.type]
    if not there:
        raise CheckpointError(f"There is no {wanted} on this machine. Leave the device out, or use :cpu.")
    return device


def pick_dtype(wanted: str, config: dict[str, Any], device: torch.device) -> torch.dtype:
    """The precision a spec means: "auto" is float32 on a processor, else what the weights are stored in."""
    if wanted != "auto":
        return getattr(torch, wanted)
    stored = str(config.get("dtype") or config.get("torch_dtype") or config.get("text_config", {}).get("dtype") or "bfloat16")
    if device.type == "cpu":
        return torch.float32
    known = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    return known.get(stored.removeprefix("torch."), torch.bfloat16)


def check_fits(checkpoint: Checkpoint, placement: Placement, freeable_bytes: int = 0) -> None:
    """Raise TooBig where the estimate is over what is free plus what could be unloaded."""
    free = free_bytes(placement.device) + freeable_bytes
    if placement.needed_bytes <= free:
        return
    smaller = _smaller(checkpoint, placement)
    raise TooBig(
        f"{checkpoint.name} needs about {human_bytes(placement.needed_bytes)} in {_name(placement.dtype)} and {placement.device} has "
        f"{human_bytes(free)} free. {smaller}"
    )


def _smaller(checkpoint: Checkpoint, placement: Placement) -> str:
    if checkpoint.quantization == "none" and placement.device.type == "cuda":
        return "Write :nf4 behind its name (needs bitsandbytes), unload another checkpoint, or choose a smaller one."
    if placement.dtype == torch.float32:
        return "Write :bfloat16 behind its name to halve that, or choose a smaller checkpoint."
    return "Unload another checkpoint or choose a smaller one."


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def load_parts(checkpoint: Checkpoint, files: Files, placement: Placement, say: Callable[[str], None]) -> tuple[Family, Parts]:
    """Read weights and processors. Runs on the model thread. Raises CheckpointError.

    `say` is told what is being done. Safetensors only; code of the repository is never run.
    """
    transformers_logging.disable_progress_bar()
    say(f"Reading {human_bytes(files.stored_bytes)} of weights")
    arguments: dict[str, Any] = {"dtype": placement.dtype, "use_safetensors": True, "trust_remote_code": False}
    if checkpoint.attention != "auto":
        arguments["attn_implementation"] = checkpoint.attention
    if checkpoint.quantization != "none":
        arguments |= _quantized(checkpoint, placement)
    try:
        model = AutoModelForImageTextToText.from_pretrained(files.folder, **arguments)
        if checkpoint.quantization == "none":
            say(f"Placing it on {placement.device}")
            model = model.to(placement.device)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _no_memory(checkpoint, placement) from error
    except (OSError, SafetensorError, ValueError, KeyError, ImportError) as error:
        raise BrokenCheckpoint(f"{checkpoint.name} could not be read: {_first_line(error)}") from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error):
            raise _no_memory(checkpoint, placement) from error
        raise BrokenCheckpoint(f"{checkpoint.name}'s weights do not fit its config: {_first_line(error)}") from error
    say("Reading tokenizer and image processor")
    found = load_processors(str(files.folder))
    family = family_for(files.config)
    parts = Parts(
        model.eval(), found.tokenizer, found.image_processor, found.processor, found.chat_template, placement.device, placement.dtype
    )
    return family, parts


def _quantized(checkpoint: Checkpoint, placement: Placement) -> dict[str, Any]:
    try:
        import accelerate  # noqa: F401
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise CheckpointError(f"{checkpoint.quantization} needs two more packages: pip install accelerate bitsandbytes.") from error
    from transformers import BitsAndBytesConfig

    config = (
        BitsAndBytesConfig(load_in_8bit=True)
        if checkpoint.quantization == "int8"
        else BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=placement.dtype)
    )
    return {"quantization_config": config, "device_map": {"": placement.device}}


def _no_memory(checkpoint: Checkpoint, placement: Placement) -> TooBig:
    gc.collect()
    if placement.device.type == "cuda":
        torch.cuda.empty_cache()
    return TooBig(f"Memory ran out while {checkpoint.name} was read; it was given up and nothing else was touched. {_smaller(checkpoint, placement)}")


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{text[0][:300]} ({type(error).__name__})" if text else type(error).__name__


def weights_digest(folder: Path) -> str:
    """sha256 over the weight files' contents, in order of name. Tells bit rot, which loads silently."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(2**22):
                digest.update(block)
    return digest.hexdigest()
