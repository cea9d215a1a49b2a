"""torch and transformers, each imported when something of it is first used.

The two take longer to import than all the rest, and much of the core does without: a page can be built, a log read, a card
written before they are there. Files of `model` write `from .late import torch` and go on as ever: bodies of functions and
annotations wait for nothing. What runs while a file is imported must not touch them: no base class, decorator or constant
of theirs; `without_gradients` stands for `@torch.no_grad()`.

Any thread may be the first to use one; others that use it meanwhile wait until it is whole. transformers imports its parts
later still, and two threads that import parts of it at once may meet one that is half there: whoever loads a checkpoint
runs `import_all` on the model thread first (`running.pool`).
"""

from __future__ import annotations

import functools
import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .changed_import import changed

NEEDED = (
    "torch", "transformers", "transformers.generation", "transformers.image_processing_utils", "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto", "transformers.models.auto.processing_auto",
    "transformers.models.auto.tokenization_auto", "transformers.processing_utils",
)  # fmt: skip
"""torch, and of transformers what whatever checkpoint is loaded needs."""

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:
    import torch as torch
    import transformers as transformers
    from torch import nn as nn

    class Pretrained(transformers.PreTrainedModel, transformers.GenerationMixin):
        """What a checkpoint is loaded as. Its architecture names the parts it has, so an attribute may be anything."""

        config: Any
        base_model: Any

        def __getattr__(self, name: str) -> Any: ...

else:

    class _Late:
        """Stands for a module. Not in `sys.modules`: what other packages import is the module itself."""

        def __init__(self, name: str) -> None:
            self._name, self._module = name, None

        def __getattr__(self, attribute: str) -> Any:
            return getattr(self._module or self._imported(), attribute)

        def _imported(self) -> ModuleType:
            self._module = importlib.import_module(self._name)  # where another thread is at it, waits for it
            return self._module

    torch, nn, transformers = _Late("torch"), _Late("torch.nn"), _Late("transformers")
    Pretrained = object  # a name for annotations


def all_imported() -> bool:
    """Whether somebody has imported all that loading needs, or is at it."""
    return all(name in sys.modules for name in NEEDED)


def import_all() -> None:
    """Import what loading needs, if it is not yet. Raises ImportError, or OSError where a library of theirs is missing."""
    if all_imported():  # perhaps somebody is at it, whom `import_module` waits for
        for name in NEEDED:
            importlib.import_module(name)
        return
    with nothing_collected(), changed("transformers.utils.import_utils", _read_models_once):
        for name in NEEDED:
            importlib.import_module(name)


def _read_models_once(module: ModuleType) -> None:
    """transformers reads the sources of its models for their names twice: for itself, and for its package `models`."""
    define = vars(module)["define_import_structure"]
    whole = functools.lru_cache(lambda folder: define(folder))

    def once(module_path: str | Path, prefix: str | None = None) -> dict[frozenset[str], dict[str, set[str]]]:
        found = whole(str(module_path).removesuffix(f"{os.sep}__init__.py"))
        before = f"{prefix}." if prefix else ""
        return {backends: {before + part: set(names) for part, names in parts.items()} for backends, parts in found.items()}

    vars(module)["define_import_structure"] = once


@contextmanager
def nothing_collected() -> Iterator[None]:
    """For imports: what they make stays, and looking for garbage in it again and again takes a quarter of their time.

    In CPU time on one machine, torch, transformers, Gradio and LLaVA's classes: 4.5 s with collections, 3.4 s without. What is
    there at the end is never looked at again.
    """
    if not gc.isenabled():  # somebody else's pause, who ends it
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def without_gradients(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: run the function under `torch.no_grad()`. Not for generators, which would leave it at the first value."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.no_grad():
            return function(*args, **kwargs)

    return run
