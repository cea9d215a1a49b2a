"""torch and transformers, each imported when something of it is first used.

The two take longer to import than all the rest, and much of the core does without: a page can be built, a log read, a card
written before they are there. Files of `model` write `from .late import torch` and go on as ever: bodies of functions and
annotations wait for nothing. What runs while a file is imported must not touch them: no base class, decorator or constant
of theirs; `without_gradients` stands for `@torch.no_grad()`.

Any thread may be the first to use one; others that use it meanwhile wait until it is whole. transformers imports its parts
later still, and two threads that import parts of it at once may meet one that is half there: whoever loads a checkpoint
runs `import_both` on the model thread first (`running.pool`).
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

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


def both_imported() -> bool:
    """Whether somebody has imported both, or is at it."""
    return "torch" in sys.modules and "transformers" in sys.modules


def import_both() -> None:
    """Import torch and transformers, if they are not yet. Raises ImportError, or OSError where a library of theirs is missing."""
    importlib.import_module("torch")
    importlib.import_module("transformers")


def without_gradients(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: run the function under `torch.no_grad()`. Not for generators, which would leave it at the first value."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.no_grad():
            return function(*args, **kwargs)

    return run
