"""What the attention tab is asked for, worked on: traces and maps are kept for a while, so that nothing is computed twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np

from model.heat import heat_methods
from model.heat.base import Choice, Heat
from model.internals.sinks import Sinks, find_sinks
from model.internals.subject import Subject
from model.progress import Run
from studies.metrics import spearman

from ..base.bench import Bench, explained
from ..base.components import PictureUrls
from ..base.jobs import Desk
from ..base.maps.lens_health import health_of, measuring
from ..base.maps.looks import Look, Looks, Seen, look_at, raw
from ..base.maps.overlay import cells_of_tokens, heat_view, packed
from ..base.maps.scores import scores_of
from ..base.maps.source_picture import partners
from ..base.truth import true_things
from .changes import change_of, change_view, changed
from .requests import Asked, asked
from .saved import asked_for, keep_map, name_of, numbers_file, page_file
from .views import answer_text, look_view, overview

T = TypeVar("T")
MAX_SENT_BYTES = 600_000
"""Of raw maps that go to the page at once; words further on are asked for when they are to be seen."""
MAX_HEATS = 512
Reply = dict[str, Any]


class Workshop:
    """Answers requests of pages. Each request says what it is about: nothing is remembered of a page."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.urls, self.desk, self.looks = bench, PictureUrls(), Desk(), Looks(bench)
        self._heats: OrderedDict[tuple[Any, ...], Heat] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, given: Any) -> Reply:
        """What was asked for, or {"error": a sentence}."""
        try:
            ask = asked(given)
            look = look_at(self.bench, ask.run, ask.typed)
            return {"error": ""} | KINDS[ask.what](self, ask, look, self.seen(ask, look))
        except Exception as error:  # told where it was asked for
            return {"error": explained(error)}

    def seen(self, ask: Asked, look: Look) -> Seen:
        """The trace of a look, taken now if it is not held. Raises InputError where the request does not fit it."""
        held = self.looks.held(look, ask.choice.rows)
        if held is None:
            held = self.desk.done(ask.key, self.looks.events(look, ask.choice.rows))
        return ask.fitting(held)

    def worked(self, ask: Asked, look: Look, work: Callable[[Subject, Run], T]) -> T:
        """The value of some work on the model thread, which the page may watch and end."""
        return self.desk.done(ask.key, self.bench.core.examine(look.checkpoint, look.prompt, look.answer, work))

    def heat(self, ask: Asked, look: Look, seen: Seen, slug: str) -> Heat:
        """A method's map of the words asked about. It is logged with its turn."""
        layered = heat_methods[slug].layered
        key = (look, slug, ask.words, ask.choice if layered else ask.choice.rows, ask.choice.without)
        with self._lock:
            held = self._heats.get(key)
        if held is None:
            held = self.worked(ask, look, partial(heat_by, slug=slug, words=ask.words, choice=ask.choice))
            with self._lock:
                self._heats[key] = held
                while len(self._heats) > MAX_HEATS:
                    self._heats.popitem(last=False)
            keep_map(self.bench, look, seen, held, asked_for(look, slug, ask.words, ask.choice))
        return held

    # --- what can be asked ---------------------------------------------------------------------

    def open(self, ask: Asked, look: Look, seen: Seen) -> Reply:
        return {"view": look_view(self.bench, look, seen, self.urls)}

    def maps(self, ask: Asked, look: Look, seen: Seen) -> Reply:
        """Raw attention of single words: of all, or as many about the one asked for as may be sent; `scores` [words, cells]."""
        grid = seen.grid
        many = max(1, MAX_SENT_BYTES // (4 * len(grid.cells())))
        first = ask.words[0] // many * many
        words = range(first, min(len(seen.trace.tokens), first + many))
        found = [raw(seen, (word,), ask.choice) for word in words]
        scores = np.stack([grid.per_cell(one) for one, _, _ in found])
        return {
            "first": first,
            "count": len(found),
            "cells": scores.shape[1],
            "scores": packed(scores),
            "mass": [round(mass, 6) for _, mass, _ in found],
            "note": found[0][2],
        }

    def overview(self, ask: Asked, look: Look, seen: Seen) -> Reply:
        """Image attention by layer and head, and how much of it falls on the things asked for by number."""
        things = true_things(look.prompt, seen.grid, answer_text(seen.trace)) if ask.things else []
        return overview(seen, ask.words, [thing for i, thing in enumerate(things) if i in ask.things])

    def one(self, ask: Asked, look: Look, seen: Seen) -> Reply:
        return {"map": heat_view(self.heat(ask, look, seen, ask.method))}

    def agree(self, ask: Asked, look: Look, seen: Seen) -> Reply:
        """Spearman's correlation of the patches' ranks for every two of the methods asked for. [methods][methods]"""
        heats = [self.heat(ask, look, seen, slug) for slug in ask.methods]
        placed = [heat.scores if heat.grid.mixing is not None else heat.scores[heat.grid.cell >= 0] for heat in heats]
        return {"matrix": [[round(spearman(a, b), 3) for b in placed] for a in placed]}

    def sinks(self, ask: Asked, look: Look, seen: Seen) -> Reply:
        """Visual tokens that draw attention for what they are, and the share of image attention they take."""
        found = self.worked(ask, look, sinks_of)
        tokens = [int(token) for token in found.tokens]
        return {
            "tokens": tokens,
            "cells": cells_of_tokens(seen.grid, tokens),
            "tower": int(found.tower.sum()),
            "decoder": int(found.decoder.sum()),
            "share": float(seen.attention[..., tokens].sum() / max(float(seen.mass.sum()), 1e-12)),
        }

    def partners(self, ask: Asked, look: Look, seen: Seen) -> Reply:
        """Other pictures that states can be patched from: [[id, label], ...]."""
        return {"partners": [[partner.id, partner.label] for partner in partners(self.bench, look.run_id, look.prompt)]}

    def change(self, ask: Asked, look: Look, seen: Seen) -> Reply:
        """The answer with patches hidden, knocked out in the layer and head chosen, or patched from another picture."""
        change = change_of(self.bench, ask, look, seen)
        return change_view(change, self.worked(ask, look, partial(changed, change=change)), self.urls)

    def measure(self, ask: Asked, look: Look, seen: Seen) -> Reply:
        """Whether the checkpoint's lens can be believed, measured now."""
        found = self.desk.done(ask.key, measuring(self.bench, look.checkpoint))
        return {"lens": health_of(found, look.checkpoint.name)}

    def export(self, ask: Asked, look: Look, seen: Seen) -> Reply:
        """A map as files: numbers in base64, a page as text, and the name to save them under."""
        heat = self.heat(ask, look, seen, ask.method)
        what = asked_for(look, ask.method, ask.words, ask.choice)
        score = scores_of(look.checkpoint).sentence(ask.method, look.checkpoint.name)
        name = name_of(what)
        return {
            "name": name,
            "npz": numbers_file(self.bench, look, seen, heat, what),
            "page": page_file(look, seen, heat, what, score, f"{name}.png"),
        }


def heat_by(subject: Subject, run: Run, slug: str, words: tuple[int, ...], choice: Choice) -> Heat:
    """A method's map. On the model thread."""
    return heat_methods[slug](subject, words, choice, run)


def sinks_of(subject: Subject, run: Run) -> Sinks:
    """Attention sinks among the visual tokens. On the model thread."""
    return find_sinks(subject)


KINDS: dict[str, Callable[[Workshop, Asked, Look, Seen], Reply]] = {
    "open": Workshop.open,
    "maps": Workshop.maps,
    "overview": Workshop.overview,
    "heat": Workshop.one,
    "agree": Workshop.agree,
    "sinks": Workshop.sinks,
    "partners": Workshop.partners,
    "change": Workshop.change,
    "measure": Workshop.measure,
    "export": Workshop.export,
}
