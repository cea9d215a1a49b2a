"""Log-likelihoods of given answers: every way to compute them against plain forward passes and against `generate`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from bed import Bed
from fakes import picture
from transformers import LogitsProcessor, LogitsProcessorList
from zoo import BUILDERS

from model.errors import PromptError
from model.generation import scoring
from model.generation.scoring import PACK_TOKENS, answer_ids, forced, score_many
from model.generation.token_tree import build_tree
from model.generation.vlm import ScoringMode, VisionLanguageModel
from model.prompt import Message, Prompt, ask

EVERY = (*sorted(BUILDERS), "tiny-llava")
PACKING = ("llava_clip", "llava_pad", "vipllava", "llava_siglip", "qwen2_vl", "qwen2_5_vl", "tiny-llava", "smolvlm", "internvl")
ANSWERS = ("Yes", "No", "Yes there are two of them", "Yes there are three", "nothing")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def by_forward(vlm: VisionLanguageModel, prompt: Prompt, answer: str) -> np.ndarray:
    """One forward pass over the pixels, the prompt and the answer; LLaVA and Qwen2-VL only."""
    inputs, ids = vlm.prepare(prompt), answer_ids(vlm, prompt, answer)
    whole = torch.tensor([[*inputs.ids, *ids]])
    more = {k: v for k, v in inputs.tensors.items() if k in ("pixel_values", "image_grid_thw")}
    if "mm_token_type_ids" in inputs.tensors:
        more["mm_token_type_ids"] = (whole == vlm.parts.image_token_id).int()
    with torch.inference_mode():
        logprobs = torch.log_softmax(vlm.parts.model(input_ids=whole, **more).logits[0].double(), -1)
    return np.array([float(logprobs[len(inputs.ids) - 1 + i, token]) for i, token in enumerate(ids)])


class Dictate(LogitsProcessor):
    """Makes `generate` write given tokens, and keeps how likely each was."""

    def __init__(self, ids: list[int]) -> None:
        self.ids, self.logprobs = ids, []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        token = self.ids[len(self.logprobs)]
        self.logprobs.append(float(torch.log_softmax(scores[0].double(), -1)[token]))
        return torch.full_like(scores, -torch.inf).index_fill_(1, torch.tensor([token]), 0.0)


def by_generate(vlm: VisionLanguageModel, prompt: Prompt, answer: str) -> np.ndarray:
    """Plain `generate`, dictated to: right for every architecture."""
    dictate = Dictate(answer_ids(vlm, prompt, answer))
    told = {"max_new_tokens": len(dictate.ids), "do_sample": False, "logits_processor": LogitsProcessorList([dictate])}
    with torch.inference_mode():
        vlm.parts.model.generate(**vlm.prepare(prompt).tensors, **told)
    return np.array(dictate.logprobs)


@contextmanager
def passes(vlm: VisionLanguageModel) -> Iterator[list[tuple[int, int]]]:
    """(rows, tokens) of every pass through the decoder."""
    seen: list[tuple[int, int]] = []
    decoder = vlm.parts.model.get_decoder()
    hook = decoder.register_forward_pre_hook(
        lambda module, args, given: seen.append(tuple(given["inputs_embeds"].shape[:2])), with_kwargs=True
    )
    try:
        yield seen
    finally:
        hook.remove()


def assert_scores(found: list[scoring.Scores], expected: list[list[np.ndarray]]) -> None:
    for scores, arrays in zip(found, expected, strict=True):
        for tokens, array in zip(scores.tokens, arrays, strict=True):
            np.testing.assert_allclose(tokens, array, atol=1e-4)
        np.testing.assert_allclose(scores.total, [array.sum() for array in arrays], atol=5e-4)
        assert scores.best == scores.answers[int(np.argmax([array.sum() for array in arrays]))]
        share = np.exp([array.sum() for array in arrays])
        np.testing.assert_allclose(scores.probabilities(), share / share.sum(), atol=1e-3)


@pytest.mark.parametrize("mode", ["packed", "expanded", "each", "stepped", None])
@pytest.mark.parametrize("name", PACKING)
def test_every_way_gives_the_numbers_of_plain_passes(name: str, mode: ScoringMode | None, bed: Bed) -> None:
    vlm, part = bed.vlm(name), picture(80, (100, 60))
    prompts = [ask(question, part) for question in ("Is there a red circle?", "Is there a star?", "What is in it?")]
    answers = [ANSWERS, ANSWERS[:2], ANSWERS[2:]]
    found = bed.core.worker.call(lambda: score_many(vlm, prompts, answers, mode))
    assert {scores.mode for scores in found} == {mode or "packed"}
    oracle = by_generate if name in ("smolvlm", "internvl") else by_forward
    assert_scores(found, [[oracle(vlm, p, a) for a in said] for p, said in zip(prompts, answers, strict=True)])


@pytest.mark.parametrize("name", EVERY)
def test_every_checkpoint_scores_as_its_generate_would(name: str, bed: Bed) -> None:
    """With whatever way its self-test left it; multi-token answers among them."""
    vlm, prompt = bed.vlm(name), ask("Is there a red circle?", picture(81))
    expected = [by_generate(vlm, prompt, answer) for answer in ANSWERS]
    assert_scores([bed.core.score(bed.spec(name), prompt, ANSWERS)], [expected])
    assert_scores(bed.core.worker.call(lambda: score_many(vlm, [prompt], [ANSWERS], "stepped")), [expected])


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "tiny-llava"])
def test_the_shared_prefix_is_read_once_and_the_answers_in_one_pass(name: str, bed: Bed) -> None:
    vlm, part = bed.vlm(name), picture(82)
    prompts = [ask(f"Is there {what} in this picture?", part) for what in ("one", "two", "three", "four")]
    length = len(vlm.prepare(prompts[0]).ids)
    with passes(vlm) as seen:
        bed.core.score_many(bed.spec(name), prompts, [("Yes", "No")] * 4)
    assert len(seen) == 2, "the prefix, then all branches as one row"
    (_, prefix), (rows, packed) = seen
    assert rows == 1
    assert prefix + packed < length + 4 * 30
    with passes(vlm) as seen:
        bed.core.score(bed.spec(name), prompts[0], ["Yes there are two", "Yes there are three", "Yes there is one"])
    assert [rows for rows, _ in seen] == [1, 1]
    shared, packed = seen[0][1], seen[1][1]
    ids = [answer_ids(vlm, prompts[0], a) for a in ("Yes there are two", "Yes there are three", "Yes there is one")]
    distinct = {tuple(path[:i]) for path in ids for i in range(1, len(path))}
    assert (shared, packed) == (length - 1, 1 + len(distinct)), "a beginning that answers share stands once"


@pytest.mark.parametrize("mode", ["packed", "expanded"])
def test_many_answers_are_cut_into_groups(mode: ScoringMode, bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm, prompt = bed.vlm("llava_clip"), ask("Is there a red circle?", picture(83))
    answers = [f"{a} {b}" for a, b in itertools.product(("yes", "no", "red", "two"), ("there", "left", "right"))]
    monkeypatch.setattr(scoring, "PACK_TOKENS", 7)
    monkeypatch.setattr(scoring, "EXPAND_ROWS", 5)
    found = bed.core.worker.call(lambda: score_many(vlm, [prompt], [answers], mode))
    assert_scores(found, [[by_forward(vlm, prompt, answer) for answer in answers]])


def test_an_answer_longer_than_a_group_is_scored(bed: Bed) -> None:
    vlm, prompt = bed.vlm("llava_clip"), ask("Say all", picture(84))
    long = "yes no " * (PACK_TOKENS // 2 + 20)
    found = bed.core.worker.call(lambda: score_many(vlm, [prompt], [(long, "yes")], "packed"))
    assert_scores(found, [[by_forward(vlm, prompt, long), by_forward(vlm, prompt, "yes")]])


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "tiny-llava"])
def test_prompts_that_share_no_picture_are_read_one_by_one(name: str, bed: Bed) -> None:
    vlm = bed.vlm(name)
    prompts = [ask("Is it red?", picture(85)), ask("Is it red?", picture(86, (50, 130)))]
    found = bed.core.score_many(bed.spec(name), prompts, [ANSWERS[:3]] * 2)
    assert {scores.mode for scores in found} == {"each"}
    assert_scores(found, [[by_forward(vlm, prompt, answer) for answer in ANSWERS[:3]] for prompt in prompts])


@pytest.mark.parametrize("mode", ["packed", "expanded", "each"])
@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "tiny-llava"])
def test_several_pictures_and_none(name: str, mode: ScoringMode, bed: Bed) -> None:
    vlm, one, other = bed.vlm(name), picture(87), picture(88, (50, 130))
    talk = Prompt((*ask("What?", one).messages, Message("assistant", ("A circle.",)), Message("user", (other, "Same?"))))
    for prompts in ([ask("Which?", one, other), ask("Where?", one, other)], [ask("Is it?"), ask("Are two one?")], [talk]):
        found = bed.core.worker.call(lambda prompts=prompts: score_many(vlm, prompts, [ANSWERS] * len(prompts), mode))
        assert {scores.mode for scores in found} == {mode}
        assert_scores(found, [[by_forward(vlm, prompt, answer) for answer in ANSWERS] for prompt in prompts])


def test_scores_do_not_depend_on_what_was_asked_before(bed: Bed) -> None:
    """Qwen2-VL remembers the positions of its last prompt; a score must not."""
    vlm = bed.vlm("qwen2_vl")
    prompts = [ask("Is it?"), ask("Is it?", picture(89, (150, 40))), ask("Is it?", picture(90, (40, 150)))]
    alone = {}
    for first, second in itertools.permutations(range(3), 2):
        for i in (first, second):
            scores = bed.core.score(bed.spec("qwen2_vl"), prompts[i], ANSWERS)
            np.testing.assert_allclose(scores.total, alone.setdefault(i, scores.total), atol=1e-5)
    assert_scores(
        [bed.core.score(bed.spec("qwen2_vl"), prompts[0], ANSWERS)], [[by_forward(vlm, prompts[0], a) for a in ANSWERS]]
    )


def test_scores_behind_a_forced_beginning_are_of_what_is_added(bed: Bed) -> None:
    vlm = bed.vlm("llava_clip")
    messages = ask("Is there a red circle?", picture(91)).messages
    prompt = Prompt(messages, answer_prefix=" yes there are")
    assert vlm.parts.tokenizer.decode(answer_ids(vlm, prompt, " two")) == "two"
    found = bed.core.score(bed.spec("llava_clip"), prompt, [" two", " three of them"])
    assert_scores([found], [[by_forward(vlm, prompt, a) for a in (" two", " three of them")]])
    as_one = by_forward(vlm, Prompt(messages), " yes there are two")
    np.testing.assert_allclose(found.tokens[0], as_one[-1:], atol=1e-4)


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "paligemma", "mllama", "blip2", "tiny-llava"])
def test_forced_says_which_tokens_the_model_would_have_chosen(name: str, bed: Bed) -> None:
    vlm, prompt = bed.vlm(name), ask("Is there a red circle?", picture(92))
    inputs = vlm.prepare(prompt)
    with torch.inference_mode():
        made = vlm.parts.model.generate(**inputs.tensors, max_new_tokens=4, do_sample=False)
    first = vlm.parts.tokenizer.decode(made[0, len(inputs.ids) : len(inputs.ids) + 1])
    for answer in (first + " yes no", "yes no red"):
        ids = answer_ids(vlm, prompt, answer)
        expected = []
        for i, token in enumerate(ids):
            upto = Prompt(prompt.messages, answer_tokens=tuple(ids[:i]))
            with torch.inference_mode():
                step = vlm.parts.model.generate(**vlm.prepare(upto).tensors, max_new_tokens=1, do_sample=False)
            expected.append(int(step[0, -1]) == token)
        found = bed.core.forced(bed.spec(name), prompt, answer)
        assert found.dtype == bool
        assert found.tolist() == expected
        vlm.fast.extend = False
        try:
            assert bed.core.worker.call(lambda answer=answer: forced(vlm, prompt, answer)).tolist() == expected
        finally:
            vlm.fast.extend = True


def test_what_cannot_be_scored_is_said(bed: Bed) -> None:
    spec, prompt = bed.spec("llava_clip"), ask("Is it?", picture(93))
    bed.vlm("llava_clip")
    for answers in (["Yes", ""], []):
        with pytest.raises(PromptError, match="score"):
            bed.core.score(spec, prompt, answers)
    with pytest.raises(PromptError, match="question is empty"):
        bed.core.score(spec, ask("  ", picture(93)), ["Yes"])
    with pytest.raises(PromptError, match="holds 4,096"):
        bed.core.score(spec, prompt, ["yes " * 4096])


def test_answers_that_spell_control_tokens_are_read_as_text(bed: Bed) -> None:
    vlm, prompt = bed.vlm("llava_clip"), ask("Is it?", picture(94))
    special = set(vlm.parts.tokenizer.all_special_ids) | {vlm.parts.image_token_id}
    for answer in ("<image>", "</s>", "yes</s>no", "\ud800 and \x00"):
        assert not special & set(answer_ids(vlm, prompt, answer))
    assert np.isfinite(bed.core.score(bed.spec("llava_clip"), prompt, ["<image>", "</s>", "\ud800"]).total).all()


def test_longer_prompts_than_were_tested_are_not_packed_where_a_window_moves(own_bed: Bed) -> None:
    vlm, prompt = own_bed.vlm("llava_clip"), ask("Is it?", picture(95))
    length = len(vlm.prepare(prompt).ids)
    for reach, mode in ((None, "packed"), (length + 1, "packed"), (length, "each")):
        vlm.fast.reach = reach
        assert own_bed.core.score(own_bed.spec("llava_clip"), prompt, ["Yes"]).mode == mode


def test_the_tree_holds_each_beginning_once() -> None:
    sequences = [([1, 2], [5, 6]), ([1, 2], [5, 7, 8]), ([1, 3], [5]), ([1, 2], [5, 6]), ([1, 2, 5], [6])]
    nodes, predictors = build_tree(sequences)

    def path(node: int) -> list[int]:
        return [] if node < 0 else [*path(nodes[node].parent), nodes[node].token]

    paths = [tuple(path(i)) for i in range(len(nodes))]
    wanted = {tuple([*rest, *answer][: i + 1]) for rest, answer in sequences for i in range(len(rest) + len(answer))}
    assert sorted(paths) == sorted(wanted)
    assert [node.depth for node in nodes] == [len(p) - 1 for p in paths]
    assert all(node.parent < i for i, node in enumerate(nodes))
    for (rest, answer), places in zip(sequences, predictors, strict=True):
        assert [path(at) for at in places] == [[*rest, *answer[:i]] for i in range(len(answer))]
