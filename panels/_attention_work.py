"""Work on an answer that the attention tab is asked for: maps, agreement, sinks, changes. Told as it goes on, and stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import numpy as np

from model.errors import InputError, WorkbenchError
from model.events import Found, Loading, Queued, Share, Waiting
from model.heat import heat_methods
from model.heat.base import Heat
from model.sinks import find_sinks
from studies.metrics import spearman

from ._answering import UPDATE_S
from ._attention_anew import Change, changed
from ._attention_ask import Asked
from ._attention_look import Look, Looks, Seen, look_at
from ._overlay import cells_of_tokens, heat_view, tokens_of_cells
from .base import Bench

Reply = dict[str, Any]
Steps = Generator[Reply, None, Any]


class Halted(Exception):
    """Somebody pressed Stop, or asked for something else."""


class Halts:
    """What each page is busy with, so that it can be ended. A page that asks anew ends what it asked before."""

    def __init__(self) -> None:
        self._running: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def begin(self, page: str) -> threading.Event:
        with self._lock:
            self._end(page)
            self._running[page] = threading.Event()
            return self._running[page]

    def end(self, page: str) -> None:
        with self._lock:
            self._end(page)

    def done(self, page: str, halt: threading.Event) -> None:
        with self._lock:
            if self._running.get(page) is halt:
                del self._running[page]

    def _end(self, page: str) -> None:
        if page in self._running:
            self._running.pop(page).set()


def followed(events: Iterator[Any], halt: threading.Event, doing: str, base: float = 0.0, part: float = 1.0) -> Steps:
    """What events of the core tell, ten times a second, as {"stage", "share"}; gives back the value found. Raises Halted."""
    begun, shown, value, share = time.monotonic(), 0.0, None, None
    with closing(events):  # type: ignore[type-var]
        for event in events:
            if halt.is_set():
                raise Halted
            if isinstance(event, Found):
                value = event.value
            elif isinstance(event, Share):
                share = base + part * event.share
            if time.monotonic() - shown >= UPDATE_S and not isinstance(event, Found):
                shown = time.monotonic()
                yield {"stage": stage(event, doing, share, shown - begun), "share": share}
    if halt.is_set():
        raise Halted
    return value


def along(steps: Steps, more: Reply) -> Steps:
    """The same steps with more in each; gives back what they give back."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value
        yield step | more


def stage(event: Any, doing: str, share: float | None, elapsed_s: float) -> str:
    """How far it is, in words."""
    match event:
        case Queued(ahead):
            return f"In line behind {ahead} {'call' if ahead == 1 else 'calls'}"
        case Loading(text, known):
            return text if known is None else f"{text}, {100 * known:.0f} %"
        case _ if share and share > 0.02 and elapsed_s > 1:
            return f"{doing}: {100 * share:.0f} %, about {elapsed_s * (1 - share) / share:.0f} s still"
        case Waiting() if elapsed_s >= 1:
            return f"{doing}, {elapsed_s:.0f} s"
    return doing


class Workshop:
    """Does what is asked of one look at a time. Holds traces; nothing of any page."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.looks, self.halts = bench, Looks(bench), Halts()

    def replies(self, ask: Asked) -> Iterator[Reply]:
        """What is told while a request is worked on, and at the end what came of it, marked `done`."""
        halt = self.halts.begin(ask.page)
        try:
            look = look_at(self.bench, ask.run, ask.typed)
            yield from followed(self.looks.events(look, ask.choice.rows), halt, "Reading the answer")
            seen = self.looks.seen(look, ask.choice.rows)
            ask.fitting(seen)
            work = {"heat": self.heat, "agree": self.agree, "sinks": self.sinks, "change": self.change}
            if ask.what not in work:
                raise InputError(f"{ask.what!r} cannot be asked of this tab. Reload the page.")
            yield from work[ask.what](ask, look, seen, halt)
        except Halted:
            yield {"stage": "Stopped.", "share": None, "halted": True, "done": True}
        finally:
            self.halts.done(ask.page, halt)

    def heat(self, ask: Asked, look: Look, seen: Seen, halt: threading.Event) -> Steps:
        """One map."""
        found = yield from self.one(ask.method, ask, look, halt)
        yield {"map": heat_view(found), "done": True}

    def one(self, slug: str, ask: Asked, look: Look, halt: threading.Event, base: float = 0.0, part: float = 1.0) -> Steps:
        """A method's map of the words asked about; gives back a Heat."""
        method = heat_methods[slug]
        events = self.bench.core.examine(
            look.checkpoint, look.prompt, look.answer, lambda subject, run: method(subject, ask.words, ask.choice, run)
        )
        return (yield from followed(events, halt, method.title, base, part))

    def agree(self, ask: Asked, look: Look, seen: Seen, halt: threading.Event) -> Steps:
        """Every method's map, each shown as it is done, and how the maps' ranks correlate."""
        capabilities = self.bench.core.capabilities(look.checkpoint)
        able = [slug for slug in heat_methods if heat_methods[slug].needs <= capabilities]
        able.sort(key=lambda slug: ("trace", "backward", "passes").index(heat_methods[slug].cost))
        maps: dict[str, Heat] = {}
        failed: dict[str, str] = {}
        for index, slug in enumerate(able):
            held = agreement(maps, failed)
            try:
                maps[slug] = yield from along(self.one(slug, ask, look, halt, index / len(able), 1 / len(able)), held)
            except WorkbenchError as error:
                failed[slug] = str(error)
        yield agreement(maps, failed) | {"done": True}

    def sinks(self, ask: Asked, look: Look, seen: Seen, halt: threading.Event) -> Steps:
        """Visual tokens that draw attention for what they are."""
        events = self.bench.core.examine(look.checkpoint, look.prompt, look.answer, lambda subject, run: find_sinks(subject))
        found = yield from followed(events, halt, "Looking for sinks")
        tokens = [int(t) for t in found.tokens]
        assert seen.trace.grid is not None, "a look without a grid is refused"
        yield {
            "sinks": {
                "tokens": tokens,
                "cells": cells_of_tokens(seen.trace.grid, tokens),
                "tower": int(found.tower.sum()),
                "decoder": int(found.decoder.sum()),
                "share": float(seen.attention[..., tokens].sum(-1).mean() / max(float(seen.mass.mean()), 1e-12)),
            },
            "done": True,
        }

    def change(self, ask: Asked, look: Look, seen: Seen, halt: threading.Event) -> Steps:
        """The answer with patches hidden, or knocked out in the layers and heads chosen."""
        assert seen.trace.grid is not None, "a look without a grid is refused"
        tokens = tokens_of_cells(seen.trace.grid, ask.cells)
        layers = None if ask.choice.layer is None else (ask.choice.layer,)
        heads = None if ask.choice.head is None else (ask.choice.head,)
        events = self.bench.core.examine(
            look.checkpoint,
            look.prompt,
            look.answer,
            lambda subject, run: changed(subject, tokens, ask.knock_out, layers, heads, run),
        )
        doing = "Knocking out" if ask.knock_out else "Hiding"
        found: Change = yield from followed(events, halt, doing)
        yield {
            "change": {
                "what": f"{int(tokens.sum())} picture tokens {'knocked out' if ask.knock_out else 'hidden'}",
                "before": [float(v) for v in np.maximum(found.effect.before, -999)],
                "after": [float(v) for v in np.maximum(found.effect.after, -999)],
                "lost": found.effect.lost,
                "anew": found.anew,
                "ended": found.ended,
            },
            "done": True,
        }


def agreement(maps: dict[str, Heat], failed: dict[str, str]) -> Reply:
    """Maps by method, and Spearman's correlation of the scores of every two."""
    scores = [heat.scores[heat.grid.cell >= 0] if heat.grid.mixing is None else heat.scores for heat in maps.values()]
    matrix = [[round(spearman(a, b), 3) for b in scores] for a in scores]
    shown = {slug: heat_view(heat) | {"title": heat_methods[slug].title} for slug, heat in maps.items()}
    return {"agree": {"maps": shown, "matrix": matrix, "failed": failed}}
