"""How questions are drawn: balance, negatives of three kinds, pairs that are never trained, names."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from itertools import product

import pytest
from world_reader import phrases, words_of

from studies.world.phrases import MARGIN, POPULAR, absent, article, names, on_side, plural
from studies.world.questions import MAKERS, ask, follow
from studies.world.scene import COLOUR_WEIGHTS, COLOURS, NEVER_TRAINED, SHAPE_WEIGHTS, SHAPES, Scene, Thing, make_scene
from studies.world.splits import trained_seed

PAIRS = set(product(COLOURS, SHAPES))
WEIGHT = {(c, s): a * b for (c, a), (s, b) in product(zip(COLOURS, COLOUR_WEIGHTS), zip(SHAPES, SHAPE_WEIGHTS))}


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [make_scene(trained_seed(index % 4, index), label=index % 2 == 0) for index in range(2000)]


def sigmas(yes: int, n: int) -> float:
    """How many binomial standard deviations a count of yes is from half of n."""
    return (yes - n / 2) / math.sqrt(n / 4)


def pair_of(text: str) -> tuple[str, str] | None:
    (phrase,) = phrases(words_of(text))
    return phrase.pair


@pytest.mark.parametrize("kind", ["relation", "more", "same"])
def test_yes_is_as_frequent_as_no(scenes, kind):
    rng = random.Random(1)
    answers = Counter(q.answer for scene in scenes for _ in range(2) if (q := ask(rng, scene, kind)))
    n = answers.total()
    assert set(answers) == {"Yes", "No"}
    assert n > 2000
    assert abs(sigmas(answers["Yes"], n)) < 3


def test_existence_is_balanced_where_every_negative_is_possible(scenes):
    """From four things up all three kinds of negative nearly always exist; see the next test for fewer."""
    rng = random.Random(1)
    crowded = [scene for scene in scenes if len(scene.things) >= 4]
    answers = Counter(q.answer for scene in crowded for _ in range(3) if (q := ask(rng, scene, "exist")))
    assert answers.total() > 2500
    assert abs(sigmas(answers["Yes"], answers.total())) < 3


def test_existence_is_balanced_in_sparse_scenes_too(scenes):
    rng = random.Random(1)
    sparse = [scene for scene in scenes if len(scene.things) == 1]
    answers = Counter(q.answer for scene in sparse for _ in range(10) if (q := ask(rng, scene, "exist")))
    assert abs(sigmas(answers["Yes"], answers.total())) < 3


def test_every_side_and_attribute_is_asked_and_answered_both_ways(scenes):
    rng = random.Random(2)
    relation = Counter((q.variant, q.answer) for scene in scenes for _ in range(2) if (q := ask(rng, scene, "relation")))
    assert set(relation) == set(product(("left", "right", "above", "below"), ("Yes", "No")))
    for side in ("left", "right", "above", "below"):
        yes, no = relation[side, "Yes"], relation[side, "No"]
        assert abs(sigmas(yes, yes + no)) < 3.5
    same = Counter((q.variant, q.answer) for scene in scenes for _ in range(2) if (q := ask(rng, scene, "same")))
    assert set(same) == set(product(("color", "shape", "size"), ("Yes", "No")))


def test_negatives_are_a_third_each(scenes):
    rng = random.Random(3)
    crowded = [scene for scene in scenes if len(scene.things) >= 5]
    variants = Counter(q.variant for scene in crowded for _ in range(4) if (q := ask(rng, scene, "exist")) and q.answer == "No")
    n = variants.total()
    assert set(variants) == {"random", "popular", "adversarial"}
    for count in variants.values():
        assert abs(count - n / 3) < 4 * math.sqrt(n * 2 / 9)


def test_adversarial_negatives_have_both_halves_in_the_picture_but_never_together(scenes):
    rng, made = random.Random(4), 0
    for scene in scenes:
        question = ask(rng, scene, "exist")
        if question and question.variant == "adversarial":
            made += 1
            colour, shape = pair_of(question.text)
            assert any(thing.colour == colour for thing in scene.things)
            assert any(thing.shape == shape for thing in scene.things)
            assert not any(thing.colour == colour and thing.shape == shape for thing in scene.things)
    assert made > 200


def test_popular_negatives_are_among_the_frequent_pairs_and_absent(scenes):
    rng, asked = random.Random(5), Counter()
    frequent = {pair for pair in PAIRS if WEIGHT[pair] >= sorted(WEIGHT.values(), reverse=True)[POPULAR - 1]}
    for scene in scenes:
        words = absent(rng, scene, "popular")
        pair = tuple(words.split())
        assert pair in frequent - NEVER_TRAINED
        assert pair not in {thing.pair for thing in scene.things}
        asked[pair] += 1
    seen = Counter(thing.pair for scene in scenes for thing in scene.things)
    usual = sum(seen.values()) / len(PAIRS - NEVER_TRAINED)
    assert len(asked) >= 12
    assert min(seen[pair] for pair in asked) > usual


def test_random_negatives_cover_every_trained_pair_and_halves(scenes):
    rng = random.Random(6)
    found = [q for scene in scenes for _ in range(4) if (q := ask(rng, scene, "exist")) and q.variant == "random"]
    pairs = {pair_of(q.text) for q in found}
    assert pairs - {None} == PAIRS - NEVER_TRAINED
    halves = sum(pair_of(q.text) is None for q in found) / len(found)
    assert 0.3 < halves < 0.5


def test_never_trained_pairs_never_occur_in_questions_of_training(scenes):
    rng, made = random.Random(7), 0
    for scene in scenes:
        for kind in MAKERS:
            question = ask(rng, scene, kind, typed=True)
            second = follow(rng, scene, question, typed=True) if question else None
            for text in (q_text for q in (question, second) if q for q_text in (q.text, q.answer)):
                made += 1
                for phrase in phrases(words_of(text)):
                    assert phrase.pair not in NEVER_TRAINED, (kind, text)
    assert made > 50_000


def test_questions_about_never_trained_pairs_ask_of_no_other_absent_pair():
    rng, variants = random.Random(8), Counter()
    for index, pair in enumerate(sorted(NEVER_TRAINED) * 40):
        scene = make_scene(index, pairs="all", must_have=pair)
        for variant in ("random", "popular", "adversarial"):
            words = absent(rng, scene, variant, "never")
            assert words is None or tuple(words.split()) in NEVER_TRAINED - {thing.pair for thing in scene.things}
            variants[variant] += words is not None
        question = ask(rng, scene, "exist", pool="never", about=0)
        assert question is None or pair_of(question.text) in NEVER_TRAINED
    assert variants["random"] == 240
    assert variants["adversarial"] > 10


def test_absent_finds_nothing_where_nothing_is_absent():
    things = tuple(Thing(shape, colour, "small", "plain", 100, 100, 50) for colour, shape in PAIRS)
    full = Scene(things, None, "white")
    assert [absent(random.Random(1), full, variant) for variant in ("random", "popular", "adversarial")] == [None] * 3
    assert absent(random.Random(1), Scene((), None, "white"), "adversarial") is None
    assert ask(random.Random(1), full, "more") is None or len(full.things) == 64


def test_names_fit_their_thing_alone_and_hide_what_is_asked(scenes):
    for scene in scenes[:400]:
        for index in range(len(scene.things)):
            for hide in ((), ("colour",), ("shape",), ("size",), ("texture",)):
                for name in names(scene, index, hide=hide):
                    (phrase,) = phrases(name.split())
                    assert phrase.found(scene) == [index]
                    thing = scene.things[index]
                    assert not {getattr(thing, fact) for fact in hide} & set(name.split())
                lengths = [len(set(name.split()) - {"object"}) for name in names(scene, index, hide=hide)]
                assert lengths == sorted(lengths)


def test_sides_are_told_from_centres_with_a_margin():
    a, b = (Thing("circle", "red", "small", "plain", x, y, 100) for x, y in ((200, 500), (200 + MARGIN, 500)))
    assert [on_side(a, b, side) for side in ("left", "right", "above", "below")] == [True, False, None, None]
    assert [on_side(b, a, side) for side in ("left", "right", "above", "below")] == [False, True, None, None]
    nearer = Thing("circle", "red", "small", "plain", 199 + MARGIN, 900, 100)
    assert [on_side(a, nearer, side) for side in ("left", "right", "above", "below")] == [None, None, True, False]


def test_size_and_texture_are_asked_about_evenly(scenes):
    rng = random.Random(9)
    mixed = [scene for scene in scenes if len({thing.size for thing in scene.things}) == 2]
    sizes = Counter(q.answer for scene in mixed for _ in range(2) if (q := ask(rng, scene, "size")))
    textures = Counter(q.answer for scene in scenes if (q := ask(rng, scene, "texture")))
    assert sizes.total() > 2000
    assert abs(sizes["small"] / sizes.total() - 0.5) < 0.05
    assert min(textures.values()) / textures.total() > 0.17
    assert set(textures) == {"plain", "striped", "dotted"}


def test_a_question_is_a_function_of_its_seed():
    found = hashlib.sha256()
    for seed in range(60):
        scene, rng = make_scene(seed, label=False), random.Random(seed)
        asked = [ask(rng, scene, kind, typed=seed % 2 == 0, held_out=seed % 3 == 0) for kind in MAKERS]
        found.update(repr([(q.kind, q.text, q.answer) for q in asked if q]).encode())
    assert found.hexdigest()[:16] == "77a4be292fdd8f04"


def test_an_unknown_kind_is_refused():
    with pytest.raises(KeyError, match="smell"):
        ask(random.Random(1), make_scene(1), "smell")


def test_words_for_things_follow_english():
    assert [article(words) for words in ("red ring", "orange ring", "object")] == [
        "a red ring",
        "an orange ring",
        "an object",
    ]
    assert [plural(words) for words in ("red cross", "circle", "blue object")] == [
        "red crosses",
        "circles",
        "blue objects",
    ]
