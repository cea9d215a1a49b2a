"""Every answer is recomputed from the scene by reading the question: thousands of questions of every kind."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from world_reader import SIDE_WORDS, Phrase, boxes_of, fact_asked, outside, overlap, phrases, words_of

from studies.world.phrases import MARGIN
from studies.world.questions import MAKERS, Question, ask, follow
from studies.world.scene import BACKGROUNDS, Scene, Thing, make_scene
from studies.world.splits import held_out_seed

SCENES = 420
FORMS = {
    "trained": {},
    "typed": {"typed": True},
    "held out": {"held_out": True},
    "held out, typed": {"held_out": True, "typed": True},
}
Check = Callable[[list[str], Scene, Question], None]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [
        make_scene(held_out_seed(index), label=index % 2 == 0, pairs="all" if index % 3 == 0 else "trained")
        for index in range(SCENES)
    ]


def only(phrase: Phrase, scene: Scene) -> int:
    """The one thing a phrase fits; fails where it fits none or several."""
    found = phrase.found(scene)
    assert len(found) == 1, (phrase, scene.things)
    return found[0]


def one(words: list[str]) -> Phrase:
    found = phrases(words)
    assert len(found) == 1, words
    return found[0]


def two(words: list[str]) -> tuple[Phrase, Phrase]:
    found = phrases(words)
    assert len(found) == 2, words
    return found[0], found[1]


def described(thing: Thing, *facts: str) -> str:
    """ "a small red circle": "plain" is not said."""
    said = " ".join(value for fact in facts if (value := getattr(thing, fact)) != "plain")
    return f"{'an' if said[0] in 'aeiou' else 'a'} {said}"


def ninth(thing: Thing) -> str:
    row = ("top", "middle", "bottom")[int(thing.y / 1000 * 3)]
    column = ("left", "center", "right")[int(thing.x / 1000 * 3)]
    return "center" if (row, column) == ("middle", "center") else f"{row} {column}"


def beyond(a: Thing, b: Thing, side: str) -> int:
    """How far a's centre lies on that side of b's; negative on the other side."""
    return {"left": b.x - a.x, "right": a.x - b.x, "above": b.y - a.y, "below": a.y - b.y}[side]


def check_exist(words: list[str], scene: Scene, question: Question) -> None:
    there = one(words).found(scene)
    assert question.answer == ("Yes" if there else "No")
    assert question.things == tuple(there)


def check_attribute(words: list[str], scene: Scene, question: Question) -> None:
    index = only(one(words), scene)
    assert question.answer == getattr(scene.things[index], fact_asked(words))
    assert fact_asked(words) == question.kind
    assert question.things == (index,)


def check_count(words: list[str], scene: Scene, question: Question) -> None:
    there = one(words).found(scene)
    assert question.answer == str(len(there))
    assert list(question.things) == there


def check_where(words: list[str], scene: Scene, question: Question) -> None:
    index = only(one(words), scene)
    assert question.answer == ninth(scene.things[index])
    assert question.things == (index,)


def check_relation(words: list[str], scene: Scene, question: Question) -> None:
    first, second = two(words)
    a, b = only(first, scene), only(second, scene)
    sides = {SIDE_WORDS[word] for word in words[first.end : second.start] if word in SIDE_WORDS}
    assert len(sides) == 1, words
    gap = beyond(scene.things[a], scene.things[b], sides.pop())
    assert abs(gap) >= MARGIN
    assert question.answer == ("Yes" if gap > 0 else "No")
    assert question.things == (a, b)


def check_beside(words: list[str], scene: Scene, question: Question) -> None:
    phrase = one(words)
    index = only(phrase, scene)
    side = [SIDE_WORDS[word] for word in words[: phrase.start] if word in SIDE_WORDS][-1]
    gaps = {i: beyond(thing, scene.things[index], side) for i, thing in enumerate(scene.things) if i != index}
    there = [i for i, gap in gaps.items() if gap > 0]
    assert min(abs(gap) for gap in gaps.values()) >= MARGIN
    assert len(there) <= 1
    assert question.answer == (described(scene.things[there[0]], "colour", "shape") if there else "Nothing")
    assert question.things == (*there, index)


def check_read(words: list[str], scene: Scene, question: Question) -> None:
    assert question.answer == (scene.label.text if scene.label else "There is no text.")


def check_find(words: list[str], scene: Scene, question: Question) -> None:
    phrase = one(words)
    if not phrase.found(scene):
        assert question.answer == f"There is no {' '.join([*phrase.adjectives, phrase.shape or 'object'])}."
        assert (question.variant, question.things) == ("absent", ())
        return
    index = only(phrase, scene)
    (box,) = boxes_of(question.answer)
    assert overlap(box, scene.things[index].box) > 0.8
    assert only(one(words_of(question.answer)), scene) == index
    assert (question.variant, question.things) == ("present", (index,))


def check_find_all(words: list[str], scene: Scene, question: Question) -> None:
    phrase = one(words)
    there = phrase.found(scene)
    assert sorted(question.things) == there
    if not there:
        said = words_of(question.answer)
        assert said[:3] == ["there", "are", "no"]
        assert (one(said).adjectives, one(said).shape) == (phrase.adjectives, phrase.shape)
        return
    parts = question.answer.split(" ; ")
    assert len(parts) == len(there)
    order = [scene.things[index].x for index in question.things]
    assert order == sorted(order)
    for part, index in zip(parts, question.things, strict=True):
        thing = scene.things[index]
        assert overlap(boxes_of(part)[0], thing.box) > 0.8
        assert part.split("> ")[1] == f"{thing.colour} {thing.shape}"


def check_at_box(words: list[str], scene: Scene, question: Question) -> None:
    (box,) = boxes_of(question.text)
    shares = [overlap(box, thing.box) for thing in scene.things]
    index = shares.index(max(shares))
    assert shares[index] > 0.8
    assert question.things == (index,)
    assert question.answer == described(scene.things[index], "size", "texture", "colour", "shape")


def check_background(words: list[str], scene: Scene, question: Question) -> None:
    assert question.answer == scene.background in BACKGROUNDS


def check_more(words: list[str], scene: Scene, question: Question) -> None:
    first, second = (phrase.found(scene) for phrase in two(words))
    assert not set(first) & set(second)
    assert len(first) != len(second)
    assert question.answer == ("Yes" if len(first) > len(second) else "No")


def check_same(words: list[str], scene: Scene, question: Question) -> None:
    a, b = (scene.things[only(phrase, scene)] for phrase in two(words))
    rest = outside(words, phrases(words))
    facts = {"color": "colour", "colour": "colour", "shape": "shape", "size": "size"}
    (fact,) = {facts[word] for word in rest if word in facts}
    assert a is not b
    assert question.answer == ("Yes" if getattr(a, fact) == getattr(b, fact) else "No")


def check_describe(words: list[str], scene: Scene, question: Question) -> None:
    first, *more = question.answer.split(" background.")
    listing, background = first.rsplit(" on a ", 1)
    assert background == scene.background
    assert "".join(more) == (f" The text says {scene.label.text}." if scene.label else "")
    said = [part for comma in listing.split(", ") for part in comma.split(" and ")]
    order = [scene.things[i] for i in question.things]
    assert sorted(question.things) == list(range(len(scene.things)))
    assert [thing.x for thing in order] == sorted(thing.x for thing in scene.things)
    wanted = [described(thing, "size", "texture", "colour", "shape") for thing in order] or ["an empty scene"]
    assert [said[0][0].lower() + said[0][1:], *said[1:]] == wanted


CHECKS: dict[str, Check] = {
    "describe": check_describe, "exist": check_exist, "count": check_count, "where": check_where, "relation": check_relation,
    "beside": check_beside, "read": check_read, "find": check_find, "find_all": check_find_all, "at_box": check_at_box,
    "background": check_background, "more": check_more, "same": check_same,
} | dict.fromkeys(("colour", "shape", "size", "texture"), check_attribute)  # fmt: skip


def test_every_kind_has_a_check():
    assert set(CHECKS) == set(MAKERS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", MAKERS)
def test_the_answer_is_what_the_question_says_of_the_scene(scenes, kind, form):
    made, answers = 0, set()
    for number, scene in enumerate(scenes):
        question = ask(
            random.Random(f"{kind} {form} {number}"), scene, kind, pool=("trained", "never")[number % 2], **FORMS[form]
        )
        if question is not None:
            made += 1
            answers.add(question.answer)
            assert question.kind == kind
            CHECKS[kind](words_of(question.text), scene, question)
    assert made >= {"beside": 60, "read": 180, "same": 180, "texture": 200}.get(kind, 240)
    assert len(answers) >= 2


def test_a_question_about_a_chosen_thing_is_about_that_thing(scenes):
    for number, scene in enumerate(scenes[:200]):
        for index in range(len(scene.things)):
            for kind in ("exist", "colour", "shape", "size", "texture", "where", "find", "at_box", "relation"):
                question = ask(random.Random(number), scene, kind, about=index, typed=True)
                if question is not None:
                    CHECKS[kind](words_of(question.text), scene, question)
                    assert index in question.things or question.answer == "No"


def test_nothing_is_asked_about_a_thing_that_is_not_there():
    empty = make_scene(1, things=0)
    for kind in ("exist", "colour", "shape", "size", "texture", "where", "find", "at_box", "relation", "beside", "same"):
        for seed in range(20):
            question = ask(random.Random(seed), empty, kind, about=0)
            assert question is None or (kind, question.answer) == ("exist", "No")


def test_a_second_turn_is_about_the_thing_of_the_first(scenes):
    made = 0
    for number, scene in enumerate(scenes):
        rng = random.Random(number)
        first = ask(rng, scene, rng.choice(("exist", "colour", "shape", "size", "texture", "where", "find")), typed=True)
        second = follow(rng, scene, first, typed=True) if first else None
        if second is None:
            continue
        made += 1
        words = words_of(second.text)
        (index,) = first.things
        place = {"where", "part"} & set(words)
        assert second.answer == (ninth(scene.things[index]) if place else getattr(scene.things[index], fact_asked(words)))
        assert second.things == (index,)
        assert second.answer != first.answer
    assert made > 200


def test_no_second_turn_follows_a_question_about_none_or_several_things(scenes):
    for number, scene in enumerate(scenes[:100]):
        for kind in ("count", "relation", "describe", "background", "find_all", "read"):
            question = ask(random.Random(number), scene, kind)
            assert question is None or follow(random.Random(number), scene, question) is None
        absent = Question("exist", "Is there a red circle?", "No")
        assert follow(random.Random(number), scene, absent) is None


def test_a_second_turn_says_it_of_one_thing_only(scenes):
    for number, scene in enumerate(scenes):
        rng = random.Random(number)
        first = ask(rng, scene, "exist")
        if first and follow(rng, scene, first):
            assert len(one(words_of(first.text)).found(scene)) == 1
