"""Chat: ask about pictures, go on from any turn, look at tokens and at what the model saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

import gradio as gr

from model import WorkbenchError, ask, parse_spec
from model.families.base import Capability

from .. import panels
from ..base import settings as _settings
from ..base.bench import MODEL, Bench, SessionState, Values, sent
from ..base.card import ON_PAGE, Action, Element, Kept
from ..base.handlers import event_handler
from ..base.records import Reply
from ..base.scenes import FILM_QUESTION, SHELF, film_frames, scene_file, scene_part
from ..base.turn import Asked, TurnProgress, again, branch, compose, read_pictures, run
from ..base.turn_views import image_views, last_asked
from .endpoints import add_chat_api
from .layout import chat_layout
from .moves import ChatMoves
from .page import Boxed, ChatPage
from .views import ChatView


@panels.add
class Chat:
    """The conversation, its settings, and the picture as the encoder got it."""

    slug: ClassVar[str] = "chat"
    title: ClassVar[str] = "Chat"
    order: ClassVar[int] = 10
    purpose: ClassVar[str] = "Talk with the checkpoint about pictures. Every turn is logged and can be found again in Sessions."
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.GENERATE})
    actions: ClassVar[tuple[Action, ...]] = (
        Action("look", "What it saw", "The pictures as they entered the encoder", ON_PAGE, opens=False, order=20),
    )
    keeps: ClassVar[Mapping[str, Kept]] = {}
    addresses: ClassVar[tuple[str, ...]] = ()
    elements: ClassVar[Mapping[str, Element]] = {
        "transcript": Element(
            '<fv-transcript><div class="fv-transcript" role="region" aria-label="Conversation"></div>'
            '<p class="fv-heard" role="status"></p></fv-transcript>',
            ("act", "again", "edit", "undo", "branch", "go", "rate", "linked"),
        ),
        "live": Element('<fv-live class="fv-live"></fv-live>'),
        "questions": Element(
            '<fv-questions class="fv-questions" role="group" aria-label="Questions to go on with"></fv-questions>', ("ask",)
        ),
        "composer": Element('<fv-composer class="fv-composer" role="status"></fv-composer>', ("cancel", "attached")),
        "scenes": Element('<fv-scenes class="fv-scenes" role="group" aria-label="Drawn scenes"></fv-scenes>', ("pick", "film")),
        "saw": Element("<fv-saw></fv-saw>"),
    }

    def build(self, bench: Bench) -> None:
        view = ChatView(bench)

        def tokens_of(run_id: str) -> Reply:
            return view.tokens(run_id)

        _Asking(ChatPage(bench, view, chat_layout(tokens_of, bench.longest))).wire()
        add_chat_api(bench)


class _Asking:
    """Handlers of the page that make the model answer."""

    def __init__(self, page: ChatPage) -> None:
        self.page, self.bench, self.parts, self.message = page, page.bench, page.parts, page.parts.error

    def wire(self) -> None:
        b, p = self.bench, self.parts
        given = {p.box, p.running, b.state, b.remembered, *p.settings.values()}
        shown = [*given, p.transcript, p.live, p.error, p.questions, p.composer, p.stop, p.saw, p.shelf, b.specimen, b.tabs]
        b.answering += [
            p.box.submit(self.ask, given, shown, **MODEL),
            p.questions.ask(self.ask_suggestion, given, shown, **MODEL),
            p.shelf.film(self.film, given, shown, **MODEL),
            p.transcript.again(self.retry, given, shown, **MODEL),
            p.transcript.branch(self.branch, given, shown, **MODEL),
            b.opened.change(self.restore, given, shown, **MODEL),
        ]
        ChatMoves(self.page).wire(given, shown)

    @event_handler
    def ask(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """A question from the box, after the turn the chat stands at, or in place of one being edited."""
        yield from self._compose(values, self.page.boxed(values))

    @event_handler
    def ask_suggestion(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """One of the offered questions, with whatever is attached."""
        yield from self._compose(values, {"text": sent(event, "text", str)[:2000], "files": self.page.boxed(values)["files"]})

    def _compose(self, values: Values, given: Boxed) -> Iterator[Values]:
        state, settings = self.page.free(values), self.page.settings(values)
        edited = self.bench.history.run(state.editing) if state.editing else None
        pictures, notes = read_pictures(given["files"])
        if edited is not None and not pictures:  # an edited question keeps its pictures
            pictures = list(last_asked(edited).images)
        parent = edited.row.parent_run_id if edited is not None else state.run_id
        options = _settings.options(settings)
        asked = compose(self.bench, state, given["text"], pictures, settings["system"] or "", options, parent)
        with suppress(WorkbenchError):  # the header tells when nothing can be logged; the answer comes all the same
            self.bench.history.keep_settings(state.session, settings | {"checkpoint": state.checkpoint})
        yield from self._take(state, replace(asked, notes=(*notes, *asked.notes)), given)

    @event_handler
    def film(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """The film of the shelf in a fresh chat, asked about at once: files in the box have no times."""
        page, settings = self.page, self.page.settings(values)
        begun = page.fresh(page.free(values))
        yield begun
        state, options = begun[self.bench.state], _settings.options(settings)
        asked = compose(self.bench, state, FILM_QUESTION, film_frames(), settings["system"] or "", options, None)
        yield from self._take(state, asked)

    @event_handler
    def retry(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """The same question once more. The old answer stays one version back."""
        state, settings = self.page.free(values), self.page.settings(values)
        options = _settings.options(settings)
        asked = again(self.bench, sent(event, "run", str), state, settings["system"] or "", options)
        yield from self._take(replace(state, editing=None), asked)

    @event_handler
    def branch(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Continue an answer from an alternative token."""
        state = self.page.free(values)
        asked = branch(self.bench, sent(event, "run", str), sent(event, "index", int), sent(event, "id", int))
        yield from self._take(replace(state, editing=None), asked)

    @event_handler
    def restore(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """What a page shows when it opens: the session as it was left, or a first question already answered."""
        page, p, state = self.page, self.parts, values[self.bench.state]
        session = self.bench.history.session(state.session)
        scenes = [{"url": page.view.urls.of(scene_part(i)), "title": f"Drawn scene {i}", "film": False} for i in SHELF]
        film = {"url": page.view.urls.of(film_frames()[-1]), "title": "Two frames of a drawn film, with a question", "film": True}
        shelf = {"items": [*scenes, film]}
        kept = {p.settings[name]: value for name, value in _settings.kept(session.settings, self.bench.longest).items()}
        yield {**page.standing(state), **kept, **page.idle(), **page.quiet(), p.shelf: shelf}
        if state.run_id is not None or session.runs:
            return
        questions = page.view.questions_for(scene_part(SHELF[0]))
        assert questions is not None, "the first scene of the shelf has questions"
        if state.checkpoint in {c.name for c in self.bench.builtin}:
            prompt = ask(questions["items"][0], scene_part(SHELF[0]))
            yield from self._take(state, Asked(prompt, parse_spec(state.checkpoint), _settings.options({}), state.session, None))
        else:  # a larger one may take minutes; its first question is the user's to ask
            yield {p.box: gr.MultimodalTextbox({"text": "", "files": [str(scene_file(SHELF[0]))]}), p.questions: questions}

    def _take(self, state: SessionState, asked: Asked, given: Boxed | None = None) -> Iterator[Values]:
        """Run a turn and show it growing; at the end it joins the transcript, or what was `given` goes back to the box."""
        page, p, question = self.page, self.parts, asked.prompt.messages[-1]
        live = {
            "key": asked.run_id,
            "question": question.text,
            "checkpoint": asked.checkpoint.name,
            "images": image_views(question.images, page.view.urls),
        }
        yield {
            **page.quiet(),
            p.transcript: page.view.transcript(asked.parent),
            p.box: gr.MultimodalTextbox(None),
            p.stop: gr.Button(visible=True),
            p.running: asked.run_id,
            p.questions: None,
        }
        progress = TurnProgress(asked.run_id)
        for progress in run(self.bench, asked):
            yield {p.live: live | {"answer": progress.answer, "stage": progress.stage}}
        yield self._failed(state, progress.error, given) if progress.error else self._answered(state, asked)

    def _answered(self, state: SessionState, asked: Asked) -> Values:
        page, p = self.page, self.parts
        try:
            return {**page.standing(replace(state, run_id=asked.run_id, editing=None), asked.notes), **page.idle()}
        except WorkbenchError as error:  # it was not logged, so it stays where it was written
            why = self.bench.trouble() or str(error)
            text = f"This answer is not in the log, and the next question does not know of it. {why}"
            return {p.stop: gr.Button(visible=False), p.running: "", p.error: gr.HTML(text, visible=True)}

    def _failed(self, state: SessionState, why: str, given: Boxed | None) -> Values:
        """The page as it was before, with a sentence."""
        page, p = self.page, self.parts
        shown: Values = {**page.idle(), p.error: gr.HTML(why, visible=True)}
        if given is not None:
            shown[p.box] = gr.MultimodalTextbox({"text": given["text"], "files": given["files"]})
        with suppress(WorkbenchError):
            self.bench.history.set_current(state.session, state.run_id)
            shown = {**page.standing(state), **page.editing(state), **shown}
        return shown
