"""Work of Gradio at start-up that a program with its components ready has no use for, left out.

Gradio is made for writing components, too: each time it is imported it parses the source of every component and writes a stub
for editors beside it. It builds its server four times, of which one serves, and it imports matplotlib for the first event of a
page. `tests/app/test_quick_start.py` tells when a version of Gradio does any of that elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

STUBS = "gradio.component_meta"


class _WithoutStubs(Loader):
    """Loads the module of Gradio that writes stubs, and takes that from it."""

    def __init__(self, theirs: Loader) -> None:
        self._theirs = theirs

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._theirs.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._theirs.exec_module(module)
        vars(module)["create_or_modify_pyi"] = lambda component_class, class_name, events: None


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == STUBS else None
        if spec is not None and spec.loader is not None:
            spec.loader = _WithoutStubs(spec.loader)
        return spec


def import_gradio() -> None:
    """Import Gradio, if it is not yet. It writes no stubs, and events, which draw nothing with matplotlib, do not import it."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        from gradio import utils
    finally:
        sys.meta_path.remove(finder)
    vars(utils)["MatplotlibBackendMananger"] = nullcontext


@contextmanager
def no_server_yet() -> Iterator[None]:
    """Within it a page is laid out and its queue set up, and no server is built: `launch` builds the one that serves."""
    from gradio.routes import App

    build: Any = App.create_app
    App.create_app = staticmethod(lambda *given, **named: None)  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        App.create_app = staticmethod(build)  # type: ignore[method-assign]
