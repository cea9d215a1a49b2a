"""Chat: ask about pictures, go on from any turn, look at tokens and at what the model saw."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr

from model import Options, ask, parse_spec
from model.families.base import Capability
from studies.world.files import from_png

from . import panels
from ._answering import Asked, Progress, again, branch, compose, read_pictures, run
from ._chat_api import add_chat_api
from ._chat_view import ChatView
from ._html import component
from ._scenes import SHELF, scene_part, suggestions
from ._turns import image_view
from .base import MODEL_LIMIT, MODEL_QUEUE, Bench, SessionState, explained

SETTINGS = ("system", "temperature", "top_p", "length", "seed")
Values = dict[Any, Any]


@panels.add("chat")
class Chat:
    """The conversation, its settings, and the picture as the encoder got it."""

    slug: ClassVar[str] = "chat"
    title: ClassVar[str] = "Chat"
    order: ClassVar[int] = 10
    purpose: ClassVar[str] = "Talk with the checkpoint about pictures. Every turn is logged and can be found again in Sessions."
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.GENERATE})

    def build(self, bench: Bench) -> None:
        _Chat(bench)


def told(handler: Callable[..., Iterator[Values]]) -> Callable[..., Iterator[Values]]:
    """What goes wrong in a handler is a sentence on the page, and the page stays usable."""

    @wraps(handler)
    def guarded(self: _Chat, values: Values, event: gr.EventData) -> Iterator[Values]:
        try:
            yield from handler(self, values, event)
        except Exception as error:  # told to the user, and logged where it was not expected
            yield {self.error: gr.HTML(explained(error), visible=True), self.live: None, self.stop: gr.Button(visible=False)}

    return guarded


class _Chat:
    """The tab being built: components, then their events."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._layout()
        self.view = ChatView(bench, self.transcript.GRADIO_CACHE)
        self._wire()
        add_chat_api(bench)

    def _layout(self) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                with gr.Column(elem_classes="fv-scroll", elem_id="fv-scroll"):
                    self.transcript = component("transcript", elem_id="transcript")
                    self.live = component("live", elem_id="live")
                self.error = component("message", visible=False, elem_id="chat-error")
                self.questions = component("questions", elem_id="questions")
                self.box = gr.MultimodalTextbox(
                    show_label=False,
                    label="Question",
                    placeholder="Ask about the picture. Enter sends, Shift+Enter breaks the line.",
                    file_types=["image"],
                    file_count="multiple",
                    max_plain_text_length=200_000,
                    elem_id="ask",
                    autofocus=True,
                )
                with gr.Row(elem_classes="fv-tools"):
                    self.fresh = gr.Button("New chat", size="sm", min_width=90, elem_id="new-chat")
                    self.stop = gr.Button("Stop (Esc)", size="sm", min_width=90, elem_id="stop", visible=False, variant="stop")
            with gr.Column(scale=1, min_width=250):
                self._side()
        self.running = gr.State("")

    def _side(self) -> None:
        gr.Markdown("Drawn scenes to start from", elem_classes="fv-purpose")
        self.shelf = component("scenes", elem_id="shelf")
        self.another = gr.Button("Draw another scene", size="sm", elem_id="another")
        with gr.Accordion("Settings", open=False, elem_id="settings"):
            self.system = gr.Textbox(label="System prompt", lines=2, max_length=8000, elem_id="system")
            self.temperature = gr.Slider(
                0, 2, 0, step=0.05, label="Temperature", info="0 is greedy: always the most likely token."
            )
            self.top_p = gr.Slider(
                0.05, 1, 1, step=0.05, label="Top-p", info="Sample from the likeliest tokens that together have this probability."
            )
            self.length = gr.Slider(1, 1024, 256, step=1, label="Length", info="Most tokens an answer may have.")
            self.seed = gr.Number(
                0, label="Seed", precision=0, minimum=0, maximum=2**31 - 1, info="The same seed samples the same tokens."
            )
        with gr.Accordion("What the model saw", open=False, elem_id="saw") as self.saw_box:
            self.saw = component("saw", elem_id="saw-views")
        self.settings = [self.system, self.temperature, self.top_p, self.length, self.seed]

    def _wire(self) -> None:
        b = self.bench
        page = {
            self.transcript,
            self.live,
            self.error,
            self.questions,
            self.box,
            self.stop,
            self.running,
            self.saw,
            self.saw_box,
            self.shelf,
            b.state,
            b.specimen,
            b.remembered,
            *self.settings,
        }
        given = {self.box, b.state, *self.settings}
        model = {
            "concurrency_id": MODEL_QUEUE,
            "concurrency_limit": MODEL_LIMIT,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        quick = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
        self.box.submit(self.ask, given, page, **model)
        self.questions.ask(self.ask_suggestion, given, page, **model)
        self.transcript.act(self.act, given, page, **model)
        b.specimen.act(self.act, given, page, **model)
        self.transcript.branch(self.branch, given, page, **model)
        b.opened.change(self.restore, given, page, **model)
        self.transcript.go(self.go, given, page, **quick)
        self.transcript.rate(self.rate, given, page, **quick)
        self.shelf.pick(self.pick, given, page, **quick)
        self.another.click(self.draw_another, given, page, **quick)
        self.fresh.click(self.new_chat, given, page, **quick)
        self.stop.click(
            lambda run_id: bool(b.core.stop(run_id)) and None, self.running, None, queue=False, api_visibility="private"
        )

    # --- what was given ------------------------------------------------------------------------

    def _options(self, values: Values) -> Options:
        return Options(
            max_new_tokens=int(values[self.length] or 256),
            temperature=float(values[self.temperature] or 0.0),
            top_p=float(values[self.top_p] or 1.0),
            seed=int(values[self.seed] or 0),
        )

    def _boxed(self, values: Values) -> dict[str, Any]:
        given = values[self.box] or {}
        return {"text": given.get("text") or "", "files": given.get("files") or []}

    # --- turns ---------------------------------------------------------------------------------

    @told
    def ask(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """A question from the box, after the turn the chat stands at, or in place of one being edited."""
        yield from self._compose(values, self._boxed(values))

    @told
    def ask_suggestion(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """One of the offered questions, with whatever is attached."""
        yield from self._compose(values, {"text": str(event.text)[:2000], "files": self._boxed(values)["files"]})

    def _compose(self, values: Values, given: dict[str, Any]) -> Iterator[Values]:
        state: SessionState = values[self.bench.state]
        edited = self.bench.history.run(state.editing) if state.editing else None
        pictures, notes = read_pictures(given["files"])
        if edited is not None and not pictures:  # an edited question keeps its pictures
            pictures = list(edited.prompt.messages[-1].images)
        parent = edited.row.parent_run_id if edited is not None else state.run_id
        asked = compose(self.bench, state, given["text"], pictures, values[self.system] or "", self._options(values), parent)
        kept = {name: values[c] for name, c in zip(SETTINGS, self.settings, strict=True)}
        self.bench.history.keep_settings(state.session, kept | {"checkpoint": state.checkpoint})
        yield from self._take(replace(state, editing=None), replace(asked, notes=tuple(notes)), given)

    def _take(self, state: SessionState, asked: Asked, given: dict[str, Any] | None = None) -> Iterator[Values]:
        """Run a turn and show it growing; at the end it joins the transcript, or its question goes back to the box."""
        question = asked.prompt.messages[-1]
        live = {
            "key": asked.run_id,
            "question": question.text,
            "checkpoint": asked.checkpoint.name,
            "images": [image_view(part, self.view.urls) for part in question.images],
        }
        yield {
            self.transcript: self.view.transcript(asked.parent),
            self.error: gr.HTML(visible=False),
            self.box: gr.MultimodalTextbox(None),
            self.stop: gr.Button(visible=True),
            self.running: asked.run_id,
            self.questions: None,
        }
        progress = Progress(asked.run_id)
        for progress in run(self.bench, asked):
            yield {self.live: live | {"answer": progress.answer, "stage": progress.stage}}
        ended = {self.live: None, self.stop: gr.Button(visible=False)}
        if progress.error:
            self.bench.history.set_current(state.session, asked.parent)
            back = gr.MultimodalTextbox(given or {"text": question.text, "files": []})
            standing = self._standing(replace(state, run_id=asked.parent))
            yield {**standing, **ended, self.error: gr.HTML(progress.error, visible=True), self.box: back}
            return
        yield {**self._standing(replace(state, run_id=asked.run_id), " ".join(asked.notes)), **ended}

    def _standing(self, state: SessionState, note: str = "") -> Values:
        """The page for a state: transcript up to its turn, that turn on the bench, questions to go on with."""
        record = self.bench.history.run(state.run_id) if state.run_id else None
        return {
            self.bench.state: state,
            self.transcript: self.view.transcript(state.run_id),
            self.bench.specimen: self.view.specimen(record, note),
            self.questions: self.view.questions(record),
        }

    @told
    def act(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """A button on a turn or on the bench: retry, undo, edit, look. Others belong to other panels."""
        state: SessionState = values[self.bench.state]
        if event.action not in ("retry", "undo", "edit", "look"):
            return
        record = self.bench.history.run(str(event.run))
        text = gr.MultimodalTextbox({"text": record.prompt.messages[-1].text, "files": []})
        if event.action == "retry":
            yield from self._take(state, again(self.bench, record.row.id, state.checkpoint, self._options(values)))
        elif event.action == "undo":
            self.bench.history.set_current(state.session, record.row.parent_run_id)
            yield {**self._standing(replace(state, run_id=record.row.parent_run_id, editing=None)), self.box: text}
        elif event.action == "edit":
            yield {self.bench.state: replace(state, editing=record.row.id), self.box: text}
        else:
            yield {self.saw: self.view.look(record), self.saw_box: gr.Accordion(open=True)}

    @told
    def branch(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Continue an answer from an alternative token."""
        asked = branch(self.bench, str(event.run), int(event.index), int(event.id))
        yield from self._take(values[self.bench.state], asked)

    @told
    def go(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Another version of a turn, with its own latest continuation."""
        state: SessionState = values[self.bench.state]
        run_id = str(event.run)
        while after := [row for row in self.bench.history.children(state.session, run_id) if row.status != "failed"]:
            run_id = after[-1].id
        self.bench.history.set_current(state.session, run_id)
        yield {**self._standing(replace(state, run_id=run_id, editing=None)), self.error: gr.HTML(visible=False)}

    @told
    def rate(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        self.bench.history.rate(str(event.run), int(event.value))
        yield {self.transcript: self.view.transcript(values[self.bench.state].run_id, scroll="stay")}

    # --- sessions and scenes -------------------------------------------------------------------

    @told
    def new_chat(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """A fresh session. The old one stays in Sessions."""
        yield self._fresh(values)

    def _fresh(self, values: Values) -> Values:
        session = self.bench.history.new_session(client="browser")
        state = replace(values[self.bench.state], session=session, run_id=None, editing=None)
        cleared = {self.box: gr.MultimodalTextbox(None), self.error: gr.HTML(visible=False), self.live: None, self.saw: None}
        return {**self._standing(state), **cleared, self.bench.remembered: session}

    @told
    def pick(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """A scene from the shelf, attached to a fresh chat."""
        yield self._with_scene(values, SHELF[int(event.index) % len(SHELF)])

    @told
    def draw_another(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """A scene nobody has seen, attached to a fresh chat."""
        yield self._with_scene(values, 10**6 + secrets.randbelow(10**8))

    def _with_scene(self, values: Values, index: int) -> Values:
        part = scene_part(index)
        path = Path(self.transcript.GRADIO_CACHE) / "scenes" / part.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(part.data)
        scene = from_png(part.data)
        assert scene is not None, "a scene's file carries the scene"
        return {
            **self._fresh(values),
            self.box: gr.MultimodalTextbox({"text": "", "files": [str(path)]}),
            self.questions: {"items": [q.text for q in suggestions(scene)]},
        }

    @told
    def restore(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """What a page shows when it opens: the session as it was left, or a first question already answered."""
        state: SessionState = values[self.bench.state]
        session = self.bench.history.session(state.session)
        shelf = {"items": [{"url": self.view.urls.of(scene_part(i)), "title": f"Drawn scene {i}"} for i in SHELF]}
        kept = {
            c: session.settings[name]
            for name, c in zip(SETTINGS, self.settings, strict=True)
            if session.settings.get(name) is not None
        }
        yield {**self._standing(state), **kept, self.shelf: shelf, self.live: None}
        if state.run_id is None and session.runs == 0 and state.checkpoint in {c.name for c in self.bench.builtin}:
            part = scene_part(SHELF[0])
            scene = from_png(part.data)
            assert scene is not None, "a scene's file carries the scene"
            prompt = ask(suggestions(scene)[0].text, part)
            yield from self._take(state, Asked(prompt, parse_spec(state.checkpoint), Options(), state.session, None))
