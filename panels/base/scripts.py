"""The scripts of the page: where they lie, and at what address they are served."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "assets" / "js"
PREFIX = "scripts"
VERSION_LETTERS = 12


def script_paths() -> list[Path]:
    """Every module, in order."""
    return sorted(SCRIPTS.rglob("*.js"))


@cache
def version() -> str:
    """Names the scripts as they are when it is first asked for: another one where any of them differs."""
    digest = hashlib.sha256()
    for path in script_paths():
        digest.update(f"{path.relative_to(SCRIPTS).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:VERSION_LETTERS]


def address(path: str) -> str:
    """Where a module is served, relative to the page. What it imports has addresses relative to its own."""
    return f"{PREFIX}/{version()}/{path}"
