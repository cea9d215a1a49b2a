"""What the study trace-cost compares is the same in all variants, and its ratios are what they are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.generation.vlm import VisionLanguageModel
from model.heat import heat_methods
from model.heat.base import Choice
from model.internals.subject import Subject
from model.progress import Run
from studies import one_pass, trace_cost
from studies.random_llava import random_llava


@pytest.fixture(scope="module")
def tiny(bed: Any) -> VisionLanguageModel:
    return bed.vlm("tiny-llava")


@pytest.fixture
def short(tiny: VisionLanguageModel) -> Subject:
    """One picture, a question, an answer of six tokens."""
    ids = tiny.parts.tokenizer("A red circle on a white", add_special_tokens=False).input_ids[:6]
    return Subject(tiny, one_pass._prompt(1), ids)


def test_the_long_prompt_is_about_two_thousand_tokens(tiny: VisionLanguageModel) -> None:
    subject = one_pass.long_subject(tiny)
    assert 1700 <= len(subject.inputs.ids) <= 2048
    assert subject.count == 1728
    assert len(subject.answer_ids) == one_pass.ANSWER_TOKENS


def test_all_variants_read_the_same(short: Subject) -> None:
    found = {name: work() for name, work in one_pass.passes(short).items()}
    rows = {name: one_pass._rows(short, name, given) for name, given in found.items()}
    assert rows["tap"].shape == rows["eager"].shape
    assert np.abs(rows["tap"] - rows["eager"]).max() < 1e-5
    assert rows["eager"].max() > 0.01
    eager = found["eager"].logits[0].numpy()
    assert np.abs(rows["sdpa"] - eager).max() < 1e-3
    assert {c._attn_implementation for c in (short.vlm.parts.config, short.vlm.parts.config.get_text_config())} == {"sdpa"}


def test_full_relevancy_is_relevancy(short: Subject) -> None:
    word = len(short.answer_ids) - 1
    full = one_pass.full_relevancy(short, word)
    streamed = heat_methods["relevancy"](short, (word,), Choice(), Run()).scores
    assert full.max() > 0
    assert np.abs(full - streamed).max() < 1e-4 * full.max()


def test_a_peak_is_what_some_work_held_at_once() -> None:
    def work() -> int:
        held = np.ones(40_000_000)  # 320 MB
        kept = held[: len(held) // 2].copy()
        del held
        return len(kept)

    given, extra = one_pass.peak_of(work)
    assert given == 20_000_000
    if one_pass.CLEAR.exists():
        assert extra == pytest.approx(480e6, rel=0.05)
    assert extra < 504e6  # without /proc, what the whole process had reached before is not counted again
    assert one_pass.peak_of(lambda: None)[1] < 20e6


def test_ratios_are_taken_turn_by_turn() -> None:
    times = {
        "cpu_s": {"sdpa": [1.0, 2.0, 4.0], "tap": [1.1, 2.0, 4.8], "eager": [2.0, 5.0, 9.0]},
        "length": 1968,
        "median_s": {"sdpa": 2.0, "tap": 2.0, "eager": 5.0},
    }
    extra = {"sdpa": 50, "tap": 40, "eager": 800, "relevancy": 100, "relevancy_full": 400}
    rows = np.array([[0.25, 0.5]])
    arrays = {"tap": rows, "eager": np.array([[0.25, 0.5 + 1e-6]]), "relevancy": rows, "relevancy_full": rows * 2}
    found = trace_cost.figures(times, {name: {"extra_bytes": value} for name, value in extra.items()}, arrays)
    assert (found["cpu_vs_sdpa"], found["cpu_vs_eager"]) == (1.1, round(4.8 / 9, 4))
    assert (found["memory_vs_eager"], found["relevancy_memory_vs_full"]) == (0.05, 0.25)
    assert found["max_abs_diff"] == pytest.approx(1e-6)
    assert (found["length"], found["relevancy_max_diff"]) == (1968, 0.5)
    report = trace_cost._report(found, "")
    assert "0.050 x" in report.table()
    wanted = {"cpu_vs_sdpa", "cpu_vs_eager", "memory_vs_eager", "max_abs_diff", "relevancy_memory_vs_full", "length"}
    assert wanted <= set(report.figures)


@pytest.mark.slow
def test_a_process_of_its_own_measures_and_writes(tmp_path: Path) -> None:
    found = trace_cost._child("tap", "tiny-llava", tmp_path)
    assert found["extra_bytes"] > 0
    assert found == json.loads((tmp_path / "tap.json").read_text())
    assert np.load(tmp_path / "tap.npy").shape == (5, 4, 32, 1728)


@pytest.mark.slow
def test_the_random_llava_is_the_same_each_time(tmp_path: Path) -> None:
    one, two = (random_llava(tmp_path / name) for name in ("one", "two"))
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    assert json.loads((one / "config.json").read_text())["image_seq_length"] == 576
