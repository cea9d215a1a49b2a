"""What becomes of an answer when patches are hidden, cut off from the text, or patched from another picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from model import Prompt
from model.errors import PromptError
from model.internals.interventions import Effect, Intervention, Rewritten, effect_of, rewrite
from model.internals.subject import Subject
from model.progress import Run

from ..base.bench import Bench
from ..base.components import PictureUrls
from ..base.maps.looks import Look, Seen
from ..base.maps.overlay import tokens_of_cells
from ..base.maps.source_picture import brought, other_picture, partner_view, swapped
from .requests import Asked

DONE = {"mean": "hidden", "cut": "knocked out", "patch": "patched from the other picture"}


@dataclass(frozen=True)
class Changed:
    """`effect` on the answer as it stood, the answer `anew`, and for patching the shares `brought` back, by depth."""

    effect: Effect
    anew: Rewritten
    brought: dict[str, Any] | None


def changed(subject: Subject, run: Run, change: Intervention) -> Changed:
    """A change worked out. On the model thread."""
    effect = effect_of(subject, change)
    anew = rewrite(subject, change, Run(run.stop))
    back = brought(subject, run, change.source, change.tokens) if change.source is not None else None
    return Changed(effect, anew, back)


def change_of(bench: Bench, ask: Asked, look: Look, seen: Seen) -> Intervention:
    """The change a page asks for. Raises PromptError where no patch is selected, InputError for a picture that there is not."""
    tokens = tuple(int(token) for token in np.flatnonzero(tokens_of_cells(seen.grid, ask.cells)))
    if not tokens:
        raise PromptError("No patch with a token of its own is selected. Drag over a part of the picture first.")
    layers = None if ask.choice.layer is None else (ask.choice.layer,)
    heads = None if ask.choice.head is None else (ask.choice.head,)
    source: Prompt | None = None
    if ask.how == "patch":
        source = swapped(look.prompt, other_picture(bench, look.prompt, ask.partner))
    return Intervention(tokens, ask.how, layers, heads, source, ask.depth)


def change_view(change: Intervention, found: Changed, urls: PictureUrls) -> dict[str, Any]:
    """What a change did, as `attention/change.js` takes it."""
    before, after = (np.maximum(logprobs, -999.0) for logprobs in (found.effect.before, found.effect.after))
    many = "1 picture token" if len(change.tokens) == 1 else f"{len(change.tokens)} picture tokens"
    view: dict[str, Any] = {
        "what": f"{many} {DONE[change.kind]}" + (_depth(change.depth) if change.kind == "patch" else ""),
        "before": before.tolist(),
        "after": after.tolist(),
        "lost": float(before.sum() - after.sum()),
        "anew": found.anew.text,
        "ended": found.anew.ended,
    }
    if change.source is not None:
        view |= {"brought": found.brought, "picture": partner_view(change.source, urls)}
    return view


def _depth(depth: int) -> str:
    return ", before the first layer" if depth == 0 else f", behind layer {depth}"
