"""Linear layers through oneDNN: the same products and gradients, from their own weights."""

from __future__ import annotations

import copy

import pytest
import torch
from bed import Bed

from model.loading.products import BLOCK_ROWS, LARGE_ROWS, quick_linear, quicken


def layers(bias: bool) -> tuple[torch.nn.Linear, torch.nn.Linear]:
    """A layer, and its copy through oneDNN."""
    torch.manual_seed(0)
    plain = torch.nn.Linear(96, 160, bias=bias).requires_grad_(False)
    quick = copy.deepcopy(plain)
    quicken(quick)
    return plain, quick


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(BLOCK_ROWS - 1,), (BLOCK_ROWS,), (3, 50), (2, 3, 50), (2, 3, 5, 7), (LARGE_ROWS + 3,)])
def test_products_and_gradients_are_those_of_a_plain_layer(shape: tuple[int, ...], bias: bool) -> None:
    plain, quick = layers(bias)
    assert isinstance(quick, quick_linear())
    rows = torch.randn(*shape, 96)
    for given in (rows, torch.randn(*shape[:-1], 96, shape[-1]).transpose(-1, -2)):  # the second is not contiguous
        torch.testing.assert_close(quick(given), plain(given), rtol=0, atol=1e-5)
        one, other = (given.clone().requires_grad_(True) for _ in range(2))
        toward = torch.randn(*shape, 160)
        for layer, start in ((plain, one), (quick, other)):
            (layer(start) * toward).sum().backward()
        torch.testing.assert_close(other.grad, one.grad, rtol=0, atol=1e-5)
        total = (quick(other).mean(-1) * 2).sum()  # a gradient that is an expanded view
        torch.testing.assert_close(
            torch.autograd.grad(total, other)[0], plain.weight.mean(0).mul(2).expand_as(given), atol=1e-5, rtol=0
        )


def test_whole_blocks_go_through_onednn_and_what_is_left_over_does_not() -> None:
    """Its code for every number of rows is kept, so it may not meet many of them."""
    _, quick = layers(True)
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, record_shapes=True) as profile, torch.inference_mode():
        for rows in (*range(1, 3 * BLOCK_ROWS + 2, 50), 2 * BLOCK_ROWS, LARGE_ROWS + BLOCK_ROWS):
            quick(torch.randn(rows, 96))
    shapes = [event.input_shapes[0][0] for event in profile.events() if event.name == "mkldnn::_linear_pointwise"]
    assert set(shapes) == {BLOCK_ROWS, 2 * BLOCK_ROWS, LARGE_ROWS}


def test_a_copy_multiplies_by_its_own_weights() -> None:
    _, quick = layers(False)
    twin = copy.deepcopy(quick)
    twin.weight.mul_(2)
    rows = torch.randn(130, 96)
    torch.testing.assert_close(twin(rows), 2 * quick(rows))


def test_a_layer_that_is_trained_gets_gradients_of_its_weights() -> None:
    plain, quick = layers(True)
    rows = torch.randn(130, 96)
    for layer in (plain, quick):
        layer.requires_grad_(True)
        layer(rows).square().sum().backward()
    torch.testing.assert_close(quick.weight.grad, plain.weight.grad)
    torch.testing.assert_close(quick.bias.grad, plain.bias.grad)


def test_other_precisions_and_other_classes_are_left_alone() -> None:
    class Own(torch.nn.Linear):
        pass

    model = torch.nn.Sequential(torch.nn.Linear(8, 8, dtype=torch.bfloat16), Own(8, 8), torch.nn.Linear(8, 8))
    quicken(model)
    assert [type(layer) for layer in model] == [torch.nn.Linear, Own, quick_linear()]


def test_a_loaded_checkpoint_is_quick(bed: Bed) -> None:
    model = bed.vlm("tiny-llava").parts.model
    assert not [name for name, module in model.named_modules() if type(module) is torch.nn.Linear]
    assert isinstance(model.get_output_embeddings(), quick_linear())
