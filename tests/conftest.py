"""Fixtures of many test files: the zoo's folders, a core that has what is asked of it loaded, the program being served."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from bed import Bed
from deprecations import Deprecations
from program import Program, endless_llava
from zoo import zoo

torch.set_num_threads(1)  # the models are tiny, and the machine has others to serve
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs behind it; programs of tests are to hear it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Deprecations(config.rootpath))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: they are the slow ones, and leave an event loop running that others must not meet."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a tiny checkpoint -> its folder, shared by all: not to be changed."""
    return zoo(tmp_path_factory)


@pytest.fixture(scope="session")
def bed(folder_of: Callable[[str], Path]) -> Bed:
    """One for the whole run, so that a checkpoint is read once. Tests that unload or break things make their own."""
    return Bed(folder_of)


@pytest.fixture
def own_bed(folder_of: Callable[[str], Path]) -> Bed:
    """A fresh one."""
    return Bed(folder_of)


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that goes on writing until it is stopped."""
    return endless_llava(tmp_path_factory.mktemp("endless"))


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, endless: Path) -> Iterator[Program]:
    """The built-in checkpoint and the endless one, on a log of their own. No traceback or warning may have been printed."""
    program = Program(tmp_path_factory.mktemp("served"), "--checkpoint", "tiny-llava", "--checkpoint", str(endless))
    yield program
    program.end()
    assert "Traceback" not in program.words, program.words
    assert "Warning" not in program.words, program.words
    assert "deprecated" not in program.words, program.words


@pytest.fixture(scope="session")
def public(tmp_path_factory: pytest.TempPathFactory, endless: Path) -> Iterator[Program]:
    """The same, as anybody may open it, with a secret in its environment, which it never prints.

    What Gradio makes of hostile requests it may print for whoever runs it.
    """
    program = Program(
        tmp_path_factory.mktemp("public"), "--checkpoint", "tiny-llava", "--checkpoint", str(endless),
        FOVEA_PUBLIC="1", HF_TOKEN="hf_quaggaSECRETquagga",
    )  # fmt: skip
    yield program
    program.end()
    assert "hf_quaggaSECRETquagga" not in program.words
