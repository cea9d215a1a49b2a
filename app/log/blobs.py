"""Files by their sha256: blobs/ab/<sha>. The log's rows name them.

Put and delete while holding the log's write lock (`Store.write`), so that no process removes a file
that another has just decided to keep. Whose file may go is decided in `cleanup`, not here.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import BinaryIO

_SHA = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """A folder of files by content. A file is there whole or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._next = secrets.randbelow(256)  # folder to be looked through by `some`

    def path(self, sha: str) -> Path:
        """Where the file of that sha256 is, or would be."""
        if not _SHA.fullmatch(sha):
            raise ValueError(f"{sha!r} is no sha256 in 64 hex digits")
        return self.root / sha[:2] / sha

    def __contains__(self, sha: str) -> bool:
        return self.path(sha).is_file()

    def put(self, data: bytes) -> str:
        """The sha256 of these bytes, which are on disk when this returns."""
        sha = hashlib.sha256(data).hexdigest()
        target = self.path(sha)
        if target.is_file() and target.stat().st_size == len(data):
            return sha
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{sha}.{secrets.token_hex(4)}.partial")
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return sha

    def open(self, sha: str) -> BinaryIO:
        """The file, to be read. Raises FileNotFoundError where it is gone."""
        return self.path(sha).open("rb")

    def delete(self, sha: str) -> int:
        """Removes the file and says how many bytes it had; 0 where it was not there."""
        return _remove(self.path(sha))

    def some(self, many: int) -> set[str]:
        """The sha256 of files, in whole folders until there are so many of them, or of all; other ones the next time.

        What a process that died while writing has left there is removed.
        """
        found: set[str] = set()
        folders = sorted(path for path in self.root.glob("??") if path.is_dir())
        for at in range(len(folders)):
            for path in folders[(self._next + at) % len(folders)].iterdir():
                if path.suffix == ".partial":
                    _remove(path)
                elif _SHA.fullmatch(path.name):
                    found.add(path.name)
            if len(found) >= many:
                self._next = (self._next + at + 1) % len(folders)
                break
        return found


def _remove(path: Path) -> int:
    size = _size(path)
    path.unlink(missing_ok=True)
    return size


def _size(path: Path) -> int:
    """Bytes of a file; 0 where another process has just removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
