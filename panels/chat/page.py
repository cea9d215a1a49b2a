"""What the handlers of the chat tab share: the values they are given, and the page for a state of the chat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypedDict

import gradio as gr

from model.errors import PromptError

from ..base.bench import Bench, SessionState, Values
from ..base.turn_views import last_asked
from .layout import ChatParts
from .views import ChatView

BUSY = "An answer is being written. Wait for it, or stop it with Esc."


class Boxed(TypedDict):
    """What is in the question box: text and files."""

    text: str
    files: list[object]


@dataclass(frozen=True)
class ChatPage:
    """The tab: its components, and what they are to show."""

    bench: Bench
    view: ChatView
    parts: ChatParts

    def settings(self, values: Values) -> dict[str, Any]:
        """The settings beside the chat by name, as they were sent."""
        return {name: values.get(part) for name, part in self.parts.settings.items()}

    def boxed(self, values: Values) -> Boxed:
        """What is in the question box: text and files."""
        given = values.get(self.parts.box) or {}
        return {"text": given.get("text") or "", "files": given.get("files") or []}

    def free(self, values: Values) -> SessionState:
        """The state of a page that is not answering. Raises PromptError where it is: two answers at once would mix."""
        running = values.get(self.parts.running)
        if running and any(row.id == running and row.status == "running" for row in self.bench.history.thread(running)):
            raise PromptError(BUSY)
        return values[self.bench.state]

    def standing(self, state: SessionState, notes: tuple[str, ...] = ()) -> Values:
        """The page for a state: transcript up to its turn, that turn on the bench, questions to go on with."""
        record = self.bench.history.run(state.run_id) if state.run_id else None
        return {
            self.bench.state: state,
            self.parts.transcript: self.view.transcript(state.run_id),
            self.bench.specimen: self.view.specimen(record, notes),
            self.parts.questions: self.view.questions(record),
        }

    def fresh(self, state: SessionState) -> Values:
        """A page on a new session. The old one stays in Sessions."""
        session = self.bench.history.new_session(client="browser")
        shown = self.standing(replace(state, session=session, run_id=None, editing=None))
        cleared = {self.parts.box: gr.MultimodalTextbox(None), self.bench.remembered: session}
        return {**shown, **self.idle(), **self.quiet(), **cleared}

    def idle(self) -> Values:
        """No answer is being written."""
        return {self.parts.live: None, self.parts.stop: gr.Button(visible=False), self.parts.running: ""}

    def quiet(self) -> Values:
        """Nothing to say about what is in the question box."""
        return {self.parts.error: gr.HTML(visible=False), self.parts.composer: None}

    def editing(self, state: SessionState) -> Values:
        """What is said above the question box while an earlier question is being rewritten."""
        if state.editing is None:
            return {}
        pictures = last_asked(self.bench.history.run(state.editing)).images
        keeps = " Its pictures stay unless you attach others." if pictures else ""
        note = f"Editing an earlier question. Sending makes a new version; the old one is kept.{keeps}"
        return {self.parts.composer: {"editing": note, "notes": []}}
