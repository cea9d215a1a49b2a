"""Counterfactual pairs: one thing changes, nothing else, and only where the edit says."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict, replace
from itertools import combinations

import numpy as np
import pytest

from studies.world.draw import draw, masks, pixel_box
from studies.world.edit import Edit, erase, move, random_edit, recolour, swap
from studies.world.questions import ask
from studies.world.scene import COLOURS, NEVER_TRAINED, SHAPES, SIDE, Scene, make_scene
from studies.world.splits import trained_seed

KINDS = ("erase", "recolour", "move", "swap")
CHANGES = {"recolour": {"colour"}, "move": {"x", "y"}, "swap": {"shape"}}


@pytest.fixture(scope="module")
def edits() -> list[Edit]:
    """An edit of each kind of 300 scenes, where there is one."""
    made = []
    for index in range(300):
        scene = make_scene(trained_seed(3, index), label=index % 2 == 0)
        made += [edit for kind in KINDS if (edit := random_edit(random.Random(index), scene, kind))]
    return made


def changed_facts(edit: Edit) -> set[str]:
    before, after = asdict(edit.before.things[edit.index]), asdict(edit.after.things[edit.index])
    return {name for name in before if before[name] != after[name]}


def test_every_kind_is_nearly_always_possible(edits):
    kinds = Counter(edit.kind for edit in edits)
    assert min(kinds[kind] for kind in ("erase", "recolour", "swap")) > 280
    assert kinds["move"] > 200


def test_one_thing_changes_in_one_way_and_nothing_else_does(edits):
    for edit in edits:
        assert replace(edit.after, things=()) == replace(edit.before, things=())
        others = [thing for i, thing in enumerate(edit.before.things) if i != edit.index]
        if edit.kind == "erase":
            assert list(edit.after.things) == others
            continue
        assert [thing for i, thing in enumerate(edit.after.things) if i != edit.index] == others
        facts = changed_facts(edit)
        assert facts
        assert facts <= CHANGES[edit.kind]
        assert edit.thing == edit.before.things[edit.index]


def test_pixels_differ_inside_the_changed_boxes_and_nowhere_else(edits):
    size = 160
    for edit in edits[::3]:
        differ = (np.asarray(draw(edit.before, size)) != np.asarray(draw(edit.after, size))).any(-1)
        allowed = np.zeros_like(differ)
        for box in edit.changed:
            x0, y0, x1, y1 = pixel_box(box, size)
            allowed[max(0, int(y0) - 1) : int(y1) + 2, max(0, int(x0) - 1) : int(x1) + 2] = True
            inside = differ[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1]
            assert inside.any()
        assert not (differ & ~allowed).any()


def test_erasing_shows_the_ground_and_recolouring_the_same_mask(edits):
    for edit in [edit for edit in edits if edit.kind in ("erase", "recolour")][::6]:
        differ = (np.asarray(draw(edit.before, 160)) != np.asarray(draw(edit.after, 160))).any(-1)
        mask = masks(edit.before, 160)[edit.index]
        assert differ[mask].mean() > 0.97
        if edit.kind == "recolour":
            assert (masks(edit.after, 160) == masks(edit.before, 160)).all()
        else:
            assert (np.asarray(draw(edit.after, 160))[mask] == np.asarray(draw(replace(edit.before, things=()), 160))[mask]).all()


def test_things_still_do_not_touch(edits):
    for edit in edits:
        taken = [thing.box for thing in edit.after.things] + ([edit.after.label.box] if edit.after.label else [])
        assert all(0 <= value <= SIDE for box in taken for value in box)
        for a, b in combinations(taken, 2):
            assert max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3]) >= 2


def test_random_edits_never_make_a_never_trained_pair(edits):
    assert len(edits) > 1000
    assert not {thing.pair for edit in edits for thing in edit.after.things} & NEVER_TRAINED
    made = Counter()
    for index, pair in enumerate(sorted(NEVER_TRAINED) * 20):
        scene = make_scene(index, pairs="all", must_have=pair)
        for kind in KINDS:
            edit = random_edit(random.Random(index), scene, kind)
            if edit is not None:
                made[kind] += 1
                added = Counter(t.pair for t in edit.after.things) - Counter(t.pair for t in scene.things)
                assert not set(added) & NEVER_TRAINED
    assert min(made.values()) > 60


def test_an_edit_changes_what_is_true(edits):
    """The question asked of both pictures: what is said of the thing before is not true after."""
    changed = 0
    for edit in edits:
        after = [thing for thing in edit.after.things if thing.pair == edit.thing.pair]
        if edit.kind == "move" or after:
            continue
        changed += 1
        for scene, answer in ((edit.before, "Yes"), (edit.after, "No")):
            assert ("Yes" if any(t.pair == edit.thing.pair for t in scene.things) else "No") == answer
        wanted = f"Is there a {' '.join(edit.thing.pair)}".replace("a orange", "an orange")
        asked = (ask(random.Random(seed), edit.before, "exist", about=edit.index) for seed in range(60))
        assert any(q and q.answer == "Yes" and q.text.startswith(wanted) for q in asked)
    assert changed > 500


def test_what_cannot_be_done_is_refused_and_says_what_can():
    scene = make_scene(5, things=4, label=True)
    thing = scene.things[0]
    with pytest.raises(ValueError, match=r"Recolour to another of red, .* not 'mauve'"):
        recolour(scene, 0, "mauve")
    with pytest.raises(ValueError, match="Recolour to another"):
        recolour(scene, 0, thing.colour)
    with pytest.raises(ValueError, match=r"Swap for another of circle, .* not 'cube'"):
        swap(scene, 0, "cube")
    with pytest.raises(ValueError, match="Swap for another"):
        swap(scene, 0, thing.shape)
    for x, y in ((-5, 500), (SIDE, SIDE), (scene.things[1].x, scene.things[1].y), (scene.label.x, scene.label.y)):
        with pytest.raises(ValueError, match=rf"The {thing.colour} {thing.shape} does not fit at \({x}, {y}\)"):
            move(scene, 0, x, y)
    with pytest.raises(IndexError):
        erase(scene, 9)


def test_each_edit_does_what_it_is_called():
    scene = make_scene(3, things=3, label=False)
    colour = next(c for c in COLOURS if c != scene.things[1].colour)
    shape = next(s for s in SHAPES if s != scene.things[1].shape)
    assert recolour(scene, 1, colour).after.things[1].pair == (colour, scene.things[1].shape)
    assert len(erase(scene, 1).after.things) == 2
    x, y = next((x, y) for x in range(0, SIDE, 50) for y in range(0, SIDE, 50) if _fits(scene, x, y))
    assert (move(scene, 1, x, y).after.things[1].x, move(scene, 1, x, y).after.things[1].y) == (x, y)
    assert move(scene, 1, x, y).changed == (scene.things[1].box, replace(scene.things[1], x=x, y=y).box)
    alone = Scene((scene.things[1],), None, "white")
    assert swap(alone, 0, shape).after.things[0] == replace(scene.things[1], shape=shape)


def _fits(scene: Scene, x: int, y: int) -> bool:
    try:
        move(scene, 1, x, y)
    except ValueError:
        return False
    return True


def test_no_edit_of_an_empty_scene():
    assert [random_edit(random.Random(1), make_scene(1, things=0), kind) for kind in KINDS] == [None] * 4
    with pytest.raises(KeyError, match="paint"):
        random_edit(random.Random(1), make_scene(1, things=2), "paint")
