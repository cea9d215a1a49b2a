"""Sessions: find any logged turn, open it, replay it, rate it, take it along, delete it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import gradio as gr

from model import WorkbenchError
from model.families.base import Capability
from model.memory import human_bytes

from . import panels
from ._html import PictureUrls, component
from ._runs_view import compared, detail_view, run_line
from .base import MODEL_LIMIT, MODEL_QUEUE, Bench, SessionState

LIMIT = 200
ANY = "any"
RATINGS = {ANY: None, "good": 1, "bad": -1, "not rated": 0}


@panels.add("sessions")
class Sessions:
    """The log, searched and looked at."""

    slug: ClassVar[str] = "sessions"
    title: ClassVar[str] = "Sessions"
    order: ClassVar[int] = 90
    purpose: ClassVar[str] = "Find any turn again: open it in Chat, replay it, note and rate it, export or delete it."
    needs: ClassVar[frozenset[Capability]] = frozenset()

    def build(self, bench: Bench) -> None:
        _Sessions(bench)


class _Sessions:
    """The tab being built: components, then their events."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._layout()
        self.urls = PictureUrls(self.list.GRADIO_CACHE)
        self._wire()

    def _layout(self) -> None:
        with gr.Row():
            self.query = gr.Textbox(
                label="Search",
                placeholder="Words of question or answer",
                scale=3,
                min_width=200,
                max_length=500,
                elem_id="search",
            )
            self.checkpoint = gr.Dropdown([ANY], value=ANY, label="Checkpoint", allow_custom_value=True, scale=2, min_width=140)
            self.panel = gr.Dropdown([ANY], value=ANY, label="Panel", allow_custom_value=True, scale=1, min_width=110)
            self.rating = gr.Dropdown(list(RATINGS), value=ANY, label="Rating", scale=1, min_width=110)
            self.since = gr.Textbox(label="From", placeholder="2026-01-31", scale=1, min_width=110, max_length=30)
            self.until = gr.Textbox(label="To", placeholder="2026-12-31", scale=1, min_width=110, max_length=30)
        self.message = component("message", visible=False, elem_id="sessions-error")
        self.list = component("runs", elem_id="runs")
        self.chosen = gr.State("")
        with gr.Column(visible=False) as self.box:
            with gr.Row(elem_classes="fv-tools", equal_height=True):
                self.open = gr.Button("Open in Chat", size="sm", variant="primary", min_width=110, elem_id="open-run")
                self.replay = gr.Button("Replay", size="sm", min_width=90, elem_id="replay")
                self.link = gr.Textbox(label="Link to this turn", interactive=False, buttons=["copy"], min_width=200)
            self.detail = component("detail", elem_id="detail")
            with gr.Row():
                self.value = gr.Radio(
                    [("good", 1), ("not rated", 0), ("bad", -1)], label="Rating", value=0, scale=1, min_width=200
                )
                self.note = gr.Textbox(label="Note", lines=1, max_length=4000, scale=3, min_width=200, elem_id="note")
                self.keep = gr.Button("Save rating and note", size="sm", scale=0, min_width=150, elem_id="save-note")
            with gr.Row(elem_classes="fv-tools"):
                self.export = gr.Button("Export its session", size="sm", min_width=140, elem_id="export")
                self.delete_run = gr.Button("Delete this turn", size="sm", min_width=130, elem_id="delete-run")
                self.delete_session = gr.Button("Delete its session", size="sm", min_width=140, elem_id="delete-session")
            with gr.Column(visible=False) as self.sure:
                self.warning = gr.Markdown()
                with gr.Row():
                    self.yes = gr.Button("Delete", size="sm", variant="stop", min_width=90, elem_id="delete-yes")
                    self.no = gr.Button("Keep", size="sm", min_width=90)
        self.pending = gr.State(("", ""))
        self.file = gr.File(label="Exported session", visible=False, interactive=False)
        with gr.Accordion("Import a session", open=False):
            self.upload = gr.File(
                label="A zip that Export made", file_types=[".zip"], type="filepath", height=120, elem_id="import"
            )

    def _wire(self) -> None:
        b = self.bench
        quick = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
        filters = [self.query, self.checkpoint, self.panel, self.rating, self.since, self.until]
        found = [self.list, self.message, self.checkpoint, self.panel]
        for component_ in filters:
            component_.change(self.find, [*filters, self.chosen], found, **quick)
        gr.on([b.specimen.change, b.opened.change], self.find, [*filters, self.chosen], found, **quick)
        detail = [self.chosen, self.box, self.detail, self.value, self.note, self.link, self.sure, self.message]
        self.list.open(self.show, None, detail, **quick)
        b.specimen.act(self.find_again, None, [*detail, b.tabs], **quick)
        self.open.click(
            self.open_in_chat, [self.chosen, b.state], [b.state, b.opened, b.remembered, b.tabs, self.message], **quick
        )
        self.replay.click(
            self.replay_run,
            self.chosen,
            [self.detail, self.message],
            show_progress="hidden",
            api_visibility="private",
            concurrency_id=MODEL_QUEUE,
            concurrency_limit=MODEL_LIMIT,
        )
        saved = gr.on([self.keep.click, self.note.submit], self.rate, [self.chosen, self.value, self.note], self.message, **quick)
        saved.then(self.find, [*filters, self.chosen], found, **quick)
        self.export.click(self.export_session, self.chosen, [self.file, self.message], **quick)
        self.delete_run.click(self.ask_delete, [self.chosen, gr.State("turn")], [self.sure, self.warning, self.pending], **quick)
        self.delete_session.click(
            self.ask_delete, [self.chosen, gr.State("session")], [self.sure, self.warning, self.pending], **quick
        )
        self.no.click(lambda: gr.Column(visible=False), None, self.sure, **quick)
        gone = self.yes.click(
            self.delete, [self.pending, b.state], [self.sure, self.box, self.message, b.state, b.opened, b.remembered], **quick
        )
        gone.then(self.find, [*filters, self.chosen], found, **quick)
        brought = self.upload.upload(self.bring, self.upload, [self.message, self.upload], **quick)
        brought.then(self.find, [*filters, self.chosen], found, **quick)
        gr.api(self.sessions_search, api_name="sessions_search")

    # --- list ----------------------------------------------------------------------------------

    def find(self, query, checkpoint, panel, rating, since, until, chosen):
        """The turns that match, newest first."""
        try:
            rows = self.bench.history.search(
                query or "",
                checkpoint="" if checkpoint in (ANY, None) else checkpoint,
                panel="" if panel in (ANY, None) else panel,
                rating=RATINGS.get(rating),
                since=since or "",
                until=until or "",
                limit=LIMIT,
            )
        except WorkbenchError as error:
            return gr.skip(), gr.HTML(str(error), visible=True), gr.skip(), gr.skip()
        usage = self.bench.history.usage()
        many = " or more" if len(rows) == LIMIT else ""
        taken = human_bytes(usage.database_bytes + usage.blob_bytes)
        caption = f"{len(rows)}{many} turns, newest first. The log takes {taken}."
        names = sorted({row.checkpoint for row in rows} | {c.name for c in self.bench.builtin})
        value = {"rows": [run_line(row) for row in rows], "chosen": chosen, "caption": caption, "empty": "No turn matches."}
        return value, gr.HTML(visible=False), gr.Dropdown([ANY, *names]), gr.Dropdown([ANY, *sorted({row.panel for row in rows})])

    def sessions_search(
        self, query: str = "", checkpoint: str = "", panel: str = "", since: str = "", until: str = "", limit: int = 100
    ) -> list[dict[str, Any]]:
        """Logged turns whose question or answer has all these words, newest first."""
        try:
            rows = self.bench.history.search(
                query, checkpoint=checkpoint, panel=panel, since=since, until=until, limit=max(1, min(int(limit), 1000))
            )
        except WorkbenchError as error:
            raise gr.Error(str(error)) from error
        names = (
            "id",
            "session",
            "panel",
            "checkpoint",
            "question",
            "answer",
            "status",
            "started_at",
            "rating",
            "note",
            "new_tokens",
            "visual_tokens",
        )
        return [{name: getattr(row, name) for name in names} for row in rows]

    # --- one turn ------------------------------------------------------------------------------

    def show(self, event: gr.EventData):
        return self._detail(str(event.run))

    def find_again(self, event: gr.EventData):
        """From the bench to this turn in the list. Other buttons of the bench are not for this panel."""
        if event.action != "find":
            return tuple(gr.skip() for _ in range(9))
        return *self._detail(str(event.run)), gr.Tabs(selected="sessions")

    def _detail(self, run_id: str):
        try:
            record = self.bench.history.run(run_id)
        except WorkbenchError as error:
            return "", gr.Column(visible=False), None, 0, "", "", gr.Column(visible=False), gr.HTML(str(error), visible=True)
        return (
            run_id,
            gr.Column(visible=True),
            detail_view(record, self.urls),
            record.row.rating,
            record.row.note,
            f"?run={run_id}",
            gr.Column(visible=False),
            gr.HTML(visible=False),
        )

    def replay_run(self, run_id: str) -> Iterator[tuple[Any, Any]]:
        """Answer the same prompt again with the same settings, and compare token by token."""
        try:
            record = self.bench.history.run(run_id)
            events = []
            for event in self.bench.core.generate(
                record.checkpoint, record.prompt, record.options, panel="replay", group=record.row.id
            ):
                events.append(event)
            yield detail_view(record, self.urls, compared(record, events)), gr.HTML(visible=False)
        except WorkbenchError as error:
            yield gr.skip(), gr.HTML(str(error), visible=True)

    def open_in_chat(self, run_id: str, state: SessionState):
        """The chat stands at this turn, whatever session it is of."""
        try:
            row = self.bench.history.run(run_id).row
            self.bench.history.set_current(row.session, row.id)
        except WorkbenchError as error:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.HTML(str(error), visible=True)
        state = replace(state, session=row.session, run_id=row.id, editing=None)
        return state, (row.session, row.id), row.session, gr.Tabs(selected="chat"), gr.HTML(visible=False)

    def rate(self, run_id: str, value: int, note: str):
        try:
            self.bench.history.rate(run_id, int(value), note)
        except WorkbenchError as error:
            return gr.HTML(str(error), visible=True)
        gr.Info("Saved.")
        return gr.HTML(visible=False)

    def export_session(self, run_id: str):
        try:
            path = self.bench.export_zip(self.bench.history.run(run_id).row.session)
        except WorkbenchError as error:
            return gr.skip(), gr.HTML(str(error), visible=True)
        return gr.File(path, visible=True), gr.HTML(visible=False)

    def bring(self, path: str | None):
        if path is None:
            return gr.skip(), gr.skip()
        try:
            session = self.bench.history.session(self.bench.import_zip(path))
        except WorkbenchError as error:
            return gr.HTML(str(error), visible=True), None
        gr.Info(f"Imported {session.runs} turns.")
        return gr.HTML(visible=False), None

    def ask_delete(self, run_id: str, what: str):
        """Ask once, saying what goes."""
        row = self.bench.history.run(run_id).row
        if what == "turn":
            text = "Delete this turn, its answer, and pictures no other turn uses? Turns that follow it stay."
            return gr.Column(visible=True), text, ("turn", run_id)
        session = self.bench.history.session(row.session)
        text = (
            f"Delete the whole session: {session.runs} turns, their answers and pictures no other session uses? "
            "This cannot be undone."
        )
        return gr.Column(visible=True), text, ("session", row.session)

    def delete(self, pending: tuple[str, str], state: SessionState):
        what, id_ = pending
        try:
            gone = self.bench.history.delete_runs([id_]) if what == "turn" else self.bench.history.delete_session(id_)
        except WorkbenchError as error:
            return gr.Column(visible=False), gr.skip(), gr.HTML(str(error), visible=True), gr.skip(), gr.skip(), gr.skip()
        gr.Info(f"Deleted {gone.runs} turns and {gone.images} pictures ({human_bytes(gone.size_bytes)}).")
        if what == "session" and id_ == state.session:
            state = replace(state, session=self.bench.history.new_session(client="browser"), run_id=None, editing=None)
        else:
            state = replace(state, run_id=self.bench.history.current(state.session), editing=None)
        return (
            gr.Column(visible=False),
            gr.Column(visible=False),
            gr.HTML(visible=False),
            state,
            (state.session, state.run_id),
            state.session,
        )
