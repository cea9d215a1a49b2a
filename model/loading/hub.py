"""Where a checkpoint's files come from: a folder, or the Hub.

Only safetensors and text files are ever fetched. Each way this can fail has a sentence of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]
from tqdm import tqdm

from ..checkpoint import Checkpoint, builtin_folders
from ..errors import (
    BrokenCheckpoint,
    CheckpointError,
    GatedCheckpoint,
    NoNetwork,
    UnknownCheckpoint,
    UnsafeWeights,
    WorkbenchError,
)
from .files import UNSAFE, Files, check_kind, folder_config, inspect_folder

_TRANSPORT = next(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception))
"""What the Hub client's HTTP library raises: httpx's error, or httpx2's in newer clients."""
PATTERNS = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
IGNORED = ["*/*.safetensors", "consolidated*"]
"""The same weights a second time, in another layout."""
POLL_S = 0.3


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
            folder = _download(checkpoint, allow_patterns=["config.json"])
    return folder_config(folder, checkpoint.name)


def _download(checkpoint: Checkpoint, **arguments: Any) -> Path:
    return Path(snapshot_download(checkpoint.source, revision=checkpoint.revision, **arguments))


def _fetch(checkpoint: Checkpoint) -> Generator[Fetching, None, Path]:
    """Bring a repository's files to the Hub cache, reporting bytes. Returns the folder.

    The download goes on where nobody listens any more; what it brought is there the next time.
    """
    with _explained(checkpoint):
        config_folder = _download(checkpoint, allow_patterns=["config.json"])
    check_kind(folder_config(config_folder, checkpoint.name), checkpoint.name)
    with _explained(checkpoint):
        total = _remote_size(checkpoint)
    done = _Counter()
    box: list[Path | BaseException] = []

    def run() -> None:
        try:
            box.append(_download(checkpoint, allow_patterns=PATTERNS, ignore_patterns=IGNORED, tqdm_class=done.bar()))
        except BaseException as error:  # raised again below, in the thread that asked
            box.append(error)

    thread = threading.Thread(target=run, name="download", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_S)
        yield Fetching(min(done.bytes, total) if total else done.bytes, total)
    with _explained(checkpoint):
        if isinstance(found := box[0], BaseException):
            raise found
    return found


def _remote_size(checkpoint: Checkpoint) -> int:
    """Bytes of safetensors in a repository; 0 where the Hub cannot be asked, as with a cached copy offline."""
    try:
        info = HfApi().model_info(checkpoint.source, revision=checkpoint.revision, files_metadata=True)
    except (_TRANSPORT, OfflineModeIsEnabled, ConnectionError):
        return 0
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    weights = {name: size for name, size in sizes.items() if name.endswith(".safetensors")}
    if not weights:
        unsafe = next((name for name in sizes if name.endswith(UNSAFE)), None)
        raise UnsafeWeights(
            f"{checkpoint.name} has "
            f"{f'only {unsafe}, a pickle that can run code when opened' if unsafe else 'no safetensors file'}. "
            "Ask its author for safetensors; nothing was downloaded."
        )
    wanted = filter_repo_objects(sizes, allow_patterns=PATTERNS, ignore_patterns=IGNORED)
    return sum(sizes[name] for name in wanted)


class _Counter:
    """Counts the bytes that download bars tell of, from all their threads."""

    def __init__(self) -> None:
        self.bytes = 0
        self._lock = threading.Lock()

    def add(self, count: float) -> None:
        with self._lock:
            self.bytes += int(count)

    def bar(self) -> type[tqdm]:
        counter = self

        class Bar(tqdm):  # type: ignore[misc]  # tqdm has no types
            """Shows nothing. The Hub client keeps a second bar of what the network brought; files are counted once."""

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                self._counts = kwargs.get("unit") == "B" and kwargs.get("desc") != "Downloading bytes"
                kwargs.pop("name", None)
                super().__init__(*args, **{**kwargs, "disable": True})

            def update(self, n: float | None = 1) -> None:
                if self._counts:
                    counter.add(n or 0)

        return Bar


@contextmanager
def _explained(checkpoint: Checkpoint) -> Iterator[None]:
    """Turns the Hub's errors into sentences."""
    try:
        yield
    except WorkbenchError:
        raise
    except Exception as error:
        raise _sentence(checkpoint, error) from error


def _sentence(checkpoint: Checkpoint, error: Exception) -> CheckpointError:
    name, builtin = checkpoint.source, ", ".join(builtin_folders())
    # The client says "not found here" of all that went wrong over there, with the reason behind it.
    reason = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
    if isinstance(reason, GatedRepoError):
        return GatedCheckpoint(
            f"{name} is gated. Accept its licence at https://huggingface.co/{name} and give your token: hf auth login, or "
            "set HF_TOKEN."
        )
    if isinstance(reason, RevisionNotFoundError):
        return UnknownCheckpoint(
            f"{name} has no revision {checkpoint.revision or 'main'!r}. Its branches and commits are at https://huggingface.co/{name}."
        )
    unauthorized = isinstance(reason, HfHubHTTPError) and reason.response.status_code == 401
    if isinstance(reason, RepositoryNotFoundError) or unauthorized:
        return UnknownCheckpoint(
            f"There is no {name} on the Hub, or it is private and your token does not open it. Check the spelling (owner/name), "
            f"or set HF_TOKEN. Built in: {builtin}."
        )
    if isinstance(reason, HFValidationError):
        return UnknownCheckpoint(
            f"There is no folder {name}; it was moved or deleted. Choose another checkpoint. Built in: {builtin}."
        )
    if isinstance(reason, EntryNotFoundError):
        return BrokenCheckpoint(
            f"{name} lacks a file it should have: {_first_line(reason)}. It may not be a transformers checkpoint."
        )
    if isinstance(reason, HfHubHTTPError):
        return NoNetwork(f"The Hub answered with an error for {name}: {_first_line(reason)}. Try again later.")
    if isinstance(error, (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError, _TRANSPORT)):
        return NoNetwork(
            f"{name} is not on this machine, or only in part, and the Hub cannot be reached. Connect and try again, or download "
            f"it elsewhere and give its folder. Built in and offline: {builtin}."
        )
    if isinstance(error, OSError):
        return BrokenCheckpoint(f"{name} could not be stored: {_first_line(error)}. Check the free disk space and try again.")
    return CheckpointError(
        f"{name} could not be fetched: {_first_line(error)}. Try again, or download it elsewhere and give its folder."
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200].rstrip(".") if lines else type(error).__name__
