"""Bytes: counted, bounded, read from the machine, and said to people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from model import memory
from model.memory import ByteCache, free_bytes, human_bytes, is_out_of_memory, model_bytes


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1234, "1.2 kB"), (99_940, "99.9 kB"), (99_960, "100 kB"),
        (999_499, "999 kB"), (999_500, "1.0 MB"), (1_234_567, "1.2 MB"), (28e9, "28.0 GB"), (140e9, "140 GB"), (5e12, "5000 GB"),
    ],
)  # fmt: skip
def test_bytes_are_said_in_three_digits(count: float, text: str) -> None:
    assert human_bytes(count) == text


def test_a_cache_never_holds_more_than_its_limit_and_lets_go_in_order() -> None:
    """Against a slow model: a list in order of use."""
    random, cache, model = np.random.default_rng(0), ByteCache[int](100), []
    hits = misses = 0
    for step in range(3000):
        key, size = int(random.integers(0, 12)), int(random.integers(0, 60))
        action = random.integers(0, 10)
        held = next((entry for entry in model if entry[0] == key), None)
        if action < 4:
            found = cache.get(key)
            assert found == (held[1] if held else None)
            hits, misses = hits + (held is not None), misses + (held is None)
            if held:
                model.remove(held)
                model.append(held)
        elif action < 9:
            cache.put(key, step, size)
            model = [entry for entry in model if entry[0] != key]
            model.append((key, step, size))
            while sum(entry[2] for entry in model) > 100:
                model.pop(0)
        elif action == 9:
            assert cache.drop(key) == (held[1] if held else None)
            model = [entry for entry in model if entry[0] != key]
        assert cache.used_bytes == sum(entry[2] for entry in model) <= 100
        assert len(cache) == len(model)
    assert (cache.hits, cache.misses) == (hits, misses)
    cache.drop_if(lambda key: key % 2 == 0)
    assert cache.used_bytes == sum(entry[2] for entry in model if entry[0] % 2)
    cache.put("large", 1, 101)
    assert cache.get("large") is None
    assert cache.used_bytes == sum(entry[2] for entry in model if entry[0] % 2), "what is too large throws nothing out"


def test_shared_parameters_count_once() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(10, 10, bias=False), torch.nn.Linear(10, 10, bias=False))
    assert model_bytes(model) == 800
    model[1].weight = model[0].weight
    assert model_bytes(model) == 400
    model.register_buffer("more", torch.zeros(3, dtype=torch.float16))
    assert model_bytes(model) == 406


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_running_out_of_memory_is_known_in_all_its_words(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_the_allocator_s_own_error_is_known() -> None:
    with pytest.raises(RuntimeError) as told:
        torch.empty(2**50)
    assert is_out_of_memory(told.value)


def group(root: Path, limit: str, used: int, stat: str = "") -> Path:
    root.mkdir()
    (root / "memory.max").write_text(limit)
    (root / "memory.current").write_text(str(used))
    if stat:
        (root / "memory.stat").write_text(stat)
    return root


def test_a_container_s_limit_counts_and_files_read_before_do_not(tmp_path: Path) -> None:
    assert memory._cgroup(tmp_path) is None
    assert memory._cgroup(group(tmp_path / "a", "max\n", 5)) is None
    assert memory._cgroup(group(tmp_path / "b", "1000\n", 400)) == 600
    assert memory._cgroup(group(tmp_path / "c", "1000\n", 900, "anon 100\ninactive_file 700\nactive_file 100\n")) == 800
    assert memory._cgroup(group(tmp_path / "d", "1000\n", 1200)) == 0


def test_what_is_free_is_the_least_of_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 10**8 < free_bytes(torch.device("cpu")) < 10**13
    for machine, container, expected in ((50, 30, 30), (50, None, 50), (None, 30, 30)):
        monkeypatch.setattr(memory, "_meminfo", lambda machine=machine: machine)
        monkeypatch.setattr(memory, "_cgroup", lambda container=container: container)
        assert free_bytes(torch.device("cpu")) == expected
    monkeypatch.setattr(memory, "_meminfo", lambda: None)
    monkeypatch.setattr(memory, "_cgroup", lambda: None)
    assert free_bytes(torch.device("cpu")) > 10**8


def test_a_graphics_card_s_unused_reserve_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 60)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20)
    assert free_bytes(torch.device("cuda", 0)) == 140
