"""What a public page tells its visitors of the log, and what they can do about it: not keep theirs, delete theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from model import WorkbenchError
from panels.base.bench import QUICK, Bench, SessionState, opening, warn
from panels.base.components import component

from .guest_log import GuestLog

LOGGED = (
    "This is a public page. Questions, pictures, answers, maps, votes and notes of this browser are kept in the log of its "
    "server, where whoever runs it can read them; other visitors cannot, but for turns whose link you give away."
)
UNKEPT = (
    "Yours are not kept. The server deletes them a minute after you close this page (the last one, where several are open), "
    "after 15 minutes in which you do nothing here, and when it stops. Copies of pictures stay in a temporary folder till then."
)
NOTHING = "This server keeps no log: all of it is gone when the program ends."
DELETED = "Delete every session of this browser from the server now? This cannot be undone."


class GuestStrip:
    """A line above the tabs, and its two buttons."""

    def __init__(self, bench: Bench, log: GuestLog, logs: bool) -> None:
        self.bench, self.log, self.logs = bench, log, logs
        with gr.Row(elem_classes="fv-tools fv-guest"):
            self.note = component("note", self._text(True), elem_id="guest-note")
            self.keep = gr.Button("Do not keep mine", size="sm", min_width=130, scale=0, elem_id="guest-keep", visible=logs)
            self.ask = gr.Button("Delete mine", size="sm", min_width=110, scale=0, elem_id="guest-delete")
        with gr.Column(visible=False, elem_classes="fv-sure") as self.sure:
            component("message", DELETED)
            with gr.Row(elem_classes="fv-tools"):
                self.yes = gr.Button("Delete", size="sm", min_width=80, variant="stop", elem_id="guest-yes")
                self.no = gr.Button("Keep", size="sm", min_width=80, elem_id="guest-no")

    def _text(self, kept: bool) -> str:
        return NOTHING if not self.logs else LOGGED if kept else UNKEPT

    def opens(self, demo: gr.Blocks) -> Callable[..., Any]:
        """Wire the strip; what is to happen first when a page opens: its browser shows its key."""
        b = self.bench
        key = gr.BrowserState("", storage_key="fovea-visitor", secret="fovea-browser-state")
        self.keep.click(self.toggle, None, [self.note, self.keep], **QUICK)
        self.ask.click(lambda: gr.Column(visible=True), None, self.sure, **QUICK)
        self.no.click(lambda: gr.Column(visible=False), None, self.sure, **QUICK)
        self.yes.click(self.delete, b.state, [b.state, b.opened, b.remembered, self.sure], cancels=b.answering, **QUICK)
        demo.unload(self.log.guests.leave)
        return demo.load(self.enter, key, [key, self.note, self.keep], **QUICK).then

    def enter(self, key: Any) -> tuple[Any, ...]:
        return (self.log.guests.enter(key), *self._shown())

    def toggle(self) -> tuple[Any, ...]:
        """The other way than before."""
        try:
            self.log.guests.keep(not self.log.guests.keeps())
        except WorkbenchError as error:
            warn(str(error))
        return self._shown()

    def _shown(self) -> tuple[Any, ...]:
        kept = self.log.guests.keeps()
        return self._text(kept), gr.Button("Do not keep mine" if kept else "Keep mine from now on")

    def delete(self, state: SessionState) -> tuple[Any, ...]:
        """All of this visitor's goes; the page stands in a new session."""
        try:
            gone = self.log.guests.forget()
            fresh = self.log.new_session(client="browser")
        except WorkbenchError as error:
            warn(str(error))
            return gr.skip(), gr.skip(), gr.skip(), gr.Column(visible=False)
        gr.Info("Deleted 1 session." if gone == 1 else f"Deleted {gone} sessions.")
        state = replace(state, session=fresh, run_id=None, editing=None, opening=None)
        return state, opening(fresh, None), fresh, gr.Column(visible=False)
