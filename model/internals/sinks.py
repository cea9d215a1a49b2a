"""Attention sinks: visual tokens that draw attention for what they are, not for what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import Unsupported
from ..late import torch, without_gradients
from .features import features_at
from .lens import depths, visual_states
from .roles import decoder_layers, prefixes
from .subject import Subject
from .tower import read_layer

SINK_TIMES = 20.0
"""A massive activation: so many times the root mean square of its state (2503.03321)."""
OUTLIER_DEVIATIONS = 8.0
OUTLIER_TIMES = 3.0
"""An outlying norm: so many robust deviations above the median, and so many times it. Plain backgrounds have no deviation."""


@dataclass(frozen=True)
class Sinks:
    """Visual tokens that draw attention for what they are, not for what they show.

    `tower` bool [T]: norms of what the tower gives far above the others (2309.16588). `decoder` bool [T]:
    a massive activation in one of `dimensions`, which were found on this model's first token (2503.03321).
    """

    tower: np.ndarray = field(repr=False)
    decoder: np.ndarray = field(repr=False)
    dimensions: tuple[int, ...]

    @property
    def tokens(self) -> np.ndarray:
        """Indices of both kinds, int64."""
        return np.flatnonzero(self.tower | self.decoder)


@without_gradients
def find_sinks(subject: Subject) -> Sinks:
    """Sinks among the visual tokens, by thresholds measured on this checkpoint's own states, never by its name."""
    middle = len(depths(subject)) // 2
    dimensions = massive(first_state(subject, middle)[None])
    states = visual_states(subject, (middle,))[middle]
    return Sinks(outlying(_seen(subject)), _is_massive(states, dimensions), tuple(int(d) for d in dimensions))


def outlying(values: np.ndarray) -> np.ndarray:
    """Rows of [T, D] whose norm stands far above the median. bool [T]."""
    norms = np.linalg.norm(values, axis=1)
    median = np.median(norms)
    deviation = 1.4826 * np.median(np.abs(norms - median))
    return norms > np.maximum(median + OUTLIER_DEVIATIONS * deviation, OUTLIER_TIMES * median)


def massive(states: np.ndarray) -> np.ndarray:
    """Dimensions in which a row of [N, D] stands far above its own root mean square. int64, ascending."""
    return np.flatnonzero(_times(states).max(0) > SINK_TIMES)


def _is_massive(states: np.ndarray, dimensions: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.asarray((_times(states)[:, dimensions] > SINK_TIMES).any(1))


def _times(states: np.ndarray) -> np.ndarray:
    return np.abs(states) / np.maximum(np.sqrt((states**2).mean(1, keepdims=True)), 1e-12)


def _seen(subject: Subject) -> np.ndarray:
    """What the connector reads of the tower, or where that is not known what it makes of it. float32 [T, D]."""
    try:
        return features_at(subject, "tower", read_layer(subject)).values
    except Unsupported:
        return features_at(subject, "connector").values


def first_state(subject: Subject, depth: int) -> np.ndarray:
    """The state of the prompt's first token at a depth from 1 on, where massive activations live. float32 [D]."""
    held: list[torch.Tensor] = []
    names = decoder_layers(subject.vlm.parts.model, prefixes(subject.vlm.family, subject.vlm.parts))

    def keep(module: torch.nn.Module, given: object, out: Any) -> None:
        held.append((out[0] if isinstance(out, tuple) else out)[0, 0])

    hook = subject.vlm.parts.model.get_submodule(names[depth - 1]).register_forward_hook(keep)
    try:
        subject.logprobs(subject.features[None])
    finally:
        hook.remove()
    return held[0].float().cpu().numpy()
