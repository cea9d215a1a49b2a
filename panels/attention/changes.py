"""What becomes of an answer when patches are hidden, cut off from the text, or patched from another picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from ..base.maps.source_picture import Brought, OtherPicture, brought, other_picture, partner_view, swapped
from .requests import Changed

DONE = {"mean": "hidden", "cut": "knocked out", "patch": "patched from the other picture"}


@dataclass(frozen=True)
class Effects:
    """`effect` on the answer as it stood, the answer `anew`, and for patching the shares `brought` back, by depth."""

    effect: Effect
    anew: Rewritten
    brought: Brought | None


def changed(subject: Subject, run: Run, change: Intervention) -> Effects:
    """A change worked out. On the model thread."""
    effect = effect_of(subject, change)
    anew = rewrite(subject, change, Run(run.stop))
    back = brought(subject, run, change.source, change.tokens) if change.source is not None else None
    return Effects(effect, anew, back)


def change_of(bench: Bench, request: Changed, look: Look, seen: Seen) -> Intervention:
    """The change a page asks for. Raises PromptError where no patch is selected, InputError for a picture that there is not."""
    tokens = tuple(int(token) for token in np.flatnonzero(tokens_of_cells(seen.grid, request.cells)))
    if not tokens:
        raise PromptError("No patch with a token of its own is selected. Drag over a part of the picture first.")
    layers = None if request.layer is None else (request.layer,)
    heads = None if request.head is None else (request.head,)
    source: Prompt | None = None
    if request.how == "patch":
        source = swapped(look.prompt, other_picture(bench, look.prompt, request.partner))
    return Intervention(tokens, request.how, layers, heads, source, request.depth)


@dataclass(frozen=True)
class ChangeView:
    """What a change did: log-probabilities of the answer's tokens `before` and `after`, nats `lost`, the answer `anew`.

    `ended`: that came to its end within the length. For patching also what was `brought` back, from which picture.
    """

    what: str
    before: Sequence[float]
    after: Sequence[float]
    lost: float
    anew: str
    ended: bool
    brought: Brought | None
    picture: OtherPicture | None


def change_view(change: Intervention, found: Effects, urls: PictureUrls) -> ChangeView:
    before, after = (np.maximum(logprobs, -999.0) for logprobs in (found.effect.before, found.effect.after))
    many = "1 picture token" if len(change.tokens) == 1 else f"{len(change.tokens)} picture tokens"
    return ChangeView(
        what=f"{many} {DONE[change.kind]}" + (_depth(change.depth) if change.kind == "patch" else ""),
        before=before.tolist(),
        after=after.tolist(),
        lost=float(before.sum() - after.sum()),
        anew=found.anew.text,
        ended=found.anew.ended,
        brought=found.brought,
        picture=partner_view(change.source, urls) if change.source is not None else None,
    )


def _depth(depth: int) -> str:
    return ", before the first layer" if depth == 0 else f", behind layer {depth}"
