"""Attention sinks: visual tokens that draw attention for what they are, not for what they show."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from .lens import depths
from .patches import features_at
from .roles import decoder_layers, prefixes
from .subject import Subject

SINK_TIMES = 20.0
"""A massive activation: so many times the root mean square of its state (2503.03321)."""
OUTLIER_DEVIATIONS = 8.0


@dataclass(frozen=True)
class Sinks:
    """Visual tokens that draw attention for what they are, not for what they show.

    `tower` bool [T]: norms of the encoder's output far above the others (2309.16588). `decoder` bool [T]:
    a massive activation in one of `dimensions`, which were found on this model's first token (2503.03321).
    """

    tower: np.ndarray = field(repr=False)
    decoder: np.ndarray = field(repr=False)
    dimensions: tuple[int, ...]

    @property
    def tokens(self) -> np.ndarray:
        """Indices of both kinds, int64."""
        return np.flatnonzero(self.tower | self.decoder)


@torch.no_grad()
def find_sinks(subject: Subject) -> Sinks:
    """Sinks among the visual tokens, by thresholds measured on this checkpoint's own states, never by its name."""
    norms = np.linalg.norm(features_at(subject, "connector").values, axis=1)
    median = np.median(norms)
    deviation = 1.4826 * np.median(np.abs(norms - median))
    tower = norms > median + OUTLIER_DEVIATIONS * max(deviation, 1e-9)
    middle = len(depths(subject)) // 2
    states = features_at(subject, "decoder", middle).values
    first = _first_state(subject, middle)
    scale = np.sqrt((first**2).mean())
    dimensions = np.flatnonzero(np.abs(first) / max(scale, 1e-12) > SINK_TIMES)
    rms = np.sqrt((states**2).mean(1, keepdims=True))
    massive = np.abs(states[:, dimensions]) / np.maximum(rms, 1e-12) > SINK_TIMES
    return Sinks(tower, massive.any(1) if len(dimensions) else np.zeros(len(states), bool), tuple(int(d) for d in dimensions))


def _first_state(subject: Subject, depth: int) -> np.ndarray:
    """The state of the prompt's first token at a depth, where massive activations live. float32 [D]."""
    held: list[torch.Tensor] = []
    names = decoder_layers(subject.vlm.parts.model, prefixes(subject.vlm.family, subject.vlm.parts))
    module = subject.vlm.parts.model.get_submodule(names[max(0, depth - 1)])
    hook = module.register_forward_hook(lambda m, args, out: held.append((out[0] if isinstance(out, tuple) else out)[0, 0]))
    try:
        subject.vlm.family.forget_prompt(subject.vlm.parts)
        subject.vlm.parts.model(**subject.arguments(subject.features[None]))
    finally:
        hook.remove()
    return held[0].float().cpu().numpy()
