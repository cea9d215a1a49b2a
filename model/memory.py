"""Bytes: what models and caches take, what the machine has, and a bounded cache."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

V = TypeVar("V")


def size_bytes(value: Any) -> int:
    """Bytes of all tensors in a nest of lists, tuples, dicts and transformers outputs."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(size_bytes(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return sum(size_bytes(v) for v in value)
    return 0


def model_bytes(model: torch.nn.Module) -> int:
    """Bytes of parameters and buffers, shared ones counted once."""
    seen = {t.data_ptr(): t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()) if t.device.type != "meta"}
    return sum(seen.values())


def free_bytes(device: torch.device) -> int:
    """Memory that can still be taken on a device: the GPU's free memory, or what the machine or its container has left."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
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


def _cgroup() -> int | None:
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if not limit.exists() or not used.exists() or limit.read_text().strip() == "max":
        return None
    return max(0, int(limit.read_text()) - int(used.read_text()))


def human_bytes(count: float) -> str:
    """1234567 -> "1.2 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


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

    def drop_if(self, predicate) -> None:
        """Let go of all keys for which predicate(key) is true."""
        for key in [key for key in self._entries if predicate(key)]:
            self.drop(key)
