"""Boxes and grids of visual tokens, against slow and obvious ways to say the same."""

from __future__ import annotations

import numpy as np
import pytest

from model.geometry.boxes import Box
from model.geometry.grid import ImageGrid, View

WHOLE = View((0.0, 0.0, 80.0, 60.0), 3, 4)
CROP = View((10.0, 0.0, 70.0, 60.0), 2, 2)
PADDED = View((-20.0, -50.0, 100.0, 70.0), 3, 3)


def grid(*views: View, cell: np.ndarray | None = None, size: tuple[int, int] = (80, 60), **more) -> ImageGrid:
    cells = sum(view.rows * view.cols for view in views)
    images = max(view.image for view in views) + 1
    return ImageGrid(views, np.arange(cells) if cell is None else cell, (size,) * images, **more)


def slow_paint(grid: ImageGrid, scores: np.ndarray, image: int, size: tuple[int, int]) -> np.ndarray:
    """Every pixel asks every token whether it holds the pixel's centre."""
    boxes, (width, height) = grid.cells(), grid.sizes[image]
    owner = np.concatenate([[view.image] * (view.rows * view.cols) for view in grid.views])
    heat = np.full((size[1], size[0]), np.nan)
    for row in range(size[1]):
        for col in range(size[0]):
            x, y = (col + 0.5) * width / size[0], (row + 0.5) * height / size[1]
            held = {}
            for token, cell in enumerate(grid.cell):
                if cell >= 0 and owner[cell] == image:
                    x0, y0, x1, y1 = boxes[cell]
                    if x0 <= x < x1 and y0 <= y < y1:
                        held[cell] = held.get(cell, 0.0) + scores[token]
            if held:
                heat[row, col] = np.mean(list(held.values()))
    return heat


def test_cells_are_row_by_row_and_tile_the_view() -> None:
    cells = CROP.cells()
    assert cells.tolist() == [[10, 0, 40, 30], [40, 0, 70, 30], [10, 30, 40, 60], [40, 30, 70, 60]]
    assert sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in PADDED.cells()) == pytest.approx(120 * 120)


@pytest.mark.parametrize(
    ("views", "cell"),
    [
        ((WHOLE,), None),
        ((CROP,), None),
        ((PADDED,), None),
        ((WHOLE, CROP), None),
        ((WHOLE,), np.array([-1, *range(12), -1])),
        ((WHOLE,), np.array([3, 3, 0, 11])),
        ((WHOLE, View((0, 0, 80, 60), 2, 3, image=1)), None),
    ],
)
@pytest.mark.parametrize("size", [(80, 60), (31, 17)])
def test_paint_is_what_every_pixel_would_say_for_itself(
    views: tuple[View, ...], cell: np.ndarray | None, size: tuple[int, int]
) -> None:
    made = grid(*views, cell=cell)
    scores = np.random.default_rng(0).normal(size=made.tokens)
    for image in range(len(made.sizes)):
        painted = made.paint(scores, image, size=size)
        assert painted.dtype == np.float32
        np.testing.assert_allclose(painted, slow_paint(made, scores, image, size), rtol=1e-6, atol=1e-6)


def test_pixels_outside_every_view_are_nan_and_unseen() -> None:
    made = grid(CROP)
    painted = made.paint(np.ones(4))
    assert np.isnan(painted[:, :10]).all()
    assert np.isnan(painted[:, 70:]).all()
    assert (painted[:, 10:70] == 1).all()
    assert np.array_equal(made.unseen(), np.isnan(painted))
    assert not grid(PADDED).unseen().any()


def test_a_connector_that_mixes_places_paints_by_its_weights() -> None:
    mixing = np.random.default_rng(1).dirichlet(np.ones(12), 5).astype(np.float32)
    made = grid(WHOLE, cell=np.full(5, -1), mixing=mixing)
    scores = np.array([1.0, 0.0, 2.0, 0.0, 0.0])
    painted = made.paint(scores)
    assert painted[0, 0] == pytest.approx(mixing[0, 0] + 2 * mixing[2, 0])
    assert painted[-1, -1] == pytest.approx(mixing[0, 11] + 2 * mixing[2, 11])
    assert made.paint(np.ones(5)).sum() == pytest.approx(5 * 20 * 20, rel=1e-5)
    assert not made.unseen().any()
    assert made.outline(0) == []


def test_tokens_in_a_box_are_those_whose_cell_it_overlaps() -> None:
    made = grid(WHOLE, View((0, 0, 80, 60), 2, 2, image=1), cell=np.array([-1, *range(16)]))
    for box in (Box(0, 0, 80, 60), Box(19, 19, 21, 21), Box(20, 20, 40, 40), Box(79.5, 59.5, 80, 60), Box(-5, -5, 0, 0)):
        for image in (0, 1):
            expected = [
                token
                for token, cell in enumerate(made.cell)
                if cell >= 0 and (cell >= 12) == image and Box(*made.cells()[cell]).overlap(box) > 0
            ]
            assert made.tokens_in(box, image).tolist() == expected
    assert made.tokens_in(Box(20, 20, 40, 40)).tolist() == [6]


def test_an_outline_is_the_cell_in_source_pixels() -> None:
    made = grid(CROP, cell=np.array([-1, 3]))
    assert made.outline(0) == []
    assert made.outline(1) == [Box(40, 30, 70, 60)]


def test_what_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(AssertionError, match="cell 12 of 12"):
        grid(WHOLE, cell=np.array([12]))
    with pytest.raises(AssertionError, match=r"\(3,\) scores for \(12,\)"):
        grid(WHOLE).paint(np.ones(3))


def test_a_grid_of_nothing_paints_nothing() -> None:
    made = ImageGrid((), np.zeros(0, np.int64), ((5, 4),))
    assert np.isnan(made.paint(np.zeros(0))).all()
    assert made.unseen().shape == (4, 5)
    assert made.tokens_in(Box(0, 0, 5, 4)).tolist() == []


def test_box_arithmetic_is_that_of_pixels_counted() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        a, b = (Box(*(int(v) for v in (x, y, x + w, y + h))) for x, y, w, h in rng.integers(0, 12, (2, 4)))
        first, second = (np.zeros((30, 30), bool) for _ in range(2))
        first[a.y0 : a.y1, a.x0 : a.x1] = True
        second[b.y0 : b.y1, b.x0 : b.x1] = True
        assert a.area == first.sum()
        assert a.overlap(b) == (first & second).sum()
        assert a.iou(b) == pytest.approx((first & second).sum() / max(1, (first | second).sum()))
        assert a.clip(10, 8).area == first[:8, :10].sum()
        assert a.scale(2, 3).area == 6 * a.area
    assert Box(5, 5, 3, 9).area == 0
    assert Box(1, 1, 1, 1).iou(Box(1, 1, 1, 1)) == 0
