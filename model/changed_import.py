"""A module of a package, changed as soon as it is imported, before what imports it goes on.

For work a package does while it is imported, which cannot be told to leave it out. Nothing is changed in a module that is
there already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

Change = Callable[[ModuleType], None]


class _Changing(Loader):
    def __init__(self, theirs: Loader, change: Change) -> None:
        self._theirs, self._change = theirs, change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._theirs.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._theirs.exec_module(module)
        self._change(module)


class _Finder(MetaPathFinder):
    def __init__(self, name: str, change: Change) -> None:
        self._name, self._change = name, change

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == self._name else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Changing(spec.loader, self._change)
        return spec


@contextmanager
def changed(name: str, change: Change) -> Iterator[None]:
    """Within it the module of this name is given to `change` when its own code has run."""
    finder = _Finder(name, change)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
