"""From files to a model in memory: device and precision chosen, the need estimated first, nothing unsafe run."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
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
from .forms import ADAPTER
from .missing import settle
from .processors import load_processors
from .quantised import is_installed, quantized_arguments, stored_as
from .wishes import generation_wishes

OVERHEAD = 1.2
"""Memory for a checkpoint over its weights: buffers, activations of a short prompt, the loader's own."""
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
        wished, asides = generation_wishes(files.folder)
        model, warnings = _model(checkpoint, files, placement, wished)
    except Exception as error:
        if not is_out_of_memory(error):
            raise _explained(checkpoint, files, error) from error
        model = None
    if model is None:  # outside the handler, where the half-read weights are gone
        free_unused(placement.device)
        raise TooBig(
            f"Memory ran out while {checkpoint.name} was read; it was given up and nothing else was touched. "
            f"{_smaller(checkpoint, placement)}"
        )
    parts = Parts(
        model.eval().requires_grad_(False), found.tokenizer, found.image_processor, found.processor, found.chat_template,
        placement.device, placement.dtype, warnings=warnings, asides=asides,
    )  # fmt: skip
    _check_image_token(checkpoint, parts)
    _check_canvases(checkpoint, parts)
    parts.control = control_tokens(parts)
    return family_for(files.config), parts


def _check_image_token(checkpoint: Checkpoint, parts: Parts) -> None:
    """Raise where the token that stands for a picture is not in the tokenizer, or has no row in the embedding."""
    token, tokenizer = parts.image_token_id, parts.tokenizer
    embedding: Any = parts.model.get_input_embeddings()
    rows, known = embedding.weight.shape[0], len(tokenizer)
    told, cure = f"The token of {checkpoint.name} that stands for a picture", "Take config.json and the tokenizer from one place."
    if token is not None and not (isinstance(token, int) and 0 <= token < min(rows, known)):
        raise BrokenCheckpoint(
            f"{told} is {token!r:.40} by config.json; its tokenizer has {known:,} tokens and its embedding {rows:,} rows. {cure}"
        )
    named = vars(parts.processor).get("image_token") if parts.processor is not None else None
    if token is not None and named and tokenizer.convert_tokens_to_ids(str(named)) in (None, tokenizer.unk_token_id):
        raise BrokenCheckpoint(f"{told} is {named} by its processor, and its tokenizer has no such token. {cure}")


def _check_canvases(checkpoint: Checkpoint, parts: Parts) -> None:
    """Raise where the image processor cuts pictures into other tiles than the model puts together (AnyRes).

    Tokens would then be of other places than their tiles, and some of a picture would never be read.
    """
    told, made = (
        [tuple(canvas) for canvas in getattr(holder, "image_grid_pinpoints", None) or ()]
        for holder in (parts.config, parts.image_processor)
    )
    if told and made and told != made:  # in their order, too: of two that fit alike the first is taken
        raise BrokenCheckpoint(
            f"The canvases (image_grid_pinpoints) of {checkpoint.name} are {told} in config.json and {made} in "
            "preprocessor_config.json. Take both files from one place."
        )


def _model(
    checkpoint: Checkpoint, files: Files, placement: Placement, wished: transformers.GenerationConfig | None
) -> tuple[Pretrained, tuple[str, ...]]:
    """The model on its device, and what its files lack."""
    config = transformers.AutoConfig.from_pretrained(files.folder, trust_remote_code=False)
    config._attn_implementation = None  # a config's wish for flash attention wins over the argument, and SDPA answers here
    arguments: dict[str, Any] = {"dtype": placement.dtype, "use_safetensors": True, "trust_remote_code": False, "config": config}
    if checkpoint.attention != "auto":
        arguments["attn_implementation"] = checkpoint.attention
    if (files.folder / ADAPTER).is_file() and is_installed("peft"):  # with it transformers would load the adapter's base
        raise CheckpointError(
            f"An adapter lies beside the weights of {checkpoint.name} ({ADAPTER}); which of the two is meant cannot be told. "
            "Move the adapter into a folder of its own."
        )
    quantized = checkpoint.quantization != "none" or "quantization_config" in files.config
    if quantized:
        arguments |= quantized_arguments(checkpoint, files.config, placement.device, placement.dtype)
    if not quantized:
        _check_described(checkpoint, files, config)
    if wished is not None:
        arguments["generation_config"] = wished
    read: Any = transformers.AutoModelForImageTextToText.from_pretrained(
        files.folder, output_loading_info=True, ignore_mismatched_sizes=True, **arguments
    )
    model, told = read  # its types know the model alone
    tower = family_for(files.config).paths.get("vision", "")
    warnings = settle(model, told, files.config, checkpoint.name, tower)
    if (files.folder / ADAPTER).is_file():
        warnings += (f"An adapter lies beside its weights ({ADAPTER}) and is not used.",)
    _mend(model)
    return model if quantized else model.to(placement.device), warnings


def _mend(model: Pretrained) -> None:
    """Kosmos-2 in transformers before 5.23: SDPA hid later patches from earlier queries of the connector, which has no order."""
    if model.config.model_type == "kosmos-2":
        connector: Any = model.get_submodule("image_to_text_projection.x_attn")
        connector.is_causal = False


def _check_described(checkpoint: Checkpoint, files: Files, config: transformers.PretrainedConfig) -> None:
    """Raise where the config describes far more weights than there are.

    What is not in the files would be made at random, and a config that lacks a part describes one of seven billion.
    """
    with torch.device("meta"):
        empty = transformers.AutoModelForImageTextToText.from_config(copy.deepcopy(config))
    described = sum(p.numel() for p in empty.parameters())
    if described > DESCRIBED_MOST * files.elements:
        raise BrokenCheckpoint(
            f"{checkpoint.name}'s config.json describes {described:,} weights, and its files hold {files.elements:,}. "
            "Download it again."
        )


def _explained(checkpoint: Checkpoint, files: Files, error: Exception) -> CheckpointError:
    """The error of a load that failed as one the user can read."""
    if isinstance(error, CheckpointError):
        return error
    if isinstance(error, ImportError):
        return CheckpointError(f"{checkpoint.name} needs a package that is not installed: {_first_line(error)}")
    if checkpoint.attention != "auto" and "attention" in str(error):
        return CheckpointError(f"{checkpoint.name} cannot use :{checkpoint.attention}: {_first_line(error)} Leave it out.")
    if "quantization_config" in files.config:
        return CheckpointError(
            f"{checkpoint.name} is stored quantised ({stored_as(files.config)}), which cannot be read here: {_first_line(error)} "
            "Use its original weights."
        )
    return BrokenCheckpoint(
        f"{checkpoint.name}'s weights do not fit its config, or are damaged: {_first_line(error)} Download it again."
    )


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
