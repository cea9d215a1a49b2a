"""What the attention tab shows of an answer: its tokens, pictures, layers and heads, methods with what is known of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.families.base import Capability
from model.heat import heat_methods
from model.internals.trace import Trace

from ..base.bench import Bench
from ..base.components import PictureUrls
from ..base.maps.lens_health import GATED, lens_health
from ..base.maps.looks import Look, Seen
from ..base.maps.overlay import geometry, packed, pictures_view
from ..base.maps.scores import MEANING, scores_of
from ..base.truth import TrueThing, true_things

COSTS = {"trace": "from the trace", "backward": "one backward pass", "passes": "many passes"}


def look_view(bench: Bench, look: Look, seen: Seen, urls: PictureUrls) -> dict[str, Any]:
    """Everything but the maps themselves, as `attention.js` takes it."""
    trace, scores, capabilities = seen.trace, scores_of(look.checkpoint), bench.core.capabilities(look.checkpoint)
    lens = lens_health(bench, look.checkpoint, seen.weights)
    things = true_things(look.prompt, seen.grid, answer_text(trace))
    methods = [method_view(slug, look, scores, capabilities) for slug in heat_methods]
    able = {method["slug"] for method in methods if method["can"] and (lens["usable"] or not method["gated"])}
    return {
        "run": look.run_id,
        "typed": look.typed,
        "checkpoint": look.checkpoint.name,
        "question": look.prompt.question,
        "tokens": token_views(seen),
        "dependence": seen.why_not,
        "layers": seen.layers,
        "heads": seen.heads,
        "pictures": pictures_view(seen.grid, look.prompt.images, urls),
        "geometry": geometry(seen.grid),
        "things": [thing_view(thing) for thing in things],
        "methods": sorted(methods, key=lambda method: (list(COSTS).index(method["cost"]), method["title"])),
        "costs": COSTS,
        "scored": MEANING,
        "lens": lens,
        "method": scores.default if scores.default in able else "attention",
    }


def token_views(seen: Seen) -> list[dict[str, Any]]:
    """Answer tokens: t text, p log-probability, e entropy in nats, m image attention, d visual dependence in nats."""
    mass = seen.mass.mean((0, 1))
    depends = [None] * len(mass) if seen.dependence is None else [round(float(v), 3) for v in seen.dependence]
    return [
        {
            "t": token.text,
            "p": round(max(token.logprob, -999.0), 4),
            "e": round(float(seen.trace.entropy[k]), 3),
            "m": round(float(mass[k]), 4),
            "d": depends[k],
            "alts": [[a.text, round(max(a.logprob, -999.0), 3)] for a in token.alternatives],
        }
        for k, token in enumerate(seen.trace.tokens)
    ]


def method_view(slug: str, look: Look, scores: Any, capabilities: frozenset[Capability]) -> dict[str, Any]:
    """One way of drawing: what it measures, where it is from, what it takes, how it was found to do."""
    method = heat_methods[slug]
    lacking = ", ".join(sorted(method.needs - capabilities)).replace("_", " ")
    return {
        "slug": slug,
        "title": method.title,
        "measures": method.measures,
        "paper": method.paper,
        "cost": method.cost,
        "layered": method.layered,
        "gated": slug in GATED,
        "can": not lacking,
        "why": f"This checkpoint does not give {lacking}." if lacking else "",
        "score": scores.sentence(slug, look.checkpoint.name),
        "best": slug == scores.default and slug in scores.by_method,
    }


def thing_view(thing: TrueThing) -> dict[str, Any]:
    return {"name": thing.name, "picture": thing.picture, "box": list(thing.box), "asked": thing.asked}


def answer_text(trace: Trace) -> str:
    return "".join(token.text for token in trace.tokens)


def overview(seen: Seen, words: tuple[int, ...], things: list[TrueThing]) -> dict[str, Any]:
    """Image attention of words in every layer and head, and how much of it falls on things. float32 [L, H] each, packed."""
    mass = seen.mass[:, :, list(words)].mean(2)
    inside = None
    if things:
        cover = np.clip(np.sum([thing.cover for thing in things], 0), 0, 1)
        inside = packed(seen.attention[:, :, list(words)].mean(2) @ cover)
    return {"mass": packed(mass), "inside": inside}
