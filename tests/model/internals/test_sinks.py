"""Attention sinks: planted ones are found by what they are, and a checkpoint without any has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from bed import Bed
from fakes import picture

from model.internals.lens import depths, visual_states
from model.internals.roles import decoder_layers, prefixes
from model.internals.sinks import find_sinks, first_state, massive, outlying
from model.internals.subject import Subject
from model.internals.tower import read_layer, tower_layers
from model.prompt import ask

ANSWER = (5, 9, 12)
SINK = 77


def subject(bed: Bed, name: str = "tiny-llava") -> Subject:
    return Subject(bed.vlm(name), ask("hello there", picture(3, (140, 100))), ANSWER)


@contextmanager
def planted(on: Subject, name: str, change) -> Iterator[None]:
    """While open, what leaves the module of this name is changed in place."""

    def hooked(module, args, out):
        change(out[0] if isinstance(out, tuple) else out)

    hook = on.vlm.parts.model.get_submodule(name).register_forward_hook(hooked)
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize("name", ["tiny-llava", "llava_clip", "qwen2_vl"])
def test_a_clean_checkpoint_has_none(name: str, bed: Bed) -> None:
    found = find_sinks(subject(bed, name))
    assert found.tokens.tolist() == []
    assert found.dimensions == ()


def test_a_norm_planted_in_the_tower_is_found(bed: Bed) -> None:
    on = subject(bed)

    def change(states: torch.Tensor) -> None:
        states[:, SINK] *= 30

    with planted(on, tower_layers(on)[read_layer(on)], change):
        found = find_sinks(on)
    assert np.flatnonzero(found.tower).tolist() == [SINK]
    assert not found.decoder.any()


def test_a_massive_activation_planted_in_the_decoder_is_found(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a dimension that the first token has, too. 20 times the root mean square needs more than 400 dimensions; 10 do here."""
    on = subject(bed)
    monkeypatch.setattr("model.internals.sinks.SINK_TIMES", 10.0)
    names = decoder_layers(on.vlm.parts.model, prefixes(on.vlm.family, on.vlm.parts))
    at = int(on.inputs.visual[SINK])

    def change(states: torch.Tensor) -> None:
        states[:, [0, at], 17] = 5000

    with planted(on, names[len(depths(on)) // 2 - 1], change):
        found = find_sinks(on)
    assert found.dimensions == (17,)
    assert np.flatnonzero(found.decoder).tolist() == [SINK]
    assert found.tokens.tolist() == [SINK]


def test_a_dimension_that_only_a_patch_has_is_no_sink(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    on = subject(bed)
    monkeypatch.setattr("model.internals.sinks.SINK_TIMES", 10.0)
    names = decoder_layers(on.vlm.parts.model, prefixes(on.vlm.family, on.vlm.parts))
    at = int(on.inputs.visual[SINK])

    def change(states: torch.Tensor) -> None:
        states[:, at, 17] = 5000

    with planted(on, names[len(depths(on)) // 2 - 1], change):
        assert find_sinks(on).tokens.tolist() == []


def test_thresholds_on_plain_numbers() -> None:
    values = np.random.default_rng(0).normal(size=(200, 32))
    assert not outlying(values).any()
    values[[4, 9]] *= 12
    assert np.flatnonzero(outlying(values)).tolist() == [4, 9]
    plain = np.ones((50, 8))
    plain[7] *= 1.5  # a thing before a plain background is no sink
    assert not outlying(plain).any()
    states = np.random.default_rng(1).normal(size=(3, 900))
    assert massive(states).tolist() == []
    states[1, 5] = 1e4
    assert massive(states).tolist() == [5]


def test_the_first_state_is_the_first_tokens(bed: Bed) -> None:
    on = subject(bed)
    with torch.no_grad():
        states = on.vlm.parts.model(**on.inputs.tensors, use_cache=False, output_hidden_states=True).hidden_states
    np.testing.assert_allclose(first_state(on, 2), states[2][0, 0], atol=1e-4)
    np.testing.assert_allclose(visual_states(on, (2,))[2], states[2][0, on.inputs.visual], atol=1e-4)
