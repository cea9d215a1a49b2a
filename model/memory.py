"""Bytes: what models and caches take, what the machine has, and a bounded cache."""

from __future__ import annotations

import gc
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from .late import torch

V = TypeVar("V")


def size_bytes(value: Any) -> int:
    """Bytes that the tensors in a nest of lists, tuples, dicts and transformers outputs hold on to.

    A slice keeps all of what it was cut from, so the storage is counted, once.
    """
    storages = {storage.data_ptr(): storage.nbytes() for storage in map(torch.Tensor.untyped_storage, _tensors(value))}
    return sum(storages.values())


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; on processors and Apple's GPUs that is told in words only."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    words = ("can't allocate memory", "out of memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def free_unused(device: torch.device) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def model_bytes(model: torch.nn.Module) -> int:
    """Bytes of parameters and buffers, shared ones counted once."""
    seen = {
        t.data_ptr(): t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()) if t.device.type != "meta"
    }
    return sum(seen.values())


def free_bytes(device: torch.device) -> int:
    """Memory that can still be taken on a device: the GPU's free memory, or what the machine or its container has left."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    found = [_meminfo(), _cgroup()]
    known = [value for value in found if value is not None]
    if known:
        return min(known)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # macOS: all of it


def _meminfo() -> int | None:
    path = Path("/proc/meminfo")
    if not path.exists():
        return None
    for line in path.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _cgroup(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container's limit leaves. Files held in memory for quicker reading count as used there, but make way."""
    limit, used = root / "memory.max", root / "memory.current"
    if not limit.exists() or not used.exists() or limit.read_text().strip() == "max":
        return None
    stat = root / "memory.stat"
    lines = stat.read_text().splitlines() if stat.exists() else []
    files = next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
    return max(0, int(limit.read_text()) - int(used.read_text()) + files)


def human_bytes(count: float) -> str:
    """1234567 -> "1.2 MB"."""
    unit = "B"
    for larger in ("kB", "MB", "GB"):
        if count < 999.5:
            break
        count, unit = count / 1000, larger
    return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"


class ByteCache(Generic[V]):
    """Values by key within a limit of bytes; the least recently used goes first. Not for several threads."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes, self.used_bytes = limit_bytes, 0
        self.hits = self.misses = 0
        self._entries: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> V | None:
        """The value, counted as used now; None where it is not held."""
        if key not in self._entries:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: Hashable, value: V, bytes_: int) -> None:
        """Hold a value of that size. One larger than the limit is not held."""
        self.drop(key)
        if bytes_ > self.limit_bytes:
            return
        self._entries[key] = (value, bytes_)
        self.used_bytes += bytes_
        while self.used_bytes > self.limit_bytes:
            _, (_, gone) = self._entries.popitem(last=False)
            self.used_bytes -= gone

    def drop(self, key: Hashable) -> V | None:
        """Let go of a key. Its value, or None."""
        value, size = self._entries.pop(key, (None, 0))
        self.used_bytes -= size
        return value

    def drop_if(self, predicate: Callable[[Any], bool]) -> None:
        """Let go of all keys for which predicate(key) is true."""
        for key in [key for key in self._entries if predicate(key)]:
            self.drop(key)
