"""Traces: rows equal eager's, answers are untouched, for every architecture of the zoo."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from bed import Bed
from eager import attentions
from fakes import picture
from transformers import Cache
from zoo import BUILDERS

from model.generation.hooks import Interrupted
from model.generation.prefix_cache import held
from model.generation.scoring import score_many
from model.internals.roles import Role, decoder_layers, prefixes
from model.internals.subject import Subject
from model.internals.trace import Trace, Want, take_trace
from model.prompt import Message, Prompt, ask
from model.tap import Cut, Rows, Tap, causal_mask, tapped

ANSWER = (5, 9, 12, 7)
NAMES = (*BUILDERS, "tiny-llava")
CROSS = {"mllama": (Role.DECODER_CROSS, 2), "blip2": (Role.CONNECTOR_CROSS, 2), "kosmos2": (Role.CONNECTOR_CROSS, 1)}


def traced(bed: Bed, name: str, prompt: Prompt, want: Want | None = None) -> Trace:
    return take_trace(bed.vlm(name), prompt, ANSWER, want)


def whole(bed: Bed, name: str, prompt: Prompt) -> dict[str, torch.Tensor]:
    return bed.vlm(name).prepare(Prompt(prompt.messages, "", ANSWER)).tensors


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_those_of_eager_and_logits_those_of_sdpa(name: str, bed: Bed) -> None:
    prompt = ask("hello there", picture(3, (140, 100)))
    trace = traced(bed, name, prompt)
    tensors, vlm = whole(bed, name, prompt), bed.vlm(name)
    with torch.inference_mode():
        layers, _ = attentions(vlm, tensors)
        plain = torch.log_softmax(vlm.parts.model(**tensors, use_cache=False).logits[0, trace.rows].float(), -1)
    expected = np.stack([weights[0][:, trace.rows][:, :, trace.visual].numpy() for weights in layers])
    assert trace.attention is not None
    assert trace.image_mass is not None
    np.testing.assert_allclose(trace.attention, expected, atol=1e-5)
    np.testing.assert_allclose(trace.image_mass, expected.sum(-1), atol=1e-5)
    np.testing.assert_allclose([t.logprob for t in trace.tokens], plain[range(len(ANSWER)), ANSWER].numpy(), atol=1e-5)
    np.testing.assert_allclose(trace.entropy, -(plain.exp() * plain).sum(-1).numpy(), atol=1e-4)
    assert [t.alternatives[0].id for t in trace.tokens] == plain.argmax(-1).tolist()


@pytest.mark.parametrize("name", CROSS)
def test_cross_attention_is_kept_too(name: str, bed: Bed) -> None:
    role, layers = CROSS[name]
    trace = traced(bed, name, ask("hello there", picture(3, (140, 100))))
    found = {layer: arrays for (kind, layer), arrays in trace.others.items() if kind is role}
    assert len(found) == layers
    for arrays in found.values():
        np.testing.assert_allclose(arrays[0].sum(-1), 1, atol=1e-4)
    if role is Role.DECODER_CROSS:
        assert arrays[0].shape[2] == len(ANSWER)


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "gemma3", "mllama", "blip2"])
def test_hidden_states_are_those_between_the_layers(name: str, bed: Bed) -> None:
    prompt, vlm = ask("hello there", picture(3, (140, 100))), bed.vlm(name)
    trace = traced(bed, name, prompt, Want(hidden=(0, 1, -1)))
    names = decoder_layers(vlm.parts.model, prefixes(vlm.family, vlm.parts))
    seen: list[torch.Tensor] = []
    hooks = [
        vlm.parts.model.get_submodule(one).register_forward_hook(
            lambda m, args, out: seen.append(out[0] if isinstance(out, tuple) else out)
        )
        for one in names
    ]
    with torch.inference_mode():
        vlm.parts.model(**whole(bed, name, prompt), use_cache=False)
    for hook in hooks:
        hook.remove()
    assert set(trace.hidden) == {0, 1, len(names)}
    for depth in (1, len(names)):
        np.testing.assert_allclose(trace.hidden[depth], seen[depth - 1][0, trace.visual].float(), atol=1e-4)
        np.testing.assert_allclose(trace.row_hidden[depth], seen[depth - 1][0, trace.rows].float(), atol=1e-4)


def test_reading_rows_stand_one_behind_predicting_rows(bed: Bed) -> None:
    prompt = ask("hello there", picture(3))
    predicting, reading = (traced(bed, "tiny-llava", prompt, Want(rows=rows)) for rows in ("predicting", "reading"))
    assert predicting.attention is not None
    assert reading.attention is not None
    np.testing.assert_allclose(reading.attention[:, :, :-1], predicting.attention[:, :, 1:], atol=1e-6)


def test_padded_batches_and_cached_prompts_have_the_right_rows(bed: Bed) -> None:
    """Left-padded samples of a batch, and new tokens behind kept keys, give the rows of the sample alone."""
    model = bed.vlm("tiny-llava").parts.model
    short, long = torch.tensor([[9, 8, 7, 6, 5]]), torch.tensor([[3, 4, 9, 8, 7, 6, 5, 4]])
    pad = torch.zeros(1, 3, dtype=torch.long)
    batch = torch.cat([torch.cat([pad, short], 1), long])
    mask = torch.ones_like(batch)
    mask[0, :3] = 0
    places = torch.tensor([[0, 0, 0, 0, 1, 2, 3, 4], list(range(8))])

    def last_row(ids: torch.Tensor, at: int, **more: object) -> tuple[list[torch.Tensor], object]:
        tap = Tap(lambda name: Rows(torch.tensor([at])) if "language" in name else None)
        with torch.inference_mode(), tapped(model, tap):
            out = model(input_ids=ids, **more)
        held_now = next(value for value in out.values() if isinstance(value, Cache))
        return [found[0].weights for found in tap.rows.values()], held_now

    alone, _ = last_row(short, 4)
    padded, _ = last_row(batch, 7, attention_mask=mask, position_ids=places)
    for one, both in zip(alone, padded, strict=True):
        assert torch.allclose(both[0, :, :, 3:], one[0], atol=1e-5)
        assert float(both[0, :, :, :3].abs().max()) == 0
    whole_row, _ = last_row(long, 7)
    _, cache = last_row(long[:, :5], 4, use_cache=True)
    continued, _ = last_row(long[:, 5:], 7, **held(model, cache))
    for one, rest in zip(whole_row, continued, strict=True):
        assert torch.allclose(rest, one, atol=1e-5)


def test_a_cut_is_an_edited_mask(bed: Bed) -> None:
    """Knocking edges out equals writing minus infinity into the mask, for one head and for all."""
    model, ids = bed.vlm("tiny-llava").parts.model, torch.tensor([[9, 8, 7, 6, 5, 4]])
    queries, keys = torch.tensor([4, 5]), torch.tensor([1, 2])
    with torch.inference_mode():
        with tapped(model, Tap(cuts=[Cut(lambda name: True, queries, keys)])):
            cut = model(input_ids=ids, use_cache=False).logits
        mask = causal_mask(6, 6, ids.device)[None, None].clone()
        mask[0, 0, queries[:, None], keys] = False
        expected = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        with tapped(model, Tap(cuts=[Cut(lambda name: True, queries, keys, heads=(1,))])):
            one = model(input_ids=ids, use_cache=False).logits
        plain = model(input_ids=ids, use_cache=False).logits
    assert torch.allclose(cut, expected, atol=1e-5)
    assert not torch.allclose(cut, plain, atol=1e-3)
    assert not torch.allclose(one, plain, atol=1e-4)
    assert not torch.allclose(one, cut, atol=1e-4)


def test_cuts_of_samples_do_not_touch_their_neighbours(bed: Bed) -> None:
    model, ids = bed.vlm("tiny-llava").parts.model, torch.tensor([[9, 8, 7, 6, 5, 4]])
    cut = Cut(lambda name: True, torch.tensor([5]), torch.tensor([2]), sample=1)
    with torch.inference_mode(), tapped(model, Tap(cuts=[cut])):
        both = model(input_ids=ids.repeat(2, 1), use_cache=False).logits
    with torch.inference_mode():
        plain = model(input_ids=ids, use_cache=False).logits
    assert torch.allclose(both[0], plain[0], atol=1e-5)
    assert not torch.allclose(both[1], plain[0], atol=1e-4)


def test_a_tap_leaves_the_model_as_it_was(bed: Bed) -> None:
    vlm = bed.vlm("qwen2_vl")
    before = {id(m): m.config._attn_implementation for m in vlm.parts.model.modules() if "config" in vars(m)}
    traced(bed, "qwen2_vl", ask("hello", picture(1)))
    assert {id(m): m.config._attn_implementation for m in vlm.parts.model.modules() if "config" in vars(m)} == before


def test_a_trace_is_stopped_inside_the_pass(bed: Bed) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        take_trace(bed.vlm("tiny-llava"), ask("hello", picture(1)), ANSWER, stop=stop)


def test_a_trace_of_what_was_scored_has_its_numbers(bed: Bed) -> None:
    vlm, prompt = bed.vlm("tiny-llava"), ask("What color is the star?", picture(2))
    scored = score_many(vlm, [prompt], [["red"]])[0]
    ids = vlm.parts.tokenizer("red", add_special_tokens=False).input_ids
    trace = take_trace(vlm, prompt, ids)
    np.testing.assert_allclose([t.logprob for t in trace.tokens], scored.tokens[0], atol=1e-4)


def test_a_trace_is_small(bed: Bed) -> None:
    """What is kept grows with the answer, not with the square of the prompt."""
    trace = traced(bed, "tiny-llava", Prompt((Message("user", (picture(1), picture(2), "hello")),)))
    assert trace.attention is not None
    layers, heads, rows, columns = trace.attention.shape
    assert (rows, columns) == (len(ANSWER), len(trace.visual))
    assert trace.size_bytes < 1.1 * 4 * layers * heads * rows * (columns + 1) + 1000


def test_a_trace_serves_a_want_that_asks_for_less(bed: Bed) -> None:
    rich = Want(hidden=(0, 1, 2), rows="reading")
    assert rich.covers(rich)
    assert rich.covers(Want(attention=False, hidden=(2,)))
    assert not rich.covers(Want(hidden=(2,))), "other rows"
    assert not rich.covers(Want(attention=False, hidden=(3,)))
    assert not rich.covers(Want(attention=False, vision=True))
    assert not Want(attention=False).covers(Want())
    on = Subject(bed.vlm("llava_clip"), ask("hello there", picture(3, (140, 100))), ANSWER)
    held_trace = on.trace(Want(attention=False, hidden=(1, 2)))
    assert on.trace(Want(attention=False, hidden=(2,))) is held_trace
    fresh = on.trace()
    assert fresh is not held_trace
    assert fresh.attention is not None
