"""The evaluation set and its grading: shares, splits, held-out seeds, and what a perfect and a wrong model score."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from world_reader import phrases, words_of

from model import Checkpoint, Finished, Options, Prompt
from studies import evaluation
from studies.evaluation import PARTS, SHARES, Item, Result, evaluate, figures, grade, main_items, other_items, to_json
from studies.metrics import Figure, bootstrap_mean, wilson
from studies.world import locations
from studies.world.draw import draw
from studies.world.questions import Question
from studies.world.scene import NEVER_TRAINED, Scene, Thing, make_scene
from studies.world.splits import TRAINED_BELOW

TINY = Checkpoint("tiny", "fovea-tiny")
SMALL = 400


@pytest.fixture(scope="module")
def main() -> list[Item]:
    return list(main_items())


@pytest.fixture(scope="module")
def other() -> list[Item]:
    return list(other_items())


class Oracle:
    """A core that answers what it is told to, and keeps what it was asked."""

    def __init__(self, answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.prompts: list[Prompt] = []

    def generate(self, checkpoint: Checkpoint, prompt: Prompt, options: Options, *, panel: str) -> Iterator[Finished]:
        self.prompts.append(prompt)
        yield Finished("run", self.answers[len(self.prompts) - 1], "end", 3, 1.0)

    def forced(self, checkpoint: Checkpoint, prompt: Prompt, answer: str) -> np.ndarray:
        self.prompts.append(prompt)
        said = self.answers[len(self.prompts) - 1]
        return np.array([a == b for a, b in zip(answer.split(), said.ljust(len(answer)).split(" "))])


def item(kind: str, answer: str, things: tuple[int, ...] = (), variant: str = "", part: str = PARTS[0]) -> Item:
    scene = Scene(
        (Thing("circle", "red", "small", "plain", 200, 200, 100), Thing("square", "blue", "large", "plain", 700, 700, 170)),
        None,
        "white",
    )
    return Item(part, scene, Question(kind, "?", answer, things, variant))


def test_the_main_set_has_each_kind_in_its_share(main):
    assert Counter(entry.question.kind for entry in main) == SHARES
    assert {entry.part for entry in main} == {"seen wordings"}
    assert not any(entry.question.held_out for entry in main)
    small = Counter(entry.question.kind for entry in main_items(SMALL))
    assert small == {kind: round(share / 10) for kind, share in SHARES.items()}


def test_the_other_sets_are_in_proportion(other):
    parts = Counter(entry.part for entry in other)
    held_out = Counter(entry.question.kind for entry in other if entry.part == "held-out wordings")
    assert held_out == {kind: round(share / 3) for kind, share in SHARES.items()}
    sizes = {"never-trained pairs": 500, "second turn": 200, "two pictures": 200, "small talk": 200}
    sizes["wide and tall pictures"] = 400
    assert {part: count for part, count in parts.items() if part != "held-out wordings"} == sizes
    assert set(parts) | {"seen wordings"} == set(PARTS)


def test_no_scene_of_the_evaluation_can_be_a_training_scene(main, other):
    for entry in [*main, *other]:
        for scene in (entry.scene, *entry.shown):
            assert scene.seed >= TRAINED_BELOW


def test_parts_do_not_share_scenes(main, other):
    seeds = defaultdict(set)
    for entry in [*main, *other]:
        seeds[entry.part] |= {scene.seed for scene in entry.shown}
    assert sum(map(len, seeds.values())) == len(set().union(*seeds.values()))


def test_a_seed_stands_for_one_scene(main, other):
    """Pictures are kept by seed while questions go on about them."""
    scenes = {}
    for entry in [*main, *other]:
        for scene in entry.shown:
            assert scenes.setdefault(scene.seed, scene) == scene


def test_never_trained_pairs_are_asked_about_in_their_part_and_nowhere_else(main, other):
    kinds, pairs = Counter(), Counter()
    for entry in [*main, *other]:
        for scene in entry.shown:
            held = {thing.pair for thing in scene.things} & NEVER_TRAINED
            assert bool(held) == (entry.part == "never-trained pairs")
        if entry.part == "never-trained pairs":
            kinds[entry.question.kind] += 1
            pairs[entry.scene.things[0].pair] += 1
            if entry.question.things:
                assert 0 in entry.question.things
            else:
                (phrase,) = phrases(words_of(entry.question.text))
                assert phrase.pair in NEVER_TRAINED
                assert entry.question.answer == "No"
    assert set(kinds) == {"exist", "colour", "shape", "find", "at_box"}
    assert set(pairs) == NEVER_TRAINED
    assert min(pairs.values()) > 50


def test_held_out_wordings_second_turns_and_two_pictures_are_what_they_say(other):
    for entry in other:
        assert (entry.before is not None) == (entry.part == "second turn")
        assert (len(entry.shown) == 2) == (entry.part == "two pictures")
        assert entry.scene in entry.shown
        if entry.part in ("held-out wordings", "small talk"):
            assert entry.question.held_out
        if entry.before is not None:
            assert entry.before.things == entry.question.things


def test_the_set_is_the_same_each_time(main):
    assert list(main_items()) == main


def test_yes_and_no_are_in_balance(main):
    for kind in ("exist", "relation", "more", "same"):
        answers = Counter(entry.question.answer for entry in main if entry.question.kind == kind)
        n = answers.total()
        assert abs(answers["Yes"] - n / 2) < 3 * (n / 4) ** 0.5, (kind, answers)


def test_the_kind_asked_does_not_depend_on_how_much_the_scene_holds(main):
    """Existence and the background can be asked of any scene: both should see the same mean number of things."""
    things = defaultdict(list)
    for entry in main:
        things[entry.question.kind].append(len(entry.scene.things))
    means = {kind: np.mean(things[kind]) for kind in ("exist", "background", "describe")}
    error = np.hypot(np.std(things["exist"]) / 600**0.5, np.std(things["describe"]) / 200**0.5)
    assert abs(means["exist"] - means["describe"]) < 3 * error, means


@pytest.mark.parametrize(
    ("answer", "said", "score"),
    [
        ("Yes", "Yes", 1), ("Yes", "yes.", 1), ("Yes", " YES ! ", 1), ("Yes", "No", 0), ("Yes", "", 0), ("Yes", "Yes, it is", 0),
        ("There is no text.", "there is no  text", 1), ("top left", "top right", 0), ("3", "3", 1), ("3", "13", 0),
        ("a red circle", "a red circle.", 1), ("a red circle", "a red circles", 0),
    ],
)  # fmt: skip
def test_words_are_right_or_wrong(answer, said, score):
    assert grade(item("exist", answer), said) == score
    assert grade(item("find", answer, variant="absent"), said) == score


def test_a_box_scores_its_overlap():
    wanted = item("find", "", (1,), "present")
    box = wanted.scene.things[1].box
    width = box[2] - box[0]
    assert grade(wanted, locations.to_tokens(box) + " blue square") > 0.85
    half = (box[0], box[1], box[0] + width / 2, box[3])
    assert grade(wanted, locations.to_tokens(half)) == pytest.approx(0.5, abs=0.08)
    assert grade(wanted, locations.to_tokens(wanted.scene.things[0].box)) == 0
    assert grade(wanted, "blue square") == 0
    assert grade(wanted, locations.to_tokens(box) + locations.to_tokens((0, 0, 9, 9))) > 0.85


def best_matching(shares: np.ndarray) -> float:
    """The largest sum of a one-to-one choice, by trying all."""
    if not len(shares):
        return 0.0
    rest = [best_matching(np.delete(shares[1:], j, 1)) + shares[0, j] for j in range(shares.shape[1])]
    return max([best_matching(shares[1:]), *rest])


def test_all_boxes_score_their_mean_overlap_over_the_longer_list():
    for seed in range(40):
        scene = make_scene(seed, things=4)
        wanted = Item(PARTS[0], scene, Question("find_all", "?", "", tuple(range(len(scene.things))), "present"))
        boxes = [locations.from_text(locations.to_tokens(box))[0] for box in scene.boxes()]
        said = [*boxes[1:], *([(900.0, 900.0, 990.0, 990.0)] * (seed % 4))]
        shares = np.array([[locations.iou(a, b) for b in scene.boxes()] for a in said])
        text = " ; ".join(locations.to_tokens(box) + " red circle" for box in said)
        read = np.array([[locations.iou(a, b) for b in scene.boxes()] for a in locations.from_text(text)])
        assert grade(wanted, text) == pytest.approx(best_matching(read) / max(len(said), len(boxes)), abs=1e-9)
        assert best_matching(read) == pytest.approx(best_matching(shares), abs=0.5)
    one = item("find_all", "", (0, 1), "present")
    assert grade(one, "") == 0
    assert grade(one, " ".join(locations.to_tokens(box) for box in one.scene.boxes()[::-1])) > 0.8
    assert grade(one, locations.to_tokens(one.scene.boxes()[0])) == pytest.approx(0.46, abs=0.05)
    assert grade(item("find_all", "There are no rings.", variant="absent"), "There are no rings") == 1


def test_a_model_that_knows_everything_scores_everything():
    items = [*main_items(60), *other_items(60)]
    core, told = Oracle([entry.question.answer for entry in items]), []
    results = evaluate(core, TINY, items, lambda done, of: told.append((done, of)))
    assert told == [(n + 1, len(items)) for n in range(len(items))]
    for result in results:
        boxes = result.item.question.kind in ("find", "find_all") and result.item.question.variant == "present"
        assert result.score > 0.8 if boxes else result.score == 1.0
    assert set(figures(results)) == set(PARTS)
    for prompt, entry in zip(core.prompts, items, strict=True):
        assert len(prompt.images) == len(entry.shown)
        square = entry.part != "wide and tall pictures"
        assert (entry.size_px == (evaluation.SIZE_PX,) * 2) == square
        assert {image.image.size for image in prompt.images} == {entry.size_px}
        if not square:  # each colour keeps its share of the picture: the scene is stretched, not cut
            plain = np.asarray(draw(entry.scene, 512).resize((64, 64), Image.Resampling.BOX), int)
            shown = np.asarray(prompt.images[0].image.resize((64, 64), Image.Resampling.BOX), int)
            assert np.abs(plain - shown).mean() < 3
        texts = [part for message in prompt.messages for part in message.parts if isinstance(part, str)]
        before = [entry.before.text, entry.before.answer] if entry.before else []
        assert texts == [*before, entry.question.text]
        assert [message.role for message in prompt.messages] == ["user", "assistant", "user"][2 - len(before) :]


def test_each_question_is_asked_with_the_picture_of_its_scene():
    items = [*main_items(40), *other_items(40)][::4]
    core = Oracle([""] * len(items))
    evaluate(core, TINY, items)
    for prompt, entry in zip(core.prompts, items, strict=True):
        for shown, scene in zip(prompt.images, entry.shown, strict=True):
            drawn = draw(scene, evaluation.SIZE_PX)
            if entry.size_px != drawn.size:
                drawn = drawn.resize(entry.size_px, Image.Resampling.BICUBIC)
            assert np.array_equal(np.asarray(shown.image), np.asarray(drawn))


def test_a_model_that_says_nothing_scores_nothing():
    items = [entry for entry in [*main_items(60), *other_items(20)][::2] if entry.question.kind != "describe"]
    results = evaluate(Oracle([""] * len(items)), TINY, items)
    assert {result.score for result in results} == {0.0}


def test_figures_split_by_part_kind_and_variant():
    made = [
        (item("exist", "Yes", (0,), "yes"), 1.0),
        (item("exist", "Yes", (0,), "yes"), 0.0),
        (item("exist", "No", (), "adversarial"), 0.0),
        (item("count", "2", (0, 1), "all"), 1.0),
        (item("colour", "red", (0,)), 1.0),
        (item("find", "", (0,), "present"), 0.5),
        (item("find", "", (1,), "present"), 0.9),
        (item("find", "", (), "absent"), 1.0),
        (item("find_all", "", (), "absent"), 0.0),
        (item("describe", ""), 0.75),
        (item("relation", "Yes", (0, 1), "left"), 1.0),
        (item("exist", "No", (), "random", PARTS[1]), 1.0),
        (item("chat", "Hello", (), "hello", PARTS[-1]), 1.0),
    ]
    found = figures([Result(entry, "", score) for entry, score in made])
    assert set(found) == {PARTS[0], PARTS[1], PARTS[-1]}
    first = found[PARTS[0]]
    assert set(first) == {
        "exist", "exist, yes", "exist, adversarial", "count", "count, all", "colour", "find", "find, absent", "find_all, absent",
        "describe", "relation", "relation, left",
    }  # fmt: skip
    assert first["exist"] == wilson(1, 3)
    assert first["exist, yes"] == wilson(1, 2)
    assert first["exist, adversarial"] == wilson(0, 1)
    assert first["find"] == bootstrap_mean([0.5, 0.9])
    assert first["find, absent"] == wilson(1, 1)
    assert first["find_all, absent"] == wilson(0, 1)
    assert first["describe"] == bootstrap_mean([0.75])
    assert found[PARTS[1]] == {"exist": wilson(1, 1), "exist, random": wilson(1, 1)}
    assert found[PARTS[-1]] == {"chat": wilson(1, 1), "chat, hello": wilson(1, 1)}


def test_figures_as_json_come_back():
    results = [Result(replace(item("colour", "red", (0,)), part=part), "red", 1.0) for part in PARTS[:2]]
    found = figures(results)
    back = json.loads(json.dumps(to_json(found)))
    assert {part: {name: Figure(**figure) for name, figure in kinds.items()} for part, kinds in back.items()} == found
