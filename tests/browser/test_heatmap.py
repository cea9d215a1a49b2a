"""The script that draws maps, alone on an empty page: what it paints is what `ImageGrid.paint` says, whatever the layout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route

from model.geometry.grid import ImageGrid, View
from panels.base.maps.overlay import geometry, packed, tokens_of_cells
from panels.base.scripts import SCRIPTS

pytestmark = pytest.mark.browser
SIDE = 240
TILES = tuple(View((100.0 * c, 60.0 * r, 100.0 * c + 100, 60.0 * r + 60), 3, 4, 0, f"tile {2 * r + c + 1}")
              for r in range(2) for c in range(2))  # fmt: skip
MIXING = np.random.default_rng(5).dirichlet(np.ones(12), 5).astype(np.float32)
GRIDS = {
    "one view": ImageGrid((View((0, 0, 120, 90), 3, 4),), np.arange(12), ((120, 90),)),
    "a crop": ImageGrid((View((30, 0, 120, 90), 3, 3),), np.arange(9), ((150, 90),)),
    "padding": ImageGrid((View((-20, 0, 140, 120), 4, 4),), np.arange(16), ((120, 120),)),
    "tiles and the whole": ImageGrid((*TILES, View((0, 0, 200, 120), 2, 2, 0, "whole")), np.arange(52), ((200, 120),)),
    "tiles that leave a strip": ImageGrid(TILES, np.arange(48), ((230, 120),)),
    "markers and a hole": ImageGrid(
        (View((0, 0, 90, 60), 2, 3),), np.array([0, 1, -1, 2, 3, -1, 5]), ((90, 60),)
    ),
    "two pictures": ImageGrid(
        (View((0, 0, 60, 60), 2, 2, 0), View((0, 0, 120, 40), 2, 6, 1)), np.arange(16), ((60, 60), (120, 40))
    ),
    "a resampler": ImageGrid((View((0, 0, 120, 90), 3, 4),), np.full(5, -1), ((130, 90),), MIXING),
}  # fmt: skip
KIT = """async () => { window.kit = {};
    for (const name of ['drawing/heatmap', 'dom/format', 'patches/cells']) Object.assign(kit, await import(`/${name}.js`)); }"""
TO_CELLS = """([data, values, cells]) =>
    [[...kit.toCells(values, data, cells)], Array.from({ length: cells }, (_, c) => kit.tokensOf([c], data, cells))]"""
PAINT = """([pictures, scores, high, side]) => {
    const map = new kit.HeatMap(pictures, { raster: side }), scale = { low: 0, high, text: '' };
    document.body.replaceChildren(map.node);
    map.show({ scores: kit.floats(scores), scale, signed: false, unit: '', opacity: 1 });
    return map.spots.map(({ context, plan: { W, H }, svg }) => {
        const pixels = [...context.getImageData(0, 0, W, H).data];
        return [W, H, pixels.filter((_, i) => i % 4 === 3), svg.querySelectorAll('.seam').length]; }); }"""


def served(route: Route) -> None:
    """An empty page, and the modules as they lie."""
    path = route.request.url.partition("//scripts.test/")[2]
    if path:
        route.fulfill(body=(SCRIPTS / path).read_text(encoding="utf-8"), content_type="text/javascript")
    else:
        route.fulfill(body="<!doctype html>", content_type="text/html")


@pytest.fixture(scope="module")
def drawing(browser: Browser) -> Iterator[Page]:
    """A page with the modules that draw, and the arithmetic of Patches, at `window.kit`."""
    page = browser.new_page()
    page.route("http://scripts.test/**", served)
    page.goto("http://scripts.test/")
    page.evaluate(KIT)
    yield page
    page.close()


def views(grid: ImageGrid) -> list[dict[str, Any]]:
    """`pictures_view` without a server: the picture itself is not looked at."""
    blank = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
    return [
        {"url": blank, "name": "", "label": f"picture {i + 1}", "time_s": None, "size": list(size), "views": [
            {"box": list(map(float, v.box)), "rows": v.rows, "cols": v.cols, "name": v.name} for v in grid.views if v.image == i]}
        for i, size in enumerate(grid.sizes)
    ]  # fmt: skip


def painted(page: Page, grid: ImageGrid, scores: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Opacity of every pixel [H, W] of each picture, and how many lines mark seams."""
    cells = grid.per_cell(scores)
    shown = page.evaluate(PAINT, [views(grid), packed(cells), float(np.nanmax(cells)), SIDE])
    return [(np.array(alpha).reshape(height, width), seams) for width, height, alpha, seams in shown]


@pytest.mark.parametrize("name", GRIDS)
def test_what_is_painted_is_what_the_geometry_says(drawing: Page, name: str) -> None:
    grid = GRIDS[name]
    scores = np.random.default_rng(1).random(grid.tokens)
    high = float(np.nanmax(grid.per_cell(scores)))
    hatched = False
    for image, (alpha, seams) in enumerate(painted(drawing, grid, scores)):
        expected = grid.paint(scores, image, size=alpha.shape[::-1])
        seen = ~np.isnan(expected)
        at = np.round(np.where(seen, expected, 0) / high * 255)
        assert np.abs(alpha[seen] - 255 * (0.2 + 0.8 * at[seen] / 255)).max() <= 1.5
        assert set(np.unique(alpha[~seen])) <= {0x8C, 0xE0}, "what no token looks at is hatched"
        hatched |= bool((~seen).any())
        own = sum(view.image == image for view in grid.views)
        assert seams == (own if own > 1 else 0)
    assert hatched == any(grid.unseen(i).any() for i in range(len(grid.sizes)))
    assert ("never saw" in geometry(grid)) == hatched
    assert ("views the picture was cut into" in geometry(grid)) == name.startswith("tiles")


@pytest.mark.parametrize("name", GRIDS)
def test_patches_become_cells_and_cells_patches_as_in_the_geometry(drawing: Page, name: str) -> None:
    grid = GRIDS[name]
    values, cells = np.random.default_rng(2).random(grid.tokens), len(grid.cells())
    mixing = None if grid.mixing is None else grid.mixing.reshape(-1).tolist()
    found, tokens = drawing.evaluate(TO_CELLS, [{"cell": grid.homes().tolist(), "mixing": mixing}, values.tolist(), cells])
    shown = np.array([np.nan if v is None else v for v in found], float)
    np.testing.assert_allclose(shown, grid.per_cell(values), atol=1e-6)
    assert tokens == [np.flatnonzero(tokens_of_cells(grid, [cell])).tolist() for cell in range(cells)]


# --- frames of a video ---------------------------------------------------------------------------

FILM = ImageGrid(tuple(View((0, 0, 60, 60), 2, 2, i) for i in range(4)), np.arange(16), ((60, 60),) * 4)
WHEN = """([pictures, scores, signed]) => {
    const told = [], map = new kit.HeatMap(pictures, { raster: 60, alone: (k) => told.push(k) });
    const called = () => map.node.getAttribute('aria-label');
    const values = { scores: kit.floats(scores), scale: { low: 0, high: 1, text: '' }, signed, unit: 'nats', opacity: 1 };
    document.body.replaceChildren(map.node); map.show(values);
    const hits = [...map.node.querySelectorAll('.fv-when-frame')], seen = () => map.spots.map(({ figure }) => !figure.hidden);
    const styles = ({ style }) => [style.left, style.width].map(parseFloat);
    const places = hits.map((hit) => [hit, hit.firstChild].map(styles));
    const first = seen(), highest = called(); hits[2].click(); const one = seen(); map.show(values); const label = called();
    hits[2].dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft', bubbles: true })); const left = seen();
    hits[1].click(); const labels = hits.map((hit) => hit.getAttribute('aria-label'))
    return { sums: map.byPicture(), labels, places, first, one, left, all: seen(), told,
        highest, label, captions: map.spots.map(({ figure }) => figure.querySelector('figcaption').textContent),
        films: map.node.querySelectorAll('.fv-when-film').length }; }"""


def framed(times: list[float | None], names: list[str]) -> list[dict[str, Any]]:
    return [view | {"label": n, "time_s": t} for view, n, t in zip(views(FILM), names, times, strict=True)]


def when(page: Page, times: list[float | None], names: list[str], scores: np.ndarray, signed: bool = False) -> dict[str, Any]:
    return dict(page.evaluate(WHEN, [framed(times, names), packed(FILM.per_cell(scores)), signed]))


def test_the_strip_over_frames_says_when_a_map_fell(drawing: Page) -> None:
    scores = np.random.default_rng(3).random(16)
    names = ["frame at 0 s", "frame at 1 s", "frame at 3 s", "frame at 4 s"]
    found = when(drawing, [0.0, 1.0, 3.0, 4.0], names, scores)
    sums = scores.reshape(4, 4).sum(1)
    assert found["sums"] == pytest.approx(sums.tolist(), abs=1e-5)
    assert [text.split(":")[0] for text in found["labels"]] == names
    shares = [float(text.split(", ")[1].split(" %")[0]) for text in found["labels"]]
    assert shares == pytest.approx((100 * sums / sums.sum()).tolist(), abs=0.6)
    hits, bars = zip(*found["places"], strict=True)
    middles = [hit[0] + hit[1] * bar[0] / 100 for hit, bar in zip(hits, bars, strict=True)]
    gaps = np.diff(middles)
    assert gaps[1] == pytest.approx(2 * gaps[0], abs=1e-2)
    assert gaps[2] == pytest.approx(gaps[0], abs=1e-2)
    assert [hit[0] + hit[1] for hit in hits[:-1]] == pytest.approx([hit[0] for hit in hits[1:]], abs=1e-2)
    assert (hits[0][0], hits[-1][0] + hits[-1][1]) == pytest.approx((0, 100), abs=1e-2)
    heights = drawing.evaluate("[...document.querySelectorAll('.fv-when-bar')].map((bar) => bar.style.height)")
    assert [float(text.split(",")[1].split("%")[0]) for text in heights] == pytest.approx(
        (100 * sums / sums.max()).tolist(), abs=0.01
    )
    assert found["captions"] == ["Frame at 0 s", "Frame at 1 s", "Frame at 3 s", "Frame at 4 s"]


def test_a_frame_that_is_chosen_is_shown_alone(drawing: Page) -> None:
    scores = np.arange(16.0)
    found = when(drawing, [0.0, 1.0, 2.0, 3.0], [f"frame at {i} s" for i in range(4)], scores)
    assert found["first"] == found["all"] == [True] * 4
    assert found["one"] == [False, False, True, False]
    assert found["left"] == [False, True, False, False]
    assert found["told"] == [2, 1, -1]
    assert "Highest: frame at 3 s, row 2, column 2: 15.0 nats" in found["highest"]
    assert "Highest: frame at 2 s, row 2, column 2: 11.0 nats" in found["label"], "the highest of what is shown"


def test_a_signed_map_has_bars_below_nothing_and_no_shares(drawing: Page) -> None:
    scores = np.repeat([1.0, -2.0, 0.5, 0.0], 4)
    found = when(drawing, [0.0, 1.0, 2.0, 3.0], [f"frame at {i} s" for i in range(4)], scores, signed=True)
    assert found["labels"][1] == "frame at 1 s: \u22128.00 nats"
    below = drawing.evaluate(
        "[...document.querySelectorAll('.fv-when-bar')].map((bar) => [bar.classList.contains('less'), bar.style.bottom])"
    )
    assert [less for less, _ in below] == [False, True, False, False]
    assert [float(text.rstrip("%")) for _, text in below] == pytest.approx(
        [100 * 8 / 12, 0, 100 * 8 / 12, 100 * 8 / 12], abs=1e-2
    )


def test_two_films_and_a_picture_have_lines_of_their_own(drawing: Page) -> None:
    found = when(drawing, [5.0, 0.0, None, 0.5], ["frame at 5 s", "frame at 0 s", "picture 3", "frame at 0.5 s"], np.ones(16))
    assert found["films"] == 3
    assert len(found["labels"]) == 3
    assert found["captions"][2] == "Picture 3"
    assert drawing.evaluate("(pictures) => new kit.HeatMap(pictures).when", views(FILM)) is None
