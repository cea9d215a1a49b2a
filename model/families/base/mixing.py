"""What the queries of a resampler draw on: its attention to the patches of each picture, heard while it looks at them.

A query has no place of its own. Where it is drawn on a picture, it is by these weights: the mean over heads and over the
resampler's cross-attention layers, renormalised over patches. What the tower mixed before, and what the resampler's other
layers do with what was read, is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...late import torch
from ...memory import size_bytes
from ...tap import Rows, Tap, tapped
from . import Parts


def drawn(parts: Parts, picture: str, tensors: Mapping[str, torch.Tensor], modules: Sequence[str]) -> torch.Tensor:
    """Attention of these modules while a picture is encoded: float32 [samples, queries, keys], kept by the picture's id."""
    key = f"{picture} mixing"
    held = parts.pictures.get(key)
    if held is None:
        tap = Tap(wants=lambda name: Rows(cross=True) if name in modules else None)
        with torch.no_grad(), tapped(parts.model, tap):
            parts.model.base_model.get_image_features(**tensors)
        assert set(tap.rows) == set(modules), f"of {list(modules)}, only {list(tap.rows)} attended"
        held = {"weights": torch.stack([found.weights.mean(1) for calls in tap.rows.values() for found in calls]).mean(0)}
        parts.pictures.put(key, held, size_bytes(held))
    return held["weights"]


def mixed(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Weights of each sample's queries over its own cells, [queries, cells] each, as one float32 [T, cells]; rows sum to 1."""
    found = np.zeros((sum(len(one) for one in samples), sum(one.shape[1] for one in samples)), np.float32)
    token = cell = 0
    for one in samples:
        found[token : token + len(one), cell : cell + one.shape[1]] = one / one.sum(1, keepdims=True)
        token, cell = token + len(one), cell + one.shape[1]
    return found
