"""What people paste for a checkpoint, as what is meant by it: an address of the Hub, a quoted path, a file of the folder.

Nothing is looked up on the network.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

_HUBS = ("huggingface.co", "www.huggingface.co", "hf.co")
_CACHE = re.compile(r"models--([\w.-]+?)--([\w.-]+)")
_RUN = re.compile(r"checkpoint-(\d+)")
FILES = (".json", ".safetensors", ".jinja", ".model", ".txt")
"""Endings of files whose folder is meant."""


def meant(text: str) -> str:
    """The text as `parse_spec` takes it: quotes off, an address as owner/name@revision, a file as its folder."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        text = text[1:-1].strip()
    if text.lower().startswith("file://"):
        return str(inside(Path(unquote(urlsplit(text).path))))
    address = text if "://" in text else f"https://{text}" if text.lower().startswith(_HUBS) else ""
    if address:
        return _repository(address) or text
    return str(inside(Path(text).expanduser())) if _is_there(text) else text


def inside(path: Path) -> Path:
    """The folder a path means: of a file its folder, of the Hub's cache the snapshot, of a training run its last checkpoint."""
    if path.is_file() and path.suffix in FILES:
        path = path.parent
    if not path.is_dir() or (path / "config.json").is_file():
        return path
    if _CACHE.fullmatch(path.name):
        return _snapshot(path) or path
    runs = [
        (int(found[1]), one) for one in path.iterdir() if (found := _RUN.fullmatch(one.name)) and (one / "config.json").is_file()
    ]
    return max(runs)[1] if runs else path


def _repository(address: str) -> str:
    """owner/name, with @revision where the address names one; empty where it is of another site."""
    found = urlsplit(address)
    parts = [unquote(part) for part in found.path.split("/") if part]
    if found.scheme not in ("http", "https") or (found.hostname or "").lower() not in _HUBS or len(parts) < 2:
        return ""
    revision = parts[3] if len(parts) > 3 and parts[2] in ("tree", "blob", "resolve", "commit") else ""
    return f"{parts[0]}/{parts[1]}" + (f"@{revision}" if revision else "")


def _snapshot(folder: Path) -> Path | None:
    """The snapshot of a folder of the Hub's cache that its main branch points to, else the newest."""
    main = folder / "refs" / "main"
    if main.is_file() and (named := folder / "snapshots" / main.read_text(encoding="utf-8").strip()).is_dir():
        return named
    found = sorted((folder / "snapshots").glob("*/config.json"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else None


def _is_there(text: str) -> bool:
    try:
        return bool(text) and Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, no such user
        return False
