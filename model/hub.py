"""Files of a checkpoint: found in a folder or fetched from the Hub, checked before any weight is read.

Only safetensors and text files are ever fetched. Each way this can fail has a sentence of its own.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from .checkpoint import Checkpoint, builtin_folders
from .errors import (
    BrokenCheckpoint,
    GatedCheckpoint,
    NoNetwork,
    NotAVisionLanguageModel,
    RemoteCode,
    UnknownCheckpoint,
    UnsafeWeights,
)

_TRANSPORT = HfHubHTTPError.__mro__[1]
"""What the Hub client's HTTP library raises: httpx's error, or httpx2's in newer clients."""
PATTERNS = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
UNSAFE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
_ELEMENT_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2}


@dataclass(frozen=True)
class Files:
    """A checkpoint on disk. `elements` is its number of parameters, `stored_bytes` their size as stored."""

    folder: Path
    config: dict[str, Any]
    elements: int
    stored_bytes: int


@dataclass(frozen=True)
class Fetching:
    """Download progress in bytes; `total` is 0 while unknown."""

    done: int
    total: int


def find(checkpoint: Checkpoint) -> Iterator[Fetching | Files]:
    """Yield Fetching while files come from the Hub, then the Files, checked. Raises CheckpointError."""
    folder = checkpoint.folder
    if folder is None:
        folder = yield from _fetch(checkpoint)
    yield inspect_folder(folder, checkpoint.name)


def read_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """config.json, from the folder or the Hub, without weights. Raises CheckpointError."""
    folder = checkpoint.folder
    if folder is None:
        with _explained(checkpoint):
            folder = Path(snapshot_download(checkpoint.source, revision=checkpoint.revision, allow_patterns=["config.json"]))
    return _config(folder, checkpoint.name)


def inspect_folder(folder: Path, name: str) -> Files:
    """Check a folder's config and weights without loading them. Raises CheckpointError."""
    config = _config(folder, name)
    check_kind(config, name)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        unsafe = [p.name for p in folder.iterdir() if p.suffix in UNSAFE]
        if unsafe:
            raise UnsafeWeights(
                f"{name} has only {unsafe[0]}, a pickle that can run code when opened. Ask its author for safetensors, or convert it where "
                "you trust it: AutoModelForImageTextToText.from_pretrained(...).save_pretrained(folder)."
            )
        raise BrokenCheckpoint(f"{name} has a config but no weights (*.safetensors) in {folder}. Download it again.")
    elements = stored = 0
    for path in weights:
        count, size = _header(path, name)
        elements, stored = elements + count, stored + size
    return Files(folder, config, elements, stored)


def check_kind(config: dict[str, Any], name: str) -> None:
    """Raise where a config is not of a model that takes pictures and writes text, or wants its own code."""
    kind = config.get("model_type")
    if kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return
    if config.get("auto_map"):
        raise RemoteCode(
            f"{name} wants its own Python code to run (auto_map in config.json), which is never done here. Use a version converted to transformers: "
            "its repository name often ends in -hf."
        )
    known = "LLaVA, Qwen-VL, InternVL, SmolVLM, PaliGemma, BLIP-2 and the other image-text-to-text models of transformers"
    raise NotAVisionLanguageModel(f"{name} is a {kind or 'model of unknown type'}, which does not answer questions about pictures. Choose one of {known}.")


def _config(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.exists():
        raise BrokenCheckpoint(f"{name} has no config.json in {folder}. Point to the folder that save_pretrained wrote.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BrokenCheckpoint(f"{name}'s config.json is damaged: {error}. Download it again.") from error
    if not isinstance(config, dict):
        raise BrokenCheckpoint(f"{name}'s config.json holds no settings. Download it again.")
    return config


def _header(path: Path, name: str) -> tuple[int, int]:
    """Number and bytes of the tensors in a safetensors file, from its header alone."""
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
    except (OSError, ValueError, KeyError, struct.error, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BrokenCheckpoint(f"{name}'s {path.name} is cut off or damaged ({error}). Download it again.") from error
    return count, size


def _fetch(checkpoint: Checkpoint) -> Iterator[Fetching]:
    """Bring a repository's files to the Hub cache, reporting bytes. Returns the folder."""
    with _explained(checkpoint):
        config_folder = Path(snapshot_download(checkpoint.source, revision=checkpoint.revision, allow_patterns=["config.json"]))
    check_kind(_config(config_folder, checkpoint.name), checkpoint.name)
    total = _remote_size(checkpoint)
    done = _Counter()
    box: list[Any] = []

    def run() -> None:
        try:
            box.append(
                snapshot_download(checkpoint.source, revision=checkpoint.revision, allow_patterns=PATTERNS, tqdm_class=done.bar())
            )
        except Exception as error:  # raised again below, in the thread that asked
            box.append(error)

    thread = threading.Thread(target=run, name="download", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.3)
        yield Fetching(min(done.bytes, total) if total else done.bytes, total)
    with _explained(checkpoint):
        if isinstance(box[0], Exception):
            raise box[0]
    return Path(box[0])


def _remote_size(checkpoint: Checkpoint) -> int:
    """Bytes of safetensors in a repository; 0 where the Hub cannot be asked, as with a cached copy offline."""
    try:
        info = HfApi().model_info(checkpoint.source, revision=checkpoint.revision, files_metadata=True)
    except (_TRANSPORT, OfflineModeIsEnabled, ConnectionError):
        return 0
    names = [file.rfilename for file in info.siblings or []]
    if not any(name.endswith(".safetensors") for name in names):
        unsafe = next((name for name in names if name.endswith(UNSAFE)), None)
        raise UnsafeWeights(
            f"{checkpoint.name} has {f'only {unsafe}, a pickle that can run code when opened' if unsafe else 'no safetensors file'}. "
            "Ask its author for safetensors; nothing was downloaded."
        )
    return sum(file.size or 0 for file in info.siblings or [] if file.rfilename.endswith(".safetensors"))


class _Counter:
    """Counts bytes of all download bars."""

    def __init__(self) -> None:
        self.bytes = 0

    def bar(self) -> type:
        from tqdm import tqdm

        counter = self

        class Bar(tqdm):
            def __init__(self, *args, **kwargs):
                kwargs.pop("name", None)
                super().__init__(*args, **{**kwargs, "disable": True})
                self._counts = kwargs.get("unit") == "B"

            def update(self, n=1):
                if self._counts:
                    counter.bytes += int(n or 0)

        return Bar


class _explained:
    """Turns the Hub's errors into sentences."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, trace) -> None:
        name = self.checkpoint.source
        if isinstance(error, GatedRepoError):
            raise GatedCheckpoint(
                f"{name} is gated. Accept its licence at https://huggingface.co/{name} and give your token: huggingface-cli login, or set HF_TOKEN."
            ) from error
        if isinstance(error, RevisionNotFoundError):
            raise UnknownCheckpoint(f"{name} has no revision {self.checkpoint.revision!r}. Its branches and commits are at https://huggingface.co/{name}.") from error
        if isinstance(error, RepositoryNotFoundError):
            raise UnknownCheckpoint(
                f"There is no {name} on the Hub, or it is private. Check the spelling (owner/name); for a private one set HF_TOKEN. "
                f"Built in: {', '.join(builtin_folders())}."
            ) from error
        unreachable = isinstance(error, _TRANSPORT) and not isinstance(error, HfHubHTTPError)
        if unreachable or isinstance(error, (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError)):
            raise NoNetwork(
                f"{name} is not on this machine and the Hub cannot be reached. Connect and try again, or download it elsewhere and give its folder. "
                f"Built in and offline: {', '.join(builtin_folders())}."
            ) from error
        if isinstance(error, EntryNotFoundError):
            raise BrokenCheckpoint(f"{name} lacks a file it should have: {error}. It may not be a transformers checkpoint.") from error
        if isinstance(error, HfHubHTTPError):
            raise NoNetwork(f"The Hub answered with an error for {name}: {str(error).splitlines()[0]}. Try again later.") from error
        if isinstance(error, OSError):
            raise BrokenCheckpoint(f"{name} could not be stored: {error}. Check the free disk space and try again.") from error
