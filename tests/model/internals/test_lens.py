"""The logit lens: at the last depth the model's own next-token distribution, and the final norm at every depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bed import Bed
from fakes import picture

import model.internals.lens as lens
from model.errors import Unsupported
from model.internals.lens import depths, lens_logits, output_matrix, spoken_at, visual_states, word_probabilities
from model.internals.subject import Subject
from model.internals.trace import Want
from model.prompt import ask

ANSWER = (5, 9, 12, 7)
NAMES = ("tiny-llava", "llava_clip", "qwen2_vl")


def subject(bed: Bed, name: str) -> Subject:
    return Subject(bed.vlm(name), ask("hello there", picture(3, (140, 100))), ANSWER)


@pytest.mark.parametrize("name", NAMES)
def test_the_last_depth_at_the_predicting_position_is_the_models_own_softmax(name: str, bed: Bed) -> None:
    on = subject(bed, name)
    trace = on.trace(Want(hidden=(-1,)))
    with torch.no_grad():
        found = torch.cat(list(lens_logits(on, trace.row_hidden[depths(on)[-1]]))).softmax(-1)
        own = on.vlm.parts.model(**on.inputs.tensors, use_cache=False).logits[0, trace.rows].float().softmax(-1)
    np.testing.assert_allclose(found, own, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_depth_goes_through_the_final_norm(name: str, bed: Bed) -> None:
    on = subject(bed, name)
    states = visual_states(on, depths(on))
    norm, matrix = output_matrix(on)
    with torch.no_grad():
        for i, depth in enumerate(depths(on)):
            logits = norm(torch.from_numpy(states[depth])) @ matrix.T
            words = [*logits.sum(0).topk(3).indices.tolist(), 11]
            found = word_probabilities(on, words, depths(on))[i]
            np.testing.assert_allclose(found, logits.softmax(-1)[:, words], atol=1e-5)
        bare = (torch.from_numpy(states[depth]) @ matrix.T).softmax(-1)
    assert (bare - logits.softmax(-1)).abs().max() > 0.01  # without the norm it would be something else


def test_what_is_spoken_are_the_likeliest_words_at_each_depth(bed: Bed) -> None:
    on = subject(bed, "tiny-llava")
    spoken = spoken_at(on, 40, top=3)
    assert spoken.depths == depths(on) == tuple(range(6))
    states = visual_states(on, spoken.depths)
    for depth, words in zip(spoken.depths, spoken.words, strict=True):
        chances = next(lens_logits(on, states[depth][40:41]))[0].softmax(-1)
        best = chances.topk(3)
        assert [text for text, _ in words] == [on.vlm.pieces[int(i)] for i in best.indices]
        np.testing.assert_allclose([p for _, p in words], best.values.tolist(), atol=1e-6)


def test_a_region_speaks_with_its_mean_probability(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lens, "CHUNK_ROWS", 2)
    on = subject(bed, "tiny-llava")
    tokens = [3, 40, 41, 90, 120]
    states = visual_states(on, (5,))[5]
    mean = torch.cat(list(lens_logits(on, states[tokens]))).softmax(-1).mean(0)
    text, probability = spoken_at(on, tokens).words[-1][0]
    assert text == on.vlm.pieces[int(mean.argmax())]
    assert probability == pytest.approx(float(mean.max()), abs=1e-6)


def test_large_states_are_read_one_depth_at_a_time_and_are_the_same(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    small = visual_states(subject(bed, "tiny-llava"), (1, 4))
    monkeypatch.setattr(lens, "KEPT_BYTES", 0)
    on = subject(bed, "tiny-llava")
    large = visual_states(on, (4, 1))
    assert set(large) == {1, 4}
    for depth in (1, 4):
        np.testing.assert_array_equal(large[depth], small[depth])
    assert set(on.trace(Want(attention=False, hidden=(1, 4))).hidden) == {1, 4}


def test_a_checkpoint_whose_norm_is_not_known_has_no_lens(bed: Bed) -> None:
    with pytest.raises(Unsupported, match="final norm"):
        spoken_at(subject(bed, "kosmos2"), 0)
