"""Activation patching: all of it brings the answer back, none of it nothing, and each share equals hooks put in by hand."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from bed import Bed
from fakes import picture

from model.errors import InputError
from model.generation.hooks import Interrupted
from model.internals.activation_patching import blocks_of, patch_states
from model.internals.roles import decoder_layers, prefixes
from model.internals.subject import Subject
from model.progress import Run
from model.prompt import ask

ANSWER = (5, 9, 12)
NAMES = ("tiny-llava", "llava_clip", "qwen2_vl")


def subject(bed: Bed, name: str, seed: int, size: tuple[int, int] = (140, 100)) -> Subject:
    return Subject(bed.vlm(name), ask("hello there", picture(seed, size)), ANSWER)


def group(count: int, *tokens: int) -> torch.Tensor:
    found = torch.zeros(1, count, dtype=torch.bool)
    found[0, list(tokens)] = True
    return found


def by_hand(clean: Subject, other: Subject, depth: int, tokens: list[int]) -> float:
    """The answer's log-probability with states copied by one hook, everything run from pixels."""
    model = clean.vlm.parts.model
    names = decoder_layers(model, prefixes(clean.vlm.family, clean.vlm.parts))
    at = torch.from_numpy(clean.inputs.visual[tokens])
    held: list[torch.Tensor] = []

    def states(args, kwargs):
        return args[0] if args else kwargs["hidden_states"]

    def copied(module, args, kwargs) -> None:
        states(args, kwargs).index_copy_(1, at, held[0][:, at])

    def said(on: Subject, hook) -> float:
        try:
            logits = model(**on.inputs.tensors, use_cache=False).logits[0].float().log_softmax(-1)
        finally:
            hook.remove()
        return float(sum(logits[on.start - 1 + k, token] for k, token in enumerate(ANSWER)))

    with torch.no_grad():
        # Depth d is what enters layer d, or what leaves the last one.
        if depth < len(names):
            module = model.get_submodule(names[depth])
            said(clean, module.register_forward_pre_hook(lambda m, a, k: held.append(states(a, k).clone()), with_kwargs=True))
            return said(other, module.register_forward_pre_hook(copied, with_kwargs=True))
        module = model.get_submodule(names[-1])
        said(clean, module.register_forward_hook(lambda m, a, out: held.append(out.clone())))
        return said(other, module.register_forward_hook(lambda m, a, out: out.index_copy(1, at, held[0][:, at])))


@pytest.mark.parametrize("name", NAMES)
def test_all_tokens_at_depth_0_bring_all_of_it_back_and_none_nothing(name: str, bed: Bed) -> None:
    clean, other = subject(bed, name, 1), subject(bed, name, 2)
    groups = torch.cat([torch.ones(1, clean.count, dtype=torch.bool), torch.zeros(1, clean.count, dtype=torch.bool)])
    found = patch_states(clean, other, (0,), groups)
    assert found.clean == pytest.approx(float(clean.logprobs().sum()), abs=1e-3)
    assert found.corrupted == pytest.approx(float(other.logprobs().sum()), abs=1e-3)
    assert abs(found.clean - found.corrupted) > 0.01
    np.testing.assert_allclose(found.share, [[1, 0]], atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_shares_equal_those_of_hooks_put_in_by_hand(name: str, bed: Bed) -> None:
    clean, other = subject(bed, name, 1), subject(bed, name, 2)
    last = len(decoder_layers(clean.vlm.parts.model, prefixes(clean.vlm.family, clean.vlm.parts)))
    tokens = [[0, 1, 5], [clean.count - 1]]
    groups = torch.cat([group(clean.count, *some) for some in tokens])
    at = (0, 1, last)
    found = patch_states(clean, other, at, groups)
    apart = found.clean - found.corrupted
    for i, depth in enumerate(at):
        for j, some in enumerate(tokens):
            expected = (by_hand(clean, other, depth, some) - found.corrupted) / apart
            assert found.share[i, j] == pytest.approx(expected, abs=2e-3)
    np.testing.assert_allclose(found.share[-1], 0, atol=1e-4)  # past the last layer nothing reads them any more


def test_groups_in_small_batches_give_the_same(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    clean, other = subject(bed, "tiny-llava", 1), subject(bed, "tiny-llava", 2)
    groups = blocks_of(clean, 3)
    whole = patch_states(clean, other, (1, 2), groups)
    monkeypatch.setattr("model.internals.subject.BATCH_ELEMENTS", 1)
    shares: list[float] = []
    small = patch_states(clean, other, (1, 2), groups, Run(tell=shares.append))
    np.testing.assert_allclose(small.share, whole.share, atol=1e-3)
    assert len(shares) == 2 * len(groups) + 1
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_blocks_cover_every_token_once(bed: Bed) -> None:
    groups = blocks_of(subject(bed, "tiny-llava", 1), 3)
    assert groups.shape == (16, 144)
    assert (groups.sum(0) == 1).all()
    assert (groups.sum(1) == 9).all()


def test_single_words_can_be_followed(bed: Bed) -> None:
    clean, other = subject(bed, "tiny-llava", 1), subject(bed, "tiny-llava", 2)
    found = patch_states(clean, other, (0,), torch.ones(1, clean.count, dtype=torch.bool), words=(1,))
    assert found.clean == pytest.approx(float(clean.logprobs()[0, 1]), abs=1e-3)
    np.testing.assert_allclose(found.share, 1, atol=1e-3)


def test_the_same_picture_has_nothing_to_recover(bed: Bed) -> None:
    clean = subject(bed, "tiny-llava", 1)
    assert np.isnan(patch_states(clean, clean, (0, 2), group(clean.count, 4)).share).all()


def test_prompts_that_do_not_align_are_refused(bed: Bed) -> None:
    clean = subject(bed, "qwen2_vl", 1, (140, 84))
    for size in ((140, 140), (84, 140)):  # another number of tokens, and the same number in another shape
        with pytest.raises(InputError, match="pictures of one size"):
            patch_states(clean, subject(bed, "qwen2_vl", 2, size), (0,), group(clean.count, 0))


def test_a_stop_ends_it(bed: Bed) -> None:
    clean, other = subject(bed, "tiny-llava", 1), subject(bed, "tiny-llava", 2)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        patch_states(clean, other, (0,), group(clean.count, 0), Run(stop))
