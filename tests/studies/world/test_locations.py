"""Boxes as location tokens: PaliGemma's syntax, there and back within a bin."""

from __future__ import annotations

import random

import pytest
from world_reader import boxes_of, overlap

from studies.world.locations import BINS, STEP, TOKENS, from_text, iou, to_tokens
from studies.world.scene import SIDE, make_scene

BIN = SIDE / BINS


def random_box(rng: random.Random) -> tuple[float, float, float, float]:
    (x0, x1), (y0, y1) = (sorted(rng.uniform(0, SIDE) for _ in range(2)) for _ in range(2))
    return x0, y0, x1, y1


def test_tokens_are_paligemmas_at_the_middle_of_each_bin():
    assert len(TOKENS) == BINS == 64
    assert (TOKENS[0], TOKENS[1], TOKENS[-1]) == ("<loc0008>", "<loc0024>", "<loc1016>")
    assert [int(token[4:8]) // STEP for token in TOKENS] == list(range(BINS))


def test_a_box_is_written_y_first():
    assert to_tokens((0, 250, 500, 1000)) == TOKENS[16] + TOKENS[0] + TOKENS[63] + TOKENS[31]


def test_a_box_comes_back_within_half_a_bin():
    rng = random.Random(1)
    for _ in range(3000):
        box = random_box(rng)
        (back,) = from_text(f"a thing {to_tokens(box)} here")
        assert max(abs(a - b) for a, b in zip(box, back, strict=True)) <= BIN / 2 + 2e-3
        assert back == pytest.approx(boxes_of(to_tokens(box))[0])


def test_boxes_of_things_keep_four_fifths_of_their_overlap():
    shares = [overlap(from_text(to_tokens(box))[0], box) for seed in range(400) for box in make_scene(seed, pairs="all").boxes()]
    assert len(shares) > 1000
    assert min(shares) > 0.8
    assert sum(shares) / len(shares) > 0.92


def test_edges_of_the_canvas_and_beyond_are_the_outer_bins():
    assert to_tokens((0, 0, SIDE, SIDE)) == TOKENS[0] * 2 + TOKENS[-1] * 2
    assert to_tokens((-50, -1, SIDE + 90, SIDE * 3)) == TOKENS[0] * 2 + TOKENS[-1] * 2
    for index in range(1, BINS):
        assert to_tokens((0, 0, index * BIN, index * BIN)).endswith(TOKENS[index - 1] * 2)


def test_every_box_of_a_text_is_read_in_order_and_nothing_else():
    rng = random.Random(2)
    written = [to_tokens(random_box(rng)) for _ in range(4)]
    assert from_text(" ; ".join(f"{tokens} red circle" for tokens in written)) == [from_text(tokens)[0] for tokens in written]
    assert from_text("<loc0008><loc0008> <loc0100><loc0100>") == []
    assert from_text("<loc8><loc0008><loc0100><loc0100> and <LOC0008>") == []
    assert from_text("") == []


def test_corners_written_the_wrong_way_round_are_put_in_order():
    assert from_text("<loc0512><loc0768><loc0256><loc0000>") == [(0.0, 250.0, 750.0, 500.0)]


def test_iou_is_that_of_counted_cells():
    rng = random.Random(3)
    for _ in range(300):
        a, b = (tuple(sorted(rng.sample(range(9), 2)) + sorted(rng.sample(range(9), 2))) for _ in range(2))
        a, b = ((x0, y0, x1, y1) for x0, x1, y0, y1 in (a, b))
        cells = [{(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])} for box in (a, b)]
        assert iou(a, b) == pytest.approx(len(cells[0] & cells[1]) / len(cells[0] | cells[1]))
        assert iou(a, b) == iou(b, a)
        assert iou(a, a) == 1.0


def test_iou_of_boxes_that_touch_or_are_empty_is_0():
    assert iou((0, 0, 10, 10), (10, 0, 20, 10)) == 0.0
    assert iou((0, 0, 10, 10), (5, 5, 5, 5)) == 0.0
    assert iou((5, 5, 5, 5), (5, 5, 5, 5)) == 0.0
