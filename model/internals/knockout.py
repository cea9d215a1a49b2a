"""Attention knockout: the text may not attend to some visual tokens, in some layers and heads (Geva et al. 2304.14767)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ..tap import Cut
from .roles import Role, place, prefixes
from .subject import Subject


@dataclass(frozen=True)
class Effect:
    """What an intervention does to an answer. `before` and `after` float32 [K], log-probabilities of its tokens."""

    before: np.ndarray = field(repr=False)
    after: np.ndarray = field(repr=False)

    @property
    def lost(self) -> float:
        """Nats the whole answer lost."""
        return float(self.before.sum() - self.after.sum())


def text_cut(
    subject: Subject,
    tokens: torch.Tensor | np.ndarray,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    sample: int | None = None,
    more: int = 0,
) -> Cut:
    """Edges from all text to those visual tokens, bool [T], in these layers (None: all).

    `more` tokens that are written behind the answer are cut off, too.
    """
    where = prefixes(subject.vlm.family, subject.vlm.parts)
    hidden = torch.from_numpy(subject.inputs.visual)[torch.as_tensor(tokens)]
    text = np.setdiff1d(np.arange(len(subject.inputs.ids) + more), subject.inputs.visual)

    def wanted(name: str) -> bool:
        spot = place(name, where)
        return spot.role is Role.DECODER and (layers is None or spot.layer in layers)

    return Cut(wanted, torch.from_numpy(text), hidden, None if heads is None else tuple(heads), sample)


@torch.no_grad()
def knock_out(
    subject: Subject, tokens: np.ndarray, layers: Sequence[int] | None = None, heads: Sequence[int] | None = None
) -> Effect:
    """The answer's log-probabilities when the text may not attend to visual tokens, bool [T]."""
    before = subject.logprobs()[0]
    after = subject.logprobs(cuts=[text_cut(subject, tokens, layers, heads)])[0]
    return Effect(before.numpy(), after.numpy())


@torch.no_grad()
def hide(subject: Subject, tokens: np.ndarray) -> Effect:
    """The answer's log-probabilities when visual tokens, bool [T], are replaced by the mean one."""
    keep = torch.from_numpy(~np.asarray(tokens, bool))[None]
    return Effect(subject.logprobs()[0].numpy(), subject.logprobs(subject.hidden(keep))[0].numpy())


@torch.no_grad()
def visual_dependence(subject: Subject) -> np.ndarray:
    """How much likelier, in nats, each token of the answer is with the picture than with the mean visual token everywhere.

    float32 [K]. Above 1 a word is called visual (2503.13891).
    """
    effect = hide(subject, np.ones(subject.count, bool))
    return effect.before - effect.after
