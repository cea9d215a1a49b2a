"""Relative attention, RISE, greedy regions and TAM, each against its published formula done the long way.

Nothing of the methods' own code is used here: attention is eager's, masks are stretched by hand, every mask and every
region is a pass of its own, and logits are those of all positions.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bed import Bed
from eager import attentions
from fakes import picture

from model.generation.scoring import answer_ids
from model.heat import heat_methods
from model.heat.base import Choice, Heat
from model.internals.subject import Subject
from model.pictures import open_picture
from model.progress import Run
from model.prompt import Message, Prompt, ask
from studies.world.files import to_png
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

ANSWER = (5, 9, 12, 7)


def subject(bed: Bed, name: str, answer: tuple[int, ...] = ANSWER) -> Subject:
    return Subject(bed.vlm(name), ask("hello there", picture(0, (140, 100))), answer)


def mapped(slug: str, on: Subject, words: tuple[int, ...], choice: Choice | None = None) -> Heat:
    return heat_methods[slug](on, words, choice or Choice(), Run())


@torch.no_grad()
def probability(on: Subject, features: torch.Tensor, words: tuple[int, ...]) -> float:
    """Joint probability of words of the answer with these features [T, D], by one plain pass."""
    model = on.vlm.parts.model
    on.vlm.family.forget_prompt(on.vlm.parts)
    given = {k: v for k, v in on.arguments(features[None]).items() if k != "logits_to_keep"}
    logits = model(**given).logits[0].double()
    return float(np.prod([logits[on.start - 1 + k].softmax(-1)[on.answer_ids[k]] for k in words]))


# --- relative attention (2502.17422) --------------------------------------------------------------


def attention_row(on: Subject, row: int) -> np.ndarray:
    """Eager's attention of one position on the visual tokens, [L, H, T]."""
    with torch.inference_mode():
        layers, _ = attentions(on.vlm, on.inputs.tensors)
    return torch.stack([weights[0, :, row][:, on.inputs.visual] for weights in layers]).numpy()


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "tiny-llava"])
def test_relative_attention_is_the_ratio_to_a_general_question(name: str, bed: Bed) -> None:
    on = subject(bed, name)
    general = Prompt((Message("user", (*on.prompt.images, "Write a general description of the image.")),))
    other = Subject(on.vlm, general, ANSWER[:1])
    there = attention_row(other, other.start - 1)
    words = (1, 3)
    here = np.mean([attention_row(on, on.start - 1 + k) for k in words], 0)
    ratio = np.zeros(here.shape[::2])  # [L, T]
    for layer in range(len(here)):
        for token in range(on.count):
            above, below = (max(float(one[layer, :, token].mean()), 1e-6) for one in (here, there))
            ratio[layer, token] = np.log(above / below)
    np.testing.assert_allclose(mapped("relative", on, words).scores, ratio.mean(0), atol=1e-4)
    np.testing.assert_allclose(mapped("relative", on, words, Choice(layer=1)).scores, ratio[1], atol=1e-4)
    np.testing.assert_allclose(mapped("relative", on, words, Choice(reduce="max")).scores, ratio.max(0), atol=1e-4)
    single = np.log(np.maximum(here[1, 0], 1e-6) / np.maximum(there[1, 0], 1e-6))
    np.testing.assert_allclose(mapped("relative", on, words, Choice(layer=1, head=0)).scores, single, atol=1e-4)


def test_the_general_question_keeps_the_system_prompt_and_drops_what_was_said(bed: Bed) -> None:
    vlm, part = bed.vlm("tiny-llava"), picture(0, (140, 100))
    system, asked = Message("system", ("Be brief.",)), Message("user", (part, "What is there?"))
    later = Prompt((system, asked, Message("assistant", ("a star",)), Message("user", ("Which colour?",))), "It is")
    on = Subject(vlm, later, ANSWER)
    general = Subject(vlm, Prompt((system, Message("user", (part, "Write a general description of the image.")))), ANSWER[:1])
    here, there = attention_row(on, on.start - 1).mean(1), attention_row(general, general.start - 1).mean(1)
    expected = (np.log(np.maximum(here, 1e-6)) - np.log(np.maximum(there, 1e-6))).mean(0)
    np.testing.assert_allclose(mapped("relative", on, (0,)).scores, expected, atol=1e-4)


# --- RISE (1806.07421) ----------------------------------------------------------------------------


def stretched(coarse: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear: each place of the large grid is between the centres of four cells of the small one."""
    large = np.zeros(size)
    for r in range(size[0]):
        for c in range(size[1]):
            y = np.clip((r + 0.5) * coarse.shape[0] / size[0] - 0.5, 0, coarse.shape[0] - 1)
            x = np.clip((c + 0.5) * coarse.shape[1] / size[1] - 0.5, 0, coarse.shape[1] - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, coarse.shape[0] - 1), min(x0 + 1, coarse.shape[1] - 1)
            top = coarse[y0, x0] * (1 - (x - x0)) + coarse[y0, x1] * (x - x0)
            below = coarse[y1, x0] * (1 - (x - x0)) + coarse[y1, x1] * (x - x0)
            large[r, c] = top * (1 - (y - y0)) + below * (y - y0)
    return large


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl"])
def test_rise_weighs_every_mask_by_the_probability_under_it(name: str, bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 24
    monkeypatch.setattr("model.heat.rise.MASKS", count)
    on = subject(bed, name)
    (view,) = on.inputs.grid.views
    random = torch.Generator().manual_seed(0)
    coarse = (torch.rand(count, 1, 5, 5, generator=random) < 0.5).numpy()[:, 0].astype(float)
    high, wide = -(-view.rows // 4) * 5, -(-view.cols // 4) * 5  # a cell of the coarse grid more than the picture has
    down = torch.randint(0, high - view.rows + 1, (count,), generator=random)
    right = torch.randint(0, wide - view.cols + 1, (count,), generator=random)
    masks, chances = np.zeros((count, on.count)), np.zeros(count)
    for i in range(count):
        mask = stretched(coarse[i], (high, wide))[down[i] : down[i] + view.rows, right[i] : right[i] + view.cols]
        masks[i] = mask.reshape(-1)[on.inputs.grid.cell]
        shown = torch.from_numpy(masks[i]).to(on.features)[:, None]
        chances[i] = probability(on, shown * on.features + (1 - shown) * on.nothing, (0, 2))
    expected = [(masks[:, t] @ chances) / masks[:, t].sum() - chances.mean() for t in range(on.count)]
    found = mapped("rise", on, (0, 2)).scores
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    assert np.abs(expected).max() > 1e-9


# --- greedy regions (2509.22496) ------------------------------------------------------------------


def shown_only(on: Subject, keep: np.ndarray) -> torch.Tensor:
    return torch.stack([feature if keep[t] else on.nothing for t, feature in enumerate(on.features)])


def gain(on: Subject, shown: np.ndarray, region: list[int], words: tuple[int, ...]) -> tuple[float, float]:
    """The probability with only what is shown and a region, and without it."""
    keep = shown.copy()
    keep[region] = True
    return probability(on, shown_only(on, keep), words), probability(on, shown_only(on, ~keep), words)


def follows(on: Subject, regions: list[list[int]], words: tuple[int, ...], most: int) -> int:
    """Walk along a greedy map: at every step, the region taken is the best of those left. How many steps were looked at."""
    scores = mapped("greedy", on, words).scores
    value = [float(scores[region[0]]) for region in regions]
    for region in regions:
        assert len({float(scores[token]) for token in region}) == 1, "a region has one rank"
    order = [i for i in sorted(range(len(regions)), key=lambda i: -value[i]) if value[i] > 0]
    np.testing.assert_allclose(
        [value[i] for i in order], [(len(regions) - k) / len(regions) for k in range(len(order))], rtol=1e-5
    )
    shown, left = np.zeros(on.count, bool), list(range(len(regions)))
    whole = probability(on, on.features, words)
    for step, taken in enumerate(order[:most]):
        chances = {i: gain(on, shown, regions[i], words) for i in left}
        assert chances[taken][0] + 1 - chances[taken][1] >= max(a + 1 - b for a, b in chances.values()) - 1e-5
        enough = chances[taken][0] >= 0.98 * whole - 1e-6 and chances[taken][1] <= 0.02 * whole + 0.02 + 1e-6
        assert enough == (step == len(order) - 1) or len(left) == 1
        left.remove(taken)
        shown[regions[taken]] = True
    return min(most, len(order))


def test_greedy_regions_take_the_best_of_all_that_are_left(bed: Bed) -> None:
    on = subject(bed, "llava_clip")  # 4 x 4 tokens, each a region
    assert follows(on, [[token] for token in range(16)], (0, 2), 16) >= 1


def test_greedy_regions_of_a_repeated_word_are_those_of_its_own_place(bed: Bed) -> None:
    on = subject(bed, "llava_clip", (5, 9, 5))
    for word in (0, 2):
        assert follows(on, [[token] for token in range(16)], (word,), 3) >= 1


def test_greedy_regions_of_an_answer_that_needs_its_picture(bed: Bed) -> None:
    vlm = bed.vlm("tiny-llava")
    prompt = ask("How many objects are there?", picture(4, (96, 96)))
    text = bed.core.answer(prompt.question, *prompt.images, checkpoint="tiny-llava").text
    on = Subject(vlm, prompt, tuple(vlm.parts.tokenizer(text, add_special_tokens=False).input_ids))
    regions = [[(2 * r + i) * 12 + 2 * c + j for i in (0, 1) for j in (0, 1)] for r in range(6) for c in range(6)]
    assert follows(on, regions, (0,), 2) >= 1


# --- TAM (2506.23270) -----------------------------------------------------------------------------


def rank_gaussian_of(window: list[float]) -> float:
    """The published filter of one window: ranked values under a Gaussian about the middle rank."""
    ranked = np.sort(np.array(window, np.float64))
    if ranked.mean() <= 0 or ranked.std() == 0:
        return float(ranked.mean())
    sigma, middle = ranked.std() / ranked.mean(), (len(ranked) - 1) / 2
    weights = [np.exp(-((rank - middle) ** 2) / (2 * sigma**2)) for rank in range(len(ranked))]
    if not np.sum(weights):  # a window of even size at an edge, almost constant: what the kernel narrows to
        return float(np.median(ranked))
    return float(np.dot(weights, ranked) / np.sum(weights))


def tam_map(on: Subject, word: int) -> np.ndarray:
    """Activations of a word less their best multiple of what earlier words explain, [T]; from the logits of all positions."""
    with torch.no_grad():
        logits = on.vlm.parts.model(**on.inputs.tensors, use_cache=False).logits[0].double().numpy()
    ids, visual = on.answer_ids, on.inputs.visual
    own = np.maximum(logits[visual, ids[word]], 0)
    earlier = sorted({ids[k] for k in range(word)} - {ids[word]})
    weights = np.array([max(logits[on.start - 1 + word, i], 0) for i in earlier])
    if not earlier or weights.sum() == 0:
        return own
    interference = sum(w / weights.sum() * np.maximum(logits[visual, i], 0) for w, i in zip(weights, earlier, strict=True))
    (scale,), *_ = np.linalg.lstsq(interference[:, None], own, rcond=None)
    return np.maximum(own - scale * interference, 0)


def tam_of(on: Subject, words: tuple[int, ...]) -> np.ndarray:
    """The whole method, [rows, columns]: the mean over words, then the filter at every place."""
    (view,) = on.inputs.grid.views
    maps = np.mean([tam_map(on, word) for word in words], 0).reshape(view.rows, view.cols)
    found = np.zeros_like(maps)
    for r in range(view.rows):
        for c in range(view.cols):
            near = maps[max(0, r - 1) : r + 2, max(0, c - 1) : c + 2]  # at an edge what there is, without mirroring
            found[r, c] = rank_gaussian_of(near.reshape(-1).tolist())
    return found


@pytest.mark.parametrize("words", [(0,), (3,), (4,), (1, 3)])
def test_tam_is_the_published_estimate_and_filter(words: tuple[int, ...], bed: Bed) -> None:
    on = subject(bed, "llava_clip", (5, 9, 12, 7, 9))  # the last word was said before: it does not explain itself away
    expected = tam_of(on, words)
    np.testing.assert_allclose(mapped("tam", on, words).scores, expected.reshape(-1), rtol=2e-3, atol=2e-3 * expected.max())
    assert expected.max() > 0


def test_tam_of_words_that_name_what_is_there(bed: Bed) -> None:
    vlm, part = bed.vlm("tiny-llava"), open_picture(to_png(make_scene(held_out_seed(47)), 192)).part
    prompt = ask("Describe the picture.", part)
    text = bed.core.answer(prompt.question, part, checkpoint="tiny-llava").text
    on = Subject(vlm, prompt, answer_ids(vlm, prompt, text))
    strong = sorted(range(len(on.answer_ids)), key=lambda word: -tam_map(on, word).max())[:3]
    for words in ((strong[0],), (strong[1],), tuple(sorted(strong))):
        expected = tam_of(on, words)
        np.testing.assert_allclose(mapped("tam", on, words).scores, expected.reshape(-1), rtol=2e-3, atol=2e-3 * expected.max())
        assert expected.max() > 0.1
