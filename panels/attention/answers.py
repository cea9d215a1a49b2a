"""What the attention tab is asked, and what answers it."""

from __future__ import annotations

from functools import partial

import numpy as np

from model.heat.base import Heat
from model.internals.sinks import Sinks, find_sinks
from model.internals.subject import Subject
from model.progress import Run
from studies.metrics import spearman

from ..base.maps.heat import Chosen, OfMethod, heat_of, keep_heat, what_of
from ..base.maps.instrument import Instrument, LensReply, asked
from ..base.maps.looks import Look, Seen, look_at, raw
from ..base.maps.overlay import cells_of_tokens, heat_view, packed
from ..base.maps.saved_maps import name_of
from ..base.maps.scores import scores_of
from ..base.maps.source_picture import Partners, partners_view
from ..base.truth import true_things
from .changes import ChangeView, change_of, change_view, changed
from .files import numbers_file, page_file
from .requests import Agree, Changed, Overview
from .views import (
    MapFiles,
    MapReply,
    MethodAgreement,
    OpenReply,
    OverviewReply,
    RawMaps,
    SinksReply,
    answer_text,
    look_view,
    overview_of,
)

MAX_SENT_BYTES = 600_000
"""Of raw maps that go to the page at once; words further on are asked for when they are to be seen."""


def looked(tool: Instrument, request: Chosen) -> tuple[Look, Seen]:
    """The answer a request is about, and its trace. Raises InputError where the request does not fit it."""
    look = look_at(tool.bench, request.run, request.typed)
    return look, request.fitting(tool.seen(request, look, request.choice.rows))


def kept_heat(tool: Instrument, request: Chosen, look: Look, seen: Seen, slug: str) -> Heat:
    """A method's map of the words asked about. It is stored with its turn when it is made."""
    words, choice = request.words, request.choice

    def keep(found: Heat) -> None:
        what = what_of(look, slug, words, choice)
        keep_heat(tool, look, found, what, name_of(what, "method"), "".join(seen.trace.tokens[k].text for k in words))

    return heat_of(tool, request, look, slug, words, choice, keep)


def open_(tool: Instrument, request: Chosen) -> OpenReply:
    look, seen = looked(tool, request)
    return OpenReply(look_view(tool.bench, look, seen, tool.urls))


def maps(tool: Instrument, request: Chosen) -> RawMaps:
    """Raw attention of single words: of all, or as many about the one asked for as may be sent."""
    _, seen = looked(tool, request)
    grid = seen.grid
    many = max(1, MAX_SENT_BYTES // (4 * len(grid.cells())))
    first = request.words[0] // many * many
    words = range(first, min(len(seen.trace.tokens), first + many))
    found = [raw(seen, (word,), request.choice) for word in words]
    scores = np.stack([grid.per_cell(one) for one, _, _ in found])
    masses = tuple(round(mass, 6) for _, mass, _ in found)
    return RawMaps(first, len(found), scores.shape[1], packed(scores), masses, found[0][2])


def overview(tool: Instrument, request: Overview) -> OverviewReply:
    """Image attention by layer and head, and how much of it falls on the things asked for by number."""
    look, seen = looked(tool, request)
    things = true_things(look.prompt, seen.grid, answer_text(seen.trace)) if request.things else []
    return overview_of(seen, request.words, [thing for i, thing in enumerate(things) if i in request.things])


def heat(tool: Instrument, request: OfMethod) -> MapReply:
    return MapReply(heat_view(kept_heat(tool, request, *looked(tool, request), request.method)))


def agree(tool: Instrument, request: Agree) -> MethodAgreement:
    """Spearman's correlation of the patches' ranks for every two of the methods asked for."""
    look, seen = looked(tool, request)
    heats = [kept_heat(tool, request, look, seen, slug) for slug in request.methods]
    placed = [heat.scores if heat.grid.mixing is not None else heat.scores[heat.grid.cell >= 0] for heat in heats]
    return MethodAgreement(tuple(tuple(round(spearman(a, b), 3) for b in placed) for a in placed))


def sinks(tool: Instrument, request: Chosen) -> SinksReply:
    """Visual tokens that draw attention for what they are, and the share of image attention they take."""
    look, seen = looked(tool, request)
    found = tool.work(request, look, sinks_of)
    tokens = [int(token) for token in found.tokens]
    share = float(seen.attention[..., tokens].sum() / max(float(seen.mass.sum()), 1e-12))
    cells = tuple(cells_of_tokens(seen.grid, tokens))
    return SinksReply(tuple(tokens), cells, int(found.tower.sum()), int(found.decoder.sum()), share)


def partners(tool: Instrument, request: Chosen) -> Partners:
    """Other pictures that states can be patched from."""
    return partners_view(tool.bench, request.run, look_at(tool.bench, request.run, request.typed).prompt)


def change(tool: Instrument, request: Changed) -> ChangeView:
    """The answer with patches hidden, knocked out in the layer and head chosen, or patched from another picture."""
    look, seen = looked(tool, request)
    what = change_of(tool.bench, request, look, seen)
    return change_view(what, tool.work(request, look, partial(changed, change=what)), tool.urls)


def measure(tool: Instrument, request: Chosen) -> LensReply:
    return tool.measured(request, look_at(tool.bench, request.run, request.typed))


def export(tool: Instrument, request: OfMethod) -> MapFiles:
    """A map as files, and the name to save them under."""
    look, seen = looked(tool, request)
    heat = kept_heat(tool, request, look, seen, request.method)
    what = what_of(look, request.method, request.words, request.choice)
    score = scores_of(look.checkpoint).sentence(request.method, look.checkpoint.name)
    name = name_of(what, "method")
    numbers = numbers_file(tool.bench, look, seen, heat, what)
    return MapFiles(name, numbers, page_file(look, seen, heat, request, score, f"{name}.png"))


def sinks_of(subject: Subject, run: Run) -> Sinks:
    """Attention sinks among the visual tokens. On the model thread."""
    return find_sinks(subject)


ANSWERS = {
    "open": asked(Chosen, open_),
    "maps": asked(Chosen, maps),
    "overview": asked(Overview, overview),
    "heat": asked(OfMethod, heat),
    "agree": asked(Agree, agree),
    "sinks": asked(Chosen, sinks),
    "partners": asked(Chosen, partners),
    "change": asked(Changed, change),
    "measure": asked(Chosen, measure),
    "export": asked(OfMethod, export),
}
"""By the names the page asks for them."""
