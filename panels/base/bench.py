"""What a panel is, and what it may use: the core, the log, the shared header and specimen."""

from __future__ import annotations

import html
import logging
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol, TypedDict, TypeVar, runtime_checkable

import gradio as gr

from model import Checkpoint, Core, WorkbenchError, parse_spec
from model.errors import CheckpointError, InputError
from model.families.base import Capability
from model.prompt import ImagePart
from model.recorder import new_id
from studies.base import TrialLog
from studies.comparison import Comparison, Vote

from .card import Action, Element, Kept
from .records import Artifact, Deleted, Json, RunRecord, RunRow, Session, Usage

T = TypeVar("T")
log = logging.getLogger(__name__)
MODEL_QUEUE = "model"
"""Concurrency id of every event that runs a model. They wait in the core, in order; the page shows their place."""
MODEL_LIMIT = 8


class Wiring(TypedDict, total=False):
    """How an event is wired, in Gradio's words."""

    concurrency_id: str
    concurrency_limit: int | None
    show_progress: Literal["hidden"]
    api_visibility: Literal["private"]


SILENT: Wiring = {"show_progress": "hidden", "api_visibility": "private"}
"""How any event of the page is wired: Gradio shows nothing of its progress."""
QUICK: Wiring = {"concurrency_limit": None, **SILENT}
"""How an event is wired that only reads or writes the log."""
MODEL: Wiring = {
    "concurrency_id": MODEL_QUEUE,
    "concurrency_limit": MODEL_LIMIT,
    **SILENT,
}
"""How an event is wired that runs a model."""
Values = dict[Any, Any]
"""What a handler is given, and what it changes: values by component."""
REPEAT_S = 0.4
LONGEST = 1024
"""Most tokens of an answer that a page offers. A public page may offer fewer."""


@dataclass(frozen=True)
class Opening:
    """What a tab was opened for: a turn, and what is to be shown of it there. Never the same twice.

    `what` is in the tab's own words: a kept map is {its kind: its name}; what an address asked for is {parameter: value}.
    `stood` is where the chat stood then. It can be hashed: by that Gradio knows that a state has changed.
    """

    panel: str
    run: str = ""
    what: Mapping[str, str] = field(default_factory=dict, hash=False)
    stood: str | None = None
    id: str = field(default_factory=new_id)


@dataclass(frozen=True)
class SessionState:
    """What one browser tab remembers: small, immutable. Everything else is in the log.

    `checkpoint` is the spec in use. `run_id` is the turn the chat stands at. `editing` is the turn whose
    question is being rewritten. `opening` is what a tab was opened for last.
    """

    session: str = ""
    checkpoint: str = ""
    run_id: str | None = None
    editing: str | None = None
    opening: Opening | None = None

    @property
    def at_hand(self) -> str | None:
        """The turn an instrument shows: the one opened for it, until the chat moves on; else the chat's."""
        opening = self.opening
        return opening.run if opening and opening.run and opening.stood == self.run_id else self.run_id

    def opened(self, panel: str) -> Opening | None:
        """What this tab was opened for, if it was the last that was opened."""
        return self.opening if self.opening and self.opening.panel == panel else None

    def open(self, panel: str, run_id: str, what: Mapping[str, str] | None = None) -> SessionState:
        """The state with that turn opened in a tab."""
        return replace(self, opening=Opening(panel, run_id, what or {}, self.run_id))


class History(Protocol):
    """The log as panels read it. `app.log.history.History` is the implementation; see its docstrings."""

    @property
    def trials(self) -> TrialLog: ...
    def sessions(self, limit: int = 100, among: Collection[str] | None = None) -> Sequence[Session]: ...
    def session(self, id: str) -> Session: ...
    def new_session(self, name: str = "", client: str = "") -> str: ...
    def rename(self, session: str, name: str) -> None: ...
    def keep_settings(self, session: str, settings: Json) -> None: ...
    def current(self, session: str) -> str | None: ...
    def set_current(self, session: str, run_id: str | None) -> None: ...
    def run(self, run_id: str) -> RunRecord: ...
    def thread(self, run_id: str) -> Sequence[RunRow]: ...
    def children(self, session: str, parent_run_id: str | None, panel: str = "chat") -> Sequence[RunRow]: ...
    def group(self, group: str) -> Sequence[RunRow]: ...
    def search(self, query: str = "", *, checkpoint: str = "", panel: str = "", since: str = "", until: str = "",
               rating: int | None = None, status: str = "", limit: int = 100) -> Sequence[RunRow]: ...  # fmt: skip
    def rate(self, run_id: str, value: int, note: str = "") -> None: ...
    def picture(self, image_id: str) -> ImagePart: ...
    def keep(self, run_id: str, kind: str, name: str, data: bytes, meta: Json) -> bool: ...
    def kept(self, run_id: str, kind: str) -> Sequence[Artifact]: ...
    def kept_bytes(self, run_id: str, kind: str, name: str) -> tuple[Artifact, bytes]: ...
    def begin_comparison(self, comparison: Comparison) -> None: ...
    def comparison(self, id: str) -> Comparison: ...
    def comparisons(self, session: str, limit: int = 100) -> Sequence[Comparison]: ...
    def pictures_of(self, comparison: str) -> Sequence[str]: ...
    def forget_comparison(self, comparison: str) -> None: ...
    def reveal(self, comparison: str) -> None: ...
    def vote(self, comparison: str, outcome: str, reasons: Iterable[str] = (), waited_ms: float | None = None,
             session: str | None = None) -> Comparison: ...  # fmt: skip
    def votes(self, session: str = "") -> Sequence[Vote]: ...
    def delete_runs(self, ids: Iterable[str]) -> Deleted: ...
    def delete_session(self, id: str) -> Deleted: ...
    def usage(self) -> Usage: ...


@dataclass
class Bench:
    """What a panel may use. Built by `app.shell`.

    On a public page `history` is what its visitor may see (`app.public.guest_log`): handlers need not ask whose a turn is.
    `offered` are the checkpoints the program was started with. `share` lets others copy a turn whose link they have.
    `answering` are the events that run a model for the page: an event that leaves their session cancels them.
    `opened` changes whenever another session or turn is opened; see `opening`. `longest` is how many tokens an answer may
    have here.
    """

    core: Core
    history: History
    builtin: tuple[Checkpoint, ...]
    public: bool
    trouble: Callable[[], str | None]
    export_zip: Callable[[str], str]
    import_zip: Callable[[str], str]
    answering: list[dict[str, Any]] = field(default_factory=list)
    offered: tuple[Checkpoint, ...] = ()
    share: Callable[[str], None] = lambda run_id: None
    longest: int = LONGEST
    state: gr.State = field(init=False)
    remembered: gr.BrowserState = field(init=False)
    checkpoint: gr.Dropdown = field(init=False)
    specimen: gr.HTML = field(init=False)
    tabs: gr.Tabs = field(init=False)
    opened: gr.State = field(init=False)

    def allowed(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint itself. Raises CheckpointError on a public page for one that is not on offer there."""
        if self.public and checkpoint not in (*self.builtin, *self.offered) and not self.core.is_loaded(checkpoint):
            raise CheckpointError(
                f"{checkpoint.name} is not on offer: on a public page only the checkpoints listed can be used. "
                "Run Fovea yourself to load others."
            )
        return checkpoint

    def spec(self, text: str) -> Checkpoint:
        """The checkpoint a text names. On a public page that is one on offer, and nothing is looked for on the disk.

        Raises CheckpointError.
        """
        if not self.public:
            return parse_spec(text)
        known = (*self.builtin, *self.offered, *(status.checkpoint for status in self.core.loaded()))
        found = next((checkpoint for checkpoint in known if text.strip() in (checkpoint.spec, checkpoint.name)), None)
        if found is None:
            raise CheckpointError(
                f"{text.strip()[:80]!r} is not on offer: on a public page only the checkpoints listed can be used. "
                "Run Fovea yourself to load others."
            )
        return found

    def standing(self, state: SessionState) -> SessionState:
        """The state itself. On a public page raises InputError where its session is gone: what is asked there has no owner."""
        if self.public:
            self.history.session(state.session)
        return state

    def state_of(self, session: Session, otherwise: str) -> SessionState:
        """How a page stands in a session of the log; `otherwise` is the checkpoint where it names none that can be used."""
        named = session.settings.get("checkpoint")
        try:
            chosen = named if isinstance(named, str) and self.spec(named) else otherwise
        except WorkbenchError:
            chosen = otherwise
        return SessionState(session.id, chosen, session.current_run_id)


@runtime_checkable
class Panel(Protocol):
    """One tab: what it is called, needs, adds to a turn's buttons and keeps with a turn. Everything else asks the registry.

    `needs` are capabilities of the chosen checkpoint; without them the tab says which checkpoint has them. `keeps` are kinds of
    what is stored with a turn. `addresses` are parameters of a page's address that open the tab, such as `?compare=`; what they
    say becomes an `Opening`. `elements` are its custom elements, by the names it asks `component` for them.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    order: ClassVar[int]
    purpose: ClassVar[str]
    needs: ClassVar[frozenset[Capability]]
    actions: ClassVar[tuple[Action, ...]]
    keeps: ClassVar[Mapping[str, Kept]]
    addresses: ClassVar[tuple[str, ...]]
    elements: ClassVar[Mapping[str, Element]]

    def build(self, bench: Bench) -> None:
        """Lay out the tab and wire its events. Called inside its `gr.Tab`."""


def opening(session: str, run_id: str | None) -> tuple[str, str | None, str]:
    """A value for `Bench.opened`. Never the same twice, so that opening a turn again is a change, too."""
    return session, run_id, new_id()


def sent(event: gr.EventData, name: str, kind: type[T]) -> T:
    """What the page sent along with an event, which may be anything. Raises InputError where it is missing or of another kind."""
    try:
        value = getattr(event, name)
    except (AttributeError, TypeError):
        value = None
    if type(value) is not kind:
        raise InputError(f"The page sent no usable {name!r}. Reload it and try again.")
    return value


def guarded(steps: Generator[Values], place: gr.HTML) -> Generator[Values]:
    """The updates of a handler; what goes wrong becomes a sentence in `place`, and the page stays usable.

    A generator that yields nothing would make Gradio empty every output, so then `place` is left as it is.
    """
    said = _Recent()
    try:
        with closing(steps):
            for step in steps:
                yield said.with_recent(step)
    except Exception as error:  # told to the user, and logged where it was not expected
        yield said.with_recent({place: gr.HTML(explained(error), visible=True)})
    if not said.steps:
        yield {place: gr.skip()}


@dataclass
class _Recent:
    """The updates of the last REPEAT_S, each of which the next ones repeat.

    Gradio's page turns one update into the next in place: of two that arrive together the first would be lost,
    a question box not emptied, a button not shown.
    """

    steps: list[tuple[float, Values]] = field(default_factory=list)

    def with_recent(self, step: Values) -> Values:
        now = time.monotonic()
        self.steps = [*((at, old) for at, old in self.steps if now - at < REPEAT_S), (now, step)]
        old = {part: value for _, step in self.steps for part, value in step.items() if not isinstance(part, gr.State)}
        return old | step


def warn(text: str) -> None:
    """A passing note at the page's corner. Gradio reads it as HTML, and would load a picture named in it."""
    gr.Warning(html.escape(text))


def explained(error: Exception) -> str:
    """The sentence for an error: its own where it was written for people, else where to look."""
    if isinstance(error, WorkbenchError):
        return str(error)
    log.error("An unexpected error", exc_info=error)
    return f"Something unexpected went wrong ({type(error).__name__}). The details are in the program's own log."
