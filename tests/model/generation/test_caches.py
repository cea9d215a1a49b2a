"""The encoder cache and the reuse of keys and values: bounded, measured, and without a trace in the answers."""

from __future__ import annotations

import gc
import weakref
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from bed import Bed
from fakes import finished, picture, tokens
from transformers import Cache, DynamicCache, Qwen3NextConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling
from zoo import BUILDERS

from model.events import Encoded, Finished, Prefilled, Token
from model.families.base import ImageInput, Inputs
from model.generation.encoder_cache import EncoderCache, joined, tensor_key
from model.generation.prefix_cache import KeptPrefix, cache_argument, cut, reusable, shared_prefix, token_names, whole_tokens
from model.memory import size_bytes
from model.options import Options
from model.prompt import Message, Prompt, ask
from model.running.stepped_thread import cache_of

REUSING = ("llava_clip", "llava_siglip", "qwen2_vl", "qwen2_5_vl", "tiny-llava", "smolvlm", "internvl", "gemma3", "llava_next")
FEATURES = (*REUSING, "idefics3", "llava_onevision", "llava_pad", "paligemma", "vipllava")
OPTIONS = Options(max_new_tokens=6, alternatives=10)
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def say(bed: Bed, name: str, prompt: Prompt, session: str = "", options: Options = OPTIONS) -> list[Any]:
    bed.vlm(name)
    return list(bed.core.generate(bed.spec(name), prompt, options, session=session))


def encoded(events: list[Any]) -> Encoded:
    return next(event for event in events if isinstance(event, Encoded))


def prefilled(events: list[Any]) -> Prefilled:
    return next(event for event in events if isinstance(event, Prefilled))


def assert_same_answer(found: list[Any], expected: list[Any], within: float = 1e-3) -> None:
    """Same tokens, same text, same log-probabilities of the same candidates."""
    assert [token.id for token in tokens(found)] == [token.id for token in tokens(expected)]
    assert finished(found).text == finished(expected).text
    for one, other in zip(tokens(found), tokens(expected), strict=True):
        there = {a.id: a.logprob for a in other.alternatives}
        shared = [(a.logprob, there[a.id]) for a in one.alternatives if a.id in there]
        assert one.given or len(shared) > len(there) // 2
        assert all(a == pytest.approx(b, abs=within) for a, b in shared)


# --- encoder cache ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FEATURES)
def test_a_hit_gives_the_very_logits_of_the_miss(name: str, bed: Bed) -> None:
    vlm, cache = bed.vlm(name), bed.core.encoder_cache
    assert vlm.fast.features, vlm.fast.notes
    prompt = ask("Is there a red circle?", picture(50))
    vlm.forget()
    hits, misses = cache.hits, cache.misses
    first, second = say(bed, name, prompt), say(bed, name, prompt)
    assert (cache.hits - hits, cache.misses - misses) == (1, 1)
    assert (encoded(first).cached_images, encoded(second).cached_images) == (0, 1)
    assert not encoded(first).cached
    assert encoded(second).cached
    assert tokens(first) == tokens(second), "every number to the bit"


@pytest.mark.parametrize("name", FEATURES)
def test_features_in_place_of_pixels_give_the_answer_of_pixels(name: str, bed: Bed) -> None:
    vlm, prompt = bed.vlm(name), ask("What is left of the star?", picture(51, (130, 60)))
    with_features = [say(bed, name, prompt) for _ in range(2)]
    vlm.fast.features = False
    try:
        without = say(bed, name, prompt)
    finally:
        vlm.fast.features = True
    for found in with_features:
        assert_same_answer(found, without, 1e-5)


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "tiny-llava", "smolvlm", "paligemma"])
def test_pictures_cached_apart_are_those_encoded_together(name: str, bed: Bed) -> None:
    vlm, one, other = bed.vlm(name), picture(52), picture(53, (50, 120))
    both = ask("Which is brighter?", one, other)
    vlm.forget()
    apart = [encoded(say(bed, name, ask("What?", part))).cached_images for part in (one, other)]
    assert apart == [0, 0]
    together = say(bed, name, both)
    assert encoded(together).images == 2
    if len(vlm.prepare(both).images) == 2:
        assert encoded(together).cached
    else:  # this family gives its pictures all at once
        assert encoded(together).cached_images == 0
        again = say(bed, name, both)
        assert encoded(again).cached
        assert_same_answer(again, together, 0.0)
    vlm.fast.features = False
    try:
        assert_same_answer(together, say(bed, name, both), 1e-4)
    finally:
        vlm.fast.features = True


def test_the_key_is_what_is_fed_to_the_encoder_and_to_which(bed: Bed) -> None:
    """Another processor setting, another checkpoint or another size is another entry; the same pixels in another file are not."""
    vlm, cache = bed.vlm("llava_clip"), bed.core.encoder_cache
    part = picture(54)
    vlm.forget()
    say(bed, "llava_clip", ask("What?", part))
    assert encoded(say(bed, "llava_clip", ask("Else?", replace(part, id="f" * 64)))).cached
    processor, before = vlm.parts.image_processor, vlm.parts.image_processor.do_center_crop
    try:
        processor.do_center_crop = False
        processor.size = {"height": 56, "width": 56}
        vlm.parts.pictures.drop_if(lambda key: True)
        assert not encoded(say(bed, "llava_clip", ask("What?", part))).cached
    finally:
        processor.do_center_crop, processor.size = before, {"shortest_edge": 56}
        vlm.parts.pictures.drop_if(lambda key: True)
    misses = cache.misses
    assert not encoded(say(bed, "llava_pad", ask("What?", part))).cached
    assert cache.misses == misses + 1


def test_tensors_that_differ_in_anything_have_different_keys() -> None:
    base = {"pixel_values": torch.arange(24, dtype=torch.float32).reshape(1, 2, 3, 4)}
    value = base["pixel_values"]
    other = [
        {"pixel_values": value.reshape(1, 3, 2, 4)}, {"pixel_values": value.double()}, {"pixels": value},
        {"pixel_values": value.flip(-1)}, {"pixel_values": value.view(torch.int32)}, {"pixel_values": value[0]},
        {**base, "image_grid_thw": torch.tensor([[1, 2, 2]])}, {"pixel_values": value + 1e-6}, {"pixel_values": value[:0]}, {},
    ]  # fmt: skip
    keys = [tensor_key(tensors) for tensors in (base, *other)]
    assert len(set(keys)) == len(keys)
    transposed = value.transpose(2, 3).contiguous().transpose(2, 3)
    assert not transposed.is_contiguous()
    assert tensor_key({"pixel_values": transposed}) == keys[0], "the same numbers in another order of storage"
    assert tensor_key({"a": torch.tensor(1), "b": torch.tensor(True)}) != tensor_key(
        {"a": torch.tensor(2), "b": torch.tensor(True)}
    )


class Encoder(torch.nn.Module):
    """Gives 1,000 bytes of features a picture, as a slice of more."""

    def __init__(self) -> None:
        super().__init__()
        self.base_model, self.made = self, []

    def get_image_features(self, pixel_values: torch.Tensor, return_dict: bool) -> Any:
        whole = torch.zeros(250) + pixel_values.flatten()[0]
        self.made.append(weakref.ref(whole.untyped_storage()))
        return BaseModelOutputWithPooling(
            pooler_output=[whole[:25]], last_hidden_state=torch.zeros(10**5), hidden_states=(whole,)
        )


def test_the_encoder_cache_stays_within_its_bytes_and_frees_what_leaves() -> None:
    encoder, cache = Encoder(), EncoderCache(limit_bytes=3500)
    pixels = [{"pixel_values": torch.full((1, 1), float(i))} for i in range(5)]
    for given in pixels[:3]:
        assert cache.features(encoder, "a", given)[1] is False
    assert cache.used_bytes == 3000, "a slice holds on to all it was cut from"
    assert cache.features(encoder, "a", pixels[0])[1] is True
    cache.features(encoder, "a", pixels[3])
    assert cache.used_bytes == 3000
    assert cache.features(encoder, "a", pixels[0])[1] is True, "used lately"
    assert cache.features(encoder, "a", pixels[1])[1] is False, "the least recently used went"
    gc.collect()
    alive = sum(ref() is not None for ref in encoder.made)
    assert alive == 3
    assert cache.features(encoder, "b", pixels[0])[1] is False, "another checkpoint's"
    cache.forget("a")
    assert cache.used_bytes == 1000
    cache.forget("b")
    gc.collect()
    assert cache.used_bytes == 0
    assert not any(ref() is not None for ref in encoder.made)


def test_features_are_joined_in_order_and_as_copies() -> None:
    Output = BaseModelOutputWithPooling
    one, other = Output(pooler_output=[torch.ones(2, 3)]), Output(pooler_output=[torch.zeros(4, 3)])
    both = joined([one, other])
    assert [part.shape[0] for part in both.pooler_output] == [2, 4]
    both["pooler_output"] = None
    assert one.pooler_output is not None
    assert joined([one]) is not one
    stacked = joined([Output(pooler_output=torch.ones(1, 2, 3)), Output(pooler_output=torch.zeros(2, 2, 3))])
    assert stacked.pooler_output[:, 0, 0].tolist() == [1, 0, 0]


# --- conversations ----------------------------------------------------------------------------


def turn(prompt: Prompt, said: list[Any], *more: Any) -> Prompt:
    """The conversation gone on: what was said, then the next question."""
    return Prompt((*prompt.messages, Message("assistant", (finished(said).text or "Yes",)), Message("user", more)))


@pytest.mark.parametrize("name", REUSING)
def test_a_conversation_of_three_turns_is_that_without_reuse(name: str, bed: Bed) -> None:
    """With a picture in the first turn, another in the second, and text alone in the third."""
    vlm = bed.vlm(name)
    assert vlm.fast.reuse, vlm.fast.notes
    reused = 0
    prompt = ask("Is there a red circle?", picture(60))
    for question in ((picture(61, (120, 40)), "And in this one?"), ("How many?",), None):
        with_reuse, fresh = say(bed, name, prompt, "three turns"), say(bed, name, prompt)
        assert_same_answer(with_reuse, fresh)
        assert prefilled(fresh).reused_tokens == 0
        assert prefilled(with_reuse).prompt_tokens == prefilled(fresh).prompt_tokens
        assert prefilled(with_reuse).reused_tokens >= reused
        reused = prefilled(with_reuse).reused_tokens
        if question:
            prompt = turn(prompt, fresh, *question)
    assert reused > 0.5 * prefilled(fresh).prompt_tokens
    bed.forget_conversation("three turns")
    assert prefilled(say(bed, name, prompt, "three turns")).reused_tokens == 0


@pytest.mark.parametrize("name", REUSING)
def test_an_edited_earlier_turn_takes_up_no_later_one(name: str, bed: Bed) -> None:
    first = ask("Is there a red circle?", picture(62))
    said = say(bed, name, first, "edited")
    second = turn(first, said, "How many things are there in all of the picture?")
    say(bed, name, second, "edited")
    edits = [
        ask("Is there a blue square?", picture(62)),
        ask("Is there a red circle?", picture(63)),
        first,
        ask("Is there a red circle?"),
        turn(first, said, "What else?"),
    ]
    for edit in edits:
        assert_same_answer(say(bed, name, edit, "edited"), say(bed, name, edit))


@pytest.mark.parametrize("name", [*REUSING, "mllama"])
def test_two_conversations_taken_in_turns_do_not_mix(name: str, bed: Bed) -> None:
    """The one has a picture, the other none or another: what a model remembers of its last prompt must not matter."""
    one, other = ask("Is there a red circle?", picture(64, (150, 50))), ask("What is the weather like?")
    for _ in range(3):
        answers = [say(bed, name, prompt, session) for prompt, session in ((one, "one"), (other, "other"))]
        for found, prompt in zip(answers, (one, other), strict=True):
            assert_same_answer(found, say(bed, name, prompt))
        one, other = turn(one, answers[0], "And what else?"), turn(other, answers[1], "Why is that so?")
    bed.forget_conversation("one")
    bed.forget_conversation("other")


def test_a_conversation_goes_on_after_a_stop_in_the_middle(bed: Bed) -> None:
    for name in ("llava_clip", "qwen2_vl"):
        vlm, prompt = bed.vlm(name), ask("Is there a red circle?", picture(65))
        layers = list(vlm.parts.model.model.language_model.layers)
        vlm.forget()
        for stop_at in (2, 5, 7):  # in the prompt, between tokens, within a token: counted in layers of three
            say_until(bed, name, prompt, layers, stop_at)
            kept = vlm.conversations.get("stopped")
            assert (kept is None) == (stop_at == 2), "of the prompt no layer but the first had all"
            if kept is not None:
                lengths = {layer.get_seq_length() for layer in kept.cache.layers}
                assert lengths == {len(kept.names)}
                assert kept.size_bytes == vlm.conversations.used_bytes
            on = turn(prompt, say(bed, name, prompt), "How many?")
            again = say(bed, name, on, "stopped")
            assert_same_answer(again, say(bed, name, on))
            assert (prefilled(again).reused_tokens > 20) == (stop_at > 2)
            bed.forget_conversation("stopped")


def say_until(bed: Bed, name: str, prompt: Prompt, layers: list[torch.nn.Module], count: int) -> list[Any]:
    """Answer, and stop when `count` layers have run."""
    ran: list[int] = []

    def one_more(*args: Any) -> None:
        ran.append(1)
        if len(ran) == count:
            bed.core.stop("until")

    hooks = [layer.register_forward_hook(one_more) for layer in layers]
    try:
        events = list(bed.core.generate(bed.spec(name), prompt, Options(max_new_tokens=50), session="stopped", run_id="until"))
    finally:
        for hook in hooks:
            hook.remove()
    assert len(ran) == count
    assert finished(events).reason == "stopped"
    return events


def test_a_failed_run_leaves_no_half_written_keys(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm, prompt = bed.vlm("llava_clip"), ask("Is there a red circle?", picture(66))
    first = say(bed, "llava_clip", prompt, "fails")
    on = turn(prompt, first, "How many?")
    layer = vlm.parts.model.model.language_model.layers[1]
    hook = layer.register_forward_pre_hook(lambda *args: (_ for _ in ()).throw(KeyError("broken layer")))
    try:
        with pytest.raises(KeyError, match="broken layer"):
            say(bed, "llava_clip", on, "fails")
    finally:
        hook.remove()
    assert vlm.conversations.get("fails") is None
    assert_same_answer(say(bed, "llava_clip", on, "fails"), say(bed, "llava_clip", on))


def test_a_branch_from_an_alternative_reuses_the_answer_up_to_there(bed: Bed) -> None:
    prompt = ask("Is there a red circle?", picture(67))
    said = tokens(say(bed, "llava_clip", prompt, "branch"))
    other = next(a.id for a in said[3].alternatives if a.id != said[3].id)
    branch = replace(prompt, answer_tokens=(*(token.id for token in said[:3]), other))
    with_reuse, fresh = say(bed, "llava_clip", branch, "branch"), say(bed, "llava_clip", branch)
    assert_same_answer(with_reuse, fresh)
    assert prefilled(with_reuse).reused_tokens == prefilled(fresh).prompt_tokens - 1


def test_conversations_stay_within_their_bytes(own_bed: Bed) -> None:
    vlm = own_bed.vlm("llava_clip")
    prompts = [ask(f"Question number {i}?", picture(i)) for i in range(5)]
    say(own_bed, "llava_clip", prompts[0], "s0")
    one = vlm.conversations.used_bytes
    kept = vlm.conversations.get("s0")
    assert one == sum(layer.keys.nbytes + layer.values.nbytes for layer in kept.cache.layers)
    vlm.conversations.limit_bytes = 3 * one + 100
    refs = [weakref.ref(kept.cache)]
    del kept
    for i in range(1, 5):
        say(own_bed, "llava_clip", prompts[i], f"s{i}")
        refs.append(weakref.ref(vlm.conversations.get(f"s{i}").cache))
        assert vlm.conversations.used_bytes <= vlm.conversations.limit_bytes
    gc.collect()
    assert [ref() is not None for ref in refs] == [False, False, True, True, True]
    (status,) = own_bed.core.loaded()
    assert status.cache_bytes == vlm.conversations.used_bytes
    assert prefilled(say(own_bed, "llava_clip", prompts[0], "s0")).reused_tokens == 0
    assert prefilled(say(own_bed, "llava_clip", prompts[4], "s4")).reused_tokens > 0
    vlm.conversations.limit_bytes = 10
    say(own_bed, "llava_clip", prompts[0], "s9")
    assert vlm.conversations.get("s9") is None, "one that is larger than all there is room for is not held"


def test_a_second_turn_says_which_pictures_were_encoded_for_it(bed: Bed) -> None:
    vlm, first = bed.vlm("llava_clip"), ask("What?", picture(68))
    vlm.forget()
    said = say(bed, "llava_clip", first, "told")
    text_only, other = turn(first, said, "And?"), turn(first, said, picture(69), "And this?")
    assert encoded(said).cached_images == 0
    assert (encoded(say(bed, "llava_clip", text_only, "told")).cached_images) == 1
    with_new = encoded(say(bed, "llava_clip", other, "told"))
    assert (with_new.images, with_new.cached_images, with_new.cached) == (2, 1, False)


# --- prefixes ---------------------------------------------------------------------------------


def made_of(ids: list[int], *spans: tuple[str, int, int]) -> Inputs:
    """Inputs of a prompt in which pictures stand: (id, first token, number of tokens)."""
    visual = [i for _, at, count in spans for i in range(at, at + count)]
    images = tuple(ImageInput(name, {}, count) for name, _, count in spans)
    return Inputs({}, ids, torch.tensor(visual, dtype=torch.long).numpy(), None, images, pictures=len(spans))


def test_names_tell_pictures_apart_and_tokens_alike() -> None:
    ids = [1, 9, 9, 5, 9, 9, 6]
    inputs = made_of(ids, ("a", 1, 2), ("b", 4, 2))
    assert token_names(inputs, ["a", "b"]) == [1, ("a", 0), ("a", 1), 5, ("b", 0), ("b", 1), 6]
    other = token_names(made_of(ids, ("a", 1, 2), ("c", 4, 2)), ["a", "c"])
    assert shared_prefix(token_names(inputs, ["a", "b"]), other) == 4
    without = Inputs({}, ids, torch.tensor([1, 2]).numpy(), None)
    assert token_names(without, ["a"])[1] == ("a", 0)
    assert shared_prefix(token_names(without, ["a"]), token_names(without, ["b"])) == 1


def test_pictures_without_tokens_of_their_own_still_tell_prompts_apart() -> None:
    """GIT puts its pictures in front of the text, where no id shows them."""
    unseen = Inputs({}, [1, 2, 3], torch.zeros(0, dtype=torch.long).numpy(), None, pictures=1)
    one, other, none = (token_names(unseen, ids) for ids in (["a"], ["b"], []))
    assert shared_prefix(one, other) == shared_prefix(one, none) == 0
    assert shared_prefix(one, token_names(unseen, ["a"])) == 2


@pytest.mark.parametrize(
    ("shared", "features", "expected"),
    [
        (0, True, 0),
        (1, True, 1),
        (2, True, 1),
        (3, True, 3),
        (4, True, 4),
        (5, True, 4),
        (6, True, 6),
        (3, False, 0),
        (6, False, 6),
    ],
)
def test_a_prefix_never_ends_inside_a_picture(shared: int, features: bool, expected: int) -> None:
    inputs = made_of([1, 9, 9, 5, 9, 9, 6], ("a", 1, 2), ("b", 4, 2))
    assert reusable(inputs, shared, features) == expected


def filled(lengths: list[int]) -> DynamicCache:
    cache = DynamicCache()
    for layer, length in enumerate(lengths):
        cache.update(torch.randn(1, 2, length, 4), torch.randn(1, 2, length, 4), layer)
    return cache


def test_a_cut_cache_holds_what_it_says_and_no_more_memory() -> None:
    cache = filled([8, 8, 7])
    keys = [layer.keys.clone() for layer in cache.layers]
    assert whole_tokens(cache) == 7
    assert [layer.get_seq_length() for layer in cache.layers] == [7, 7, 7]
    assert all(torch.equal(layer.keys, k[..., :7, :]) for layer, k in zip(cache.layers, keys, strict=True))
    assert KeptPrefix([], cache).size_bytes == 3 * 2 * 7 * 2 * 4 * 4
    assert cut(cache, 3)
    assert [layer.get_seq_length() for layer in cache.layers] == [3, 3, 3]
    assert not cut(cache, 4), "what is gone does not come back"
    assert whole_tokens(DynamicCache()) == 0


def test_a_window_that_has_moved_on_is_not_cut(bed: Bed) -> None:
    vlm = bed.vlm("gemma3")
    assert vlm.window_tokens() == 32
    cache = vlm.new_cache()
    for length, works in ((20, True), (40, False)):
        cache = vlm.new_cache()
        for layer in range(len(cache.layers)):
            cache.update(torch.randn(1, 2, length, 4), torch.randn(1, 2, length, 4), layer)
        assert cut(cache, 10) is works
    assert whole_tokens(cache) == 0


def test_a_recurrent_state_is_counted_and_not_cut() -> None:
    cache = DynamicCache(config=Qwen3NextConfig(num_hidden_layers=2, layer_types=["linear_attention", "full_attention"]))
    cache.update(torch.zeros(1, 1, 5, 4), torch.zeros(1, 1, 5, 4), 1)
    cache.update_recurrent_state(torch.zeros(1, 2, 3, 3), 0)
    assert KeptPrefix([], cache).size_bytes == 2 * 5 * 4 * 4 + 2 * 3 * 3 * 4
    assert not cut(cache, 3)
    assert cache.get_seq_length() == 5
    assert cut(cache, 5), "nothing is to be cut"
    assert whole_tokens(cache) == 0


def test_size_bytes_counts_storage_once() -> None:
    whole = torch.zeros(1000)
    assert size_bytes({"a": [whole[:10], whole[5:]], "b": (whole,)}) == 4000
    assert size_bytes([torch.zeros(0), None, "text", 3]) == 0


def test_reuse_is_let_be_where_a_window_would_be_left(own_bed: Bed) -> None:
    """Within a window nothing was tested of what comes after it: longer conversations take the long way."""
    vlm = own_bed.vlm("llava_clip")
    prompt = ask("Is there a red circle?", picture(70))
    on = turn(prompt, say(own_bed, "llava_clip", prompt, "far"), "And?")
    length = len(vlm.prepare(on).ids) + OPTIONS.max_new_tokens
    for reach, reused in ((None, True), (length, True), (length - 1, False)):
        vlm.fast.reach = reach
        say(own_bed, "llava_clip", prompt, "far")
        assert (prefilled(say(own_bed, "llava_clip", on, "far")).reused_tokens > 0) is reused


def test_no_tensor_leaves_the_model_thread(bed: Bed) -> None:
    events = say(bed, "llava_clip", ask("What?", picture(71)))
    assert {type(event) for event in events} >= {Encoded, Prefilled, Token, Finished}
    for event in events:
        values = [getattr(event, field.name) for field in fields(event)]
        assert not any(isinstance(value, torch.Tensor) for value in values)


# --- the name of the argument -----------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_keys_and_values_are_counted_under_whatever_name_they_are_given(name: str, bed: Bed) -> None:
    """Against the cache that `generate` hands back."""
    vlm = bed.vlm(name)
    inputs = vlm.prepare(ask("Is there a red circle?", picture(58)))
    with cache_of(vlm.parts.model) as count:
        told = vlm.parts.model.generate(**inputs.tensors, max_new_tokens=3, do_sample=False, return_dict_in_generate=True)
    made = next(value for value in told.values() if isinstance(value, Cache))
    held = sum(part.numel() * part.element_size() for layer in made.layers for part in (layer.keys, layer.values))
    assert 0 < held <= count() <= 1.02 * held, "a layer with a window holds some numbers more"


def test_a_class_that_takes_no_keys_and_values_is_named() -> None:
    class Silent(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor) -> None: ...

        def prepare_inputs_for_generation(self, input_ids: torch.Tensor) -> None: ...

    with pytest.raises(TypeError, match=r"Silent of transformers .* takes neither cache nor past_key_values"):
        cache_argument(Silent)
