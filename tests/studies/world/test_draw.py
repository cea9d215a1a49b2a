"""Pixels of a scene: what is drawn is where the scene says it is, at any size."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import numpy as np
import pytest

from studies.world.draw import draw, ink_colour, masks, pixel_box
from studies.world.scene import (
    BACKGROUNDS,
    COLOURS,
    RADIUS,
    ROTATIONS,
    SHAPES,
    SIDE,
    SIZES,
    TEXTURES,
    UPRIGHT,
    Scene,
    Thing,
    make_scene,
)
from studies.world.splits import held_out_seed

SIZES_PX = (96, 512, 700)
POINTED = {"star": 2.0, "heart": 3.0}
"""Shapes whose tips are thinner than half a pixel for more than a pixel: how many pixels their masks may fall short."""


def pixels(scene: Scene, size: int) -> np.ndarray:
    return np.asarray(draw(scene, size)).astype(int)


def differ(a: Scene, b: Scene, size: int) -> np.ndarray:
    """Where two drawings differ. bool [size, size]."""
    return (pixels(a, size) != pixels(b, size)).any(-1)


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def wider(mask: np.ndarray, by: int = 1) -> np.ndarray:
    """The mask and every pixel within `by` of it."""
    size = len(mask)
    padded = np.pad(mask, by)
    return np.any([padded[y : y + size, x : x + size] for y in range(2 * by + 1) for x in range(2 * by + 1)], axis=0)


def alone(shape: str, seed: int) -> Scene:
    """One thing of this shape, somewhere, turned somehow, on white."""
    rng = random.Random(seed)
    size = rng.choice(SIZES)
    rotation = 0 if shape in UPRIGHT else rng.choice(ROTATIONS)
    texture = rng.choice(TEXTURES)
    x, y, radius = rng.randrange(250, 750), rng.randrange(250, 750), rng.randrange(*RADIUS[size])
    return Scene((Thing(shape, "red", size, texture, x, y, radius, rotation, phase=rng.randrange(1000)),), None, "white")


@pytest.mark.parametrize("size", SIZES_PX)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_drawn_fills_its_box_to_within_a_pixel(shape, size):
    for seed in range(2 if size > 100 else 12):
        scene = alone(shape, seed)
        box = pixel_box(scene.things[0].box, size)
        assert np.abs(np.subtract(box_of(differ(scene, replace(scene, things=()), size)), box)).max() <= 1.001
        assert np.abs(np.subtract(box_of(masks(scene, size)[0]), box)).max() <= POINTED.get(shape, 1.001)


@pytest.mark.parametrize("size", SIZES_PX)
def test_recolouring_a_thing_changes_exactly_its_mask(size):
    for seed in range(12 if size < 100 else 2):
        scene = make_scene(seed, things=4)
        for index, mask in enumerate(masks(scene, size)):
            thing = replace(scene.things[index], tint=(0, 0, 0))
            red, blue = (
                replace(scene, things=(*scene.things[:index], replace(thing, colour=colour), *scene.things[index + 1 :]))
                for colour in ("red", "blue")
            )
            changed = differ(red, blue, size)
            assert not (mask & ~changed).any()
            assert not (changed & ~wider(mask, 3)).any()
            assert (changed & ~wider(mask)).sum() <= 0.005 * mask.sum() + 6  # thin tips


@pytest.mark.parametrize("size", SIZES_PX)
def test_a_mask_is_where_more_than_half_of_a_pixel_is_covered(size):
    """Red on white: how far a pixel's green and blue went from white to red is how much of it is covered."""
    for seed in range(3):
        scene = make_scene(seed, things=3, label=False)
        for index, thing in enumerate(scene.things):
            plain = replace(thing, texture="plain", colour="red", tint=(0, 0, 0))
            flat = Scene((plain,), None, "white")
            change = np.abs(pixels(flat, size) - pixels(replace(flat, things=()), size)).max(-1)
            mask = masks(scene, size)[index]
            assert change[mask].min() >= 0.5 * 190  # half of the way from white to red
            assert change[~mask].max() <= 0.52 * (BACKGROUNDS["white"][1] - COLOURS["red"][1] * 7 // 10)


def test_masks_are_one_layer_a_thing_and_never_meet():
    for seed in range(25):
        scene = make_scene(seed)
        found = masks(scene, 96)
        assert found.shape == (len(scene.things), 96, 96)
        assert found.dtype == bool
        assert found.sum(0).max(initial=0) <= 1
        assert len(scene.things) == 0 or found.sum((1, 2)).min() > 40


def area_and_length(thing: Thing) -> tuple[float, float]:
    """The area of a thing's outline less its hole, by the shoelace formula, and the length of both, in scene units."""
    rings = [np.array(ring) for ring in thing.outline()]
    areas = [abs((ring[:, 0] * np.roll(ring[:, 1], 1) - ring[:, 1] * np.roll(ring[:, 0], 1)).sum()) / 2 for ring in rings]
    length = sum(np.hypot(*(ring - np.roll(ring, 1, axis=0)).T).sum() for ring in rings)
    return areas[0] - sum(areas[1:]), length


@pytest.mark.parametrize("size", SIZES_PX)
def test_a_mask_has_the_area_of_its_outline_to_half_a_pixel_along_its_edge(size):
    for seed in range(40 if size < 100 else 8):
        scene = make_scene(seed, things=3)
        for mask, thing in zip(masks(scene, size), scene.things, strict=True):
            area, length = area_and_length(thing)
            assert abs(mask.sum() - area * (size / SIDE) ** 2) <= 0.5 * length * size / SIDE


def test_a_ring_has_a_hole_and_the_other_shapes_are_full_at_their_centre():
    for shape in SHAPES:
        scene = alone(shape, 1)
        thing = scene.things[0]
        centre = masks(scene, 500)[0][thing.y // 2, thing.x // 2]
        assert bool(centre) is (shape != "ring")


def test_a_plain_thing_has_its_colour_and_a_textured_one_two():
    for index, (name, colour) in enumerate(COLOURS.items()):
        plain = replace(alone("square", 3), things=(Thing("square", name, "large", "plain", 500, 500, 190, tint=(3, -4, 5)),))
        inside = pixels(plain, 200)[80:120, 80:120].reshape(-1, 3)
        assert (inside == np.clip(np.add(colour, (3, -4, 5)), 0, 255)).all()
        for texture in ("striped", "dotted"):
            textured = replace(plain, things=(replace(plain.things[0], texture=texture, phase=index * 100),))
            dark = pixels(textured, 200)[75:125, 75:125].sum(-1) < 0.6 * inside[0].sum()
            assert 0.1 < dark.mean() < 0.6


def test_the_same_scene_at_two_sizes_is_the_same_picture():
    for seed in range(6):
        scene = make_scene(seed, label=True)
        large = np.asarray(draw(scene, 384).reduce(4)).astype(int)
        assert np.abs(large - pixels(scene, 96)).mean() < 2.0


def test_a_label_lies_in_its_box_and_stands_out():
    for seed in range(30):
        scene = make_scene(seed, label=True)
        unwritten = replace(scene, label=None)
        changed = differ(scene, unwritten, 200)
        assert np.abs(np.subtract(box_of(changed), pixel_box(scene.label.box, 200))).max() <= 1.5
        ground = np.add(BACKGROUNDS[scene.background], scene.tint)
        assert abs(int(np.mean(ink_colour(scene.background))) - ground.mean()) > 90
        ink = np.abs(pixels(scene, 200) - ink_colour(scene.background)).max(-1) <= 2
        assert 0.1 < ink.sum() / ((scene.label.width / 5) * (scene.label.height / 5)) < 0.9


@pytest.mark.parametrize("backdrop", ["flat", "down", "across"])
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_background_is_its_colour_or_runs_through_it(background, backdrop):
    scene = Scene((), None, background, backdrop, (2, -3, 1))
    picture = pixels(scene, 64)
    base = np.add(BACKGROUNDS[background], (2, -3, 1))
    assert np.abs(picture.mean((0, 1)) - base).max() < 4
    along = {"flat": picture[:, 0], "down": picture[:, 0], "across": picture[0]}[backdrop]
    across = picture[0] if backdrop != "across" else picture[:, 0]
    assert (across == across[0]).all()
    assert (np.ptp(along, axis=0) == 0).all() if backdrop == "flat" else (np.ptp(along, axis=0) >= 20).all()


def test_pixels_are_those_the_seed_always_gave():
    """Without labels: letters depend on the FreeType that Pillow was built with."""
    found = hashlib.sha256()
    for index in range(12):
        scene = make_scene(held_out_seed(index), label=False, pairs="all")
        found.update(draw(scene, 96).tobytes() + masks(scene, 96).tobytes() + draw(scene, 128, supersample=1).tobytes())
    assert found.hexdigest()[:16] == "c71f358119891468"
