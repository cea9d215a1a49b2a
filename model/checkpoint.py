"""A checkpoint, written down: what to load and how. Parsing of what a person types for it.

tiny-llava                                   a built-in name
./runs/my-llava                              a folder
llava-hf/llava-1.5-7b-hf                     a Hub repository
llava-hf/llava-1.5-7b-hf@b234b804            at a revision
llava-hf/llava-1.5-7b-hf:bfloat16,cuda:1     with options
llava-hf/llava-1.5-7b-hf@main:nf4,eager
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from .errors import UnknownCheckpoint
from .spelling import meant

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Quantization = Literal["none", "int8", "nf4"]
Attention = Literal["auto", "sdpa", "eager"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_REVISION = re.compile(r"[\w./-]{1,80}")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_SHORT = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "8bit": "int8", "4bit": "nf4"}
_OLLAMA = re.compile(r"[a-z][\w.-]*:[\w.-]+")
OLLAMA = "Names of Ollama (name:size) mean GGUF files, which are not read here. "
_EXAMPLE = "tiny-llava, ./folder, or llava-hf/llava-1.5-7b-hf@main:bfloat16"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What to load. Equal specs are the same checkpoint.

    `name` is shown to people. `source` is a built-in name, a folder or a Hub id. `family` None means: found from the
    model_type in config.json. `device` is "auto", "cpu", "mps", "cuda" or "cuda:N".
    """

    name: str
    source: str
    family: str | None = None
    revision: str | None = None
    dtype: Dtype = "auto"
    device: str = "auto"
    quantization: Quantization = "none"
    attention: Attention = "auto"

    @property
    def id(self) -> str:
        """16 hex digits that name this spec: blake2b of its canonical JSON."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=8).hexdigest()

    @property
    def spec(self) -> str:
        """What a person would type for it; `parse_spec` gives the checkpoint back."""
        words = [w for w in (self.dtype, self.device, self.quantization, self.attention) if w not in ("auto", "none")]
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.source}{revision}" + (f":{','.join(words)}" if words else "")

    @property
    def folder(self) -> Path | None:
        """Where the files are, or None for a Hub repository."""
        return builtin_folders().get(self.source) or _folder(self.source)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Checkpoint:
        return cls(**json.loads(text))


def parse_spec(text: str) -> Checkpoint:
    """The checkpoint a person means. Nothing is loaded or looked up on the network.

    Raises UnknownCheckpoint where the text is none of the forms above, or a folder is not there.
    """
    builtin = builtin_folders()
    text = text.strip()
    text = text if text in builtin else meant(text)
    if text not in builtin and _folder(text):  # a folder may well have : or @ in its name
        return _local(text)
    source, _, options = text.partition(":")
    source, _, revision = source.partition("@")
    source = source if source in builtin else meant(source)
    if source in builtin:
        found = Checkpoint(source, source)
    elif _folder(source):
        found = _local(source)
    elif _HUB_ID.fullmatch(source) and ".." not in source:
        found = Checkpoint(source.split("/")[1], source)
    else:
        known = ", ".join(sorted(builtin)) or "none"
        raise UnknownCheckpoint(
            f"There is no checkpoint {text[:200]!r}. Built in: {known}. A folder must exist; a Hub id is owner/name. "
            f"{OLLAMA if _OLLAMA.fullmatch(text) else ''}For example: {_EXAMPLE}."
        )
    if revision:
        found = replace(found, revision=_checked_revision(found, revision))
    changed = _options(options)
    named = ",".join(str(v) for v in (revision, *changed.values()) if v)
    return replace(found, name=f"{found.name} ({named})" if named else found.name, **changed)


def _checked_revision(found: Checkpoint, revision: str) -> str:
    if found.folder:
        raise UnknownCheckpoint(f"{found.name} is a folder, which has no revisions. Leave out @{revision[:80]}.")
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise UnknownCheckpoint(
            f"{revision[:80]!r} is no revision. Write a branch, tag or commit after @, for example {_EXAMPLE}."
        )
    return revision


def builtin_folders() -> dict[str, Path]:
    """Name -> folder of the checkpoints that come with the project."""
    root = Path(__file__).resolve().parent.parent / "assets" / "checkpoints"
    return {path.parent.name: path.parent for path in sorted(root.glob("*/config.json"))}


def _folder(text: str) -> Path | None:
    """The folder of this name, if there is one. Text of any kind may be asked about."""
    try:
        path = Path(text).expanduser()
        return path if text and path.is_dir() else None
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, no such user
        return None


def _local(text: str) -> Checkpoint:
    path = Path(text).expanduser().resolve()
    return Checkpoint(path.name, str(path))


def _options(text: str) -> dict[str, Any]:
    kinds = {"dtype": get_args(Dtype), "quantization": get_args(Quantization)[1:], "attention": get_args(Attention)[1:]}
    found: dict[str, Any] = {}
    for word in (w.strip() for w in text.split(",") if w.strip()):
        value = _SHORT.get(word, word)
        kind = next((k for k, values in kinds.items() if value in values), None)
        if kind is None and _DEVICE.fullmatch(value):
            kind = "device"
        if kind is None or kind in found:
            known = ", ".join(v for values in kinds.values() for v in values)
            raise UnknownCheckpoint(f"{word[:40]!r} is no option of a checkpoint. Known: {known}, cpu, cuda, cuda:N, mps.")
        found[kind] = value
    return found
