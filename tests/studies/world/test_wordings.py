"""Wordings, typing habits and small talk: complete, disjoint between training and evaluation, harmless to the truth."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from itertools import product
from string import Formatter

import pytest
from world_reader import phrases, words_of

from studies.world import locations, smalltalk
from studies.world.questions import MAKERS, Asker, ask
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed
from studies.world.wordings import CLOSINGS, HELD_OUT, OPENINGS, SIDES, SPELLINGS, TRAINED, as_typed

PARTS = {"trained": TRAINED, "held_out": HELD_OUT}
ONE_SPELLING = {"colour": "color"} | dict.fromkeys(("picture", "photo", "scene", "drawing"), "image")
ONE_SPELLING |= dict.fromkeys(("things", "items", "shapes"), "objects") | dict.fromkeys(("thing", "item"), "object")
SAME_PHRASES = {"what's": "what is", "can you see": "do you see", "you spot": "you see"}


def heard(text: str) -> str:
    """What is left of a text once everything that typing changes is made the same."""
    text = text.lower()
    for opening in sorted(OPENINGS, key=len, reverse=True):
        text = text.removeprefix(opening)
    for closing in sorted(CLOSINGS, key=len, reverse=True):
        text = text.removesuffix(closing)
    for said, meant in SAME_PHRASES.items():
        text = text.replace(said, meant)
    words = re.findall(r"\{\w+\}|<loc\d{4}>|[\w']+", text)
    return " ".join(ONE_SPELLING.get(word, word) for word in words if word not in ("a", "an", "the"))


def test_every_kind_is_worded_for_training_and_for_evaluation():
    assert set(TRAINED) == set(HELD_OUT) == set(MAKERS)
    for kind in MAKERS:
        assert len(TRAINED[kind]) >= 6
        assert len(HELD_OUT[kind]) >= 2
        assert len(set(TRAINED[kind])) == len(TRAINED[kind])


def test_held_out_wordings_are_none_of_training_however_typed():
    trained = {heard(text) for texts in TRAINED.values() for text in texts}
    held_out = {heard(text) for texts in HELD_OUT.values() for text in texts}
    assert not trained & held_out
    assert len(held_out) == sum(map(len, HELD_OUT.values()))


def test_no_typed_training_question_is_an_evaluation_question():
    typed, evaluated = set(), set()
    for index in range(150):
        scene, rng = make_scene(held_out_seed(index)), random.Random(index)
        for kind in MAKERS:
            typed |= {heard(q.text) for _ in range(3) if (q := ask(rng, scene, kind, typed=True))}
            evaluated |= {heard(q.text) for _ in range(3) if (q := ask(rng, scene, kind, held_out=True))}
    assert len(typed) > 1500
    assert len(evaluated) > 1000
    assert not typed & evaluated


@pytest.mark.parametrize("part", PARTS)
def test_every_wording_of_every_kind_is_filled_and_used(part):
    texts: dict[str, set[str]] = defaultdict(set)
    slots: dict[str, list[set[str]]] = defaultdict(list)
    for index in range(400):
        scene, rng = make_scene(held_out_seed(index), label=index % 2 == 0), random.Random(index)
        for kind in MAKERS:
            draft = MAKERS[kind](Asker(rng, scene))
            slots[kind] += [set(draft.slots)] if draft else []
            texts[kind] |= {q.text for _ in range(2) if (q := ask(rng, scene, kind, held_out=part == "held_out"))}
    for kind, wordings in PARTS[part].items():
        for wording in wordings:
            wanted = {name for _, name, _, _ in Formatter().parse(wording) if name}
            assert all(wanted <= given for given in slots[kind]), wording
            assert any(re.fullmatch(pattern_of(wording), text, re.IGNORECASE) for text in texts[kind]), wording
        for text in texts[kind]:
            assert not set("{}") & set(text)
            assert text[0].isupper() or text.startswith("<loc")
            assert "  " not in text


def pattern_of(wording: str) -> str:
    return "".join(re.escape(text) + (".+" if name else "") for text, name, _, _ in Formatter().parse(wording))


def test_sides_are_told_in_words_of_their_own():
    said = [words for side in SIDES.values() for words in side]
    assert set(SIDES) == {"left", "right", "above", "below"}
    assert len(said) == len(set(said)) == 12


def test_typing_keeps_what_is_asked_and_never_touches_location_tokens():
    plain, changed = random.Random(1), 0
    for index in range(250):
        scene = make_scene(held_out_seed(index))
        for kind in MAKERS:
            question = ask(plain, scene, kind, held_out=index % 2 == 0)
            if question is None:
                continue
            typed = as_typed(random.Random(index), question.text)
            changed += typed != question.text
            assert typed.strip()
            assert re.findall("<[^>]*>", typed) == re.findall("<[^>]*>", question.text)
            assert heard(typed) == heard(question.text)
            before, after = phrases(words_of(question.text)), phrases(words_of(typed))
            assert [(p.adjectives, p.shape) for p in before] == [(p.adjectives, p.shape) for p in after]
    assert 1500 < changed < 3600


@pytest.mark.parametrize("text", ["?", "...", "a", "the", "A", "yes", "a cat", "!", "the object", f"{locations.TOKENS[0]}"])
def test_typing_never_empties_a_text(text):
    for seed in range(300):
        assert as_typed(random.Random(seed), text).strip()


def test_typing_does_everything_people_do_and_often_nothing():
    text = "What is the color of the object in the picture?"
    typed = [as_typed(random.Random(seed), text) for seed in range(1500)]
    share = Counter({
        "as it was": typed.count(text),
        "lower": sum(t.islower() for t in typed),
        "no mark": sum(not t.endswith("?") for t in typed),
        "opening": sum(t.lower().startswith(OPENINGS) for t in typed),
        "spelling": sum("colour" in t for t in typed),
        "no article": sum("of object" in t.lower() or "of thing" in t.lower() or "of item" in t.lower() for t in typed),
        "what's": sum(t.lower().startswith("what's") or " what's" in t.lower() for t in typed),
    })  # fmt: skip
    bounds = {
        "as it was": (0.3, 0.4),
        "lower": (0.3, 0.42),
        "no mark": (0.2, 0.35),
        "opening": (0.1, 0.18),
        "spelling": (0.1, 0.25),
    }
    for name, count in share.items():
        low, high = bounds.get(name, (0.05, 0.3))
        assert low < count / 1500 < high, (name, count)
    assert {word for words in SPELLINGS for word in words[1]} >= {"colour", "photo", "things", "What's"}


LISTS = {
    "greetings": smalltalk.GREETINGS, "thanks": smalltalk.THANKS, "who": smalltalk.WHO_ASKS, "subjects": smalltalk.SUBJECTS,
    "outside": smalltalk.OUTSIDE_ASKS, "odd": smalltalk.ODD,
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_small_talk_of_training_and_of_evaluation_shares_nothing(name):
    trained, held_out = ({heard(text) for text in LISTS[name][part]} for part in ("trained", "held_out"))
    assert not trained & held_out
    assert len(held_out) >= 2


def test_no_typed_small_talk_of_training_is_one_of_evaluation():
    rng = random.Random(1)
    trained = {heard(smalltalk.chat(rng, typed=True).text) for _ in range(6000)}
    held_out = {heard(smalltalk.chat(rng, held_out=True).text) for _ in range(2000)}
    assert len(trained) > 1000
    assert not (trained - {""}) & held_out


def test_small_talk_has_its_one_answer():
    answers = {
        "hello": smalltalk.HELLO,
        "thanks": smalltalk.WELCOME,
        "who": smalltalk.WHO,
        "odd": smalltalk.OUTSIDE,
        "outside": smalltalk.OUTSIDE,
    }
    rng, kinds = random.Random(2), Counter()
    for number in range(2000):
        talk = smalltalk.chat(rng, held_out=number % 2 == 0, typed=number % 3 == 0)
        kinds[talk.variant] += 1
        assert talk.answer == answers[talk.variant]
        assert (talk.kind, talk.things, talk.held_out) == ("chat", (), number % 2 == 0)
        assert talk.text.strip()
        assert not set("{}") & set(talk.text)
    assert set(kinds) == set(answers)
    assert 0.4 < kinds["outside"] / 2000 < 0.55


def test_small_talk_never_asks_what_a_drawing_answers():
    for ask_of, subject in product(smalltalk.OUTSIDE_ASKS["trained"], smalltalk.SUBJECTS["trained"]):
        assert not phrases(words_of(ask_of.format(subject, "music")))
