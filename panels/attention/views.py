"""What the attention tab shows of an answer: its tokens, pictures, layers and heads, methods with what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.families.base import Capability
from model.heat import heat_methods
from model.heat.base import measured_by
from model.internals.trace import Trace

from ..base.bench import Bench
from ..base.components import PictureUrls
from ..base.maps.lens_health import GATED, LensView, lens_health
from ..base.maps.looks import Look, Seen
from ..base.maps.overlay import HeatView, PictureView, geometry, packed, pictures_view
from ..base.maps.scores import MEANING, ScoreTable, scores_of
from ..base.truth import TrueThing, true_things

COSTS = {"trace": "from the trace", "backward": "one backward pass", "passes": "many passes"}


@dataclass(frozen=True)
class TokenFacts:
    """A token of the answer: `t` text, `p` log-probability, `e` entropy in nats, `m` image attention, `d` visual dependence
    in nats, None where it cannot be measured. `alts` are text and log-probability."""

    t: str
    p: float
    e: float
    m: float
    d: float | None
    alts: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class MethodView:
    """One way of drawing: what it measures, where it is from, what it takes, how it was found to do.

    `why` says why it cannot be used here; `gated` ones read a lens that must be known to be good.
    """

    slug: str
    title: str
    measures: str
    paper: str
    cost: str
    layered: bool
    gated: bool
    can: bool
    why: str
    score: str
    best: bool


@dataclass(frozen=True)
class ThingView:
    """A thing of a drawn scene. `box` is x0 y0 x1 y1 in pixels; `asked` that the question or the answer names it."""

    name: str
    picture: int
    box: tuple[float, float, float, float]
    asked: bool


@dataclass(frozen=True)
class LookView:
    """Everything but the maps themselves. `dependence` says why visual dependence cannot be measured, if so."""

    run: str
    typed: str
    checkpoint: str
    question: str
    tokens: Sequence[TokenFacts]
    dependence: str
    layers: int
    heads: int
    pictures: Sequence[PictureView]
    geometry: str
    things: Sequence[ThingView]
    methods: Sequence[MethodView]
    costs: Mapping[str, str]
    scored: str
    lens: LensView
    method: str


@dataclass(frozen=True)
class OpenReply:
    """The reply to `open`."""

    view: LookView


@dataclass(frozen=True)
class RawMaps:
    """Raw attention of `count` words from `first`: `scores` float32 [words, cells], packed; `mass` is each one's share on the
    pictures."""

    first: int
    count: int
    cells: int
    scores: str
    mass: tuple[float, ...]
    note: str


@dataclass(frozen=True)
class OverviewReply:
    """Image attention in every layer and head, and how much of it falls on things: float32 [L, H] each, packed."""

    mass: str
    inside: str | None


@dataclass(frozen=True)
class MapReply:
    """The reply to `heat`."""

    map: HeatView


@dataclass(frozen=True)
class MethodAgreement:
    """How far methods agree, [methods][methods]."""

    matrix: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class SinksReply:
    """Attention sinks: visual tokens and their cells, how many the tower and the decoder have, their share of attention."""

    tokens: tuple[int, ...]
    cells: tuple[int, ...]
    tower: int
    decoder: int
    share: float


@dataclass(frozen=True)
class MapFiles:
    """A map's name for files, its numbers as an NPZ in base64, and a page of Markdown."""

    name: str
    npz: str
    page: str


def look_view(bench: Bench, look: Look, seen: Seen, urls: PictureUrls) -> LookView:
    """An answer as the tab opens it."""
    trace, scores, capabilities = seen.trace, scores_of(look.checkpoint), bench.core.capabilities(look.checkpoint)
    lens = lens_health(bench, look.checkpoint, seen.weights)
    methods = [method_view(slug, look, scores, capabilities) for slug in heat_methods]
    able = {method.slug for method in methods if method.can and (lens.usable or not method.gated)}
    return LookView(
        run=look.run_id,
        typed=look.typed,
        checkpoint=look.checkpoint.name,
        question=look.prompt.question,
        tokens=token_facts(seen),
        dependence=seen.why_not,
        layers=seen.layers,
        heads=seen.heads,
        pictures=pictures_view(seen.grid, look.prompt.images, urls),
        geometry=geometry(seen.grid),
        things=[thing_view(thing) for thing in true_things(look.prompt, seen.grid, answer_text(trace))],
        methods=sorted(methods, key=lambda method: (list(COSTS).index(method.cost), method.title)),
        costs=COSTS,
        scored=MEANING,
        lens=lens,
        method=scores.default if scores.default in able else "attention",
    )


def token_facts(seen: Seen) -> list[TokenFacts]:
    """The answer's tokens with what was measured of each."""
    mass = seen.mass.mean((0, 1))
    depends = [None] * len(mass) if seen.dependence is None else [round(float(v), 3) for v in seen.dependence]
    return [
        TokenFacts(
            t=token.text,
            p=round(max(token.logprob, -999.0), 4),
            e=round(float(seen.trace.entropy[k]), 3),
            m=round(float(mass[k]), 4),
            d=depends[k],
            alts=tuple((a.text, round(max(a.logprob, -999.0), 3)) for a in token.alternatives),
        )
        for k, token in enumerate(seen.trace.tokens)
    ]


def method_view(slug: str, look: Look, scores: ScoreTable, capabilities: frozenset[Capability]) -> MethodView:
    method = heat_methods[slug]
    lacking = ", ".join(sorted(method.needs - capabilities)).replace("_", " ")
    return MethodView(
        slug=slug,
        title=method.title,
        measures=measured_by(method),
        paper=method.paper,
        cost=method.cost,
        layered=method.layered,
        gated=slug in GATED,
        can=not lacking,
        why=f"This checkpoint does not give {lacking}." if lacking else "",
        score=scores.sentence(slug, look.checkpoint.name),
        best=slug == scores.default and slug in scores.by_method,
    )


def thing_view(thing: TrueThing) -> ThingView:
    x0, y0, x1, y1 = map(float, thing.box)
    return ThingView(thing.name, thing.picture, (x0, y0, x1, y1), thing.asked)


def answer_text(trace: Trace) -> str:
    return "".join(token.text for token in trace.tokens)


def overview_of(seen: Seen, words: tuple[int, ...], things: Sequence[TrueThing]) -> OverviewReply:
    """Image attention of words in every layer and head, and how much of it falls on things."""
    mass = seen.mass[:, :, list(words)].mean(2)
    inside = None
    if things:
        cover = np.clip(np.sum([thing.cover for thing in things], 0), 0, 1)
        inside = packed(seen.attention[:, :, list(words)].mean(2) @ cover)
    return OverviewReply(packed(mass), inside)
