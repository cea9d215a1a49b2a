"""Arithmetic that several heat methods share: a `Heat` from scores, layers and heads reduced, drops under hiding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...internals.subject import Subject, grid_of
from ...late import torch, without_gradients
from ...progress import Run, batches
from . import Choice, Heat


def heat(
    subject: Subject,
    scores: np.ndarray | torch.Tensor,
    unit: str,
    choice: Choice,
    *,
    signed: bool = False,
    note: str = "",
    mass: float | None = None,
) -> Heat:
    """A Heat of scores [T], tokens that were set aside at zero."""
    values = np.asarray(scores, np.float32).copy()
    values[list(choice.without)] = 0
    return Heat(values, grid_of(subject), unit, signed, note, mass)


def reduced(values: np.ndarray, choice: Choice) -> tuple[np.ndarray, str]:
    """[L, H, ...] over a choice of layers and heads, and what was done in words."""
    layers = values if choice.layer is None else values[choice.layer : choice.layer + 1]
    heads = layers if choice.head is None else layers[:, choice.head : choice.head + 1]
    found = heads.max((0, 1)) if choice.reduce == "max" else heads.mean((0, 1))
    where = "all layers" if choice.layer is None else f"layer {choice.layer + 1}"
    which = "all heads" if choice.head is None else f"head {choice.head + 1}"
    if heads.shape[0] * heads.shape[1] == 1:
        return found, f"{where}, {which}"
    return found, f"{'largest' if choice.reduce == 'max' else 'mean'} over {where}, {which}"


@without_gradients
def drops(subject: Subject, words: Sequence[int], hidden: torch.Tensor, run: Run) -> torch.Tensor:
    """How much less likely, in nats, the words are with tokens hidden: bool [N, T] -> float32 [N]."""
    whole = subject.said(words)
    found = [whole - subject.said(words, subject.hidden(~hidden[part])) for part in batches(len(hidden), subject.batch_rows, run)]
    return torch.cat(found)
