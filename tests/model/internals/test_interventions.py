"""An answer with patches hidden, cut off or put in from another picture: numbers and answers equal those made step by step."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from bed import Bed
from fakes import picture
from oracles import cut_logprobs, hidden_logprobs

from model.errors import InputError
from model.generation.hooks import Interrupted, end_tokens
from model.generation.scoring import answer_ids
from model.internals.activation_patching import patch_states
from model.internals.interventions import INTERVENTION_KINDS, Intervention, effect_of, rewrite
from model.internals.knockout import text_cut
from model.internals.lens import depths
from model.internals.subject import Subject
from model.options import Options
from model.pictures import open_picture
from model.progress import Run
from model.prompt import ask
from model.tap import Tap, tapped
from studies.world.edit import recolour
from studies.world.files import to_png
from studies.world.scene import make_scene

ANSWER = (5, 9, 12, 7)


def mask(count: int, tokens: list[int]) -> np.ndarray:
    found = np.zeros(count, bool)
    found[tokens] = True
    return found


@pytest.mark.parametrize("name", ["tiny-llava", "qwen2_vl"])
def test_numbers_are_those_of_hiding_and_of_cutting(name: str, bed: Bed) -> None:
    on = Subject(bed.vlm(name), ask("hello there", picture(1, (140, 100))), ANSWER)
    tokens = [2, 3, 9]
    before = on.logprobs()[0].numpy()
    for kind, after in (("mean", hidden_logprobs), ("cut", cut_logprobs)):
        found, expected = effect_of(on, Intervention(tuple(tokens), kind)), after(on, mask(on.count, tokens))
        np.testing.assert_allclose(found.before, before, atol=1e-4)
        np.testing.assert_allclose(found.after, expected, atol=1e-4)
        assert found.lost == pytest.approx(float(before.sum() - expected.sum()), abs=1e-3)


def test_what_would_be_said_instead_is_the_likeliest_token(bed: Bed) -> None:
    on = Subject(bed.vlm("tiny-llava"), ask("hello there", picture(1)), ANSWER)
    found = effect_of(on, Intervention(tuple(range(on.count))))
    with torch.no_grad():
        arguments = on.arguments(on.nothing.expand(1, on.count, -1))
        chances = on.vlm.parts.model(**arguments).logits[0].softmax(-1)
    assert [token.id for token in found.instead] == chances.argmax(-1).tolist()
    assert [token.text for token in found.instead] == [on.vlm.pieces[token.id] for token in found.instead]
    np.testing.assert_allclose(np.exp([token.logprob for token in found.instead]), chances.max(-1).values, atol=1e-5)


def test_hiding_the_thing_asked_about_changes_the_answer_and_hiding_elsewhere_does_not(bed: Bed) -> None:
    vlm, changed, kept = bed.vlm("tiny-llava"), 0, 0
    for seed in (16, 34, 60):
        scene = make_scene(seed, things=2)
        thing = scene.things[0]
        part = open_picture(to_png(scene, 192)).part
        prompt = ask(f"What color is the {thing.shape}?", part)
        text = bed.core.answer(prompt.question, part, checkpoint="tiny-llava", options=Options(max_new_tokens=8)).text
        on = Subject(vlm, prompt, answer_ids(vlm, prompt, text))
        assert rewrite(on, Intervention(()), Run()).text == text
        places = {(round(x * 0.012), round(y * 0.012)) for x in range(int(thing.box[0]), int(thing.box[2]), 40)
                  for y in range(int(thing.box[1]), int(thing.box[3]), 40)}  # fmt: skip
        inside = sorted({min(11, y) * 12 + min(11, x) for x, y in places})
        other = next(open_picture(to_png(recolour(scene, 0, c).after, 192)).part for c in ("red", "green") if c != thing.colour)
        assert other.id != part.id
        changed += effect_of(on, Intervention(tuple(inside))).lost > 0.05
        outside = tuple(t for t in range(12) if t not in inside)
        kept += rewrite(on, Intervention(outside), Run()).text == text
    assert changed >= 2
    assert kept >= 2


def one_by_one(on: Subject, change: Intervention, length: int) -> list[int]:
    """The likeliest tokens, each found by a whole pass over all that stands before it, with nothing kept between."""
    model, ids = on.vlm.parts.model, []
    for _ in range(length):
        longer = Subject(on.vlm, on.prompt, (*ids, 5))  # the last one only makes room
        hidden = mask(on.count, list(change.tokens))
        features = longer.hidden(torch.from_numpy(~hidden)[None]) if change.kind == "mean" else longer.features[None]
        cuts = [text_cut(longer, hidden, change.layers, change.heads)] if change.kind == "cut" else []
        with torch.no_grad(), tapped(model, Tap(cuts=cuts)):
            chosen = int(model(**longer.arguments(features)).logits[0, -1].argmax())
        if chosen in end_tokens(model):
            break
        ids.append(chosen)
    return ids


@pytest.mark.parametrize("how", ["mean", "cut"])
@pytest.mark.parametrize("name", ["tiny-llava", "llava_clip", "qwen2_vl"])
def test_the_answer_anew_is_that_of_whole_passes(name: str, how: str, bed: Bed) -> None:
    on = Subject(bed.vlm(name), ask("hello there", picture(1, (140, 100))), ANSWER)
    change = Intervention(tuple(range(0, on.count, 2)), how, (0, 1) if how == "cut" else None, (1,) if how == "cut" else None)
    found = rewrite(on, change, Run(), 6)
    ids = one_by_one(on, change, 6)
    assert found.text == on.vlm.parts.tokenizer.decode(ids, skip_special_tokens=True)
    assert found.ended == (len(ids) < 6)


@pytest.mark.parametrize("name", ["tiny-llava", "llava_clip", "qwen2_vl"])
def test_patching_some_tokens_is_what_patching_states_counts(name: str, bed: Bed) -> None:
    vlm = bed.vlm(name)
    on, other = (Subject(vlm, ask("hello there", picture(seed, (140, 100))), ANSWER) for seed in (1, 2))
    for depth in (0, 1, depths(on)[-2]):
        found = effect_of(on, Intervention((1, 2, 5), "patch", source=other.prompt, depth=depth))
        group = torch.from_numpy(mask(on.count, [1, 2, 5]))[None]
        share = float(patch_states(other, on, (depth,), group).share[0, 0])  # this one counts as the corrupted run
        worst, best = float(on.logprobs().sum()), float(other.logprobs().sum())
        assert float(found.after.sum()) == pytest.approx(worst + share * (best - worst), abs=2e-3)
        np.testing.assert_allclose(found.before, on.logprobs()[0], atol=1e-5)


@pytest.mark.parametrize("name", ["tiny-llava", "qwen2_vl"])
def test_with_all_of_another_picture_the_answer_is_that_picture_s(name: str, bed: Bed) -> None:
    vlm = bed.vlm(name)
    on, other = (Subject(vlm, ask("What is there?", picture(seed, (140, 100))), ANSWER) for seed in (1, 2))
    change = Intervention(tuple(range(on.count)), "patch", source=other.prompt)
    assert rewrite(on, change, Run(), 6) == rewrite(other, Intervention(()), Run(), 6)
    np.testing.assert_allclose(effect_of(on, change).after, other.logprobs()[0], atol=1e-3)


def test_patching_the_thing_alone_changes_its_color(bed: Bed) -> None:
    scene = next(s for seed in range(40, 80) if len((s := make_scene(seed, things=2)).things) == 2)
    thing = scene.things[0]
    other_colour = next(c for c in ("red", "green", "blue") if c not in {t.colour for t in scene.things})
    parts = [open_picture(to_png(made, 192)).part for made in (scene, recolour(scene, 0, other_colour).after)]
    prompts = [ask(f"What color is the {thing.shape}?", part) for part in parts]
    texts = [bed.core.answer(p.question, part, checkpoint="tiny-llava").text for p, part in zip(prompts, parts, strict=True)]
    assert texts == [thing.colour, other_colour]
    vlm = bed.vlm("tiny-llava")
    on = Subject(vlm, prompts[0], answer_ids(vlm, prompts[0], texts[0]))
    x0, y0, x1, y1 = (0.012 * v for v in thing.box)  # in patches of 12 x 12
    inside = tuple(r * 12 + c for r in range(12) for c in range(12) if x0 - 1 < c < x1 and y0 - 1 < r < y1)
    change = Intervention(inside, "patch", source=prompts[1])
    assert rewrite(on, change, Run()).text == other_colour
    assert effect_of(on, change).lost > 1


def test_what_cannot_be_patched_is_said(bed: Bed) -> None:
    vlm = bed.vlm("qwen2_vl")
    on = Subject(vlm, ask("hello", picture(1, (140, 84))), ANSWER)
    for change, words in (
        (Intervention((1,), "patch"), "another picture"),
        (Intervention((1,), "patch", source=ask("hello", picture(2, (140, 140)))), "pictures of one size"),
        (Intervention((1,), "patch", source=ask("hello", picture(2, (140, 84))), depth=99), "no depth 99"),
    ):
        for work in (lambda c: effect_of(on, c), lambda c: rewrite(on, c, Run())):
            with pytest.raises(InputError, match=words):
                work(change)


@pytest.mark.parametrize("how", INTERVENTION_KINDS)
def test_a_stop_ends_it(how: str, bed: Bed) -> None:
    on = Subject(bed.vlm("tiny-llava"), ask("hello there", picture(1)), ANSWER)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        rewrite(on, Intervention((0,), how, source=ask("hello there", picture(2))), Run(stop))


def test_it_tells_how_far_it_is(bed: Bed) -> None:
    shares: list[float] = []
    on = Subject(bed.vlm("llava_clip"), ask("hello there", picture(1)), ANSWER)
    rewrite(on, Intervention((0,)), Run(tell=shares.append), 5)
    assert shares == sorted(shares)
    assert 1 <= len(shares) <= 5
