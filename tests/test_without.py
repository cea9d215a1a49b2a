"""An answer without some patches: the same numbers as hiding and cutting give, and an answer of the model's own."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from conftest import Bed
from fakes import picture

from model.generation import Interrupted
from model.knockout import hide, knock_out
from model.options import Options
from model.pictures import open_picture
from model.progress import Run
from model.prompt import ask
from model.scoring import answer_ids
from model.subject import Subject
from model.without import answered_without, without
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
    for how, expected in (("mean", hide(on, mask(on.count, tokens))), ("cut", knock_out(on, mask(on.count, tokens)))):
        found = without(on, tokens, how)
        np.testing.assert_allclose(found.before, expected.before, atol=1e-4)
        np.testing.assert_allclose(found.after, expected.after, atol=1e-4)
        assert found.lost == pytest.approx(expected.lost, abs=1e-3)


def test_what_would_be_said_instead_is_the_likeliest_token(bed: Bed) -> None:
    on = Subject(bed.vlm("tiny-llava"), ask("hello there", picture(1)), ANSWER)
    found = without(on, list(range(on.count)))
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
        assert answered_without(on, [], Run()) == text
        places = {(round(x * 0.012), round(y * 0.012)) for x in range(int(thing.box[0]), int(thing.box[2]), 40)
                  for y in range(int(thing.box[1]), int(thing.box[3]), 40)}  # fmt: skip
        inside = sorted({min(11, y) * 12 + min(11, x) for x, y in places})
        other = next(open_picture(to_png(recolour(scene, 0, c).after, 192)).part for c in ("red", "green") if c != thing.colour)
        assert other.id != part.id
        changed += without(on, inside).lost > 0.05
        kept += answered_without(on, [t for t in range(12) if t not in inside], Run()) == text
    assert changed >= 2
    assert kept >= 2


def test_a_stop_ends_it(bed: Bed) -> None:
    on = Subject(bed.vlm("tiny-llava"), ask("hello there", picture(1)), ANSWER)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        answered_without(on, [0], Run(stop))
