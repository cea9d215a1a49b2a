"""Decoders: every one keeps the contract, whichever there are."""

from __future__ import annotations

import dataclasses
import json
import threading
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from bed import Bed
from fakes import picture

from model.decoders import decoder, decoders, logged_decoder, numbers
from model.decoders.base import Decoder, Missing, Number, settings_of
from model.decoders.plain import Plain
from model.errors import OptionsError
from model.events import Token
from model.generation.hooks import Chooser
from model.options import Options
from model.prompt import ask

CPU = torch.device("cpu")
WRONG: list[Any] = [float("nan"), float("inf"), -1e9, 1e9, "hot", None, True]


def each() -> list[Any]:
    return [pytest.param(one, id=one.slug) for one in decoders.values()]


def moved(one: Decoder) -> Decoder:
    """The decoder with every number in the middle of its slider: none as it is by default."""
    return replace(one, **{name: (number.low + (number.most or number.high)) / 2 for name, number in settings_of(one).items()})


def both() -> list[Any]:
    return [*each(), *(pytest.param(moved(one), id=f"{one.slug}, set otherwise") for one in decoders.values())]


def answered(bed: Bed, options: Options) -> list[Token]:
    vlm = bed.vlm("llava_clip")
    found: list[Any] = []
    vlm.answer(found.append, threading.Event(), "run", ask("hello there", picture(1, (140, 100))), options)
    return [event for event in found if isinstance(event, Token)]


def test_every_decoder_is_found() -> None:
    assert decoders.failures == {}
    assert "plain" in decoders


@pytest.mark.parametrize("one", each())
def test_a_decoder_says_what_it_is(one: Decoder) -> None:
    assert dataclasses.is_dataclass(one)
    assert one.title
    assert one.says.endswith(".")
    assert one.paper.endswith(".")
    assert set(settings_of(one)) == {field.name for field in fields(one)}, "every field is a number that can be set"
    for name, number in settings_of(one).items():
        assert getattr(one, name) == number.default
        assert number.why.endswith(".")
        assert number.low <= (number.most or number.high) <= number.high


def test_numbers_of_one_name_are_one_setting() -> None:
    shared: dict[str, Number] = {}
    for one in decoders.values():
        for name, number in settings_of(one).items():
            assert shared.setdefault(name, number) == number
    assert numbers() == shared
    assert list(numbers())[:2] == ["temperature", "top_p"]


@pytest.mark.parametrize("one", each())
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_number_out_of_range_is_said(one: Decoder, wrong: Any) -> None:
    for name, number in settings_of(one).items():
        with pytest.raises(OptionsError, match=f"{number.label} is .*Choose .*a number from"):
            replace(one, **{name: wrong})


@pytest.mark.parametrize("one", both())
def test_the_same_seed_gives_the_same_tokens(one: Decoder, bed: Bed) -> None:
    options = Options(8, one, seed=5)
    first, again, other = (answered(bed, given) for given in (options, options, replace(options, seed=6)))
    assert [token.id for token in first] == [token.id for token in again]
    assert ([token.id for token in first] == [token.id for token in other]) is not one.sampled


@pytest.mark.parametrize("one", both())
def test_only_what_its_step_allows_is_chosen_and_scores_stay(one: Decoder, bed: Bed) -> None:
    """Of a thousand random scores each, some of them impossible: an impossible token is never taken."""
    vlm, random = bed.vlm("llava_clip"), torch.Generator().manual_seed(0)
    inputs = vlm.prepare(ask("hello there", picture(1, (140, 100))))
    step, ids = one.begin(vlm.parts, inputs), torch.tensor([inputs.ids])
    chooser = Chooser(Options(decoder=one, seed=1), step, CPU, lambda: None)
    vocabulary = len(vlm.parts.tokenizer)
    for _ in range(40):
        scores = 3 * torch.randn(1, vocabulary, generator=random)
        scores[torch.rand(1, vocabulary, generator=random) < 0.3] = -torch.inf
        before = scores.clone()
        picked = chooser(ids, scores)  # type: ignore[arg-type]
        assert torch.equal(scores, before)
        assert chooser.choice is not None
        assert torch.isfinite(before[0, chooser.choice.id])
        assert picked[0].argmax() == chooser.choice.id
        assert chooser.choice.logprob == pytest.approx(float(torch.log_softmax(before[0], -1)[chooser.choice.id]), abs=1e-5)
        if not one.sampled:
            assert chooser.choice.id == int(step(ids, before)[0].argmax())
        ids = torch.cat([ids, torch.tensor([[chooser.choice.id]])], -1)


@pytest.mark.parametrize("one", both())
def test_the_log_keeps_its_name_and_numbers(one: Decoder) -> None:
    options = Options(7, one, seed=3)
    written = json.loads(json.dumps(options.to_json()))
    assert written == {"max_new_tokens": 7, "decoder": one.slug, **one.settings, "seed": 3, "alternatives": 5}
    assert Options.from_json(written) == Options.from_json(written, logged=True) == options


def test_options_logged_before_there_were_decoders_are_those_of_the_plain_one() -> None:
    old = {"max_new_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 3, "alternatives": 5}
    assert Options.from_json(old) == Options(9, Plain(0.5, 0.9), 3)
    assert Options.from_json({}) == Options()


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("beam", {}, "There is no decoder named 'beam'. Known: .*plain"),
        (["plain"], {}, "There is no decoder named"),
        ("plain", {"width": 4}, "The decoder 'Plain' has no setting 'width'."),
        ("plain", {"top_p": 2}, "Top-p is 2. Choose a number from 0.01 to 1."),
    ],
)
def test_a_decoder_that_there_is_not_is_said(name: Any, values: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionsError, match=said):
        decoder(name, values)


def test_a_logged_call_whose_decoder_is_gone_can_be_read_and_not_repeated(bed: Bed) -> None:
    options = Options.from_json({"max_new_tokens": 7, "decoder": "beam", "width": 4}, logged=True)
    assert options.decoder == Missing("beam", (("width", 4),)) == logged_decoder("beam", {"width": 4})
    assert options.words == "beam, which is not there any more, width 4"
    assert Options.from_json(options.to_json(), logged=True) == options
    with pytest.raises(OptionsError, match="This was decoded by 'beam', which is not there with these settings"):
        answered(bed, options)


def test_words_of_the_plain_decoder() -> None:
    assert Options(decoder=Plain(0, 0.5), seed=3).words == "greedy"
    assert Options(decoder=Plain(0.7), seed=3).words == "temperature 0.7, seed 3"
    assert Options(decoder=Plain(0.7, 0.9), seed=3).words == "temperature 0.7, top-p 0.9, seed 3"
