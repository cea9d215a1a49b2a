"""Work of Gradio at start-up that a program with its components ready has no use for, left out.

Gradio is made for writing components, too: each time it is imported it parses the source of every component and writes a stub
for editors beside it. It builds its server four times, of which one serves, and it imports matplotlib for the first event of a
page. `tests/app/test_quick_start.py` tells when a version of Gradio does any of that elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import Any

from model.changed_import import changed


def _without_stubs(module: ModuleType) -> None:
    vars(module)["create_or_modify_pyi"] = lambda component_class, class_name, events: None


def import_gradio() -> None:
    """Import Gradio, if it is not yet. It writes no stubs, and events, which draw nothing with matplotlib, do not import it."""
    with changed("gradio.component_meta", _without_stubs):
        from gradio import utils
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
