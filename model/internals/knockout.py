"""Attention knockout: the text may not attend to some visual tokens, in some layers and heads (Geva et al. 2304.14767)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..late import torch
from ..tap import Cut
from .roles import Role, place, prefixes
from .subject import Subject


def text_cut(
    subject: Subject,
    tokens: torch.Tensor | np.ndarray,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    sample: int | None = None,
    more: int = 0,
) -> Cut:
    """Edges from all text to those visual tokens, bool [T], in these layers (None: all).

    `more` tokens generated behind the answer are cut off as well.
    """
    where = prefixes(subject.vlm.family, subject.vlm.parts)
    hidden = torch.from_numpy(subject.inputs.visual)[torch.as_tensor(tokens)]
    text = np.setdiff1d(np.arange(len(subject.inputs.ids) + more), subject.inputs.visual)

    def wanted(name: str) -> bool:
        spot = place(name, where)
        return spot.role is Role.DECODER and (layers is None or spot.layer in layers)

    return Cut(wanted, torch.from_numpy(text), hidden, None if heads is None else tuple(heads), sample)
