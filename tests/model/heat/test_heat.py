"""Heat methods: every one keeps the contract, and each equals its formula done the long way."""

from __future__ import annotations

from functools import partial
from typing import get_args

import numpy as np
import pytest
import torch
from bed import Bed
from eager import attentions, kept_attentions
from fakes import picture
from oracles import cut_logprobs, hidden_logprobs

from model.core import Core
from model.events import Found, Share
from model.families.base import Capability
from model.geometry.grid import ImageGrid, View
from model.geometry.regions import blocks, centres, shared, windows
from model.heat import heat_methods
from model.heat.base import Choice, Cost, DependsOn, Heat, HeatMethod, measured_by
from model.heat.base.scores import heat as heat_of
from model.heat.integrated_gradients import STEPS
from model.heat.relevancy import positive, start_row
from model.heat.rise import smooth_masks
from model.heat.tam import rank_gaussian
from model.internals.gradients import BLOCK_ROWS, graded, listened, spread
from model.internals.interventions import visual_dependence
from model.internals.knockout import text_cut
from model.internals.lens import depths
from model.internals.roles import Role
from model.internals.subject import HELD_BYTES, Subject, subject_of
from model.progress import Run
from model.prompt import Prompt, ask

NAMES = ("tiny-llava", "qwen2_vl", "llava_clip")
ANSWER = (5, 9, 12, 7)
QUICK = [name for name in heat_methods if name not in ("greedy", "rise")]


def subject(bed: Bed, name: str, pictures: int = 1, answer: tuple[int, ...] = ANSWER) -> Subject:
    return Subject(bed.vlm(name), ask("hello there", *[picture(i, (140, 100)) for i in range(pictures)]), answer)


def mapped(slug: str, on: Subject, words: tuple[int, ...] = (0,), choice: Choice | None = None) -> Heat:
    return heat_methods[slug](on, words, choice or Choice(), Run())


def test_every_method_is_found() -> None:
    assert heat_methods.failures == {}
    assert len(heat_methods) >= 14


@pytest.mark.parametrize("slug", heat_methods)
def test_a_method_says_what_it_is(slug: str) -> None:
    method = heat_methods[slug]
    assert isinstance(method, HeatMethod)
    assert method.slug == slug
    assert method.title
    assert method.measures.endswith(".")
    assert method.paper.endswith(".")
    assert method.cost in get_args(Cost)
    assert method.depends_on in get_args(DependsOn)
    assert Capability.GRID in method.needs
    assert "looked" not in method.measures.lower()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("slug", heat_methods)
def test_a_map_has_a_score_for_every_token_of_every_picture(slug: str, name: str, bed: Bed) -> None:
    on = subject(bed, name, pictures=2)
    shares: list[float] = []
    heat = heat_methods[slug](on, (0, 2), Choice(), Run(tell=shares.append))
    assert heat.scores.shape == (on.count,)
    assert heat.scores.dtype == np.float32
    assert np.isfinite(heat.scores).all()
    assert heat.grid is on.inputs.grid
    assert heat.unit
    assert (heat.scores >= 0).all() or heat.signed
    assert shares == sorted(shares)
    assert not shares or shares[-1] == 1
    assert len(shares) > 1 or heat_methods[slug].cost != "passes"


@pytest.mark.parametrize("slug", heat_methods)
def test_a_map_does_not_depend_on_what_was_explained_before(slug: str, bed: Bed) -> None:
    """LVLM-Interpret adds up the gradients of all words explained so far."""
    fresh = mapped(slug, subject(bed, "llava_clip"), (2,))
    on = subject(bed, "llava_clip")
    for word in (0, 1, 3):
        mapped(slug, on, (word,))
    np.testing.assert_array_equal(mapped(slug, on, (2,)).scores, fresh.scores)


def found_to_depend_on(method: HeatMethod, on: Subject) -> set[str]:
    """What the maps of an answer fit that says one word twice and another between: some `depends_on`."""
    first, other, again = (method(on, (k,), Choice(), Run()) for k in range(3))
    if first.unit == "rank":  # of few regions; orders may be alike by chance
        return {"occurrence", "word", "picture"}
    repeated, another = (np.allclose(first.scores, heat.scores, atol=1e-9) for heat in (again, other))
    return {"picture" if another and repeated else "word" if repeated else "occurrence"}


@pytest.mark.parametrize("slug", heat_methods)
def test_a_map_depends_on_what_its_card_says(slug: str, bed: Bed) -> None:
    on = subject(bed, "llava_clip", answer=(5, 9, 5))
    assert heat_methods[slug].depends_on in found_to_depend_on(heat_methods[slug], on)


class Norm:
    """A baseline: how long each visual token is, whatever was said."""

    slug, title, measures, paper = "norm", "Norm", "The length of each visual token.", "No paper."
    cost, depends_on, layered, needs = "trace", "picture", False, frozenset({Capability.GRID})

    def __call__(self, on: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        return heat_of(on, on.features.float().norm(dim=-1).detach(), "length", choice)


def test_a_baseline_that_ignores_the_words_says_so_in_its_card(bed: Bed) -> None:
    assert found_to_depend_on(Norm(), subject(bed, "llava_clip", answer=(5, 9, 5))) == {"picture"}
    assert measured_by(Norm()) == "The length of each visual token. The same for every word."
    assert measured_by(heat_methods["logit_lens"]).endswith(" The same wherever the word stands.")
    assert measured_by(heat_methods["rise"]) == heat_methods["rise"].measures


@pytest.mark.parametrize("slug", [s for s in heat_methods if heat_methods[s].layered])
def test_layers_can_be_chosen(slug: str, bed: Bed) -> None:
    on = subject(bed, "llava_clip")
    maps = [mapped(slug, on, choice=Choice(layer=layer)).scores for layer in (0, 1, 2)]
    assert not np.allclose(maps[0], maps[1])
    assert not np.allclose(maps[1], maps[2])


@pytest.mark.parametrize("slug", QUICK)
def test_tokens_set_aside_are_zero(slug: str, bed: Bed) -> None:
    assert (mapped(slug, subject(bed, "llava_clip"), choice=Choice(without=(3, 5))).scores[[3, 5]] == 0).all()


@pytest.mark.parametrize("slug", [s for s in heat_methods if heat_methods[s].cost == "passes"])
def test_long_methods_are_stopped(slug: str, bed: Bed) -> None:
    core, seen = bed.core, []
    bed.vlm("tiny-llava")
    events = core.examine(bed.spec("tiny-llava"), ask("hello", picture(1)), ANSWER, partial(_slowly, slug))
    for event in events:
        seen.append(event)
        if isinstance(event, Share):
            events.close()  # type: ignore[attr-defined]
            break
    assert not any(isinstance(event, Found) for event in seen)
    assert core.worker.call(lambda: True), "the thread is free again"


def _slowly(slug: str, on: Subject, run: Run) -> Heat:
    return heat_methods[slug](on, (0,), Choice(), run)


# --- formulas -----------------------------------------------------------------------------------


def test_raw_attention_is_the_mean_of_eagers_rows(bed: Bed) -> None:
    on = subject(bed, "llava_clip")
    with torch.inference_mode():
        layers, _ = attentions(on.vlm, on.inputs.tensors)
    stacked = torch.stack([weights[0] for weights in layers])  # [L, H, N, N]
    row, columns = on.start - 1, on.inputs.visual
    heat = mapped("attention", on)
    np.testing.assert_allclose(heat.scores, stacked[:, :, row, columns].mean((0, 1)), atol=1e-6)
    assert heat.mass == pytest.approx(float(stacked[:, :, row][:, :, columns].sum(-1).mean()), abs=1e-5)
    largest = mapped("attention", on, choice=Choice(layer=1, reduce="max")).scores
    np.testing.assert_allclose(largest, stacked[1, :, row, columns].amax(0), atol=1e-6)
    one = mapped("attention", on, choice=Choice(layer=2, head=1, rows="reading")).scores
    np.testing.assert_allclose(one, stacked[2, 1, row + 1, columns], atol=1e-6)


def test_rollout_is_the_product_of_matrices(bed: Bed) -> None:
    on = subject(bed, "qwen2_vl")
    with torch.inference_mode():
        layers, _ = attentions(on.vlm, on.inputs.tensors)
    length = len(on.inputs.ids)
    product = torch.eye(length)
    for weights in layers:
        product = (torch.eye(length) + weights[0].mean(0)) / 2 @ product
    np.testing.assert_allclose(mapped("rollout", on).scores, product[on.start - 1, on.inputs.visual], atol=1e-5)


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "tiny-llava"])
def test_relevancy_is_that_of_whole_matrices(name: str, bed: Bed) -> None:
    """Chefer's rules with every L x L matrix and autograd's own gradient of the weights."""
    on = subject(bed, name)
    layers, logits = kept_attentions(on.vlm, on.arguments(on.features[None]))
    target = torch.log_softmax(logits[on.start - 1 + 1].float(), -1)[ANSWER[1]]
    grads = torch.autograd.grad(target, layers)
    relevance = torch.eye(len(on.inputs.ids))
    for weights, grad in zip(layers, grads, strict=True):
        relevance = relevance + (weights * grad)[0].clamp(min=0).mean(0).detach() @ relevance
    expected = relevance[on.start, on.inputs.visual].numpy()
    np.testing.assert_allclose(mapped("relevancy", on, (1,)).scores, expected, atol=1e-6, rtol=1e-3)
    summed = sum((w * g)[0].clamp(min=0).mean(0)[on.start] for w, g in zip(layers, grads, strict=True)).detach()
    np.testing.assert_allclose(mapped("grad_attention", on, (1,)).scores, summed[on.inputs.visual], atol=1e-6, rtol=1e-3)


def test_blocks_of_rows_change_nothing(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    on = subject(bed, "tiny-llava")
    assert BLOCK_ROWS > 64
    whole = mapped("relevancy", on).scores
    monkeypatch.setattr("model.internals.gradients.BLOCK_ROWS", 7)
    np.testing.assert_allclose(mapped("relevancy", on).scores, whole, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl"])
def test_relevancy_goes_on_through_the_tower(name: str, bed: Bed) -> None:
    """The tower's part equals Chefer's rules on its whole matrices, started with what the decoder gave each token."""
    on = subject(bed, name, pictures=2)
    tokens = spread([layer for layer in graded(on, (0,)) if layer.role is Role.DECODER], start_row(on, (0,)), positive)[
        on.visual_columns()
    ]
    tower = [layer for layer in graded(on, (0,), tower=True) if layer.role is Role.VISION]
    expected = torch.zeros(on.count)
    for picture_, places in enumerate(on.vlm.family.tower_places(on.vlm.parts, on.inputs)):
        batched = tower[0].call.q.shape[0] > 1
        mine = tower if batched else [c for i, c in enumerate(tower) if i % 2 == picture_]
        sample = picture_ if batched else 0
        length = mine[0].call.q.shape[2]
        relevance = torch.eye(length)
        for layer in mine:
            _, weights, grads = next(layer.blocks(torch.arange(length), sample))
            relevance = relevance + (weights * grads).clamp(min=0).mean(0) @ relevance
        row = torch.zeros(length)
        for token, positions in zip(places.tokens, places.positions, strict=True):
            row[positions] += tokens[token] / len(positions)
        reached = row @ relevance
        for token, positions in zip(places.tokens, places.positions, strict=True):
            expected[token] = reached[positions].sum()
    np.testing.assert_allclose(mapped("relevancy_tower", on).scores, expected, rtol=1e-3, atol=1e-6)


def test_value_weighted_attention_adds_up_the_heads(bed: Bed) -> None:
    on, heat = subject(bed, "llava_clip"), None
    heat = mapped("value_weighted", on, choice=Choice(layer=0)).scores
    call = listened(on)[0].call
    module = on.vlm.parts.model.get_submodule(call.name)
    with torch.inference_mode():
        layers, _ = attentions(on.vlm, on.inputs.tensors)
    heads, width = call.q.shape[1], call.v.shape[-1]
    values = call.v[0].repeat_interleave(heads // call.v.shape[1], 0)  # [H, L, D]
    for token, position in enumerate(on.inputs.visual):
        weighed = torch.cat([layers[0][0, h, on.start - 1, position] * values[h, position] for h in range(heads)])
        assert weighed.shape == (heads * width,)
        added = torch.nn.functional.linear(weighed, module.o_proj.weight)
        assert float(added.norm()) == pytest.approx(float(heat[token]), rel=1e-4)


def test_integrated_gradients_sum_to_the_whole(bed: Bed) -> None:
    on = subject(bed, "tiny-llava")
    heat = mapped("integrated_gradients", on, (0,))
    with torch.no_grad():
        empty = on.said((0,), on.nothing.expand_as(on.features)[None])[0]
        whole = on.said((0,), on.features[None])[0]
    gap = float(heat.scores.sum()) - float(whole - empty)
    assert f"{gap:+.2g}" in heat.note
    assert abs(gap) < 0.1 * max(1.0, abs(float(whole - empty)))


def test_occlusion_is_the_mean_over_windows_one_by_one(bed: Bed) -> None:
    on = subject(bed, "llava_clip")  # 4 x 4 tokens
    whole = float(on.said((0,))[0])
    total, count = np.zeros(16), np.zeros(16)
    for row in range(4):
        for col in range(4):
            inside = np.zeros((4, 4), bool)
            inside[max(0, row - 1) : row + 2, max(0, col - 1) : col + 2] = True
            lost = whole - float(hidden_logprobs(on, inside.reshape(-1))[0])
            total[inside.reshape(-1)] += lost
            count[inside.reshape(-1)] += 1
    np.testing.assert_allclose(mapped("occlusion", on).scores, total / count, atol=1e-5)


def test_knockout_cuts_text_from_windows(bed: Bed) -> None:
    on = subject(bed, "llava_clip")
    corner = np.zeros((4, 4), bool)
    corner[:2, :2] = True
    cut = text_cut(on, corner.reshape(-1))
    assert set(cut.keys.tolist()) == set(on.inputs.visual[corner.reshape(-1)].tolist())
    assert not set(cut.queries.tolist()) & set(on.inputs.visual.tolist())
    in_one = cut_logprobs(on, corner.reshape(-1), layers=[1])
    assert in_one.sum() != pytest.approx(cut_logprobs(on, corner.reshape(-1)).sum(), abs=1e-6)
    with torch.no_grad():
        lost = [float(on.said((0,))[0]) - float(cut_logprobs(on, w.numpy())[0]) for w in windows(on.inputs.grid)]
    expected = shared(windows(on.inputs.grid), torch.tensor(lost))
    np.testing.assert_allclose(mapped("knockout", on).scores, expected, atol=1e-4)


def test_visual_dependence_is_the_loss_without_any_picture(bed: Bed) -> None:
    on = subject(bed, "tiny-llava")
    with torch.no_grad():
        empty = on.logprobs(on.nothing.expand_as(on.features)[None])[0]
    np.testing.assert_allclose(visual_dependence(on), on.logprobs()[0] - empty, atol=1e-5)


def test_tam_of_a_word_takes_off_only_earlier_words(bed: Bed) -> None:
    short = mapped("tam", subject(bed, "llava_clip", answer=(5, 9)), (1,)).scores
    long = mapped("tam", subject(bed, "llava_clip", answer=(5, 9, 12, 7)), (1,)).scores
    np.testing.assert_allclose(short, long, atol=1e-4)


def test_the_rank_gaussian_filter_keeps_constants_and_damps_spikes() -> None:
    grid = ImageGrid((View((0, 0, 50, 50), 5, 5),), np.arange(25), ((50, 50),))
    np.testing.assert_allclose(rank_gaussian(np.full(25, 2.0), grid), 2.0)
    spike = np.ones(25)
    spike[12] = 100
    assert rank_gaussian(spike, grid)[12] < 50


def test_the_rank_gaussian_filter_of_almost_equal_values_is_their_middle() -> None:
    """A corner's four values have no middle rank: a narrow kernel gives the two beside it the same weight, not none."""
    grid = ImageGrid((View((0, 0, 2, 2), 2, 2),), np.arange(4), ((2, 2),))
    found = rank_gaussian(np.array([1.0, 1.001, 1.002, 1.003]), grid)
    np.testing.assert_allclose(found, 1.0015, atol=1e-6)


def test_windows_and_blocks_stay_in_their_view() -> None:
    views = (View((0, 0, 40, 30), 3, 4), View((0, 0, 20, 20), 2, 2, 1))
    cell = np.array([0, 1, 2, 3, -1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    grid = ImageGrid(views, cell, ((40, 30), (20, 20)))
    found = windows(grid)
    assert len(found) == 16 == len(centres(grid))
    assert not found[:, 4].any(), "a token without a place is never hidden"
    assert all(found[i, token] for i, token in enumerate(centres(grid)))
    assert not found[:12, 13:].any()
    assert not found[12:, :13].any()
    parts = blocks(grid, 2)
    assert (parts.sum(0)[cell >= 0] == 1).all()
    assert len(parts) == 2 * 2 + 1


def test_rise_masks_are_seeded_and_half_shown() -> None:
    grid = ImageGrid((View((0, 0, 96, 96), 12, 12),), np.arange(144), ((96, 96),))
    masks = smooth_masks(grid, 256)
    assert torch.equal(masks, smooth_masks(grid, 256))
    assert 0.45 < float(masks.mean()) < 0.55
    assert float(masks.std(0).min()) > 0.2


# --- what is kept -------------------------------------------------------------------------------


def test_an_answer_is_looked_into_by_text_or_by_tokens(bed: Bed) -> None:
    vlm, prompt = bed.vlm("tiny-llava"), ask("What color is the star?", picture(2))
    ids = vlm.parts.tokenizer("red", add_special_tokens=False).input_ids
    spec = bed.spec("tiny-llava")
    by_text = bed.core.examined(spec, prompt, "red", lambda on, run: on.logprobs())
    by_ids = bed.core.examined(spec, prompt, ids, lambda on, run: on.logprobs())
    assert torch.equal(by_text, by_ids)


def test_subjects_are_kept_within_a_limit(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm, prompts = bed.vlm("llava_clip"), [ask("hello", picture(i)) for i in range(6)]
    vlm.subjects.clear()
    first = subject_of(vlm, prompts[0], ANSWER)
    assert subject_of(vlm, prompts[0], ANSWER) is first
    first.trace()
    monkeypatch.setattr("model.internals.subject.SUBJECT_BYTES", 3 * first.size_bytes)
    for prompt in prompts:
        subject_of(vlm, prompt, ANSWER).trace()
    assert 1 <= len(vlm.subjects) <= 4
    vlm.forget()
    assert len(vlm.subjects) == 0


def test_two_at_once_do_not_mix(own_bed: Bed) -> None:
    """Two iterators in turns: each gets its own answer's map."""
    core: Core = own_bed.core
    own_bed.vlm("tiny-llava")
    spec, pictures = own_bed.spec("tiny-llava"), (picture(1), picture(2))
    asked: list[Prompt] = [ask("What color is it?", one) for one in pictures]
    alone = [core.examined(spec, prompt, ANSWER, partial(_slowly, "occlusion")).scores for prompt in asked]
    streams = [core.examine(spec, prompt, ANSWER, partial(_slowly, "occlusion")) for prompt in asked]
    found: dict[int, np.ndarray] = {}
    while len(found) < 2:
        for i, stream in enumerate(streams):
            event = next(stream, None)
            if isinstance(event, Found):
                found[i] = event.value.scores
    for i in (0, 1):
        np.testing.assert_array_equal(found[i], alone[i])


def test_depths_count_the_layers(bed: Bed) -> None:
    assert depths(subject(bed, "llava_clip")) == tuple(
        range(bed.vlm("llava_clip").parts.config.text_config.num_hidden_layers + 1)
    )


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_many_steps_are_those_of_each(name: str, bed: Bed) -> None:
    on = subject(bed, name, pictures=2)
    total = torch.zeros_like(on.features)
    for step in range(STEPS):
        at = torch.lerp(on.nothing.expand_as(on.features), on.features, (step + 0.5) / STEPS)[None].requires_grad_(True)
        total += torch.autograd.grad(on.said((0, 2), at).sum(), at)[0][0] / STEPS
    expected = (total * (on.features - on.nothing)).sum(-1)
    assert on.graph_rows > 1, "steps go one by one here"
    np.testing.assert_allclose(mapped("integrated_gradients", on, (0, 2)).scores, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("slugs", "passes"), [(("grad_attention", "relevancy"), 1), (("value_weighted", "rollout"), 1)])
def test_methods_share_a_pass_and_do_not_change_each_others_maps(slugs: tuple[str, ...], passes: int, bed: Bed) -> None:
    on, counted = subject(bed, "llava_clip"), []
    alone = [mapped(slug, subject(bed, "llava_clip"), (0, 2)).scores for slug in slugs]
    with_hook = on.vlm.parts.model.register_forward_pre_hook(lambda module, args: counted.append(1))
    try:
        together = [mapped(slug, on, (0, 2)).scores for slug in slugs]
        assert len(counted) == passes
        mapped(slugs[0], on, (1,))
    finally:
        with_hook.remove()
    assert len(counted) == passes + ("grad" in slugs[0]), "other words have other gradients"
    np.testing.assert_array_equal(together, alone)


def test_what_is_large_is_not_held(bed: Bed) -> None:
    on, made = subject(bed, "llava_clip"), []
    for size, key, wanted in ((HELD_BYTES + 1, 0, 1), (HELD_BYTES + 1, 0, 2), (7, 0, 3), (7, 0, 3), (7, 1, 4), (7, 0, 5)):
        assert on.once("kind", key, lambda: made.append(1) or len(made), lambda value, size=size: size) == wanted
        assert len(made) == wanted
