"""What a tab that looks into logged answers stands on: a table of requests, each answered in its own function.

The instrument reads requests, runs work on the model thread where the page can watch and end it, keeps traces and other results
for a while so that nothing is computed twice, and tells what goes wrong in a sentence. It stores maps with their turns and shows
a stored one again. What a request means is the tab's. Nothing is remembered of a page: each request says what it is about.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TypeVar

import gradio as gr

from model.errors import InputError, WorkbenchError
from model.events import Event, Finished, Found, Share
from model.internals.subject import Subject
from model.progress import Run
from model.prompt import Prompt

from ..bench import QUICK, Bench, Panel, SessionState, explained
from ..components import PictureUrls, component
from ..jobs import Jobs
from ..records import Json, RunRecord
from ..requests import MAX_NAME, UNUSABLE, Request, plain, read
from .lens_health import LensView, health_of, measuring
from .looks import Look, Looks, Seen
from .saved_maps import keep, to_reopen

T = TypeVar("T")
R = TypeVar("R", bound=Request)
Answer = Callable[["Instrument", object], object]
Answers = Mapping[str, Answer]
"""By the name a page asks for. Each takes what the page sent and gives a dataclass, see `asked`."""


def asked(request: type[R], answer: Callable[[Instrument, R], object]) -> Answer:
    """An entry of a tab's table: how the request is read, and what answers it with a dataclass."""
    return lambda tool, given: answer(tool, read(request, given))


@dataclass(frozen=True)
class InstrumentValue:
    """The value of an instrument's component: its turn, a kept map that is to be shown once, and a name of this opening."""

    run: str
    map: Json | None = None
    opening: str = ""


@dataclass(frozen=True)
class LensReply:
    """The reply to `measure`."""

    lens: LensView


class Instrument:
    """One tab's. `answers` is its table; `by` is the field of a request that names the entry."""

    def __init__(self, bench: Bench, card: Panel, answers: Answers, by: str = "what") -> None:
        self.bench, self.card, self.answers, self.by = bench, card, answers, by
        self.urls, self.jobs, self.looks = PictureUrls(), Jobs(), Looks(bench)
        self._results: dict[type, OrderedDict[Hashable, object]] = {}
        self._lock = threading.Lock()

    # --- the page asks -------------------------------------------------------------------------

    def ask(self, given: object) -> dict[str, object]:
        """The reply's fields and an empty `error`, or {"error": a sentence}."""
        try:
            found = plain(self._answer(given)(self, given))
            assert isinstance(found, dict), f"{type(found).__name__} is no reply: give a dataclass"
            return {"error": "", **found}
        except Exception as error:  # told where it was asked
            return {"error": explained(error)}

    def _answer(self, given: object) -> Answer:
        what = given.get(self.by) if isinstance(given, Mapping) else None
        if not isinstance(what, str):
            raise InputError(UNUSABLE)
        if what not in self.answers:
            raise InputError(f"{what[:40]!r} cannot be asked of this tab. Reload the page.")
        return self.answers[what]

    def progress(self, key: object) -> dict[str, object]:
        """How far a job of the page is, see `jobs.Progress`; empty where it is not in work."""
        found = plain(self.jobs.progress(str(key)[:MAX_NAME]))
        return found if isinstance(found, dict) else {}

    def halt(self, key: object) -> None:
        """End a job of the page at its next step."""
        self.jobs.halt(str(key)[:MAX_NAME])

    # --- what answers are made of --------------------------------------------------------------

    def work(self, request: Request, look: Look, work: Callable[[Subject, Run], T]) -> T:
        """The value of some work on the model thread, which the page may watch and end."""
        return self.done(request, self.bench.core.examine(look.checkpoint, look.prompt, look.answer, work))

    def done(self, request: Request, events: Iterator[Event | Share | Found[T]]) -> T:
        """The value that some events end with."""
        return self.jobs.done(request.key, events)

    def seen(self, request: Request, look: Look, rows: str = "predicting") -> Seen:
        """The trace of a look, taken now if it is not held."""
        held = self.looks.held(look, rows)
        return self.done(request, self.looks.events(look, rows)) if held is None else held

    def once(self, kind: type[T], key: Hashable, make: Callable[[], T], most: int) -> T:
        """A result of this type, made unless it is among the last `most` that were made."""
        found = self.held(kind, key)
        if found is None:
            found = make()
            with self._lock:
                results = self._results.setdefault(kind, OrderedDict())
                results[key] = found
                while len(results) > most:
                    results.popitem(last=False)
        return found

    def held(self, kind: type[T], key: Hashable) -> T | None:
        """A result of this type that `once` made, if it is still held."""
        with self._lock:
            results = self._results.get(kind)
            found = None if results is None else results.get(key)
        assert found is None or isinstance(found, kind)
        return found

    def measured(self, request: Request, look: Look) -> LensReply:
        """Whether the checkpoint's lens can be believed, measured now."""
        return LensReply(health_of(self.done(request, measuring(self.bench, look.checkpoint)), look.checkpoint.name))

    def answer(self, request: Request, turn: RunRecord, prompt: Prompt) -> Finished:
        """A logged turn's checkpoint asked anew, with the turn's options. The answer stands in Sessions under the tab's name."""
        return self.done(request, self._answering(turn, prompt))

    def _answering(self, turn: RunRecord, prompt: Prompt) -> Iterator[Event | Share | Found[Finished]]:
        checkpoint, row = self.bench.allowed(turn.checkpoint), turn.row
        steps = self.bench.core.generate(checkpoint, prompt, turn.options, panel=self.card.slug, session=row.session)
        assert isinstance(steps, Generator)
        with closing(steps):
            for event in steps:
                yield Found(event) if isinstance(event, Finished) else event

    def keep(self, run_id: str, kind: str, name: str, data: bytes, meta: Json) -> bool:
        """Store something with its turn. False where the log does not take it."""
        return keep(self.bench, run_id, kind, name, data, meta)

    # --- on the page ---------------------------------------------------------------------------

    def component(self, name: str) -> gr.HTML:
        """A component of the tab, whose script asks this instrument."""

        def ask(given: object) -> dict[str, object]:
            return self.ask(given)

        def progress(key: object) -> dict[str, object]:
            return self.progress(key)

        def halt(key: object) -> None:
            self.halt(key)

        return component(name, elem_id=name, server_functions=[ask, progress, halt])

    def place(self, name: str) -> gr.HTML:
        """A component that asks this instrument, and stands at the turn that is on the bench or was opened in the tab."""
        view = self.component(name)
        changes = [self.bench.state.change, self.bench.opened.change]
        gr.on(changes, self.stand, self.bench.state, view, **QUICK)
        return view

    def stand(self, state: SessionState) -> object:
        """The value of the component; a kept map is in it where the tab was opened for one."""
        run, opened = state.at_hand or "", state.opened(self.card.slug)
        if opened is None or opened.run != run:
            return plain(InstrumentValue(run))
        with suppress(WorkbenchError):  # then the turn opens as it would without
            for kind in self.card.keeps:
                if kind in opened.what:
                    return plain(InstrumentValue(run, to_reopen(self.bench.history, run, kind, opened.what[kind]), opened.id))
        return plain(InstrumentValue(run, None, opened.id))
