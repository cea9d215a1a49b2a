"""Rows of one batch that begin alike: the same log-probabilities as one by one, and fewer positions read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from bed import Bed
from fakes import picture

from model.internals.knockout import text_cut
from model.internals.roles import decoder_layers, prefixes
from model.internals.subject import Subject
from model.prompt import ask
from model.tap import Cut

PLAIN = ("llava_clip", "llava_next", "llava_onevision", "internvl", "idefics3", "qwen2_vl", "qwen2_5_vl", "vipllava")
WHOLE = ("gemma3", "paligemma", "qwen3_vl")
"""They look at a picture in both directions, or add its features to their layers: nothing can be read once."""
ANSWER = (5, 9, 12)


def subject(bed: Bed, name: str) -> Subject:
    return Subject(bed.vlm(name), ask("hello there", picture(1, (140, 100)), picture(2, (140, 100))), ANSWER)


def positions_read(on: Subject, work: Callable[[], object]) -> int:
    """How many positions enter the decoder's first layer, rows counted one by one."""
    count = 0

    def counted(module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        nonlocal count
        states = args[0] if args else kwargs["hidden_states"]
        count += states.shape[0] * states.shape[1]

    model = on.vlm.parts.model
    first = model.get_submodule(decoder_layers(model, prefixes(on.vlm.family, on.vlm.parts))[0])
    hook = first.register_forward_pre_hook(counted, with_kwargs=True)
    try:
        with torch.no_grad():
            work()
    finally:
        hook.remove()
    return count


def hidden_rows(on: Subject, first: int, rows: int = 4) -> torch.Tensor:
    """Features with some tokens hidden, none before `first`: bool drawn anew for each row. [rows, T, D]."""
    keep = torch.rand(rows, on.count, generator=torch.Generator().manual_seed(first)) < 0.5
    keep[:, :first] = True
    keep[:, first] = torch.arange(rows) % 2 == 0
    return on.hidden(keep)


@pytest.mark.parametrize("name", PLAIN + WHOLE)
def test_rows_read_together_are_as_likely_as_one_by_one(name: str, bed: Bed) -> None:
    on = subject(bed, name)
    with torch.no_grad():
        for first in (on.count // 2, on.count // 3, on.count - 1, 0):  # what is held grows, and is cut back
            rows = hidden_rows(on, first)
            one_by_one = torch.cat([on.logprobs(row[None]) for row in rows])
            assert one_by_one.std(0).max() > 1e-4, "hiding changes nothing"
            np.testing.assert_allclose(on.logprobs(rows), one_by_one, atol=1e-5)
            np.testing.assert_allclose(on.logprobs(rows, whole=True), one_by_one, atol=1e-5)


@pytest.mark.parametrize("name", PLAIN + WHOLE)
def test_cut_rows_read_together_are_as_likely_as_one_by_one(name: str, bed: Bed) -> None:
    on = subject(bed, name)
    chosen = [np.arange(on.count) < 1 + on.count // 2, np.arange(on.count) >= on.count // 2, np.arange(on.count) % 3 == 0]

    def cut(sample: int | None, tokens: np.ndarray) -> Cut:
        return text_cut(on, tokens, sample=sample)

    with torch.no_grad():
        together = on.logprobs(on.features[None].expand(3, -1, -1), [cut(i, tokens) for i, tokens in enumerate(chosen)])
        one_by_one = torch.cat([on.logprobs(None, [cut(None, tokens)]) for tokens in chosen])
    assert (one_by_one - on.logprobs()).abs().max() > 1e-4, "cutting changes nothing"
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_what_rows_begin_with_is_read_once(name: str, bed: Bed) -> None:
    on = subject(bed, name)
    first, length = on.count // 2, len(on.inputs.ids)
    shared = int(on.inputs.visual[first])
    rows = hidden_rows(on, first)
    assert positions_read(on, lambda: on.logprobs(rows)) == shared + 4 * (length - shared)
    assert positions_read(on, lambda: on.logprobs(rows)) == 4 * (length - shared), "it was held"
    assert positions_read(on, lambda: on.logprobs(rows, whole=True)) == 4 * length
    before = hidden_rows(on, first - 3)
    assert positions_read(on, lambda: on.logprobs(before)) == 4 * (length - int(on.inputs.visual[first - 3]))


@pytest.mark.parametrize("name", WHOLE)
def test_a_decoder_that_is_not_plain_reads_every_row_whole(name: str, bed: Bed) -> None:
    on = subject(bed, name)
    rows = hidden_rows(on, on.count // 2)
    assert positions_read(on, lambda: on.logprobs(rows)) == 4 * len(on.inputs.ids)


def test_nothing_stays_on_the_model(bed: Bed) -> None:
    on = subject(bed, "llava_clip")
    decoder = on.vlm.parts.model.get_submodule(prefixes(on.vlm.family, on.vlm.parts).decoder)
    before = vars(decoder).get("forward")
    with torch.no_grad():
        on.logprobs(hidden_rows(on, 5))
    assert vars(decoder).get("forward") is before
    assert on.size_bytes > on._shared.size_bytes > 0
