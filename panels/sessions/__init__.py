"""Sessions: find any logged turn, open it, replay it, rate it, take it along, delete it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import gradio as gr
from gradio.blocks import Block

from model.errors import InputError
from model.families.base import Capability
from model.memory import human_bytes
from studies.comparison import left_out

from .. import panels
from ..base import actions
from ..base.bench import MODEL, QUICK, Bench, SessionState, Values, opening, sent
from ..base.card import Action, Element, Kept
from ..base.components import PictureUrls
from ..base.handlers import event_handler
from ..base.maps.saved_maps import opener_of, saved_maps
from ..base.records import RunRecord
from ..base.run_views import compared, detail_view, run_lines
from ..base.turn import Asked, TurnProgress, run
from ..base.turn_views import whole
from .endpoints import add_sessions_api
from .layout import ANY, RATINGS, sessions_layout

LIMIT = 200
MOST_COMPARISONS = 10_000
PANELS = ("chat", "replay")
FORGOTTEN = "Which turn was open here is no longer known to the server. Choose it in the list again."


@panels.add
class Sessions:
    """The log, searched and looked at."""

    slug: ClassVar[str] = "sessions"
    title: ClassVar[str] = "Sessions"
    order: ClassVar[int] = 90
    purpose: ClassVar[str] = "Find any turn again: open it in Chat, replay it, note and rate it, export or delete it."
    needs: ClassVar[frozenset[Capability]] = frozenset()
    actions: ClassVar[tuple[Action, ...]] = (
        Action("find", "Find again", "This turn in Sessions", frozenset({"bench"}), opens=False, order=40),
    )
    keeps: ClassVar[Mapping[str, Kept]] = {}
    addresses: ClassVar[tuple[str, ...]] = ()
    elements: ClassVar[Mapping[str, Element]] = {
        "runs": Element('<fv-runs class="fv-runs"></fv-runs>', ("open",)),
        "detail": Element('<fv-detail class="fv-detail"></fv-detail>', ("map",)),
    }

    def build(self, bench: Bench) -> None:
        _Sessions(bench).wire()
        add_sessions_api(bench)


class _Sessions:
    """The tab being built: components, then their events."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.urls = bench, PictureUrls()
        self.message, self.found, self.turn = sessions_layout()
        self.chosen, self.pending, self.running = gr.State(""), gr.State(("", "")), gr.State("")

    def wire(self) -> None:
        b, t = self.bench, self.turn
        given: set[Block] = {
            *self.found.filters, self.found.upload, self.chosen, self.pending, self.running, t.value, t.note, b.state,
            b.remembered,
        }  # fmt: skip
        shown = [
            self.message, self.found.list, self.found.upload, *self.found.filters, self.chosen, self.pending, self.running,
            t.box, t.detail, t.value, t.note, t.replay, t.halt, t.file, t.sure, t.warning,
            b.state, b.opened, b.remembered, b.tabs,
        ]  # fmt: skip
        changes = [part.change for part in self.found.filters]
        gr.on([*changes, b.opened.change, b.tabs.select], self.find, given, shown, **QUICK)
        self.found.list.open(self.show, given, shown, **QUICK)
        b.specimen.act(self.find_again, given, shown, **QUICK)
        t.open.click(self.open_in_chat, given, shown, cancels=b.answering, **QUICK)
        for name, button in t.actions.items():
            button.click(Entry(self, name).open, given, shown, **QUICK)
        t.detail.map(self.open_map, given, shown, **QUICK)
        t.replay.click(self.replay, given, shown, **MODEL)
        t.halt.click(self.halt, self.running, None, queue=False, show_progress="hidden", api_visibility="private")
        gr.on([t.keep.click, t.note.submit], self.rate, given, shown, **QUICK)
        t.export.click(self.export, given, shown, **QUICK)
        t.delete_run.click(self.ask_delete_turn, given, shown, **QUICK)
        t.delete_session.click(self.ask_delete_session, given, shown, **QUICK)
        t.no.click(self.keep, given, shown, **QUICK)
        t.yes.click(self.delete, given, shown, **QUICK)
        self.found.upload.upload(self.bring, given, shown, **QUICK)

    # --- list ----------------------------------------------------------------------------------

    @event_handler
    def find(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """The turns that match, newest first."""
        yield {**self._list(values), self.message: gr.HTML(visible=False)}

    def _list(self, values: Values) -> Values:
        query, checkpoint, panel, rating, since, until = (values.get(part) for part in self.found.filters)
        history = self.bench.history
        rows = history.search(
            _text(query), checkpoint=_wanted(checkpoint), panel=_wanted(panel), rating=RATINGS.get(_text(rating)),
            since=_text(since), until=_text(until), limit=LIMIT,
        )  # fmt: skip
        usage = history.usage()
        taken = human_bytes(usage.database_bytes + usage.blob_bytes)
        count = "1 turn" if len(rows) == 1 else f"{len(rows)} turns"
        most = f"The newest {LIMIT} turns that match" if len(rows) == LIMIT else count
        known = {c.name for c in self.bench.builtin} | {_wanted(checkpoint)} - {""}
        names = {row.checkpoint for row in rows if not row.sealed} | known
        kinds = {row.panel for row in rows} | {*PANELS, _wanted(panel)} - {""}
        sessions = {session.id: session for session in history.sessions(LIMIT, {row.session for row in rows})}
        return {
            self.found.list: {
                "rows": run_lines(rows, sessions),
                "chosen": values.get(self.chosen) or "",
                "caption": f"{most}, newest first. The log takes {taken}.",
                "empty": "No turn matches.",
            },
            self.found.filters[1]: gr.Dropdown([ANY, *sorted(names)]),
            self.found.filters[2]: gr.Dropdown([ANY, *sorted(kinds)]),
        }

    # --- one turn ------------------------------------------------------------------------------

    @event_handler
    def show(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """The turn chosen in the list."""
        yield self._detail(sent(event, "run", str))

    @event_handler
    def find_again(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """From the bench to this turn in the list. Other buttons of the bench are not for this panel."""
        if sent(event, "action", str) == "find":
            run_id = sent(event, "run", str)
            listed = self._list({**values, self.chosen: run_id})
            if all(line["run"] != run_id for line in listed[self.found.list]["rows"]):  # what was searched for hides it
                anything = {part: ANY if isinstance(part, gr.Dropdown) else "" for part in self.found.filters}
                listed = {**self._list({**values, **anything, self.chosen: run_id}), **anything}
            yield {**self._detail(run_id), **listed, self.bench.tabs: gr.Tabs(selected="sessions")}

    def chosen_turn(self, values: Values) -> RunRecord:
        """The turn that is open. Raises InputError where the server no longer knows which that is."""
        if not values.get(self.chosen):
            raise InputError(FORGOTTEN)
        return self.bench.history.run(values[self.chosen])

    def _detail(self, run_id: str) -> Values:
        record, t = self.bench.history.run(run_id), self.turn
        return {
            self.chosen: run_id,
            self.message: gr.HTML(visible=False),
            t.box: gr.Column(visible=True),
            t.detail: detail_view(record, self.urls, maps=saved_maps(self.bench.history, run_id)),
            t.value: record.row.rating,
            t.note: record.row.note,
            t.sure: gr.Column(visible=False),
            t.file: gr.File(visible=False),
        }

    @event_handler
    def open_map(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """One of the turn's kept maps in the tab that made it."""
        b, kind, run_id = self.bench, sent(event, "kind", str), self.chosen_turn(values).row.id
        tab = opener_of(kind)
        if not tab:
            raise InputError("This map is of no kind that is known here. Reload the page and choose it again.")
        yield {b.state: values[b.state].open(tab, run_id, {kind: sent(event, "name", str)}), b.tabs: gr.Tabs(selected=tab)}

    @event_handler
    def replay(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Answer the same prompt again with the same settings, and compare token by token."""
        t, record = self.turn, self.chosen_turn(values)
        asked = Asked(whole(record), record.checkpoint, record.options, "", None)
        yield {t.replay: gr.Button(visible=False), t.halt: gr.Button(visible=True), self.running: asked.run_id}
        progress = TurnProgress(asked.run_id)
        for progress in run(self.bench, asked, panel="replay", group=record.row.id):
            text = f"Replaying. {progress.stage}"
            yield {t.detail: detail_view(record, self.urls, {"same": True, "text": text, "tokens": [], "answer": ""})}
        idle = {t.replay: gr.Button(visible=True), t.halt: gr.Button(visible=False), self.running: ""}
        if progress.error:
            yield {**idle, t.detail: detail_view(record, self.urls), self.message: gr.HTML(progress.error, visible=True)}
            return
        yield {**idle, t.detail: detail_view(record, self.urls, compared(record, progress.tokens, progress.answer))}

    def halt(self, run_id: str) -> None:
        """End the running replay."""
        self.bench.core.stop(run_id)

    @event_handler
    def open_in_chat(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """The chat stands at this turn, whatever session it is of."""
        b = self.bench
        row = self.chosen_turn(values).row
        if not row.session and row.group:  # a replay belongs to the turn it repeats
            row = b.history.run(row.group).row
        b.history.set_current(row.session, row.id)
        state = replace(b.state_of(b.history.session(row.session), values[b.state].checkpoint), run_id=row.id)
        opened = opening(row.session, row.id)
        yield {b.state: state, b.opened: opened, b.remembered: row.session, b.tabs: gr.Tabs(selected="chat")}

    @event_handler
    def rate(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        value = values.get(self.turn.value)
        self.bench.history.rate(
            self.chosen_turn(values).row.id, value if value in (-1, 0, 1) else 0, _text(values.get(self.turn.note))
        )
        gr.Info("Saved.")
        yield {**self._list(values), self.message: gr.HTML(visible=False)}

    # --- whole sessions ------------------------------------------------------------------------

    @event_handler
    def export(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        session = self.chosen_turn(values).row.session
        path = self.bench.export_zip(session)
        sealed = sum(held.sealed for held in self.bench.history.comparisons(session, MOST_COMPARISONS))
        lacking = gr.HTML(left_out(sealed) if sealed else "", visible=bool(sealed))
        yield {self.turn.file: gr.File(path, visible=True), self.message: lacking}

    @event_handler
    def bring(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """An exported session comes in as a new one."""
        path = values.get(self.found.upload)
        if not path:
            return
        yield {self.found.upload: None}
        session = self.bench.history.session(self.bench.import_zip(path))
        gr.Info("Imported 1 turn." if session.runs == 1 else f"Imported {session.runs} turns.")
        yield {**self._list(values), self.message: gr.HTML(visible=False)}

    @event_handler
    def ask_delete_turn(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Ask once, saying what goes."""
        row = self.chosen_turn(values).row
        text = "Delete this turn, its answer, and pictures that no other turn uses? Turns after it stay. This cannot be undone."
        yield self._asking(text, ("turn", row.id))

    @event_handler
    def ask_delete_session(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Ask once, saying what goes."""
        session = self.bench.history.session(self.chosen_turn(values).row.session)
        many = "1 turn with its answer" if session.runs == 1 else f"{session.runs} turns with their answers"
        text = f"Delete the whole session: {many}, and pictures that no other session uses? This cannot be undone."
        yield self._asking(text, ("session", session.id))

    def _asking(self, text: str, pending: tuple[str, str]) -> Values:
        return {self.turn.sure: gr.Column(visible=True), self.turn.warning: text, self.pending: pending}

    @event_handler
    def keep(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Nothing is deleted."""
        yield {self.turn.sure: gr.Column(visible=False), self.pending: ("", "")}

    @event_handler
    def delete(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """What was asked about goes; a page that stood there stands elsewhere."""
        b, t, (what, id) = self.bench, self.turn, values[self.pending]
        if not id:
            raise InputError(FORGOTTEN)
        gone = b.history.delete_runs([id]) if what == "turn" else b.history.delete_session(id)
        many = "1 turn" if gone.runs == 1 else f"{gone.runs} turns"
        pictures = "1 picture" if gone.images == 1 else f"{gone.images} pictures"
        gr.Info(f"Deleted {many} and {pictures} ({human_bytes(gone.size_bytes)}).")
        state: SessionState = values[b.state]
        if what == "session" and id == state.session:
            state = replace(state, session=b.history.new_session(client="browser"), run_id=None, editing=None)
        else:
            state = replace(state, run_id=b.history.current(state.session), editing=None)
        yield {
            **self._list({**values, self.chosen: ""}),
            self.chosen: "",
            self.pending: ("", ""),
            self.message: gr.HTML(visible=False),
            t.sure: gr.Column(visible=False),
            t.box: gr.Column(visible=False),
            b.state: state,
            b.opened: opening(state.session, state.run_id),
            b.remembered: state.session,
        }


@dataclass(frozen=True)
class Entry:
    """The button of an action of a tab, which opens the chosen turn there."""

    sessions: _Sessions
    name: str

    @property
    def bench(self) -> Bench:
        return self.sessions.bench

    @property
    def message(self) -> gr.HTML:
        return self.sessions.message

    @event_handler
    def open(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        run_id = self.sessions.chosen_turn(values).row.id
        yield {**actions.opened(self.bench, values[self.bench.state], "sessions", self.name, run_id)}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _wanted(value: object) -> str:
    """A filter's choice; empty for any."""
    return "" if value == ANY else _text(value)
