"""What can be done in the chat tab without asking the model: move among turns, edit, rate, begin anew, look."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace

import gradio as gr
from gradio.blocks import Block

from model.errors import InputError

from ..base import actions
from ..base.bench import MODEL, QUICK, SessionState, Values, explained, sent
from ..base.handlers import event_handler
from ..base.scenes import SHELF, scene_file, scene_part
from ..base.turn import read_pictures
from ..base.turn_views import last_asked
from .page import ChatPage

MAX_STEPS = 10_000


class ChatMoves:
    """Handlers of the page that leave the model alone."""

    def __init__(self, page: ChatPage) -> None:
        self.page, self.bench, self.message = page, page.bench, page.parts.error

    def wire(self, given: set[Block], shown: list[Block]) -> None:
        """Events that leave the session end its running answer."""
        b, p = self.page.bench, self.page.parts
        for place in (p.transcript, b.specimen):
            place.act(self.look, given, shown, **MODEL)
        p.transcript.undo(self.undo, given, shown, **QUICK)
        p.transcript.edit(self.edit, given, shown, **QUICK)
        p.transcript.go(self.go, given, shown, **QUICK)
        p.transcript.rate(self.rate, given, shown, **QUICK)
        p.transcript.linked(self.share, given, shown, **QUICK)
        p.composer.cancel(self.cancel_edit, given, shown, **QUICK)
        p.composer.attached(self.attached, given, shown, **QUICK)
        p.shelf.pick(self.pick, given, shown, cancels=b.answering, **QUICK)
        p.another.click(self.draw_another, given, shown, cancels=b.answering, **QUICK)
        p.fresh.click(self.new_chat, given, shown, cancels=b.answering, **QUICK)
        p.stop.click(self.halt, p.running, None, queue=False, show_progress="hidden", api_visibility="private")

    @event_handler
    def look(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """What the encoder got of a turn, or the turn in the tab of an action. Others are answered where they belong."""
        action, bench = sent(event, "action", str), self.page.bench
        if action != "look":
            found = actions.opened(bench, values[bench.state], "bench", action, sent(event, "run", str))
            if found:
                yield found
            return
        saw = self.page.parts.saw
        yield {saw: {"text": "Preparing the pictures", "rows": [], "run": ""}}
        try:
            view = self.page.view.look(self.page.bench.history.run(sent(event, "run", str)))
        except Exception as error:  # told where it was asked for
            view = {"text": explained(error), "rows": [], "run": ""}
        yield {saw: view}

    @event_handler
    def undo(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Back to before a turn, its question in the box."""
        page, state = self.page, self.page.free(values)
        record = page.bench.history.run(sent(event, "run", str))
        before = replace(state, run_id=record.row.parent_run_id, editing=None)
        page.bench.history.set_current(state.session, before.run_id)
        box = gr.MultimodalTextbox({"text": last_asked(record).text, "files": []})
        yield {**page.standing(before), **page.quiet(), page.parts.box: box}

    @event_handler
    def edit(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """An earlier question in the box; sending it makes a new version of the turn."""
        page, state = self.page, self.page.free(values)
        record = page.bench.history.run(sent(event, "run", str))
        state = replace(state, editing=record.row.id)
        box = gr.MultimodalTextbox({"text": last_asked(record).text, "files": []})
        yield {page.bench.state: state, page.parts.box: box, **page.editing(state)}

    @event_handler
    def cancel_edit(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """The question being edited stays as it was."""
        page = self.page
        state = replace(values[page.bench.state], editing=None)
        yield {page.bench.state: state, page.parts.box: gr.MultimodalTextbox(None), **page.quiet()}

    @event_handler
    def attached(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """What there is to know about the attached pictures, before anything is asked."""
        page = self.page
        try:
            pictures, notes = read_pictures(page.boxed(values)["files"])
            caution = page.view.caution(page.bench.spec(values[page.bench.state].checkpoint), pictures) if pictures else ""
            notes = [note for note in (*notes, caution) if note]
        except InputError as error:
            notes = [str(error)]
        yield {page.parts.composer: {"notes": notes}}

    @event_handler
    def go(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Another version of a turn, with its own latest continuation."""
        page, state, run_id = self.page, self.page.free(values), sent(event, "run", str)
        for _ in range(MAX_STEPS):
            after = [row for row in page.bench.history.children(state.session, run_id) if row.status != "failed"]
            if not after:
                break
            run_id = after[-1].id
        page.bench.history.set_current(state.session, run_id)
        yield {**page.standing(replace(state, run_id=run_id, editing=None)), **page.quiet()}

    @event_handler
    def rate(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Good, bad or neither; a note made in Sessions stays."""
        page, run_id = self.page, sent(event, "run", str)
        note = page.bench.history.run(run_id).row.note
        page.bench.history.rate(run_id, sent(event, "value", int), note)
        yield {page.parts.transcript: page.view.transcript(values[page.bench.state].run_id, scroll="stay")}

    @event_handler
    def share(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """The link of a turn was copied: on a public page whoever has it may open a copy from now on."""
        self.page.bench.share(sent(event, "run", str))
        return iter(())  # nothing on the page changes

    def halt(self, run_id: str) -> None:
        """End the running answer; what it said stays."""
        self.page.bench.core.stop(run_id)

    @event_handler
    def new_chat(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """A fresh session. The old one stays in Sessions."""
        yield self.page.fresh(values[self.page.bench.state])

    @event_handler
    def pick(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """A scene from the shelf, attached to a fresh chat."""
        yield self._with_scene(values[self.page.bench.state], SHELF[sent(event, "index", int) % len(SHELF)])

    @event_handler
    def draw_another(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """A scene nobody has seen, attached to a fresh chat."""
        yield self._with_scene(values[self.page.bench.state], 10**6 + secrets.randbelow(10**8))

    def _with_scene(self, state: SessionState, index: int) -> Values:
        page = self.page
        box = gr.MultimodalTextbox({"text": "", "files": [str(scene_file(index))]})
        return {**page.fresh(state), page.parts.box: box, page.parts.questions: page.view.questions_for(scene_part(index))}
