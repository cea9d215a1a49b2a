"""Patch features, likeness, colours and the tower's attention, each against the same thing done the long way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from bed import Bed
from eager import eager
from fakes import picture
from transformers.models.qwen2_vl import modeling_qwen2_vl

from model.errors import InputError, Unsupported
from model.internals.features import Features, colours, features_at, layers_of, similarities, similarity, word_ids, word_likeness
from model.internals.roles import Role
from model.internals.subject import Subject
from model.internals.tower import read_layer, tower_attention, tower_heads, tower_layers
from model.prompt import ask

ANSWER = (5, 9, 12, 7)
NAMES = ("tiny-llava", "llava_clip", "qwen2_vl")


def subject(bed: Bed, name: str, pictures: int = 1, question: str = "hello there") -> Subject:
    return Subject(bed.vlm(name), ask(question, *[picture(i, (140, 100)) for i in range(pictures)]), ANSWER)


def features(values: Any) -> Features:
    return Features("tower", 0, np.asarray(values, np.float32))


def tower_states(on: Subject, layer: int) -> np.ndarray:
    """What a tower layer gives all pictures run at once, by token: [T, D]. Qwen's tokens are four patches each, together."""
    model = on.vlm.parts.model
    held: list[torch.Tensor] = []
    name = "model.visual.blocks" if "qwen" in on.vlm.parts.config.model_type else "model.vision_tower.encoder.layers"
    hook = model.get_submodule(f"{name}.{layer}").register_forward_hook(
        lambda m, a, out: held.append(out[0] if isinstance(out, tuple) else out)
    )
    with torch.no_grad():
        model(**on.inputs.tensors, use_cache=False)
    hook.remove()
    states = held[0].float()
    if states.ndim == 2:
        return states.reshape(-1, 4, states.shape[-1]).mean(1).numpy()
    return (states[:, 1:] if states.shape[1] == 17 else states).reshape(-1, states.shape[-1]).numpy()


@pytest.mark.parametrize("pictures", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_tower_features_are_those_of_the_plain_tower(name: str, pictures: int, bed: Bed) -> None:
    on = subject(bed, name, pictures)
    for layer in (0, -1):
        found = features_at(on, "tower", layer)
        assert found.layer == layer % len(tower_layers(on))
        np.testing.assert_allclose(found.values, tower_states(on, found.layer), atol=2e-4)


def test_pictures_of_two_sizes_keep_their_places(bed: Bed) -> None:
    parts = [picture(0, (140, 100)), picture(1, (60, 112))]
    on = Subject(bed.vlm("qwen2_vl"), ask("hello there", *parts), ANSWER)
    sizes = [image.tokens for image in on.inputs.images]
    assert sizes[0] != sizes[1]
    np.testing.assert_allclose(features_at(on, "tower", 1).values, tower_states(on, 1), atol=2e-4)
    alone = Subject(bed.vlm("qwen2_vl"), ask("hello there", parts[1]), ANSWER)
    both = tower_attention(on, range(sizes[0], sum(sizes)), 1)
    np.testing.assert_allclose(both[:, sizes[0] :], tower_attention(alone, range(sizes[1]), 1), atol=1e-5)
    assert not both[:, : sizes[0]].any()


@pytest.mark.parametrize("name", NAMES)
def test_connector_and_decoder_features_are_what_the_decoder_reads_and_says(name: str, bed: Bed) -> None:
    on = subject(bed, name)
    with torch.no_grad():
        out = on.vlm.parts.model(**on.inputs.tensors, use_cache=False, output_hidden_states=True)
    visual = on.inputs.visual
    np.testing.assert_allclose(features_at(on, "connector").values, out.hidden_states[0][0, visual].float(), atol=1e-4)
    np.testing.assert_allclose(features_at(on, "decoder", 0).values, out.hidden_states[0][0, visual].float(), atol=1e-4)
    np.testing.assert_allclose(features_at(on, "decoder", 1).values, out.hidden_states[1][0, visual].float(), atol=1e-4)


def test_layers_are_counted_and_others_refused(bed: Bed) -> None:
    on = subject(bed, "tiny-llava")
    assert [layers_of(on, stage) for stage in ("tower", "connector", "decoder")] == [4, 1, 6]
    assert read_layer(on) == 3
    assert read_layer(subject(bed, "llava_clip")) == len(tower_layers(subject(bed, "llava_clip"))) - 2
    assert tower_heads(on) == 4
    for stage, layer in (("tower", 4), ("connector", 1), ("decoder", 6), ("decoder", -7)):
        with pytest.raises(InputError, match=f"no layer {layer} in the {stage}"):
            features_at(on, stage, layer)


def test_a_tower_that_cannot_be_followed_is_said(bed: Bed) -> None:
    on = subject(bed, "idefics2")
    with pytest.raises(Unsupported, match="not known which patches of its tower"):
        features_at(on, "tower")
    assert features_at(on, "connector").values.shape[0] == on.count


# --- likeness --------------------------------------------------------------------------------


def test_similarity_is_the_cosine_done_by_hand() -> None:
    values = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32) + 3
    for centred in (False, True):
        rows = values - values.mean(0) if centred else values
        for token in range(7):
            expected = [rows[i] @ rows[token] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[token]) for i in range(7)]
            found = similarity(features(values), token, centred=centred)
            np.testing.assert_allclose(found, expected, atol=1e-6)
            np.testing.assert_allclose(similarities(features(values), centred=centred)[token], expected, atol=1e-6)
            assert found[token] == pytest.approx(1)


def test_likeness_to_a_region_is_the_mean_over_its_patches() -> None:
    values = np.random.default_rng(1).normal(size=(9, 4))
    each = [similarity(features(values), token) for token in (2, 5, 6)]
    np.testing.assert_allclose(similarity(features(values), [2, 5, 6]), np.mean(each, 0), atol=1e-6)


def test_what_all_patches_share_is_taken_off() -> None:
    values = np.array([[100, 1, 0], [100, -1, 0], [100, 0, 1]])
    assert similarity(features(values), 0, centred=False)[1] > 0.99
    assert similarity(features(values), 0)[1] < 0


# --- colours ---------------------------------------------------------------------------------


def by_eigenvectors(values: np.ndarray) -> np.ndarray:
    """Colours by the covariance's eigenvectors, without outliers to leave out."""
    mean = values.mean(0)
    _, vectors = np.linalg.eigh(np.cov((values - mean).T))
    axes = vectors[:, ::-1][:, :3].T
    axes = np.array([axis * np.sign(axis[np.abs(axis).argmax()]) for axis in axes])
    found = (values - mean) @ axes.T
    low, high = np.percentile(found, [1, 99], axis=0)
    return np.clip((found - low) / (high - low), 0, 1)


def test_colours_are_principal_components_of_one_fit() -> None:
    random = np.random.default_rng(2)
    values = random.normal(size=(60, 6)) * [9, 5, 3, 0.5, 0.2, 0.1]
    first, second = colours([features(values[:40]), features(values[40:])])
    assert (first.shape, second.shape) == ((40, 3), (20, 3))
    np.testing.assert_allclose(np.concatenate([first, second]), by_eigenvectors(values), atol=1e-4)
    alone = colours([features(values[40:])])[0]
    assert np.abs(alone - second).max() > 0.05  # a fit of its own gives other colours


def test_an_outlier_does_not_choose_the_colours() -> None:
    values = np.random.default_rng(3).normal(size=(100, 6)) * [9, 5, 3, 0.5, 0.2, 0.1]
    spoilt = np.concatenate([values, [[0, 0, 0, 0, 0, 5000]]])
    np.testing.assert_allclose(colours([features(spoilt)])[0][:-1], colours([features(values)])[0], atol=1e-4)


def test_two_dimensions_are_two_colours() -> None:
    found = colours([features([[0, 0], [1, 0], [0, 2], [5, 5]])])[0]
    assert found.shape == (4, 3)
    assert not found[:, 2].any()


# --- the tower's attention -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny-llava", "llava_clip"])
def test_tower_attention_is_eagers(name: str, bed: Bed) -> None:
    on = subject(bed, name, 2)
    model = on.vlm.parts.model
    with eager(model), torch.no_grad():
        layers = model.model.vision_tower(on.inputs.tensors["pixel_values"], output_attentions=True).attentions
    skip = layers[0].shape[-1] - on.count // 2  # the class token
    for layer, head in ((0, None), (1, 2)):
        found = tower_attention(on, range(on.count), layer, head)
        weights = layers[layer].mean(1) if head is None else layers[layer][:, head]  # [pictures, patches, patches]
        expected = torch.block_diag(*weights[:, skip:, skip:])
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert (found.sum(1) <= 1 + 1e-5).all()


def test_qwens_merged_tokens_are_the_mean_of_their_four_patches(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """`output_attentions` gives outputs for weights there, so eager's own function is listened to."""
    on, heard = subject(bed, "qwen2_vl"), []
    plain = modeling_qwen2_vl.eager_attention_forward

    def listening(*given: Any, **named: Any) -> Any:
        out, weights = plain(*given, **named)
        heard.append(weights)
        return out, weights

    monkeypatch.setattr(modeling_qwen2_vl, "eager_attention_forward", listening)
    with eager(on.vlm.parts.model), torch.no_grad():
        on.vlm.parts.model.model.visual(on.inputs.tensors["pixel_values"], grid_thw=on.inputs.tensors["image_grid_thw"])
    weights = heard[1][0].mean(0).reshape(on.count, 4, on.count, 4)
    found = tower_attention(on, range(on.count), 1)
    np.testing.assert_allclose(found, weights.mean(1).sum(-1), atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


def test_single_rows_are_those_of_the_whole(bed: Bed) -> None:
    on = subject(bed, "tiny-llava", 2)
    whole = tower_attention(on, range(on.count), 2, 1)
    np.testing.assert_allclose(tower_attention(on, [150, 3], 2, 1), whole[[150, 3]], atol=1e-6)
    with pytest.raises(InputError, match="no head 4"):
        tower_attention(on, [0], 2, 4)
    with pytest.raises(InputError, match="no layer 9"):
        tower_attention(on, [0], 9)


# --- words and resamplers --------------------------------------------------------------------


def test_likeness_to_a_word_is_the_cosine_with_its_embedding(bed: Bed) -> None:
    on = subject(bed, "tiny-llava")
    ids = word_ids(on, " red ")
    assert "".join(on.vlm.pieces[i] for i in ids) == " red"
    table = on.vlm.parts.model.get_input_embeddings().weight.detach().numpy()
    word = table[ids].mean(0) - table.mean(0)
    rows = on.features.numpy() - on.features.numpy().mean(0)
    expected = [row @ word / np.linalg.norm(row) / np.linalg.norm(word) for row in rows]
    np.testing.assert_allclose(word_likeness(on, ids), expected, atol=1e-5)
    for nothing in ("", "  "):
        with pytest.raises(InputError, match="Give a word"):
            word_ids(on, nothing)


def test_a_resampler_says_how_its_queries_mix_patches(bed: Bed) -> None:
    on = subject(bed, "blip2")
    cross = {layer: arrays for (role, layer), arrays in on.trace().others.items() if role is Role.CONNECTOR_CROSS}
    found = cross[max(cross)][0][0].mean(0)  # [T, patches]
    assert found.shape[0] == on.count
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-4)
    assert not subject(bed, "tiny-llava").trace().others
