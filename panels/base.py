"""What a panel is, and what it may use: the core, the log, the shared header and specimen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import gradio as gr

from model import Checkpoint, Core, WorkbenchError
from model.families.base import Capability
from model.prompt import ImagePart

log = logging.getLogger(__name__)
MODEL_QUEUE = "model"
"""Concurrency id of every event that runs a model. They wait in the core, in order; the page shows their place."""
MODEL_LIMIT = 8


@dataclass(frozen=True)
class SessionState:
    """What one browser tab remembers: small, immutable. Everything else is in the log.

    `checkpoint` is the spec in use. `run_id` is the turn the chat stands at. `editing` is the turn whose
    question is being rewritten.
    """

    session: str = ""
    checkpoint: str = ""
    run_id: str | None = None
    editing: str | None = None


class History(Protocol):
    """The log as panels read it. `app.history.History` is the implementation; see its docstrings."""

    def sessions(self, limit: int = 100) -> Sequence[Any]: ...
    def session(self, id: str) -> Any: ...
    def new_session(self, name: str = "", client: str = "") -> str: ...
    def rename(self, session: str, name: str) -> None: ...
    def keep_settings(self, session: str, settings: Mapping[str, Any]) -> None: ...
    def current(self, session: str) -> str | None: ...
    def set_current(self, session: str, run_id: str | None) -> None: ...
    def run(self, run_id: str) -> Any: ...
    def thread(self, run_id: str) -> Sequence[Any]: ...
    def children(self, session: str, parent_run_id: str | None, panel: str = "chat") -> Sequence[Any]: ...
    def search(self, query: str = "", **filters: Any) -> Sequence[Any]: ...
    def rate(self, run_id: str, value: int, note: str = "") -> None: ...
    def picture(self, image_id: str) -> ImagePart: ...
    def delete_runs(self, ids: Iterable[str]) -> Any: ...
    def delete_session(self, id: str) -> Any: ...
    def usage(self) -> Any: ...


@dataclass
class Bench:
    """What a panel may use. Built by `app.shell`; `refresh` redraws header and specimen after a change of state."""

    core: Core
    history: History
    builtin: tuple[Checkpoint, ...]
    public: bool
    trouble: Callable[[], str | None]
    export_zip: Callable[[str], str]
    import_zip: Callable[[str], str]
    state: gr.State = field(init=False)
    remembered: gr.BrowserState = field(init=False)
    checkpoint: gr.Dropdown = field(init=False)
    specimen: gr.HTML = field(init=False)
    tabs: gr.Tabs = field(init=False)
    opened: gr.State = field(init=False)


@runtime_checkable
class Panel(Protocol):
    """One tab. `needs` are capabilities of the chosen checkpoint; without them the tab says which checkpoint has them."""

    slug: ClassVar[str]
    title: ClassVar[str]
    order: ClassVar[int]
    purpose: ClassVar[str]
    needs: ClassVar[frozenset[Capability]]

    def build(self, bench: Bench) -> None:
        """Lay out the tab and wire its events. Called inside its `gr.Tab`."""


def explained(error: Exception) -> str:
    """The sentence for an error: its own where it was written for people, else where to look."""
    if isinstance(error, WorkbenchError):
        return str(error)
    log.error("An unexpected error", exc_info=error)
    return f"Something unexpected went wrong ({type(error).__name__}). The details are in the program's own log."
