"""What patches are like: features at every stage, their likeness to each other and to words, their colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from ..errors import InputError
from ..families.base.chat_template import words
from ..late import without_gradients
from .lens import depths, visual_states
from .subject import Subject
from .tower import layer_output, tower_layers

Stage = Literal["tower", "connector", "decoder"]
STAGES: tuple[Stage, ...] = get_args(Stage)
OUTLIER_DEVIATIONS = 4.0


@dataclass(frozen=True)
class Features:
    """Features of the visual tokens at one stage: `values` float32 [T, D].

    `layer` counts from 0: a layer of the tower, or a depth of the decoder, 0 being what enters it.
    """

    stage: Stage
    layer: int
    values: np.ndarray = field(repr=False)


def layers_of(subject: Subject, stage: Stage) -> int:
    """How many layers a stage has: tower layers, one connector, depths of the decoder. Raises Unsupported."""
    if stage == "tower":
        return len(tower_layers(subject))
    return 1 if stage == "connector" else len(depths(subject))


@without_gradients
def features_at(subject: Subject, stage: Stage, layer: int = -1) -> Features:
    """Features of the visual tokens: a tower layer's output, the connector's, or the decoder's at a depth (0: what enters it).

    A token that stands for several tower patches has their mean. Raises InputError for a layer there is not, Unsupported.
    """
    count = layers_of(subject, stage)
    if not -count <= layer < count:
        raise InputError(f"There is no layer {layer} in the {stage}, which has {count}. Choose 0 to {count - 1}.")
    layer %= count
    if stage == "tower":
        return Features(stage, layer, layer_output(subject, layer))
    if stage == "connector":
        return Features(stage, 0, subject.features[:, : subject.width].float().cpu().numpy())
    return Features(stage, layer, visual_states(subject, (layer,))[layer])


def similarity(features: Features, tokens: int | Sequence[int], *, centred: bool = True) -> np.ndarray:
    """Cosine of every visual token with one, or the mean cosine with several. float32 [T] in [-1, 1].

    `centred` takes the mean off first: what all patches share says nothing about likeness.
    """
    unit = _unit(features, centred)
    chosen = [tokens] if isinstance(tokens, int) else list(tokens)
    return unit @ unit[chosen].mean(0)


def similarities(features: Features, *, centred: bool = True) -> np.ndarray:
    """Cosine of every visual token with every other, as `similarity` has it. float32 [T, T]."""
    unit = _unit(features, centred)
    return unit @ unit.T


def _unit(features: Features, centred: bool) -> np.ndarray:
    values = features.values - features.values.mean(0) if centred else features.values
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def colours(features: Sequence[Features]) -> list[np.ndarray]:
    """First three principal components of several pictures' features together, as colours. float32 [T, 3] each, in [0, 1].

    One fit for all, so that a colour means the same in each (DINOv2, 2304.07193). Tokens with outlying norms
    take no part in the fit. Each component goes from its 1st to its 99th percentile; its sign is that of its
    largest coordinate.
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
    full = np.pad(scaled, ((0, 0), (0, 3 - scaled.shape[1])))
    return np.split(full, np.cumsum([len(one.values) for one in features])[:-1])


@without_gradients
def word_likeness(subject: Subject, ids: Sequence[int]) -> np.ndarray:
    """Cosine of the connector's outputs with the decoder's embedding of a word, mean taken off both. float32 [T].

    Both live in the space the decoder reads; high where a visual token stands near the word.
    """
    table = subject.vlm.parts.model.get_input_embeddings().get_parameter("weight").float()
    word = (table[list(ids)].mean(0) - table.mean(0)).cpu().numpy()
    values = features_at(subject, "connector").values
    values = values - values.mean(0)
    norms = np.linalg.norm(values, axis=1) * np.linalg.norm(word)
    return (values @ word / np.maximum(norms, 1e-12)).astype(np.float32)


def word_ids(subject: Subject, text: str) -> list[int]:
    """The token ids of a word as it stands inside a sentence. Raises InputError where it has none."""
    tokenizer = subject.vlm.parts.tokenizer
    before, word = "a", words(subject.vlm.parts, text.strip())
    whole, known = (tokenizer(piece, add_special_tokens=False).input_ids for piece in (f"{before} {word}", before))
    if not word or len(whole) <= len(known):
        raise InputError("Give a word to compare the patches with.")
    return list(whole[len(known) :])
