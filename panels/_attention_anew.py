"""What becomes of an answer when the text cannot see a part of the picture: its likelihood, and the answer given instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from model.errors import PromptError
from model.generation import end_tokens
from model.knockout import Effect, hide, knock_out, text_cut
from model.progress import Run
from model.subject import Subject
from model.tap import Tap, tapped

MOST_TOKENS = 64


@dataclass(frozen=True)
class Change:
    """`effect` on the answer as it stood, and the answer `anew`, each token the most likely one. `ended`: it came to its end."""

    effect: Effect = field(repr=False)
    anew: str
    ended: bool


def changed(
    subject: Subject, tokens: np.ndarray, knocked: bool, layers: Sequence[int] | None, heads: Sequence[int] | None, run: Run
) -> Change:
    """Hide visual tokens, bool [T], behind the mean one, or take the text's attention to them away in these layers and heads."""
    if not tokens.any():
        raise PromptError("No patch with a token of its own is selected. Drag over a part of the picture first.")
    effect = knock_out(subject, tokens, layers, heads) if knocked else hide(subject, tokens)
    ids, ended = _written(subject, tokens, knocked, layers, heads, run)
    return Change(effect, subject.vlm.parts.tokenizer.decode(ids, skip_special_tokens=True), ended)


@torch.no_grad()
def _written(
    subject: Subject, tokens: np.ndarray, knocked: bool, layers: Sequence[int] | None, heads: Sequence[int] | None, run: Run
) -> tuple[list[int], bool]:
    """The most likely tokens, one after the other, and whether an end was reached."""
    model, ends = subject.vlm.parts.model, end_tokens(subject.vlm.parts.model)
    keep = torch.from_numpy(~tokens)[None]
    features = subject.features[None] if knocked else subject.hidden(keep)
    limit = min(MOST_TOKENS, max(16, 2 * len(subject.answer_ids)))
    ids: list[int] = []
    for step in range(limit):
        run.step(step, limit)
        longer = Subject(subject.vlm, subject.prompt, (*ids, subject.answer_ids[0]))  # the last one only makes room
        longer.outputs = subject.outputs
        cuts = [text_cut(longer, tokens, layers, heads)] if knocked else []
        subject.vlm.family.forget_prompt(subject.vlm.parts)
        with tapped(model, Tap(cuts=cuts)):
            chosen = int(model(**longer.arguments(features)).logits[0, -1].argmax())
        if chosen in ends:
            return ids, True
        ids.append(chosen)
    return ids, False
