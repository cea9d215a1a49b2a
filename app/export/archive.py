"""An export as a folder or a zip, read without trust: nothing is unpacked, links are refused, sizes are bounded.

Files are read by name into memory, one at a time. A name that would leave the folder is refused even so,
because it shows that the file is not an export.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from model.errors import InputError

MAX_BYTES = 500_000_000
MAX_MEMBERS = 10_000
_END = struct.Struct("<4s4H2LH")
_DIRECTORY_BYTES = 512  # more than an entry of an export needs in the zip's directory
_AGAIN = "Export the session again."


class Members:
    """The files of an export. `sizes` is bytes by name, with "/" between folders and none around them all."""

    def __init__(self, sizes: Mapping[str, int], read: Callable[[str], bytes]) -> None:
        _check_amount(len(sizes), sum(sizes.values()))
        folders = [
            name.removesuffix("runs.jsonl") for name in sizes if f"/{name}".endswith("/runs.jsonl") and name.count("/") < 2
        ]
        if len(folders) != 1:
            raise InputError(f"This is no export: it holds {len(folders)} files named runs.jsonl instead of one. {_AGAIN}")
        self._folder, self._read = folders[0], read
        self.sizes = {name.removeprefix(folders[0]): size for name, size in sizes.items() if name.startswith(folders[0])}

    def read(self, name: str) -> bytes:
        """The bytes of that file. Raises InputError where it is not there or damaged."""
        if name not in self.sizes:
            raise InputError(f"The export lacks {name[:100]!r}. {_AGAIN}")
        try:
            data = self._read(self._folder + name)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise InputError(f"{name[:100]!r} of the export is damaged or locked and could not be read. {_AGAIN}") from error
        if len(data) != self.sizes[name]:
            raise InputError(f"{name[:100]!r} of the export has {len(data)} bytes instead of {self.sizes[name]}. {_AGAIN}")
        return data


@contextmanager
def open_export(source: Path) -> Iterator[Members]:
    """The files of an exported folder or zip. Raises InputError where it cannot be read safely."""
    if source.is_dir():
        sizes = _folder_sizes(source)
        yield Members(sizes, lambda name: _read_file(source / name, sizes[name]))
        return
    try:
        _check_end(source)
        opened = zipfile.ZipFile(source)
    except (OSError, zipfile.BadZipFile, ValueError, struct.error) as error:
        raise InputError(f"{source.name[:60]!r} is neither a folder nor a zip of an exported session. Choose another.") from error
    with opened:
        sizes = _zip_sizes(opened)
        yield Members(sizes, lambda name: _read_member(opened, name, sizes[name]))


def _folder_sizes(root: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for folder, folders, files in os.walk(root):
        for path in (Path(folder, name) for name in (*folders, *files)):
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise InputError(f"{path.name[:60]!r} in the folder is a link or a device, which is not followed. {_AGAIN}")
            if stat.S_ISREG(mode):
                sizes[path.relative_to(root).as_posix()] = path.lstat().st_size
        _check_amount(len(sizes), sum(sizes.values()))
    return sizes


def _zip_sizes(opened: zipfile.ZipFile) -> dict[str, int]:
    infos = [info for info in opened.infolist() if not info.is_dir()]
    _check_names(info.filename for info in infos)
    for info in infos:
        if stat.S_ISLNK(info.external_attr >> 16):
            raise InputError(f"{info.filename[:60]!r} in the zip is a link, which is not followed. {_AGAIN}")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"{info.filename[:60]!r} in the zip is packed in an unusual way. Zip the folder again.")
    return {info.filename: info.file_size for info in infos}


def _check_names(names: Iterable[str]) -> None:
    for name, times in Counter(names).items():
        if name.startswith("/") or ".." in name.split("/") or any(character in name for character in "\\:\0"):
            raise InputError(f"The zip holds {name[:60]!r}, which would lie outside of its folder. Do not trust it. {_AGAIN}")
        if times > 1:
            raise InputError(f"The export holds {name[:60]!r} {times} times. {_AGAIN}")


def _check_amount(members: int, size_bytes: int) -> None:
    if members > MAX_MEMBERS:
        raise InputError(f"The export holds {members} files; at most {MAX_MEMBERS} are read. Export fewer runs.")
    if size_bytes > MAX_BYTES:
        sizes = f"{size_bytes / 1e6:.0f} MB unpacked; at most {MAX_BYTES / 1e6:.0f} MB are read"
        raise InputError(f"The export holds {sizes}. Export fewer runs.")


def _check_end(source: Path) -> None:
    """Looks at a zip's last record before its directory is read, because a directory of gigabytes is a bomb, too."""
    with source.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END.size - 2**16 - 20))
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    directory_bytes = _END.unpack_from(tail, at)[5] if at >= 0 else 0
    if directory_bytes > MAX_MEMBERS * _DIRECTORY_BYTES or b"PK\6\7" in tail[max(0, at - 20) : at]:
        raise InputError(f"{source.name[:60]!r} lists too many files; at most {MAX_MEMBERS} are read. Export fewer runs.")


def _read_member(opened: zipfile.ZipFile, name: str, size: int) -> bytes:
    """Never more than the size it claims: reading a member whole unpacks first and looks at its size later."""
    with opened.open(name) as file:
        return file.read(size + 1)


def _read_file(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size + 1)
