"""What patches are like: features at every stage, their likeness, their colours, how the tower mixes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from .errors import Unsupported
from .lens import depths
from .roles import Role, place, prefixes
from .subject import Subject
from .tap import Rows, Tap, tapped
from .trace import Want

Stage = Literal["tower", "connector", "decoder"]
OUTLIER_DEVIATIONS = 4.0


@dataclass(frozen=True)
class Features:
    """Features of the visual tokens at one stage: `values` float32 [T, D]."""

    stage: Stage
    layer: int
    values: np.ndarray = field(repr=False)


@torch.no_grad()
def features_at(subject: Subject, stage: Stage, layer: int = -1) -> Features:
    """Features of the visual tokens: a tower layer's output, the connector's, or the decoder's at a depth (0: what enters it).

    A token that stands for several tower patches has their mean.
    """
    if stage == "connector":
        return Features(stage, 0, subject.features.float().cpu().numpy())
    if stage == "decoder":
        at = depths(subject)
        depth = at[layer]
        return Features(stage, depth, subject.trace(Want(hidden=(depth,))).hidden[depth])
    layers = tower_layers(subject)
    states: list[torch.Tensor] = []
    module = subject.vlm.parts.model.get_submodule(layers[layer])
    hook = module.register_forward_hook(lambda m, args, out: states.append(out[0] if isinstance(out, tuple) else out))
    try:
        _run_tower(subject)
    finally:
        hook.remove()
    values = np.zeros((subject.count, states[0].shape[-1]), np.float32)
    for picture, places in enumerate(subject.vlm.family.tower_places(subject.vlm.parts, subject.inputs)):
        held = states[0][picture] if states[0].ndim == 3 else states[0]
        values[places.tokens] = held.float().cpu().numpy()[places.positions + places.offset].mean(1)
    return Features(stage, layer % len(layers), values)


def tower_layers(subject: Subject) -> list[str]:
    """Dotted names of the tower's layers, from the first."""
    vision = prefixes(subject.vlm.family, subject.vlm.parts).vision
    lists = [
        (name, module)
        for name, module in subject.vlm.parts.model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and name.startswith(vision + ".") and len(module) > 1
    ]
    if not lists:
        raise Unsupported(f"{subject.vlm.checkpoint.name} has no vision tower with layers to look into.")
    name, module = max(lists, key=lambda found: (len(found[1]), -found[0].count(".")))
    return [f"{name}.{i}" for i in range(len(module))]


def _run_tower(subject: Subject) -> None:
    subject.vlm.family.forget_prompt(subject.vlm.parts)
    subject.vlm.parts.model(**subject.inputs.tensors, use_cache=False, logits_to_keep=1)


def similarity(features: Features, token: int, *, centred: bool = True) -> np.ndarray:
    """Cosine of every visual token with one. float32 [T] in [-1, 1].

    `centred` takes the mean off first: what all patches share says nothing about likeness.
    """
    values = features.values - features.values.mean(0) if centred else features.values
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return unit @ unit[token]


def colours(features: list[Features]) -> list[np.ndarray]:
    """First three principal components of several pictures' features together, as colours. float32 [T, 3] each, in [0, 1].

    One fit for all, so that a colour means the same in each (DINOv2, 2304.07193). Tokens with outlying norms
    take no part in the fit. The sign of a component is that of its largest coordinate.
    """
    values = np.concatenate([one.values for one in features]).astype(np.float64)
    norms = np.linalg.norm(values - values.mean(0), axis=1)
    usual = norms <= norms.mean() + OUTLIER_DEVIATIONS * norms.std()
    mean = values[usual].mean(0)
    _, _, axes = np.linalg.svd(values[usual] - mean, full_matrices=False)
    axes = axes[:3] * np.sign(axes[:3][np.arange(len(axes[:3])), np.abs(axes[:3]).argmax(1)])[:, None]
    found = (values - mean) @ axes.T
    low, high = np.percentile(found[usual], [1, 99], axis=0)
    scaled = np.clip((found - low) / np.maximum(high - low, 1e-12), 0, 1).astype(np.float32)
    ends = np.cumsum([len(one.values) for one in features])[:-1]
    return np.split(scaled, ends)


@torch.no_grad()
def tower_attention(subject: Subject, token: int, layer: int, head: int | None = None) -> np.ndarray:
    """The vision tower's attention from one visual token's patches to all of its picture. float32 [T], sums to at most 1."""
    family, parts = subject.vlm.family, subject.vlm.parts
    where = prefixes(family, parts)
    everything = family.tower_places(parts, subject.inputs)
    picture = next(i for i, places in enumerate(everything) if token in places.tokens)
    places = everything[picture]
    mine = places.positions[list(places.tokens).index(token)]

    def wants(name: str) -> Rows | None:
        spot = place(name, where)
        return Rows(torch.from_numpy(mine)) if spot.role is Role.VISION and spot.layer == layer else None

    tap = Tap(wants)
    with tapped(parts.model, tap):
        _run_tower(subject)
    calls = next(iter(tap.rows.values()))
    weights = calls[0].weights[picture] if len(calls[0].weights) > 1 else calls[min(picture, len(calls) - 1)].weights[0]
    chosen = weights.mean(0) if head is None else weights[head]  # [patches of the token, keys]
    found = np.zeros(subject.count, np.float32)
    found[places.tokens] = chosen.mean(0).numpy()[places.positions].sum(1)
    return found


@torch.no_grad()
def word_likeness(subject: Subject, ids: list[int]) -> np.ndarray:
    """Cosine of the connector's outputs with the decoder's embedding of a word, mean taken off both. float32 [T].

    Both live in the space the decoder reads; high where a visual token stands near the word.
    """
    table = subject.vlm.parts.model.get_input_embeddings().weight.float()
    word = (table[ids].mean(0) - table.mean(0)).cpu().numpy()
    values = features_at(subject, "connector").values
    values = values - values.mean(0)
    norms = np.linalg.norm(values, axis=1) * np.linalg.norm(word)
    return (values @ word / np.maximum(norms, 1e-12)).astype(np.float32)


def connector_mixing(subject: Subject) -> np.ndarray | None:
    """How a resampler's queries attend to patches: float32 [T, patches], heads of its last cross-attention averaged.

    None for a connector that does not mix places.
    """
    others = subject.trace().others.items()
    found = [(layer, arrays) for (role, layer), arrays in others if role is Role.CONNECTOR_CROSS]
    return max(found)[1][0][0].mean(0) if found else None
