"""From files to a model in memory: device and precision chosen, the need estimated first, nothing unsafe run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..checkpoint import Checkpoint
from ..errors import BrokenCheckpoint, CheckpointError, TooBig
from ..families import family_for
from ..families.base import Family, Parts
from ..families.base.chat_template import control_tokens
from ..late import Pretrained, torch, transformers
from ..memory import free_bytes, free_unused, human_bytes, is_out_of_memory
from .files import Files
from .processors import load_processors

OVERHEAD = 1.2
"""Memory for a checkpoint over its weights: buffers, activations of a short prompt, the loader's own."""
MISSING_SHARE = 0.1
"""A checkpoint that lacks more of its weights than this is broken; less may be a part that answers do without."""
DESCRIBED_MOST = 1.5
"""A config may describe this many times the weights that are there: some are stored once and used twice."""
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
    stored_small = "quantization_config" in files.config
    return Placement(device, dtype, round((files.stored_bytes if stored_small else files.elements * bits / 8) * OVERHEAD))


def pick_device(wanted: str) -> torch.device:
    """The device a spec means: "auto" is the first GPU, else Apple's, else the processor."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    device = torch.device(("cuda" if cuda else "mps" if mps else "cpu") if wanted == "auto" else wanted)
    there = {"cpu": True, "cuda": cuda and (device.index or 0) < torch.cuda.device_count(), "mps": mps}[device.type]
    if not there:
        raise CheckpointError(f"There is no {wanted} on this machine. Leave the device out, or use :cpu.")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device  # cuda and cuda:0 are one


def pick_dtype(wanted: str, config: dict[str, Any], device: torch.device) -> torch.dtype:
    """The precision a spec means: "auto" is float32 on a processor, else what the weights are stored in."""
    if wanted != "auto":
        return getattr(torch, wanted)
    if device.type == "cpu":
        return torch.float32
    text = config.get("text_config")
    inner = text.get("dtype") or text.get("torch_dtype") if isinstance(text, dict) else None
    stored = str(config.get("dtype") or config.get("torch_dtype") or inner or "bfloat16")
    known = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    return known.get(stored.removeprefix("torch."), torch.bfloat16)


def check_fits(checkpoint: Checkpoint, placement: Placement, freeable_bytes: int = 0) -> None:
    """Raise TooBig where the estimate is over what is free plus what could be unloaded."""
    free = free_bytes(placement.device) + freeable_bytes
    if placement.needed_bytes <= free:
        return
    smaller = _smaller(checkpoint, placement)
    raise TooBig(
        f"{checkpoint.name} needs about {human_bytes(placement.needed_bytes)} in {_name(placement.dtype)} and {placement.device} "
        f"has {human_bytes(free)} free. {smaller}"
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
    """Read processors and weights. Runs on the model thread. Raises CheckpointError.

    `say` is told what is being done. Safetensors only; code of the repository is never run.
    """
    transformers.utils.logging.disable_progress_bar()
    say("Reading tokenizer and image processor")
    found = load_processors(str(files.folder))
    say(f"Reading {human_bytes(files.stored_bytes)} of weights")
    try:
        model, warnings = _model(checkpoint, files, placement)
    except Exception as error:
        if not is_out_of_memory(error):
            raise _explained(checkpoint, error) from error
        model = None
    if model is None:  # outside the handler, where the half-read weights are gone
        free_unused(placement.device)
        raise TooBig(
            f"Memory ran out while {checkpoint.name} was read; it was given up and nothing else was touched. "
            f"{_smaller(checkpoint, placement)}"
        )
    parts = Parts(
        model.eval().requires_grad_(False), found.tokenizer, found.image_processor, found.processor, found.chat_template,
        placement.device, placement.dtype, warnings=warnings,
    )  # fmt: skip
    parts.control = control_tokens(parts)
    return family_for(files.config), parts


def _model(checkpoint: Checkpoint, files: Files, placement: Placement) -> tuple[Pretrained, tuple[str, ...]]:
    """The model on its device, and what its files lack."""
    arguments: dict[str, Any] = {"dtype": placement.dtype, "use_safetensors": True, "trust_remote_code": False}
    if checkpoint.attention != "auto":
        arguments["attn_implementation"] = checkpoint.attention
    quantized = checkpoint.quantization != "none" or "quantization_config" in files.config
    if quantized:
        arguments |= _quantized(checkpoint, placement)
    if not quantized:
        _check_described(checkpoint, files)
    read: Any = transformers.AutoModelForImageTextToText.from_pretrained(files.folder, output_loading_info=True, **arguments)
    model, told = read  # its types know the model alone
    missing = _missing(model, told["missing_keys"])
    lost = sum(model.get_parameter(name).numel() for name in missing)
    named = f"{', '.join(missing[:3])}{' and more' if len(missing) > 3 else ''}"
    if lost > MISSING_SHARE * sum(p.numel() for p in model.parameters()):
        raise BrokenCheckpoint(f"{checkpoint.name} lacks {len(missing)} of its weights ({named}). Download it again.")
    warnings = (f"Not in its files, and set at random: {named}.",) if missing else ()
    _mend(model)
    return model if quantized else model.to(placement.device), warnings


def _mend(model: Pretrained) -> None:
    """Kosmos-2 in transformers before 5.23: SDPA hid later patches from earlier queries of the connector, which has no order."""
    if model.config.model_type == "kosmos-2":
        connector: Any = model.get_submodule("image_to_text_projection.x_attn")
        connector.is_causal = False


def _check_described(checkpoint: Checkpoint, files: Files) -> None:
    """Raise where the config describes far more weights than there are.

    What is not in the files would be made at random, and a config that lacks a part describes one of seven billion.
    """
    with torch.device("meta"):
        empty = transformers.AutoModelForImageTextToText.from_config(
            transformers.AutoConfig.from_pretrained(files.folder, trust_remote_code=False)
        )
    described = sum(p.numel() for p in empty.parameters())
    if described > DESCRIBED_MOST * files.elements:
        raise BrokenCheckpoint(
            f"{checkpoint.name}'s config.json describes {described:,} weights, and its files hold {files.elements:,}. "
            "Download it again."
        )


def _missing(model: torch.nn.Module, keys: Iterable[str]) -> list[str]:
    """The parameters among keys that were not read. Buffers are made, not read."""
    parameters = {name for name, _ in model.named_parameters()}
    return sorted(key for key in keys if key in parameters)


def _explained(checkpoint: Checkpoint, error: Exception) -> CheckpointError:
    """The error of a load that failed as one the user can read."""
    if isinstance(error, CheckpointError):
        return error
    if isinstance(error, ImportError):
        return CheckpointError(f"{checkpoint.name} needs a package that is not installed: {_first_line(error)}")
    if checkpoint.attention != "auto" and "attention" in str(error):
        return CheckpointError(f"{checkpoint.name} cannot use :{checkpoint.attention}: {_first_line(error)} Leave it out.")
    return BrokenCheckpoint(
        f"{checkpoint.name}'s weights do not fit its config, or are damaged: {_first_line(error)} Download it again."
    )


def _quantized(checkpoint: Checkpoint, placement: Placement) -> dict[str, Any]:
    """Arguments for fewer bits a weight, or for weights that are stored so."""
    placed = {"device_map": {"": placement.device}}
    if checkpoint.quantization == "none":
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
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=placement.dtype)
    return placed | {"quantization_config": config}


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{text[0][:300].rstrip('.')} ({type(error).__name__})." if text else f"{type(error).__name__}."


def weights_digest(files: Files) -> str:
    """sha256 over the weight files' contents, in order of name. Tells bit rot, which loads silently."""
    digest = hashlib.sha256()
    for path in files.weights:
        with path.open("rb") as file:
            while block := file.read(2**22):
                digest.update(block)
    return digest.hexdigest()
