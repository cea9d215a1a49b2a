"""Heat on every family that ties tokens to pixels: maps land where the model's own numbers say, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from bed import Bed
from eager import attentions, eager
from fakes import picture
from PIL import Image
from zoo import LAYOUTS

from model.errors import PromptError, Unsupported
from model.families.base import Capability
from model.geometry.grid import ImageGrid
from model.heat import heat_methods
from model.heat.base import Choice, Heat
from model.heat.relevancy import positive, start_row
from model.internals.features import features_at
from model.internals.gradients import Layer, graded, spread
from model.internals.roles import Role
from model.internals.subject import Subject
from model.internals.tower import tower_attention, tower_layers
from model.pictures import from_image
from model.progress import Run
from model.prompt import ask

TILED = (*LAYOUTS["tiled"],)
FAMILIES = (*TILED, "qwen2_5_vl", "qwen3_vl", "paligemma", "gemma3", "vipllava")
METHODS = ("attention", "grad_attention", "relevancy", "relevancy_tower", "occlusion", "value_weighted")
ANSWER = (5, 9, 12)


def subject(bed: Bed, name: str, *seeds: int) -> Subject:
    return Subject(bed.vlm(name), ask("hello there", *[picture(seed, (140, 100)) for seed in seeds or (1,)]), ANSWER)


def mapped(slug: str, on: Subject) -> Heat:
    return heat_methods[slug](on, (0, 2), Choice(), Run())


@pytest.mark.parametrize("name", FAMILIES)
def test_maps_are_finite_and_cover_what_the_model_saw(name: str, bed: Bed) -> None:
    for seeds in ((1,), (1, 2)):
        on = subject(bed, name, *seeds)
        for slug in METHODS:
            heat = mapped(slug, on)
            assert heat.scores.shape == (on.count,)
            assert np.isfinite(heat.scores).all()
            assert np.abs(heat.scores[heat.grid.cell >= 0]).max() > 0, f"{slug} says nothing"
            for image in range(len(seeds)):
                painted = heat.grid.paint(heat.scores, image)
                assert np.array_equal(np.isnan(painted), heat.grid.unseen(image))
                assert np.nanmax(painted) > np.nanmin(painted)


@pytest.mark.parametrize("name", FAMILIES)
def test_raw_attention_is_eagers_at_the_visual_tokens(name: str, bed: Bed) -> None:
    on = subject(bed, name, 1, 2)
    with torch.inference_mode():
        layers, logits = attentions(on.vlm, on.inputs.tensors)
    stacked = torch.stack([weights[0] for weights in layers])  # [L, H, N, N]
    rows = [on.start - 1, on.start + 1]
    expected = stacked[:, :, rows][:, :, :, on.inputs.visual].mean((0, 1, 2))
    np.testing.assert_allclose(mapped("attention", on).scores, expected, atol=2e-6)
    wanted = torch.log_softmax(logits.float(), -1)[range(on.start - 1, on.start + len(ANSWER) - 1), list(ANSWER)]
    np.testing.assert_allclose(on.logprobs()[0], wanted, atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_features_of_another_picture_give_that_pictures_answer(name: str, bed: Bed) -> None:
    """All that the decoder is told of a picture is in the features that methods change: nothing goes past them."""
    one, other = subject(bed, name, 1), subject(bed, name, 2)
    assert one.inputs.ids == other.inputs.ids
    both = one.logprobs(torch.stack([one.features, other.features]))
    np.testing.assert_allclose(both[0], one.logprobs()[0], atol=1e-4)
    np.testing.assert_allclose(both[1], other.logprobs()[0], atol=1e-4)
    assert (both[0] - both[1]).abs().max() > 1e-3


def views_of(on: Subject) -> Iterator[tuple[int, np.ndarray]]:
    """Each view and the tokens that look at it."""
    start = 0
    for i, view in enumerate(on.inputs.grid.views):
        stop = start + view.rows * view.cols
        yield i, np.flatnonzero((on.inputs.grid.cell >= start) & (on.inputs.grid.cell < stop))
        start = stop


@pytest.mark.parametrize("name", TILED)
def test_a_change_in_one_tile_changes_that_tile_and_the_whole_alone(name: str, bed: Bed) -> None:
    before = np.array(picture(1, (160, 120)).image)
    after = before.copy()
    after[20:40, 20:40] = 255 - after[20:40, 20:40]
    on, changed = (Subject(bed.vlm(name), ask("hello", from_image(Image.fromarray(p))), ANSWER) for p in (before, after))
    moved = (on.features - changed.features).norm(dim=-1).numpy()
    views, hit = on.inputs.grid.views, []
    for i, tokens in views_of(on):
        x0, y0, x1, y1 = views[i].box
        if x0 < 40 and x1 > 20 and y0 < 40 and y1 > 20:
            hit.append(i)
            assert (moved[tokens] > 0).all(), f"{views[i].name} shows it, and attends to it everywhere"
        else:
            assert (moved[tokens] == 0).all(), f"{views[i].name} does not show it"
    assert 2 <= len(hit) < len(views)
    assert (moved[on.inputs.grid.cell < 0] == 0).all(), "line breaks show nothing"


@pytest.mark.parametrize("name", ["llava_next", "idefics3", "internvl"])
def test_occlusion_hides_neighbours_in_the_same_tile(name: str, bed: Bed) -> None:
    """Neighbours found by the boxes of cells: same size, and touching."""
    on = subject(bed, name)
    grid, boxes = on.inputs.grid, on.inputs.grid.cells()
    whole, lost, held = on.said((0, 2)), np.zeros(on.count), np.zeros(on.count)
    tiles = dict(views_of(on))
    for tokens in tiles.values():
        for token in tokens:
            mine, theirs = boxes[grid.cell[token]], boxes[grid.cell[tokens]]
            near = tokens[(np.abs(theirs[:, :2] - mine[:2]) <= (mine[2:] - mine[:2]) * 1.01).all(1)]
            keep = torch.ones(1, on.count, dtype=torch.bool)
            keep[0, near] = False
            drop = float(whole - on.said((0, 2), on.hidden(keep)))
            lost[near] += drop
            held[near] += 1
    expected = np.where(held > 0, lost / np.maximum(held, 1), 0)
    np.testing.assert_allclose(mapped("occlusion", on).scores, expected, atol=1e-4)
    assert np.abs(expected).max() > 1e-3


def matrix(calls: list[Layer], sample: int) -> torch.Tensor:
    """Rule 5 of a whole layer, [N, N]: calls of one sequence stand along the diagonal."""
    parts = []
    for layer in calls:
        _, weights, grads = next(layer.blocks(torch.arange(layer.call.q.shape[2]), sample))
        parts.append((weights * grads).clamp(min=0).mean(0))
    return torch.block_diag(*parts)


@pytest.mark.parametrize("name", [*TILED, "qwen2_5_vl", "gemma3"])
def test_relevancy_through_the_tower_is_that_of_whole_matrices(name: str, bed: Bed) -> None:
    on = subject(bed, name, 1, 2)
    decoder = [layer for layer in graded(on, (0, 2)) if layer.role is Role.DECODER]
    tokens = spread(decoder, start_row(on, (0, 2)), positive)[on.visual_columns()]
    tower = [layer for layer in graded(on, (0, 2), tower=True) if layer.role is Role.VISION]
    expected = torch.zeros(on.count)
    for places in on.vlm.family.tower_places(on.vlm.parts, on.inputs):
        relevance = None
        for number in sorted({layer.layer for layer in tower}):
            calls = [layer for layer in tower if layer.layer == number]
            own = matrix(calls, places.sample if calls[0].call.q.shape[0] > 1 else 0)
            relevance = torch.eye(len(own)) if relevance is None else relevance
            relevance = relevance + own @ relevance
        row, at = torch.zeros(len(relevance)), torch.from_numpy(places.positions) + places.offset
        for token, mine in zip(places.tokens, at, strict=True):
            row[mine] += tokens[token] / len(mine)
        reached = row @ relevance
        expected[torch.from_numpy(places.tokens)] = reached[at].sum(-1)
    np.testing.assert_allclose(mapped("relevancy_tower", on).scores, expected, rtol=2e-3, atol=1e-6)


def test_a_windowed_tower_attends_inside_its_windows_and_everywhere_in_its_last_layer(bed: Bed) -> None:
    on = subject(bed, "qwen2_5_vl", 1, 2)
    grid, chosen = on.inputs.grid, [0, 5, on.count - 1]
    window = []  # 56 pixels are 4 patches, 2 tokens
    for i, view in enumerate(grid.views):
        rows, cols = np.divmod(np.arange(view.rows * view.cols), view.cols)
        window += [(i, row // 2, col // 2) for row, col in zip(rows, cols, strict=True)]
    for layer, inside in ((0, window), (2, [w[0] for w in window])):
        looks = tower_attention(on, chosen, layer)
        np.testing.assert_allclose(looks.sum(1), 1, atol=1e-5)
        for row, token in zip(looks, chosen, strict=True):
            same = np.array([w == inside[token] for w in inside])
            assert (row[same] > 0).all()
            assert (row[~same] == 0).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_layer_of_the_tower_says_what_the_connector_makes_of_each_token(name: str, bed: Bed) -> None:
    """Tokens whose patches have equal states have equal features: the places are those the connector reads."""
    on = subject(bed, name)
    states = features_at(on, "tower", len(tower_layers(on)) - 1).values
    looks = tower_attention(on, range(on.count), 0)
    placed = on.inputs.grid.cell >= 0
    assert np.isfinite(states).all()
    assert (states[placed].std(0) > 0).all()
    assert (looks[~placed] == 0).all()
    assert (looks[:, ~placed] == 0).all()
    assert (looks[placed].sum(1) > 0.1).all()
    assert (looks.sum(1) <= 1 + 1e-5).all()


def test_a_raster_that_was_shrunk_is_said_not_to_be_followed(bed: Bed) -> None:
    wide = Subject(bed.vlm("llava_onevision"), ask("hello", picture(1, (600, 600))), ANSWER)
    grid = wide.inputs.grid
    assert [view.name for view in grid.views] == ["the whole picture", "all tiles"]
    assert np.isfinite(mapped("relevancy", wide).scores).all()
    with pytest.raises(Unsupported, match="Use a smaller picture"):
        mapped("relevancy_tower", wide)


@pytest.mark.parametrize("name", ["llava_clip", "llava_next", "llava_onevision", "internvl", "qwen3_vl"])
def test_what_is_said_to_be_unseen_changes_nothing_and_all_else_does(name: str, bed: Bed) -> None:
    """Columns and rows of the picture are changed one by one. A resampling filter reaches some pixels over an edge."""
    size, reach_px, still = (300, 170), 3, 0
    grey = np.full((size[1], size[0], 3), 120, np.uint8)
    grid, plain = encoded(bed, name, grey)
    unseen = grid.unseen(0)
    for axis, hidden in ((1, unseen.all(0)), (0, unseen.all(1))):
        for at in (0, 20, len(hidden) // 2, len(hidden) - 20, len(hidden) - 1):
            changed = grey.copy()
            changed[(slice(None), at) if axis else at] = 255
            moved = bool((encoded(bed, name, changed)[1] != plain).any())
            near = hidden[max(0, at - reach_px) : at + reach_px + 1]
            if near.all():
                assert not moved, f"pixel {at} of axis {axis} is said to be unseen"
                still += 1
            elif not near.any():
                assert moved, f"pixel {at} of axis {axis} is said to be seen"
    partly = name in ("llava_clip", "llava_onevision")  # the one cuts the sides off, the other's patches do not fill a tile
    assert unseen.any() == (still > 0) == partly


def encoded(bed: Bed, name: str, pixels: np.ndarray) -> tuple[ImageGrid, torch.Tensor]:
    on = Subject(bed.vlm(name), ask("hello", from_image(Image.fromarray(pixels))), ANSWER)
    return on.inputs.grid, on.features


# --- resamplers: queries without a place --------------------------------------------------------


def read_by_eager(on: Subject, modules: tuple[str, ...]) -> np.ndarray:
    """Mean over these modules and their heads of what eager attention gives, [samples, queries, keys]."""
    found: list[torch.Tensor] = []
    model, tensors = on.vlm.parts.model, on.inputs.images[0].tensors
    hooks = [
        module.register_forward_hook(lambda module, args, out: found.append(out[1].mean(1)))
        for name, module in model.named_modules()
        if name.endswith(modules)
    ]
    try:
        with eager(model), torch.no_grad():
            model.base_model.get_image_features(**tensors)
    finally:
        for hook in hooks:
            hook.remove()
    assert len(found) == 2, "two layers of each read the picture"
    return torch.stack(found).mean(0).numpy()


def test_queries_of_idefics2_are_drawn_where_its_resampler_reads(bed: Bed) -> None:
    """Every patch that is no padding is a cell where its pixels come from, and has the resampler's attention to it."""
    width, height = 160, 90
    ramp = np.full((height, width, 3), 200, np.uint8)
    ramp[..., 0] = np.round((np.arange(width) + 0.5) / width * 255)[None]
    ramp[..., 1] = np.round((np.arange(height) + 0.5) / height * 255)[:, None]
    on = Subject(bed.vlm("idefics2"), ask("hello", from_image(Image.fromarray(ramp))), ANSWER)
    grid, read = (
        on.inputs.grid,
        read_by_eager(on, ("perceiver_resampler.layers.0.self_attn", "perceiver_resampler.layers.1.self_attn")),
    )
    pixels, masks = (on.inputs.images[0].tensors[name][0].numpy() for name in ("pixel_values", "pixel_attention_mask"))
    boxes, cell, patch = grid.cells(), 0, 14
    assert grid.mixing.shape == (5 * 8, len(boxes))
    np.testing.assert_allclose(grid.mixing.sum(1), 1, atol=1e-5)
    for sample, (picture_, mask) in enumerate(zip(pixels, masks, strict=True)):
        rows, cols = mask.shape[0] // patch, mask.shape[1] // patch
        whole = []
        for key in range(rows * cols):
            y, x = key // cols * patch, key % cols * patch
            if not mask[y : y + patch, x : x + patch].all():
                assert (read[sample, :, key] < 1e-6).all(), "padding is not read"
                continue
            red, green = ((picture_[c, y : y + patch, x : x + patch].mean() + 1) / 2 for c in (0, 1))
            middle = (boxes[cell, :2] + boxes[cell, 2:]) / 2
            assert np.abs(middle - [red * width, green * height]).max() < 1.5
            whole.append(key)
            cell += 1
        own = read[sample][:, whole] / read[sample][:, whole].sum(1, keepdims=True)
        mine = grid.mixing[sample * 8 : sample * 8 + 8]
        np.testing.assert_allclose(mine[:, cell - len(whole) : cell], own, atol=1e-5)
        assert mine.sum() == pytest.approx(8, abs=1e-4), "a query reads its own view alone"
    assert cell == len(boxes)


def test_queries_of_blip2_are_drawn_where_its_q_former_reads(bed: Bed) -> None:
    on = subject(bed, "blip2")
    read = read_by_eager(on, ("layer.0.crossattention.attention", "layer.1.crossattention.attention"))[0, :, 1:]
    np.testing.assert_allclose(on.inputs.grid.mixing, read / read.sum(1, keepdims=True), atol=1e-5)
    (view,) = on.inputs.grid.views
    assert (view.rows, view.cols) == (4, 4)
    assert view.box == pytest.approx((0, 0, 140, 100))
    heat = mapped("attention", on)
    painted = heat.grid.paint(heat.scores)
    expected = heat.scores @ on.inputs.grid.mixing
    assert painted[5, 5] == pytest.approx(expected[0], rel=1e-5)
    assert painted[-5, -5] == pytest.approx(expected[15], rel=1e-5)
    assert not np.isnan(painted).any()


@pytest.mark.parametrize("slug", [slug for slug in heat_methods if slug != "relevancy_tower"])
def test_every_method_scores_queries_without_a_place(slug: str, bed: Bed) -> None:
    on = subject(bed, "idefics2", 1, 2)
    heat = mapped(slug, on)
    assert heat.scores.shape == (80,)
    assert np.isfinite(heat.scores).all()
    assert np.ptp(heat.scores) > 0
    for image in (0, 1):
        painted = heat.grid.paint(heat.scores, image)
        assert np.array_equal(np.isnan(painted), heat.grid.unseen(image))


def test_occlusion_of_queries_hides_them_one_by_one(bed: Bed) -> None:
    on = subject(bed, "idefics2")
    alone = [
        float(on.said((0, 2)) - on.said((0, 2), on.hidden(torch.arange(on.count)[None] != token))) for token in range(on.count)
    ]
    np.testing.assert_allclose(mapped("occlusion", on).scores, alone, atol=1e-4)


def test_what_a_checkpoint_cannot_is_said_before_it_is_asked(bed: Bed) -> None:
    family = bed.vlm("blip2").family
    assert Capability.GRADIENTS not in family.capabilities
    assert "no picture features in place of pixels" in family.limits
    with pytest.raises(Unsupported, match="Choose raw attention"):
        mapped("occlusion", subject(bed, "blip2"))
    with pytest.raises(PromptError, match="one picture a prompt, not 2"):
        mapped("attention", subject(bed, "blip2", 1, 2))
