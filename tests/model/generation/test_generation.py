"""Answers: the tokens of plain `generate`, how likely they were, the same for the same seed, and stopped when told to."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from bed import Bed
from fakes import best_of_three, finished, picture, soon, tokens
from torch import nn
from zoo import BUILDERS

from model.decoders.plain import Plain
from model.errors import OptionsError, PromptError
from model.events import Encoded, Finished, Prefilled, Queued, Token, Waiting
from model.families.base.tokens import Detokenizer, Pieces
from model.generation.hooks import Teller, TokenChoice, end_tokens
from model.generation.vlm import VisionLanguageModel
from model.options import Options
from model.prompt import Message, Prompt, ask

EVERY = (*sorted(BUILDERS), "tiny-llava", "tiny-llava-stage1")
NEEDS_PICTURE = ("blip2", "kosmos2", "paligemma")
"""Checkpoints whose processor or model refuses a prompt without a picture."""
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@contextmanager
def generation_settings(vlm: VisionLanguageModel, **changes: Any) -> Iterator[None]:
    """Settings of the generation config that writes, as a repository's generation_config.json would set them."""
    inner = [m for n, m in vlm.parts.model.named_modules() if n in ("language_model", "text_model")]
    configs = [m.generation_config for m in (vlm.parts.model, *inner) if getattr(m, "generation_config", None) is not None]
    before = [{name: getattr(config, name) for name in changes} for config in configs]
    try:
        for config in configs:
            config.update(**changes)
        yield
    finally:
        for config, old in zip(configs, before, strict=True):
            config.update(**old)


def answer(bed: Bed, name: str, prompt: Prompt, options: Options, **more: Any) -> list[Any]:
    bed.vlm(name)
    return list(bed.core.generate(bed.spec(name), prompt, options, **more))


def plain(vlm: VisionLanguageModel, prompt: Prompt, count: int, **more: Any) -> Any:
    """transformers' own greedy `generate`, with the scores and logits of each step."""
    inputs = vlm.prepare(prompt)
    told = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
    with torch.inference_mode():
        made = vlm.parts.model.generate(**inputs.tensors, max_new_tokens=count, do_sample=False, **told, **more)
    made.new = made.sequences[0, len(inputs.ids) :].tolist()
    return made


def written(events: list[Any], vlm: VisionLanguageModel) -> list[int]:
    """Ids of an answer, its end included where it came to one."""
    ids = [token.id for token in tokens(events)]
    ends = sorted(end_tokens(vlm.parts.model))
    return ids + ends[:1] if finished(events).reason == "end" else ids


def assert_said(text: str, said: Sequence[Token]) -> None:
    """The text is that of the tokens, and where they stop inside a character, what is left of it."""
    pieces = "".join(token.text for token in said)
    assert text.startswith(pieces)
    assert set(text[len(pieces) :]) <= {"\ufffd"}


@pytest.mark.parametrize("name", EVERY)
def test_greedy_answers_are_those_of_plain_generate(name: str, bed: Bed) -> None:
    vlm = bed.vlm(name)
    prompts = [ask("Is there a red circle?", picture(0)), ask("how many", picture(1, (40, 130)))]
    prompts += [] if name in NEEDS_PICTURE else [ask("What is it?")]
    for prompt in prompts:
        events = answer(bed, name, prompt, Options(max_new_tokens=12))
        made = plain(vlm, prompt, 12)
        assert written(events, vlm) == made.new
        kinds = [type(event) for event in events if not isinstance(event, (Waiting, Queued))]
        assert kinds == [Encoded, Prefilled, *[Token] * len(tokens(events)), Finished]
        assert finished(events).new_tokens == len(tokens(events))
        assert finished(events).reason in ("end", "length")


@pytest.mark.parametrize("name", EVERY)
def test_logprobs_and_alternatives_are_those_of_generate_s_own_logits(name: str, bed: Bed) -> None:
    vlm, prompt = bed.vlm(name), ask("Is there a red circle?", picture(0))
    events = answer(bed, name, prompt, Options(max_new_tokens=6, alternatives=4))
    made = plain(vlm, prompt, 6)
    for token, logits in zip(tokens(events), made.logits, strict=False):
        logprobs = torch.log_softmax(logits[0].float(), -1)
        assert token.logprob == pytest.approx(float(logprobs[token.id]), abs=1e-4)
        best = torch.topk(logprobs, 4)
        assert [a.id for a in token.alternatives] == best.indices.tolist()
        assert [a.logprob for a in token.alternatives] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert token.alternatives[0].id == token.id
        assert not token.given


@pytest.mark.parametrize("name", ["llava_clip", "llava_pad", "llava_siglip", "qwen2_vl", "qwen2_5_vl", "tiny-llava"])
def test_logprobs_are_those_of_a_plain_forward_pass(name: str, bed: Bed) -> None:
    vlm, prompt = bed.vlm(name), ask("Is there a red circle?", picture(0))
    said = tokens(answer(bed, name, prompt, Options(max_new_tokens=8)))
    inputs = vlm.prepare(prompt)
    ids = torch.tensor([[*inputs.ids, *(token.id for token in said)]])
    more = {k: v for k, v in inputs.tensors.items() if k in ("pixel_values", "image_grid_thw")}
    if "mm_token_type_ids" in inputs.tensors:
        more["mm_token_type_ids"] = (ids == vlm.parts.image_token_id).int()
    with torch.inference_mode():
        logprobs = torch.log_softmax(vlm.parts.model(input_ids=ids, **more).logits[0].float(), -1)
    for step, token in enumerate(said):
        assert token.logprob == pytest.approx(float(logprobs[len(inputs.ids) - 1 + step, token.id]), abs=1e-4)


def nucleus(logits: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """Chances of the tokens after temperature and top-p, by their definition: the fewest that together have top_p."""
    chances = torch.softmax(logits.double() / temperature, -1)
    order = sorted(range(len(chances)), key=lambda i: -float(chances[i]))
    kept, total = [], 0.0
    for i in order:
        kept.append(i)
        total += float(chances[i])
        if total >= top_p:
            break
    found = torch.zeros_like(chances)
    found[kept] = chances[kept]
    return found / found.sum()


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.0, 0.6), (2.5, 0.9), (0.05, 0.5)])
@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "paligemma"])
def test_samples_are_drawn_from_the_nucleus_with_the_seed(name: str, temperature: float, top_p: float, bed: Bed) -> None:
    """Replayed by hand: the logits at each step, filtered by brute force, drawn from with a generator of the same seed."""
    vlm, prompt = bed.vlm(name), ask("Is there a red circle?", picture(0))
    options = Options(max_new_tokens=5, decoder=Plain(temperature, top_p), seed=11)
    said = tokens(answer(bed, name, prompt, options))
    random = torch.Generator().manual_seed(11)
    for step, token in enumerate(said):
        upto = replace(prompt, answer_tokens=tuple(t.id for t in said[:step]))
        logits = plain(vlm, upto, 1).logits[0][0]
        chances = nucleus(logits, temperature, top_p)
        assert chances[token.id] > 0
        assert int(torch.multinomial(chances.float(), 1, generator=random)) == token.id
        assert token.logprob == pytest.approx(float(torch.log_softmax(logits.float(), -1)[token.id]), abs=1e-4)


def test_the_same_seed_gives_the_same_tokens_and_another_does_not(bed: Bed) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    prompt = ask("Is there a red circle?", picture(0))
    runs = {}
    for seed in (0, 1, 0, 2, 1):
        said = tokens(answer(bed, "llava_clip", prompt, Options(max_new_tokens=8, decoder=Plain(1.0), seed=seed)))
        ids = [token.id for token in said]
        assert runs.setdefault(seed, ids) == ids
    assert len({tuple(ids) for ids in runs.values()}) == 3
    assert torch.equal(before, torch.get_rng_state()), "the global random state is nobody's to use"


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "gemma3", "blip2", "tiny-llava"])
def test_a_repetition_penalty_of_the_checkpoint_is_respected(name: str, bed: Bed) -> None:
    vlm, prompt = bed.vlm(name), ask("Is there a red circle?", picture(0))
    without = [token.id for token in tokens(answer(bed, name, prompt, Options(max_new_tokens=12)))]
    with generation_settings(vlm, repetition_penalty=3.0):
        events = answer(bed, name, prompt, Options(max_new_tokens=12))
        made = plain(vlm, prompt, 12)
    assert written(events, vlm) == made.new != without
    for token, scores in zip(tokens(events), made.scores, strict=False):
        assert token.logprob == pytest.approx(float(torch.log_softmax(scores[0].float(), -1)[token.id]), abs=1e-4)


def test_sampling_settings_of_the_checkpoint_do_not_make_greedy_answers_random(
    bed: Bed, capfd: pytest.CaptureFixture[str]
) -> None:
    """As Qwen's repositories have them: do_sample, a temperature, top-p and top-k."""
    vlm, prompt = bed.vlm("qwen2_vl"), ask("Is there a red circle?", picture(0))
    expected = plain(vlm, prompt, 8).new
    with generation_settings(vlm, do_sample=True, temperature=0.01, top_p=0.001, top_k=1):
        assert written(answer(bed, "qwen2_vl", prompt, Options(max_new_tokens=8)), vlm) == expected
        sampled = tokens(answer(bed, "qwen2_vl", prompt, Options(max_new_tokens=8, decoder=Plain(5.0), seed=1)))
    assert [token.id for token in sampled] != expected, "the options hold, not the checkpoint's own"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["llava_clip", "kosmos2", "blip2"])
def test_an_answer_ends_at_its_end_token_which_is_not_said(name: str, bed: Bed) -> None:
    vlm, prompt = bed.vlm(name), ask("Is there a red circle?", picture(0))
    ids = plain(vlm, prompt, 8).new
    end = next(i for i in range(1, 8) if ids[i] not in ids[:i]) if len(set(ids)) > 1 else 0
    with generation_settings(vlm, eos_token_id=[ids[end], 1]):
        events = answer(bed, name, prompt, Options(max_new_tokens=8))
        assert end_tokens(vlm.parts.model) == {ids[end], 1}
    assert [token.id for token in tokens(events)] == ids[:end]
    assert finished(events).reason == "end"
    assert_said(finished(events).text, tokens(events))
    assert finished(answer(bed, name, prompt, Options(max_new_tokens=2))).reason in ("length", "end")


def test_an_answer_is_no_longer_than_the_context_has_room_for(own_bed: Bed) -> None:
    vlm = own_bed.vlm("llava_clip")
    prompt = ask("Is there a red circle?", picture(0))
    length = len(vlm.prepare(prompt).ids)
    vlm.context_tokens = length + 3
    events = answer(own_bed, "llava_clip", prompt, Options(max_new_tokens=50))
    assert len(tokens(events)) == 3
    assert finished(events).reason == "length"
    vlm.context_tokens = length
    with pytest.raises(PromptError, match=rf"is {length} tokens, 16 of them for 1 pictures; .* holds {length}"):
        answer(own_bed, "llava_clip", prompt, Options())


@pytest.mark.parametrize("name", EVERY)
def test_an_answer_can_be_made_to_go_on_from_given_tokens(name: str, bed: Bed) -> None:
    vlm, prompt = bed.vlm(name), ask("Is there a red circle?", picture(0))
    whole = answer(bed, name, prompt, Options(max_new_tokens=7))
    ids = [token.id for token in tokens(whole)]
    kept = min(3, len(ids))
    begun = replace(prompt, answer_tokens=tuple(ids[:kept]))
    continued = answer(bed, name, begun, Options(max_new_tokens=7 - kept))
    assert [token.id for token in tokens(continued)] == ids
    assert [token.given for token in tokens(continued)] == [i < kept for i in range(len(ids))]
    assert [token.text for token in tokens(continued)] == [token.text for token in tokens(whole)]
    assert finished(continued).text == finished(whole).text
    assert finished(continued).new_tokens == len(ids) - kept
    for one, other in zip(tokens(whole)[kept:], tokens(continued)[kept:], strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
    assert vlm.fast.extend, "all of these can read an answer at once"
    vlm.fast.extend = False
    try:
        step_by_step = answer(bed, name, begun, Options(max_new_tokens=7 - kept))
    finally:
        vlm.fast.extend = True
    assert [(t.id, t.given) for t in tokens(step_by_step)] == [(t.id, t.given) for t in tokens(continued)]


def test_an_answer_can_be_made_to_begin_with_text(bed: Bed) -> None:
    vlm = bed.vlm("llava_clip")
    prompt = Prompt(ask("Is there a red circle?", picture(0)).messages, answer_prefix=" yes there")
    inputs = vlm.prepare(prompt)
    assert vlm.parts.tokenizer.decode(inputs.ids).endswith("ASSISTANT: yes there")
    events = answer(bed, "llava_clip", prompt, Options(max_new_tokens=3))
    assert_said(finished(events).text.removeprefix(" yes there"), tokens(events))
    assert finished(events).text.startswith(" yes there")


def test_several_text_parts_and_pictures_in_any_order_are_read_in_that_order(bed: Bed) -> None:
    vlm = bed.vlm("qwen2_vl")
    message = Message("user", ("first", picture(1), "second", picture(2), "third"))
    inputs = vlm.prepare(Prompt((message,)))
    text = vlm.parts.tokenizer.decode([i for i in inputs.ids if i != vlm.parts.image_token_id])
    picture_mark = "<|vision_start|><|vision_end|>"
    assert f"user\nfirst{picture_mark}second{picture_mark}third<|im_end|>" in text


# --- text of tokens ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_the_pieces_of_an_answer_are_the_decoded_whole(name: str, bed: Bed) -> None:
    tokenizer = bed.vlm(name).parts.tokenizer
    random = np.random.default_rng(0)
    texts = ["Yes, there is. Two  spaces\nand caf\u00e9 \u65e5\u672c \U0001f600 \U0001f469\u200d\U0001f680!", " yes", "\u00e9"]
    sequences = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
    # Not single bytes at random: a run of them is text or not as a whole, which is only known at its end.
    whole = [i for i in range(len(tokenizer)) if not re.fullmatch("<0x..>", tokenizer.convert_ids_to_tokens(i))]
    sequences += [random.choice(whole, 40).tolist() for _ in range(10)]
    for ids in sequences:
        reader = Detokenizer(tokenizer)
        pieces = [reader.push(token) for token in ids]
        left = reader.flush()
        decoded = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        assert "".join(pieces) + left == reader.text
        if ids in sequences[: len(texts)]:
            assert reader.text == decoded
            assert "\ufffd" not in reader.text
        else:  # what is no character may be told apart differently
            assert reader.text.replace("\ufffd", "") == decoded.replace("\ufffd", "")


def test_a_character_of_several_tokens_appears_with_its_last(bed: Bed) -> None:
    tokenizer = bed.vlm("llava_clip").parts.tokenizer
    ids = tokenizer("a\U0001f600", add_special_tokens=False).input_ids
    reader = Detokenizer(tokenizer)
    pieces = [reader.push(token) for token in ids]
    assert pieces[-1] == "\U0001f600"
    assert pieces[-4:-1] == ["", "", ""]
    cut = Detokenizer(tokenizer)
    assert "".join(cut.push(token) for token in ids[:-1]) == "a"
    assert set(cut.flush()) == {"\ufffd"}
    assert cut.flush() == ""


def test_single_tokens_keep_the_space_they_start_with(bed: Bed) -> None:
    for name in ("llava_clip", "qwen2_vl", "gemma3"):
        tokenizer = bed.vlm(name).parts.tokenizer
        pieces = Pieces(tokenizer)
        _, space_yes = tokenizer("a yes", add_special_tokens=False).input_ids
        assert pieces[space_yes] == " yes"
        assert pieces[space_yes] == " yes"


# --- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": 0}, {"max_new_tokens": 5000}, {"max_new_tokens": 2.5}, {"max_new_tokens": True},
        {"temperature": -1}, {"temperature": 6.0}, {"temperature": float("nan")}, {"temperature": 1e-9}, {"temperature": "hot"},
        {"temperature": True}, {"temperature": float("inf")}, {"top_p": 0.0}, {"top_p": 1.1}, {"seed": -1}, {"seed": 2**31},
        {"seed": 1.5}, {"alternatives": 51}, {"alternatives": None},
    ],
)  # fmt: skip
def test_options_out_of_range_say_what_is_in_range(wrong: dict[str, Any]) -> None:
    (value,) = wrong.values()
    with pytest.raises(OptionsError, match=r"is .* Choose .* from .* to ") as told:
        Options.from_json(wrong)
    assert repr(value) in str(told.value)


@pytest.mark.parametrize("options", [Options(), Options(1, Plain(0, 1), 0, 0), Options(4096, Plain(5.0, 0.01), 2**31 - 1, 50)])
def test_options_at_the_edge_answer(options: Options, bed: Bed) -> None:
    vlm = bed.vlm("llava_clip")
    before, vlm.context_tokens = vlm.context_tokens, 60
    try:
        events = answer(bed, "llava_clip", ask("yes", picture(0)), options)
    finally:
        vlm.context_tokens = before
    assert tokens(events)
    assert all(len(token.alternatives) == options.alternatives for token in tokens(events))


# --- stopping ---------------------------------------------------------------------------------


@contextmanager
def held_at(module: nn.Module) -> Iterator[tuple[threading.Event, threading.Event]]:
    """A module that, when it is reached, says so by the first event and waits for the second."""
    reached, go_on = threading.Event(), threading.Event()

    def hold(*args: Any) -> None:
        reached.set()
        assert go_on.wait(20), "nobody let it go on"

    hook = module.register_forward_pre_hook(hold)
    try:
        yield reached, go_on
    finally:
        go_on.set()
        hook.remove()


@contextmanager
def counted(modules: list[nn.Module]) -> Iterator[list[int]]:
    calls: list[int] = []
    hooks = [m.register_forward_hook(lambda *args, i=i: calls.append(i)) for i, m in enumerate(modules)]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    box: list[Any] = []
    thread = threading.Thread(target=lambda: box.append(work()))
    thread.start()
    return thread, box


@pytest.mark.parametrize("part", ["vision", "language"])
@best_of_three
def test_a_stop_while_the_prompt_is_read_ends_within_a_layer(part: str, bed: Bed) -> None:
    vlm, prompt = bed.vlm("llava_clip"), ask("A stop while it is read?", picture(40 + len(part)))
    model = vlm.parts.model.model
    layers = list(model.vision_tower.encoder.layers if part == "vision" else model.language_model.layers)
    with held_at(layers[1]) as (reached, go_on), counted(layers) as calls:
        events = bed.core.generate(bed.spec("llava_clip"), prompt, Options(max_new_tokens=50), run_id=f"stop-{part}")
        thread, box = in_thread(lambda: list(events))
        assert reached.wait(20)
        assert bed.core.stop(f"stop-{part}")
        go_on.set()
        stopped_at = time.perf_counter()
        thread.join(20)
        soon(stopped_at)
    assert calls == [0], "no layer begins after the stop"
    assert finished(box[0]).reason == "stopped"
    assert tokens(box[0]) == []
    assert not bed.core.stop(f"stop-{part}"), "it runs no more"


@best_of_three
def test_a_stop_keeps_what_was_said_and_is_quick(bed: Bed) -> None:
    vlm, prompt = bed.vlm("llava_clip"), ask("Say much", picture(0))
    with generation_settings(vlm, eos_token_id=None):
        whole = answer(bed, "llava_clip", prompt, Options(max_new_tokens=40))
        heard = []
        for event in bed.core.generate(bed.spec("llava_clip"), prompt, Options(max_new_tokens=4000), run_id="a"):
            heard.append(event)
            if len(tokens(heard)) == 5 and not isinstance(event, Finished):
                stopped_at = time.perf_counter()
                bed.core.stop("a")
        soon(stopped_at)
    said = tokens(heard)
    assert 5 <= len(said) < 4000
    assert finished(heard).reason == "stopped"
    assert_said(finished(heard).text, said)
    assert [t.id for t in said][:40] == [t.id for t in tokens(whole)][: len(said)]


@best_of_three
def test_closing_the_iterator_ends_the_model_s_work(bed: Bed) -> None:
    vlm, prompt = bed.vlm("llava_clip"), ask("Say much", picture(0))
    with generation_settings(vlm, eos_token_id=None):
        events = bed.core.generate(bed.spec("llava_clip"), prompt, Options(max_new_tokens=4000), run_id="closed")
        assert sum(isinstance(next(events), Token) for _ in range(5)) >= 2
        closed_at = time.perf_counter()
        events.close()
        bed.core.worker.call(lambda: None)
        soon(closed_at)
    end = bed.recorder.ends[-1]
    assert (end.run_id, end.status, end.reason) == ("closed", "stopped", "stopped")
    assert 2 <= len(end.tokens) < 4000
    assert_said(end.text, end.tokens)


@best_of_three
def test_an_iterator_that_is_lost_ends_too(bed: Bed) -> None:
    vlm = bed.vlm("llava_clip")
    with generation_settings(vlm, eos_token_id=None):
        events = bed.core.generate(bed.spec("llava_clip"), ask("Say much"), Options(max_new_tokens=4000), run_id="lost")
        while not isinstance(next(events), Token):
            pass
        del events
        lost_at = time.perf_counter()
        bed.core.worker.call(lambda: None)
        soon(lost_at)
    assert (bed.recorder.ends[-1].run_id, bed.recorder.ends[-1].status) == ("lost", "stopped")


@best_of_three
def test_a_stop_before_its_turn_ends_at_once_and_runs_nothing(bed: Bed) -> None:
    vlm = bed.vlm("llava_clip")
    go_on = threading.Event()
    blocker, _ = in_thread(lambda: bed.core.worker.call(lambda: go_on.wait(20)))
    layers = list(vlm.parts.model.model.language_model.layers)
    with counted(layers) as calls:
        events = bed.core.generate(bed.spec("llava_clip"), ask("Hm?"), Options(), run_id="waiting")
        first = next(events)
        assert isinstance(first, Queued), first
        assert first.ahead == 1
        stopped_at = time.perf_counter()
        bed.core.stop("waiting")
        rest = list(events)
        soon(stopped_at)
        go_on.set()
        blocker.join(20)
        bed.core.worker.call(lambda: None)
        assert calls == []
    assert rest[-1] == Finished("waiting", "", "stopped", 0, 0.0)
    end = bed.recorder.ends[-1]
    assert (end.run_id, end.status, end.queued_ms, end.prefill_ms) == ("waiting", "stopped", None, None)


def test_nothing_is_left_on_the_model(bed: Bed) -> None:
    vlm = bed.vlm("llava_clip")

    def hooks() -> int:
        return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in vlm.parts.model.modules())

    before = hooks()
    answer(bed, "llava_clip", ask("One", picture(0)), Options(max_new_tokens=2))
    events = bed.core.generate(bed.spec("llava_clip"), ask("Two"), Options(max_new_tokens=9))
    next(events)
    events.close()
    assert hooks() == before
    assert not vlm.parts.model.training


def test_a_teller_that_is_asked_again_after_the_end_says_nothing(bed: Bed) -> None:
    """On Apple's GPUs `generate` looks at the stopping criteria one step late."""
    pieces, said = bed.vlm("llava_clip").pieces, []

    class Fixed:
        choice = TokenChoice(300, -1.0, ((300, -1.0),), False)

    stop, chooser = threading.Event(), Fixed()
    teller = Teller(chooser, pieces, frozenset({2}), stop, said.append)
    ids = torch.tensor([[1]])
    assert not teller(ids, None)
    chooser.choice = TokenChoice(2, -1.0, (), False)
    assert teller(ids, None)
    chooser.choice = TokenChoice(301, -1.0, (), False)
    assert teller(ids, None)
    assert (teller.ids, teller.chosen, len(said), teller.ended) == ([300, 2], 1, 1, True)
    stopped = Teller(chooser, pieces, frozenset({2}), stop, said.append)
    assert not stopped(ids, None)
    stop.set()
    assert stopped(ids, None), "told to stop between two tokens"
    assert stopped(ids, None)
    assert (stopped.ids, stopped.ended) == ([301, 301], False)


# --- several at once --------------------------------------------------------------------------


def test_threads_at_once_get_their_own_answers(bed: Bed) -> None:
    prompts = [ask(f"Question {i}", picture(i)) for i in range(4)]
    options = [Options(max_new_tokens=8, decoder=Plain(1.0), seed=i) for i in range(4)]
    names = ["llava_clip", "qwen2_vl"] * 2
    alone = [answer(bed, n, p, o) for n, p, o in zip(names, prompts, options, strict=True)]
    started = [
        in_thread(lambda n=n, p=p, o=o: list(bed.core.generate(bed.spec(n), p, o)))
        for n, p, o in zip(names, prompts, options, strict=True)
    ]
    for (thread, box), expected in zip(started, alone, strict=True):
        thread.join(60)
        assert [t.id for t in tokens(box[0])] == [t.id for t in tokens(expected)]
        assert finished(box[0]).text == finished(expected).text


def test_no_thread_is_left_in_another_grad_mode(bed: Bed) -> None:
    """An iterator is resumed by eight threads in turn, as Gradio does, each with its own grad mode."""
    events = bed.core.generate(bed.spec("llava_clip"), ask("Say much"), Options(max_new_tokens=24))
    modes = []

    def step(index: int) -> None:
        torch.set_grad_enabled(index % 2 == 0)
        next(events, None)
        modes.append((torch.is_grad_enabled() == (index % 2 == 0), torch.is_inference_mode_enabled()))

    for index in range(24):
        thread, _ = in_thread(lambda i=index % 8: step(i))
        thread.join(20)
    events.close()
    assert modes == [(True, False)] * 24
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert bed.core.worker.call(torch.is_grad_enabled)
    assert not bed.core.worker.call(torch.is_inference_mode_enabled)


def test_pictures_prepared_for_answering_can_be_used_for_gradients(bed: Bed) -> None:
    vlm, part = bed.vlm("llava_clip"), picture(77)
    answer(bed, "llava_clip", ask("What?", part), Options(max_new_tokens=1))
    bed.core.score(bed.spec("llava_clip"), ask("What?", picture(78)), ["Yes"])
    for shown in (part, picture(78)):
        pixels = vlm.prepare(ask("What?", shown)).tensors["pixel_values"].clone().requires_grad_()
        feature = torch.cat(list(vlm.parts.model.base_model.get_image_features(pixel_values=pixels).pooler_output))
        feature.sum().backward()
        assert pixels.grad is not None
        assert pixels.grad.abs().sum() > 0
