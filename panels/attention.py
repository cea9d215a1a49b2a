"""Attention: which parts of the picture a word of the answer hangs on, by methods that are compared and scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import wraps
from typing import Any, ClassVar

import gradio as gr
import numpy as np

from model.errors import PromptError
from model.families.base import Capability

from . import panels
from ._attention_ask import Asked, asked
from ._attention_look import NEEDS, Look, Seen, look_at, raw
from ._attention_view import answer_text, look_view, overview
from ._attention_work import Workshop, followed
from ._html import PictureUrls, component
from ._overlay import packed
from ._truth import true_things
from .base import MODEL, QUICK, Bench, SessionState, explained, guarded, sent

MAX_SENT_BYTES = 600_000
"""Of maps that go to the page at once; words further on are asked for when they are to be seen."""
Values = dict[Any, Any]


@panels.add("attention")
class Attention:
    """Maps of attention and what is like it, for every word of an answer."""

    slug: ClassVar[str] = "attention"
    title: ClassVar[str] = "Attention"
    order: ClassVar[int] = 20
    purpose: ClassVar[str] = "Which patches a word of the answer drew on, by raw attention and by methods that are scored."
    needs: ClassVar[frozenset[Capability]] = NEEDS

    def build(self, bench: Bench) -> None:
        _Attention(bench).wire()


def told(handler: Callable[..., Iterator[Values]]) -> Callable[..., Iterator[Values]]:
    """What goes wrong in a handler is a sentence at the top of the tab."""

    @wraps(handler)
    def safe(self: _Attention, values: Values, event: gr.EventData) -> Iterator[Values]:
        yield from guarded(handler(self, values, event), self.message)

    return safe


class _Attention:
    """The tab being built: components, then their events."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.urls, self.shop = bench, PictureUrls(), Workshop(bench)

        def maps_of(request: Any) -> dict[str, Any]:
            return self.answered(self.maps, request)

        def overview_of(request: Any) -> dict[str, Any]:
            return self.answered(self.overview, request)

        self.message = component("message", visible=False, elem_id="attention-error")
        self.view = component("attention", elem_id="attention", server_functions=[maps_of, overview_of])
        self.reply = component("reply", elem_id="attention-reply")
        self.shown = gr.State(("", ""))

    def wire(self) -> None:
        b = self.bench
        given, shown = {b.state, self.shown}, {self.message, self.view, self.shown}
        b.tabs.select(self.chosen, given, shown, **MODEL, trigger_mode="always_last")
        b.state.change(self.follow, given, shown, **MODEL)
        self.view.typed(self.typed, given, shown, **MODEL)
        self.view.ask(self.work, {self.shown}, {self.reply}, **MODEL, trigger_mode="multiple")
        self.view.halt(self.halt, {self.shown}, {self.reply}, **QUICK)

    # --- which answer --------------------------------------------------------------------------

    @told
    def chosen(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """The tab is opened: the turn at hand."""
        if getattr(event, "value", None) == Attention.title:
            run = values[self.bench.state].at_hand
            if run is None:
                raise PromptError("There is no answer yet. Ask something in Chat.")
            yield from self._turned(values, run)

    @told
    def follow(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """A turn was chosen to be looked into."""
        state: SessionState = values[self.bench.state]
        if state.looking is not None and state.looking[0] == state.at_hand:
            yield from self._turned(values, state.looking[0])

    def _turned(self, values: Values, run: str) -> Iterator[Values]:
        if (values.get(self.shown) or ("", ""))[0] != run:
            yield from self._open(run, "")

    @told
    def typed(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Another text in the place of the answer; an empty one brings the logged answer back."""
        yield from self._open(sent(event, "run", str), sent(event, "text", str).strip())

    def _open(self, run: str, typed: str) -> Iterator[Values]:
        look = look_at(self.bench, run, typed)
        quiet = {self.message: gr.HTML(visible=False)}
        yield {**quiet, self.shown: (run, typed), self.view: {"stage": "Reading the answer"}}
        halt = self.shop.halts.begin(f"{run} {typed}")
        try:
            for step in followed(self.shop.looks.events(look), halt, "Reading the answer"):
                yield {self.view: step}
        finally:
            self.shop.halts.done(f"{run} {typed}", halt)
        yield {self.view: look_view(look, self.shop.looks.seen(look), self.urls, self.bench.core.capabilities(look.checkpoint))}

    # --- what the page asks --------------------------------------------------------------------

    def work(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Work on what is shown, told as it goes on. What goes wrong is told where it was asked for."""
        label = ""
        try:
            request = asked(sent(event, "request", dict))
            label = request.id
            with closing(self.shop.replies(request)) as replies:
                for reply in replies:
                    yield {self.reply: {"id": label, **reply}}
        except Exception as error:  # told to the user
            yield {self.reply: {"id": label, "error": explained(error), "done": True}}

    def halt(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """End what the page is waiting for."""
        page = getattr(event, "page", None)
        self.shop.halts.end(page if isinstance(page, str) else "")
        yield {self.reply: gr.skip()}

    def answered(self, function: Callable[[Asked, Look, Seen], dict[str, Any]], request: Any) -> dict[str, Any]:
        """What the page gets at once from a trace that is held, or a sentence."""
        try:
            ask = asked(request)
            look = look_at(self.bench, ask.run, ask.typed)
            seen = self.shop.looks.seen(look, ask.choice.rows)
            return function(ask.fitting(seen), look, seen)
        except Exception as error:  # told to the user
            return {"error": explained(error)}

    def maps(self, ask: Asked, look: Look, seen: Seen) -> dict[str, Any]:
        """Raw attention of the words one by one, from the first of them on as many as may be sent; `scores` [words, cells]."""
        grid = seen.trace.grid
        assert grid is not None, "a look without a grid is refused"
        size = 4 * len(grid.cells())
        first = ask.words[0]
        words = range(first, min(len(seen.trace.tokens), first + max(1, MAX_SENT_BYTES // size)))
        found = [raw(seen, (word,), ask.choice) for word in words]
        scores = np.stack([grid.per_cell(one) for one, _, _ in found])
        return {
            "first": first,
            "count": len(found),
            "cells": scores.shape[1],
            "scores": packed(scores),
            "mass": [round(mass, 6) for _, mass, _ in found],
            "note": found[0][2],
            "error": "",
        }

    def overview(self, ask: Asked, look: Look, seen: Seen) -> dict[str, Any]:
        """Image attention by layer and head, and how much of it falls on the things in `cells`, by their number."""
        assert seen.trace.grid is not None, "a look without a grid is refused"
        things = true_things(look.prompt, seen.trace.grid, answer_text(seen.trace))
        return overview(seen, ask.words, [thing for i, thing in enumerate(things) if i in ask.cells])
