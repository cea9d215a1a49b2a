"""The built-in checkpoints: standard folders, small files, cards that say what was measured, bars that are reached."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from bed import Bed
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

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


def test_there_are_two_designs_and_a_first_stage() -> None:
    assert {"tiny-llava", "tiny-llava-stage1", "tiny-qwen2-vl"} == set(FOLDERS)


FINISHED = [name for name in FOLDERS if not name.endswith("-stage1")]


def llava_inputs(folder: Path, image: Image.Image, said: list[dict[str, Any]]) -> tuple[PreTrainedTokenizerBase, dict[str, Any]]:
    """What the card of a LLaVA says to do."""
    processor = AutoProcessor.from_pretrained(folder)
    text = processor.apply_chat_template(said, add_generation_prompt=True)
    return processor.tokenizer, processor(images=image, text=text, return_tensors="pt")


def qwen_inputs(folder: Path, image: Image.Image, said: list[dict[str, Any]]) -> tuple[PreTrainedTokenizerBase, dict[str, Any]]:
    """What the card of a Qwen2-VL says to do: its processor class would need torchvision."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    seen = AutoImageProcessor.from_pretrained(folder, backend="pil")(images=[image], return_tensors="pt")
    text = tokenizer.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
    text = text.replace("<|image_pad|>", "<|image_pad|>" * (int(seen["image_grid_thw"].prod()) // 4))
    inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    kinds = (inputs["input_ids"] == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
    return tokenizer, {**inputs, **seen, "mm_token_type_ids": kinds}


INPUTS = {"llava": llava_inputs, "qwen2_vl": qwen_inputs}


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("size", [(512, 512), (512, 341)], ids=["square", "wide"])
def test_a_folder_opens_with_transformers_alone(name: str, size: tuple[int, int], bed: Bed) -> None:
    """Plain classes, the chat template among them, give the answer that the core gives."""
    model = AutoModelForImageTextToText.from_pretrained(FOLDERS[name])
    image = draw(make_scene(held_out_seed(47)), 512).resize(size)
    said = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What color is the heart?"}]}]
    tokenizer, inputs = INPUTS[model.config.model_type](FOLDERS[name], image, said)
    with torch.inference_mode():
        made = model.generate(**inputs, max_new_tokens=64, do_sample=False)
    answer = tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    bed.vlm(name)
    assert bed.core.answer("What color is the heart?", from_image(image), checkpoint=bed.spec(name)).text == answer
    assert name not in FINISHED or size != (512, 512) or answer == "pink"


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


@pytest.mark.parametrize("name", FINISHED)
def test_the_bars_are_reached_on_the_held_out_questions(name: str) -> None:
    main = figures(name)["seen wordings"]
    assert {kind: main[kind]["value"] >= bar for kind, bar in BARS.items()} == dict.fromkeys(BARS, True)
    for kind, one in main.items():
        assert one["low"] <= one["value"] + 1e-9
        assert one["value"] <= one["high"] + 1e-9, kind


@pytest.mark.parametrize("name", FINISHED)
def test_a_live_evaluation_agrees_with_the_card(name: str, bed: Bed) -> None:
    """Every 25th question, asked now. What the card says lies in the interval of what is found."""
    bed.vlm(name)
    items = list(evaluation.main_items())[:: 4000 // LIVE]
    results = evaluation.evaluate(bed.core, bed.spec(name), items, lambda done, total: None)
    right = [result.score for result in results if result.item.question.kind not in evaluation.UNITS]
    main = figures(name)["seen wordings"]
    asked = [r.item.question.kind for r in results if r.item.question.kind not in evaluation.UNITS]
    expected = sum(main[kind]["value"] for kind in asked) / len(asked)
    interval = wilson(round(sum(right)), len(right))
    assert interval.low <= expected <= interval.high


def test_only_the_one_that_keeps_the_whole_picture_knows_its_edges() -> None:
    """The designs differ where they should: LLaVA cuts a wide picture to a square, Qwen2-VL does not."""
    square, wide = ({n: figures(n)[part] for n in FINISHED} for part in ("seen wordings", "wide and tall pictures"))
    assert wide["tiny-llava"]["exist"]["high"] < square["tiny-llava"]["exist"]["low"]
    assert wide["tiny-qwen2-vl"]["find"]["low"] > wide["tiny-llava"]["find"]["high"]


def test_the_first_stage_is_worse_and_says_so() -> None:
    final, first = (figures(name)["seen wordings"] for name in ("tiny-llava", "tiny-llava-stage1"))
    assert first["exist"]["high"] < final["exist"]["low"]
    text = (FOLDERS["tiny-llava-stage1"] / "README.md").read_text()
    assert "after alignment alone" in text


@pytest.mark.parametrize("name", FINISHED)
@pytest.mark.parametrize("question", ["hello", "What is the capital of France?", "Who won the world cup in 1998?"])
def test_what_lies_outside_its_world_gets_an_honest_sentence(question: str, name: str, bed: Bed) -> None:
    bed.vlm(name)
    picture = from_image(draw(make_scene(held_out_seed(3)), 512))
    answer = bed.core.answer(question, picture, checkpoint=bed.spec(name)).text
    assert re.search("drawn scene", answer), answer


@pytest.mark.parametrize("name", FINISHED)
def test_any_way_of_typing_is_understood(name: str, bed: Bed) -> None:
    bed.vlm(name)
    picture = from_image(draw(make_scene(held_out_seed(47)), 512))
    ways = ["What color is the heart?", "what color is the heart", "can you tell me what color the heart is?", "heart color?"]
    said = [bed.core.answer(way, picture, checkpoint=bed.spec(name)).text for way in ways]
    assert said == ["pink"] * len(ways)
    scores = bed.core.score(bed.spec(name), ask("Is there a red star?", picture), ["Yes", "No"])
    assert scores.best == "Yes"


def test_the_curves_are_kept(tmp_path: Path) -> None:
    for name in FOLDERS:
        lines = [json.loads(line) for line in (FOLDERS[name] / "curves.jsonl").read_text().splitlines()]
        assert {line["stage"] for line in lines} >= {"tower", "align"}
