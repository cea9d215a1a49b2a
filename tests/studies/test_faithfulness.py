"""The study of heat maps: its arithmetic against brute force, its checks against what is known, and on the built-in one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import picture
from PIL import Image

from model.errors import InputError
from model.generation.vlm import VisionLanguageModel
from model.geometry.grid import ImageGrid, View
from model.internals.subject import Subject
from model.pictures import from_image
from model.prompt import ask
from studies import tables
from studies.faithfulness import Studied
from studies.lens import LensHealth, lens_cases, lens_health
from studies.maps import heads
from studies.maps.case_measurement import Mapped, slow_cases, slow_methods, spread
from studies.maps.cases import Case, asked, drawn_cases, spoken
from studies.maps.coco import coco_cases, union
from studies.maps.curves import Curves, best, curves, order
from studies.maps.localisation import box_means, evenness, located, target
from studies.maps.map_set import baselines, maps_of
from studies.maps.randomised import random_decoder
from studies.maps.replacing import blurred, logprobs_of, token_mean, with_picture
from studies.maps.sanity import absent_cases
from studies.maps.standings import RULE, agreement, default, halves, standings
from studies.metrics import Figure, auroc, paired, ranks, spearman
from studies.report_faithfulness import report
from studies.runner import RESULTS, kept, kept_path, run_study

QUICK = ("attention", "relevancy", "integrated_gradients")


def square_grid(cells: int = 4, side: int = 40) -> ImageGrid:
    """One picture of side x side pixels under cells x cells tokens."""
    return ImageGrid((View((0, 0, side, side), cells, cells),), np.arange(cells * cells), ((side, side),))


class TestMetrics:
    def test_auroc_is_the_share_of_pairs_in_order(self) -> None:
        random = np.random.RandomState(0)
        for _ in range(20):
            scores, positive = random.randint(0, 6, 30).astype(float), random.random_sample(30) < 0.3
            pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
            assert auroc(scores, positive) == pytest.approx(np.mean(pairs))

    def test_auroc_needs_both_kinds(self) -> None:
        assert math.isnan(auroc(np.arange(3.0), np.ones(3, bool)))
        assert math.isnan(auroc(np.arange(3.0), np.zeros(3, bool)))

    def test_ranks_of_equal_values_are_their_mean(self) -> None:
        assert ranks([3, 1, 3, 2]).tolist() == [3.5, 1, 3.5, 2]

    def test_spearman_is_the_correlation_of_ranks(self) -> None:
        random = np.random.RandomState(1)
        a, b = random.randint(0, 9, 50), random.randint(0, 9, 50)
        assert spearman(a, b) == pytest.approx(np.corrcoef(ranks(a), ranks(b))[0, 1])
        assert spearman([1, 2, 3], [10, 20, 21]) == pytest.approx(1)
        assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
        assert spearman([1, 1, 1], [3, 2, 1]) == 0

    def test_pairs_are_compared_pair_by_pair(self) -> None:
        a, b = np.array([5.0, 9.0, 2.0, 7.0]), np.array([4.5, 8.0, 1.5, 6.0])
        found = paired(a, b)
        assert found.mean.value == pytest.approx(0.75)
        assert found.errors == pytest.approx(0.75 / ((a - b).std(ddof=1) / 2))
        assert paired([2, 2], [1, 1]).errors == math.inf
        with pytest.raises(ValueError, match="1 pairs"):
            paired([1.0], [1.0])


class TestWhere:
    def test_means_over_boxes_are_exact_for_parts_of_pixels(self) -> None:
        random = np.random.RandomState(0)
        values = random.random_sample((7, 9))
        fine = values.repeat(10, 0).repeat(10, 1)  # a tenth of a pixel each
        boxes = np.array([[0, 0, 9, 7], [1.3, 2.1, 4.7, 5.9], [0.1, 0.1, 0.2, 0.2], [-3, 1, 2.5, 20], [8.9, 6.9, 9, 7]])
        for box, found in zip(boxes, box_means(values, boxes), strict=True):
            x0, y0, x1, y1 = np.round(np.clip(box, 0, [9, 7, 9, 7]) * 10).astype(int)
            assert found == pytest.approx(fine[y0:y1, x0:x1].mean())
        assert math.isnan(box_means(values, np.array([[9.5, 0, 12, 3]]))[0])

    def test_a_perfect_map_has_all_its_mass_in_the_mask(self) -> None:
        mask = np.zeros((40, 40), bool)
        mask[10:30, 20:30] = True  # two of sixteen cells
        on = target(square_grid(), mask)
        scores = np.zeros(16)
        scores[[6, 10]] = 3.0
        found = located(scores, on)
        assert (found.mass, found.lift, found.hit, found.auroc) == (1.0, 1 / on.area, 1.0, 1.0)
        assert on.area == 2 / 16

    def test_an_even_map_and_one_without_a_positive_part_have_no_lift(self) -> None:
        mask = np.zeros((40, 40), bool)
        mask[3:17, 5:31] = True
        on = target(square_grid(), mask)
        assert on.area == pytest.approx(mask.mean())
        for scores in (np.ones(16), np.zeros(16), -np.arange(16.0)):
            assert located(scores, on).lift == pytest.approx(1)
        assert located(np.ones(16), on).auroc == 0.5

    def test_signed_maps_count_by_their_positive_part(self) -> None:
        mask = np.zeros((40, 40), bool)
        mask[:10, :10] = True
        scores = np.full(16, -5.0)
        scores[[0, 1]] = 3.0, 1.0
        found = located(scores, target(square_grid(), mask))
        assert (found.mass, found.hit, found.auroc) == (0.75, 1.0, 1.0)

    def test_the_rim_of_an_object_is_neither_on_it_nor_off_it(self) -> None:
        mask = np.zeros((40, 40), bool)
        mask[:10, :13] = True  # all of cell 0, three tenths of cell 1
        scores = np.arange(16.0)[::-1].copy()
        scores[1] = 100.0
        found = located(scores, target(square_grid(), mask))
        assert (found.auroc, found.hit) == (1.0, 1.0)

    def test_random_maps_have_a_lift_of_one(self) -> None:
        mask = np.zeros((40, 40), bool)
        mask[12:33, 4:22] = True
        grid = square_grid()
        lifts = [located(baselines(grid, picture(0, (40, 40)), seed)["random"], target(grid, mask)).lift for seed in range(400)]
        assert np.mean(lifts) == pytest.approx(1, abs=0.03)

    def test_cells_that_no_token_looks_at_do_not_count(self) -> None:
        """A crop: the model sees the right half of the picture alone, and its first token has no place."""
        grid = ImageGrid((View((20, 0, 40, 40), 2, 1),), np.array([-1, 0, 1]), ((40, 40),))
        mask = np.zeros((40, 40), bool)
        mask[:20] = True
        on = target(grid, mask)
        assert on.cover.tolist() == [1.0, 0.0]
        assert located(np.array([9.0, 3.0, 1.0]), on).mass == 0.75

    def test_centre_and_edges(self) -> None:
        grid, pixels = square_grid(), np.full((40, 40, 3), 90, np.uint8)
        pixels[:, 20:] = np.random.RandomState(0).randint(0, 256, (40, 20, 3))
        found = baselines(grid, from_image(Image.fromarray(pixels)), 0)
        centre, edges = found["centre"].reshape(4, 4), found["edges"].reshape(4, 4)
        assert centre[1:3, 1:3].min() > np.delete(centre.reshape(-1), [5, 6, 9, 10]).max()
        assert (edges[:, 0] == 0).all()
        assert edges[:, 2:].min() > edges[:, :2].max()

    def test_evenness(self) -> None:
        assert evenness(np.ones(8)) == pytest.approx(1)
        assert evenness(np.eye(8)[0]) == 0
        assert evenness(np.array([1.0, 1, 0, -4])) == pytest.approx(0.5)


class TestCurves:
    """A planted scorer: the answer is as likely as the share of four tokens that is shown."""

    planted = np.array([3, 7, 11, 19])

    def chance(self, shown: np.ndarray) -> np.ndarray:
        self.asked = shown
        return 0.2 + 0.6 * shown[:, self.planted].mean(1)

    def test_a_map_of_what_counts_and_its_opposite(self) -> None:
        scores = np.zeros(20)
        scores[self.planted] = [4, 3, 2, 1]
        fractions = (0.0, 0.05, 0.1, 0.15, 0.2, 1.0)
        found = curves({"right": scores, "wrong": -scores}, self.chance, fractions)
        assert found["right"].hidden.tolist() == pytest.approx([1, 0.75, 0.5, 0.25, 0, 0])
        assert found["right"].shown.tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
        assert found["right"].deletion == pytest.approx(0.1)
        assert found["right"].insertion == pytest.approx(0.9)
        assert found["right"].gap == pytest.approx(0.8)
        assert found["wrong"].shown.tolist()[:5] == pytest.approx([0] * 5)
        assert found["right"].left(0.05) == pytest.approx(0.75)
        assert found["right"].left(0.075) == pytest.approx(0.625)
        assert found["wrong"].gap < 0

    def test_every_set_of_tokens_is_asked_once(self) -> None:
        scores = np.arange(20.0)
        curves({"one": scores, "same": scores * 2, "turned": -scores}, self.chance)
        assert len({row.tobytes() for row in self.asked}) == len(self.asked)
        # showing the best half of one map is hiding the best half of its opposite
        assert len(self.asked) < 2 * 2 * 7

    def test_equal_scores_come_in_random_order_and_always_the_same(self) -> None:
        found = order(np.zeros(50), seed=3)
        assert sorted(found.tolist()) == list(range(50))
        assert found.tolist() != list(range(50))
        assert (found == order(np.zeros(50), seed=3)).all()
        assert (found != order(np.zeros(50), seed=4)).any()
        assert order(np.array([1.0, 5, 5, 9]))[0] == 3
        assert order(np.array([1.0, 5, 5, 9]))[3] == 0

    def test_a_fraction_above_nothing_is_at_least_one_token(self) -> None:
        assert best(np.arange(10.0), (0.0, 0.01, 0.2, 1.0)).sum(1).tolist() == [0, 1, 2, 10]

    def test_a_picture_that_makes_no_difference_is_refused(self) -> None:
        with pytest.raises(ValueError, match="as likely without the picture"):
            curves({"map": np.arange(20.0)}, lambda shown: np.full(len(shown), 0.5))


class TestHeads:
    def test_parts_are_8_connected(self) -> None:
        mask = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]], bool)
        found = sorted(int(part.sum()) for part in heads.parts(mask))
        assert found == [1, 2, 2, 2]
        assert (np.sum(heads.parts(mask), axis=0) == mask).all()

    def test_entropy_counts_the_mass_of_parts(self) -> None:
        one, two = np.zeros((6, 6)), np.zeros((6, 6))
        one[1:3, 1:3] = 1
        two[0, 0] = two[5, 5] = 1
        assert heads.spatial_entropy(one) == 0
        assert heads.spatial_entropy(two) == pytest.approx(math.log(2))

    def test_the_elbow_is_where_values_leave_the_floor(self) -> None:
        assert heads.elbow(np.array([0.9, 0.1, 0.11, 0.12, 0.13, 0.95])) == 0.13

    def test_a_planted_head_is_found_with_masks_and_without(self) -> None:
        grid, random = square_grid(), np.random.RandomState(0)
        mask = np.zeros((40, 40), bool)
        mask[10:20, 20:30] = True
        on = target(grid, mask)
        maps = random.random_sample((3, 2, 16)) * 0.02
        maps[1, 1] = np.eye(16)[6]
        maps[2, 0] = 0.06  # looks at all of the picture
        assert heads.best_head([heads.lifts(maps, on)]) == (1, 1)
        assert heads.found_head([maps, maps], [grid, grid]) == ((1, 1), 1.0)


class TestCases:
    def test_words_are_found_among_tokens(self) -> None:
        assert spoken(["The", " heart", " is", " or", "ange", "."], "orange") == (3, 4)
        assert spoken(["Red"], "red") == (0,)
        assert spoken(["reddish"], "red") == ()
        assert spoken(["", "yes", ", it is"], "yes") == (1,)

    def test_one_question_a_scene_with_the_mask_of_what_it_asks_about(self) -> None:
        cases = list(drawn_cases(8))
        assert [case.kind for case in cases] == ["colour", "shape", "size", "texture"] * 2
        for case in cases:
            assert case.scene is not None
            assert len(case.scene.things) > 1
            thing = case.scene.things[case.things[0]]
            assert getattr(thing, case.kind) == case.truth
            assert case.truth not in case.others
            x0, y0, x1, y1 = (v * 512 / 1000 for v in thing.box)
            ys, xs = np.nonzero(case.mask)
            assert np.allclose([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], [x0, y0, x1, y1], atol=2)

    def test_absent_things_are_absent(self) -> None:
        for case in absent_cases(4, present=False):
            assert (case.truth, case.others) == ("No", ("Yes",))
            assert len(case.things) == len(case.scene.things)
        assert all(case.truth == "Yes" for case in absent_cases(4, present=True))

    def test_cases_are_spread(self) -> None:
        assert spread(100, 3) == [0, 50, 99] or spread(100, 3) == [0, 49, 99]
        assert spread(3, 10) == [0, 1, 2]
        assert len(slow_cases(77)) == 8
        assert len(slow_cases(200)) == 20
        assert "greedy" in slow_methods()
        assert "integrated_gradients" not in slow_methods()


@pytest.fixture
def coco(tmp_path: Path) -> Callable[..., Path]:
    """Writes a picture of 60 x 40 and an annotation file with these parts put in; gives the file's path."""

    def write(**parts: Any) -> Path:
        picture(1, (60, 40)).image.save(tmp_path / "one.png")
        data = {
            "images": [{"id": 7, "file_name": "one.png", "width": 60, "height": 40}],
            "categories": [{"id": 1, "name": "apple"}, {"id": 2, "name": "dog"}],
            "annotations": [
                {"image_id": 7, "category_id": 2, "bbox": [10, 5, 20, 10]},
                {"image_id": 7, "category_id": 2, "bbox": [40, 20, 5, 5], "segmentation": {"counts": "x", "size": [40, 60]}},
                {"image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9], "segmentation": [[0, 0, 8, 0, 8, 8, 0, 8]]},
            ],
        }
        path = tmp_path / "instances.json"
        path.write_text(json.dumps({**data, **parts}))
        return path

    return write


class TestCoco:
    def test_boxes_and_polygons_become_masks(self, coco: Callable[..., Path]) -> None:
        dog, apple = coco_cases(coco(), None, 10)
        assert (dog.question, apple.question) == ("Is there a dog in the image?", "Is there an apple in the image?")
        assert (dog.truth, dog.others) == ("yes", ("no",))
        wanted = np.zeros((40, 60), bool)
        wanted[5:15, 10:30] = wanted[20:25, 40:45] = True
        assert np.abs(dog.mask.astype(int) - wanted).sum() <= 2 * (20 + 10 + 5 + 5)
        assert dog.mask[6:14, 11:29].all()
        assert not dog.mask[17:19].any()
        assert 49 <= apple.mask.sum() <= 81

    def test_so_many_and_no_more(self, coco: Callable[..., Path]) -> None:
        assert len(list(coco_cases(coco(), None, 1))) == 1

    def test_what_covers_most_of_its_picture_is_not_asked_about(self, coco: Callable[..., Path]) -> None:
        everything = [{"image_id": 7, "category_id": 2, "bbox": [0, 0, 60, 39]}]
        assert list(coco_cases(coco(annotations=everything), None, 9)) == []

    @pytest.mark.parametrize(
        ("parts", "said"),
        [
            ({"images": 3}, "no COCO annotation file"),
            ({"annotations": [{"image_id": 7}]}, "no COCO annotation file"),
            ({"images": [{"id": 7, "file_name": "two.png"}]}, "There is no picture 'two.png'"),
            ({"images": [{"id": 7, "file_name": "../instances.json"}]}, "There is no picture '../instances.json'"),
            ({"images": [{"id": 7, "file_name": "one.png", "width": 61, "height": 40}]}, "its annotation says 61 x 40"),
        ],
    )
    def test_what_is_wrong_is_said(self, coco: Callable[..., Path], parts: dict[str, Any], said: str) -> None:
        with pytest.raises(InputError, match=said):
            list(coco_cases(coco(**parts), None, 9))

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot be read"):
            list(coco_cases(tmp_path / "none.json", None, 9))

    def test_outlines_hold_the_centres_of_pixels(self) -> None:
        assert union([[(2, 1), (5, 1), (5, 3), (2, 3)]], (8, 6)).sum() >= 6


def fake(gaps: dict[str, float], number: int) -> Mapped:
    """A case with these ins - del, and nothing else of interest."""
    at = np.array([0.0, 1.0])
    place = located(np.arange(16.0), target(square_grid(), np.eye(40, dtype=bool)))
    lines = {name: Curves(at, np.array([0.0, 0.0]), np.array([gap, gap]) + number / 100) for name, gap in gaps.items()}
    return Mapped(None, None, {n: at for n in gaps}, {n: place for n in gaps}, lines, None, {n: 0.1 for n in gaps}, {})  # type: ignore[arg-type]


class TestStandings:
    found = [fake({"attention": 0.5, "relevancy": 0.7, "rollout": 0.9, "random": 0.0}, number) for number in range(8)]

    def test_best_first_and_against_attention(self) -> None:
        rows = standings(self.found)
        assert [row.slug for row in rows] == ["rollout", "relevancy", "attention", "random"]
        assert [row.kind for row in rows] == ["method", "method", "method", "baseline"]
        assert rows[1].against.mean.value == pytest.approx(0.2)
        assert rows[0].to_json()["gap"]["value"] == pytest.approx(0.935)

    def test_the_default_is_the_best_that_falls_apart_with_the_model(self) -> None:
        alike = {"rollout": [0.8, 0.7], "relevancy": [0.1, 0.2], "attention": [0.0, 0.1]}
        rows = standings(self.found, {"random_decoder": alike})
        assert default(rows) == "relevancy"
        assert default(standings(self.found)) is None

    def test_what_was_measured_on_fewer_cases_is_no_default(self) -> None:
        more = [*self.found, fake({"attention": 0.5, "relevancy": 0.7, "random": 0.0}, 0)]
        checks = {"random_decoder": {name: [0.0, 0.1] for name in ("rollout", "relevancy", "attention")}}
        assert default(standings(more, checks)) == "relevancy"

    def test_the_same_order_agrees(self) -> None:
        one, two = halves(self.found)
        assert len(one) == len(two) == 4
        assert agreement(one, two) == (1.0, 3)
        turned = [fake({"attention": 0.9, "relevancy": 0.7, "rollout": 0.5}, 0)]
        assert agreement(self.found, turned)[0] == pytest.approx(-1)


@pytest.fixture(scope="module")
def tiny(bed: Any) -> VisionLanguageModel:
    return bed.vlm("tiny-llava")


@pytest.fixture(scope="module")
def case(bed: Any, tiny: VisionLanguageModel) -> Any:
    """A question about a color, asked."""
    return asked(bed.core, tiny.checkpoint, next(drawn_cases(1)))


class TestOnTheBuiltIn:
    def test_a_right_answer_and_how_it_needs_its_picture(self, bed: Any, tiny: VisionLanguageModel, case: Any) -> None:
        assert case.right
        assert case.said.lower().rstrip(".") == case.case.truth
        subject = Subject(tiny, case.prompt, case.answer_ids)
        assert case.with_picture == pytest.approx(float(subject.said(case.words).exp()), abs=1e-4)
        assert case.replacement == "mean visual token"
        assert case.without < case.with_picture

    def test_a_wrong_answer_is_not_kept(self, bed: Any, tiny: VisionLanguageModel, case: Any) -> None:
        wrong = Case(case.case.picture, case.case.question, "mauve", (), case.case.mask, "colour")
        found = asked(bed.core, tiny.checkpoint, wrong)
        assert not found.right
        assert not found.dependent
        assert found.words == ()

    def test_hiding_nothing_changes_nothing(self, tiny: VisionLanguageModel, case: Any) -> None:
        subject = Subject(tiny, case.prompt, case.answer_ids)
        shown = np.ones((1, subject.count), bool)
        by_tokens, by_pixels = (make(subject, case.words)(shown)[0] for make in (token_mean, blurred))
        assert by_tokens == pytest.approx(by_pixels, abs=1e-4) == pytest.approx(case.with_picture, abs=1e-4)
        half = shown.copy()
        half[0, ::2] = False
        assert 0 <= blurred(subject, case.words)(half)[0] <= 1

    def test_another_picture_in_the_first_one_s_place(self, tiny: VisionLanguageModel, case: Any) -> None:
        other = picture(3, (512, 512))
        subject, swapped = Subject(tiny, case.prompt, case.answer_ids), ask(case.case.question, other)
        assert with_picture(case.prompt, other.image).images[0].image == other.image
        direct = Subject(tiny, swapped, case.answer_ids).trace().tokens
        wanted = [sum(tokens[k].logprob for k in case.words) for tokens in (direct, subject.trace().tokens)]
        pictures = [other.image, case.case.picture.image]
        assert wanted[0] != pytest.approx(wanted[1], abs=1e-2)
        assert logprobs_of(subject, case.words, pictures) == pytest.approx(wanted, abs=1e-4)
        tiny.fast.features = False
        try:
            assert logprobs_of(subject, case.words, pictures) == pytest.approx(wanted, abs=1e-4)
        finally:
            tiny.fast.features = True

    def test_a_random_decoder_is_put_back(self, tiny: VisionLanguageModel, case: Any) -> None:
        model = tiny.parts.model
        before = {name: value.clone() for name, value in model.state_dict().items()}
        modules = {name: id(module) for name, module in model.named_modules()}
        subject = Subject(tiny, case.prompt, case.answer_ids)
        trained = maps_of(subject, case.words, ["attention"]).scores["attention"]
        with random_decoder(tiny):
            twin = Subject(tiny, case.prompt, case.answer_ids)
            changed = maps_of(twin, case.words, ["attention"]).scores["attention"]
            assert float(twin.said(case.words)) < float(subject.said(case.words)) - 1
            layer = dict(model.named_parameters())["model.language_model.layers.0.mlp.up_proj.weight"]
            assert float(layer.std()) == pytest.approx(0.02, rel=0.05)
            assert not torch.equal(layer, before["model.language_model.layers.0.mlp.up_proj.weight"])
        assert np.abs(changed - trained).max() > 1e-4
        assert {name: id(module) for name, module in model.named_modules()} == modules
        after = model.state_dict()
        assert after.keys() == before.keys()
        assert all(torch.equal(after[name], before[name]) for name in before)
        again = maps_of(Subject(tiny, case.prompt, case.answer_ids), case.words, ["attention"]).scores["attention"]
        assert np.array_equal(again, trained)

    def test_it_is_put_back_after_an_error_too(self, tiny: VisionLanguageModel) -> None:
        layers = list(tiny.parts.model.model.language_model.layers)
        with pytest.raises(RuntimeError, match="halfway"), random_decoder(tiny):
            raise RuntimeError("halfway")
        assert all(a is b for a, b in zip(tiny.parts.model.model.language_model.layers, layers, strict=True))

    def test_a_checkpoint_that_answers_nothing_right_is_told(self, bed: Any) -> None:
        study = Studied(bed.core, bed.spec("llava_clip"), lambda text: None)
        with pytest.raises(InputError, match=r"answered \d of 2 questions right"):
            study.run(list(drawn_cases(2)), drawn=True)


@pytest.fixture(scope="module")
def small(bed: Any, tiny: VisionLanguageModel) -> Studied:
    """The study with three quick methods on twelve scenes."""
    study = Studied(bed.core, tiny.checkpoint, lambda text: None)
    study.methods = lambda: list(QUICK)  # type: ignore[method-assign]
    study.run(list(drawn_cases(12)), drawn=True)
    return study


@pytest.mark.slow
class TestASmallRun:
    def test_the_figures_are_those_panels_read(self, small: Studied) -> None:
        figures = json.loads(json.dumps(small.figures()))
        assert figures["default"] in QUICK
        assert figures["n"] == len(small.found) >= 8
        for slug in (*QUICK, "random", "centre", "edges", "best_head", "found_head"):
            row = figures["methods"][slug]
            for name in ("lift", "hit", "auroc", "deletion", "insertion"):
                assert row[name]["low"] <= row[name]["value"] <= row[name]["high"]
            assert row["n"] == (len(small.found) if "head" not in slug else len(small.found) - len(small.found) // 2)

    def test_good_maps_lie_on_things_and_random_ones_do_not(self, small: Studied) -> None:
        methods = small.figures()["methods"]
        assert 0.7 < methods["random"]["lift"]["value"] < 1.3
        assert methods["relevancy"]["lift"]["value"] > 8
        assert methods["relevancy"]["hit"]["value"] > 0.75
        assert methods["relevancy"]["gap"]["value"] > methods["random"]["gap"]["value"] + 0.4
        assert methods["relevancy"]["auroc"]["value"] > 0.95

    def test_maps_fall_apart_with_the_decoder_and_stay_when_made_again(self, small: Studied) -> None:
        methods = small.figures()["methods"]
        for slug in QUICK:
            assert methods[slug]["random_decoder"]["value"] < 0.5
            assert methods[slug]["passes"]
            assert methods[slug]["repeat"]["value"] < 1e-3
            assert methods[slug]["noise"]["value"] > 0.8
        assert methods["relevancy"]["evenness_absent"]["value"] > methods["relevancy"]["evenness_present"]["value"]

    def test_it_is_told_in_words(self, small: Studied) -> None:
        told = report(small.figures() | {"source": "drawn", "cpu_s": 12.0}, "tiny-llava")
        assert told.about == "tiny-llava"
        text = told.table()
        assert "| Relevancy |" in text
        assert "*Random*" in text
        assert RULE in text

    def test_the_order_of_methods_is_compared_with_another_checkpoint(self, small: Studied, tiny: VisionLanguageModel) -> None:
        small.compare(tiny.checkpoint)
        assert small.ranking["here and on tiny-llava"]["spearman"] == 1
        assert small.ranking["here and on tiny-llava"]["methods"] == 3


def test_figures_are_kept_by_the_name_of_the_checkpoint(tmp_path: Path) -> None:
    assert kept_path("faithfulness", "my model (nf4)", tmp_path).name == "faithfulness-my-model-nf4-.json"
    assert kept_path("trace-cost", folder=tmp_path).name == "trace-cost.json"
    assert kept("lens", "tiny", tmp_path) is None
    kept_path("lens", "tiny", tmp_path).write_text('{"usable": true}')
    assert kept("lens", "tiny", tmp_path) == {"usable": True}


def test_the_tables_of_the_studies_page_are_those_kept(tmp_path: Path) -> None:
    page = (RESULTS.parent / "README.md").read_text(encoding="utf-8")
    assert tables.rewrite(page) == page, "run `python app.py readme`"
    for name in ("lens-a", "lens-b", "lenses"):
        (tmp_path / f"{name}.md").write_text(f"**{name}**\n")
    text = tables.rewrite("<!-- kept: lens -->\nold\n<!-- end -->\n<!-- kept: more -->\n<!-- end -->", tmp_path)
    assert "**lens-a**\n\n**lens-b**\n<!-- end -->" in text
    assert "lenses" not in text
    assert "Nothing kept yet: `python app.py study more --keep`." in text


def test_what_is_kept_was_measured_on_the_weights_that_are_there(bed: Any, tiny: VisionLanguageModel) -> None:
    """A checkpoint made anew needs its studies made anew."""
    for study in ("faithfulness", "lens", "shortcut"):
        found = kept(study, "tiny-llava")
        assert found is not None
        assert found["weights"] == tiny.weights, f"run `python app.py study {study} --keep`"


def test_an_option_a_study_does_not_take() -> None:
    with pytest.raises(InputError, match="The study throughput takes no --scenes"):
        run_study("throughput", [], as_json=False, say=lambda text: None, options={"scenes": 3})


class TestLens:
    def test_the_built_in_lens_says_what_is_there(self, bed: Any, tiny: VisionLanguageModel) -> None:
        found = lens_health(bed.core, tiny.checkpoint, 6)
        assert found.usable("logit_lens")
        assert found.usable("tam")
        assert found.auroc["logit_lens"].value > 0.9
        assert found.to_json()["usable"] is True

    def test_a_random_decoder_s_lens_is_measured_too(self, bed: Any) -> None:
        found = lens_health(bed.core, bed.spec("llava_clip"), 4)
        assert set(found.auroc) | set(found.refused) == {"logit_lens", "tam"}
        assert all(0 <= figure.value <= 1 for figure in found.auroc.values())

    def test_the_verdict_is_the_low_end_against_chance(self) -> None:
        found = LensHealth({"logit_lens": Figure(0.7, 0.49, 0.9, 20), "tam": Figure(0.6, 0.51, 0.7, 20)}, {})
        assert not found.usable("logit_lens")
        assert found.usable("tam")
        assert found.to_json()["usable"] is False

    def test_its_masks_are_those_of_every_thing_that_has_the_value(self) -> None:
        for case in lens_cases(6):
            assert case.kind in ("colour", "shape")
            alike = [i for i, thing in enumerate(case.scene.things) if getattr(thing, case.kind) == case.truth]
            assert list(case.things) == alike
