"""The built-in checkpoints: standard folders, small files, cards that say what was measured, bars that are reached."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Bed
from transformers import AutoModelForImageTextToText, AutoProcessor

from model.checkpoint import builtin_folders
from model.pictures import from_image
from model.prompt import ask
from studies import evaluation
from studies.metrics import wilson
from studies.training.card import BARS, card
from studies.world.draw import draw
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

FOLDERS = builtin_folders()
MAX_FILE_BYTES = 10_000_000
LIVE = 160


def figures(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((FOLDERS[name] / "evaluation.json").read_text())
    return found


def test_there_are_the_finished_checkpoint_and_its_first_stage() -> None:
    assert {"tiny-llava", "tiny-llava-stage1"} <= set(FOLDERS)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_opens_with_transformers_alone(name: str, bed: Bed) -> None:
    """Plain classes, the chat template among them, give the answer that the core gives."""
    processor = AutoProcessor.from_pretrained(FOLDERS[name])
    model = AutoModelForImageTextToText.from_pretrained(FOLDERS[name])
    image = draw(make_scene(held_out_seed(47)), 512)
    said = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What color is the heart?"}]}]
    text = processor.apply_chat_template(said, add_generation_prompt=True)
    inputs = processor(images=image, text=text, return_tensors="pt")
    with torch.inference_mode():
        made = model.generate(**inputs, max_new_tokens=64, do_sample=False)
    answer = processor.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    bed.vlm(name)
    assert bed.core.answer("What color is the heart?", from_image(image), checkpoint=bed.spec(name)).text == answer
    assert name != "tiny-llava" or answer == "pink"


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_small_and_safe(name: str) -> None:
    files = [path for path in FOLDERS[name].iterdir() if path.is_file()]
    assert all(path.stat().st_size <= MAX_FILE_BYTES for path in files)
    assert not [path for path in files if path.suffix in (".bin", ".pt", ".pth", ".pkl", ".py")]
    assert (FOLDERS[name] / "model.safetensors").exists()
    assert (FOLDERS[name] / "curves.png").exists()


@pytest.mark.parametrize("name", FOLDERS)
def test_the_card_is_the_one_the_figures_give(name: str) -> None:
    found = {part: {kind: evaluation.Figure(**one) for kind, one in kinds.items()} for part, kinds in figures(name).items()}
    assert card(name, FOLDERS[name], found, 4000) == (FOLDERS[name] / "README.md").read_text()
    assert set(found) == set(evaluation.PARTS)
    assert sum(one.n for kind, one in found["seen wordings"].items() if kind in evaluation.SHARES) > 3900


def test_the_bars_are_reached_on_the_held_out_questions() -> None:
    main = figures("tiny-llava")["seen wordings"]
    assert {kind: main[kind]["value"] >= bar for kind, bar in BARS.items()} == dict.fromkeys(BARS, True)
    for kind, one in main.items():
        assert one["low"] <= one["value"] + 1e-9
        assert one["value"] <= one["high"] + 1e-9, kind


def test_a_live_evaluation_agrees_with_the_card(bed: Bed) -> None:
    """Every 25th question, asked now. What the card says lies in the interval of what is found."""
    bed.vlm("tiny-llava")
    items = list(evaluation.main_items())[:: 4000 // LIVE]
    results = evaluation.evaluate(bed.core, bed.spec("tiny-llava"), items, lambda done, total: None)
    right = [result.score for result in results if result.item.question.kind not in evaluation.UNITS]
    main = figures("tiny-llava")["seen wordings"]
    asked = [r.item.question.kind for r in results if r.item.question.kind not in evaluation.UNITS]
    expected = sum(main[kind]["value"] for kind in asked) / len(asked)
    interval = wilson(round(sum(right)), len(right))
    assert interval.low <= expected <= interval.high


def test_the_first_stage_is_worse_and_says_so() -> None:
    final, first = (figures(name)["seen wordings"] for name in ("tiny-llava", "tiny-llava-stage1"))
    assert first["exist"]["high"] < final["exist"]["low"]
    text = (FOLDERS["tiny-llava-stage1"] / "README.md").read_text()
    assert "after alignment alone" in text


@pytest.mark.parametrize("question", ["hello", "What is the capital of France?", "Who won the world cup in 1998?"])
def test_what_lies_outside_its_world_gets_an_honest_sentence(question: str, bed: Bed) -> None:
    bed.vlm("tiny-llava")
    picture = from_image(draw(make_scene(held_out_seed(3)), 512))
    answer = bed.core.answer(question, picture, checkpoint=bed.spec("tiny-llava")).text
    assert re.search("drawn scene", answer), answer


def test_any_way_of_typing_is_understood(bed: Bed) -> None:
    bed.vlm("tiny-llava")
    picture = from_image(draw(make_scene(held_out_seed(47)), 512))
    ways = ["What color is the heart?", "what color is the heart", "can you tell me what color the heart is?", "heart color?"]
    said = [bed.core.answer(way, picture, checkpoint=bed.spec("tiny-llava")).text for way in ways]
    assert said == ["pink"] * len(ways)
    scores = bed.core.score(bed.spec("tiny-llava"), ask("Is there a red star?", picture), ["Yes", "No"])
    assert scores.best == "Yes"


def test_the_curves_are_kept(tmp_path: Path) -> None:
    for name in FOLDERS:
        lines = [json.loads(line) for line in (FOLDERS[name] / "curves.jsonl").read_text().splitlines()]
        assert {line["stage"] for line in lines} >= {"tower", "align"}
