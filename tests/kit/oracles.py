"""Log-probabilities of an answer under two interventions, computed from the subject alone: oracles for the panels and methods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from model.internals.knockout import text_cut
from model.internals.subject import Subject


@torch.no_grad()
def hidden_logprobs(subject: Subject, tokens: np.ndarray) -> np.ndarray:
    """float32 [K], with visual tokens, bool [T], replaced by the mean one."""
    keep = torch.from_numpy(~np.asarray(tokens, bool))[None]
    return subject.logprobs(subject.hidden(keep))[0].numpy()


@torch.no_grad()
def cut_logprobs(
    subject: Subject, tokens: np.ndarray, layers: Sequence[int] | None = None, heads: Sequence[int] | None = None
) -> np.ndarray:
    """float32 [K], with no text attending to visual tokens, bool [T], in these layers and heads (None: all)."""
    return subject.logprobs(cuts=[text_cut(subject, tokens, layers, heads)])[0].numpy()
