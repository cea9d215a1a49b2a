"""Questions about two pictures: which one shows a thing, and a question put to one of them."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from world_reader import phrases, words_of

from studies.world import several
from studies.world.questions import MAKERS, ask
from studies.world.scene import NEVER_TRAINED, Scene, make_scene
from studies.world.splits import held_out_seed


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Scene, Scene]]:
    kinds = ("trained", "all")
    return [tuple(make_scene(held_out_seed(2 * i + k), pairs=kinds[i % 2]) for k in range(2)) for i in range(500)]


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("typed", [False, True])
def test_the_thing_is_in_the_picture_that_is_named_and_not_in_the_other(pairs, held_out, typed):
    answers = Counter()
    for number, scenes in enumerate(pairs):
        question = several.which(random.Random(number), scenes, held_out=held_out, typed=typed)
        if question is None:
            continue
        (phrase,) = phrases(words_of(question.text))
        there = [bool(phrase.found(scene)) for scene in scenes]
        assert there == [question.answer == "first", question.answer == "second"]
        assert (question.kind, question.held_out, question.things) == ("which", held_out, ())
        assert phrase.pair not in NEVER_TRAINED
        answers[question.answer] += 1
    assert answers.total() > 420
    assert abs(answers["first"] - answers.total() / 2) < 3 * (answers.total() / 4) ** 0.5


def test_nothing_is_asked_where_the_first_drawn_picture_has_nothing_of_its_own():
    scene = make_scene(1, things=3)
    for seed in range(10):
        assert several.which(random.Random(seed), (scene, scene)) is None
        assert several.which(random.Random(seed), (make_scene(1, things=0), make_scene(2, things=0))) is None


@pytest.mark.parametrize("kind", MAKERS)
def test_a_question_put_to_one_of_two_keeps_its_truth_and_names_that_one(kind):
    made = 0
    for number in range(40):
        question = ask(random.Random(number), make_scene(number), kind)
        if question is None:
            continue
        for index, ordinal in enumerate(("first", "second")):
            for held_out in (False, True):
                put = several.about(random.Random(number), question, index, held_out=held_out)
                made += 1
                assert question.text in put.text
                assert ordinal in words_of(put.text)
                assert ("first", "second")[1 - index] not in words_of(put.text)
                assert (put.kind, put.answer, put.things, put.variant) == (
                    kind,
                    question.answer,
                    question.things,
                    question.variant,
                )
                assert put.held_out is held_out
            typed = several.about(random.Random(number), question, index, typed=True)
            said = [(p.adjectives, p.shape) for p in phrases(words_of(typed.text))]
            assert said == [(p.adjectives, p.shape) for p in phrases(words_of(question.text))]
    assert made >= 40


@pytest.mark.parametrize("texts", [several.FRAMES, several.WHICH])
def test_held_out_frames_are_none_of_training(texts):
    trained, held_out = (
        {text.lower().replace("image", "picture").replace("drawing", "picture").strip(".?:") for text in texts[part]}
        for part in ("trained", "held_out")
    )
    assert not trained & held_out
    assert len(trained) >= 6
    assert len(held_out) == 2
    slots = {"{which}", "{question}"} if texts is several.FRAMES else {"{a}"}
    assert all(slot in text for text in trained | held_out for slot in slots)
