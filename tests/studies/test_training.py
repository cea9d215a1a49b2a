"""Training: packed rows equal rows alone, samples depend on nothing but their number, a killed run goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studies.training import tiny_llava, tiny_qwen2_vl
from studies.training.batches import Batches, conversations, pixels
from studies.training.losses import AnswerLoss
from studies.training.packing import IGNORED, Conversation, Exchange, Packer
from studies.training.patches import COVERED, TEXT_SHAPE, patch_facts
from studies.training.recipe import decode
from studies.training.sizes import PictureSize
from studies.training.stages import STAGES, Stage
from studies.training.tiny_llava import TINY_LLAVA
from studies.training.tiny_qwen2_vl import TINY_QWEN2_VL
from studies.training.tokenizer import QWEN, corpus, make_tokenizer
from studies.world import locations
from studies.world.draw import draw, masks
from studies.world.questions import MAKERS
from studies.world.scene import COLOURS, SHAPES, SIDE, make_scene
from studies.world.splits import TRAINED_BELOW, held_out_seed, trained_seed
from studies.world.wordings import TRAINED

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="module")
def packer(tokenizer):
    return Packer(tokenizer, TINY_LLAVA.dialect, TINY_LLAVA.text_tokens)


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    return TINY_LLAVA.build(TINY_LLAVA, tokenizer).eval()


# --- tokenizer ------------------------------------------------------------------------------------


def test_the_tokenizer_is_the_same_each_time(tokenizer):
    assert make_tokenizer().backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_every_word_of_a_thing_is_one_token_wherever_it_stands(tokenizer):
    for word in (*COLOURS, *SHAPES, "small", "large", "striped", "Yes", "No"):
        alone = tokenizer(word, add_special_tokens=False).input_ids
        assert len(alone) == 1
        assert tokenizer(f"a {word}", add_special_tokens=False).input_ids[-1:] == alone


def test_digits_stay_single_and_location_tokens_are_one_each(tokenizer):
    assert len(tokenizer("57", add_special_tokens=False).input_ids) == 2
    box = locations.to_tokens((100, 200, 300, 400))
    ids = tokenizer(f"{box} red circle", add_special_tokens=False).input_ids
    assert [tokenizer.convert_ids_to_tokens(i) for i in ids[:4]] == [f"<loc{t}" for t in box.split("<loc")[1:]]
    assert tokenizer.decode(ids) == f"{box} red circle"


@pytest.mark.parametrize("text", ["What color is it?", "naïve café 日本 🙂", "a\nb\tc", "<b>${x}</b> {{y}}", "57 and 8."])
def test_any_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_trained_wordings_cost_few_tokens(tokenizer):
    words = tokens = 0
    for line in corpus(30):
        words += len(line.split())
        tokens += len(tokenizer(line, add_special_tokens=False).input_ids)
    assert tokens < 1.35 * words
    assert set(TRAINED) == set(MAKERS)


# --- packing --------------------------------------------------------------------------------------

TALKS = [
    Conversation((Exchange("a", "What color is the star?", "red"), Exchange("b", "And its shape?", "star"))),
    Conversation((Exchange("c", "Is there a heart?", "There is no picture. Attach one first."),), blind=True),
    Conversation((Exchange("d", "How many objects?", "3"),), shift=120),
]


@pytest.mark.parametrize(("pictures", "between", "system"), [
    (1, None, ""), (1, None, "Answer briefly."), (2, None, ""), (2, Exchange("count", "How many?", "2"), ""),
])  # fmt: skip
def test_a_packed_conversation_is_computed_as_if_it_stood_alone(model, tokenizer, packer, pictures, between, system):
    row = packer.row(TALKS, TINY_LLAVA.picture, pictures, between, system)
    embeds = torch.randn(pictures, TINY_LLAVA.picture.tokens, TINY_LLAVA.width, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        packed = decode(
            model, packer.batch([row, packer.row(TALKS[:1], TINY_LLAVA.picture, pictures, between)]), torch.cat([embeds, embeds])
        )[-1][0]
        for number, talk in enumerate(TALKS):
            text, positions = _written_out(talk, pictures, between, system, packer)
            ids = tokenizer(text, add_special_tokens=False).input_ids
            words = model.get_input_embeddings()(torch.tensor([ids]))
            places = torch.tensor([ids]) == packer.image
            words[places] = embeds.flatten(0, 1)[: int(places.sum())]
            alone = model.model.language_model(inputs_embeds=words, position_ids=torch.tensor([positions])).last_hidden_state[0]
            spans = [span for span in row.spans if span.conversation == number]
            for span in reversed(spans):
                said = row.ids[span.start : span.start + span.length]
                at = _last_place(ids, said)
                torch.testing.assert_close(
                    packed[span.start : span.start + span.length], alone[at : at + len(said)], atol=2e-5, rtol=0
                )
                ids = ids[:at]


def _written_out(talk, pictures, between, system, packer):
    """The conversation as the chat template writes it, and its positions."""
    picture = TINY_LLAVA.dialect.image * TINY_LLAVA.picture.tokens
    head = "<bos>" + (f"<system>{system}" if system else "") + "<user>"
    seen = picture * pictures
    if between is not None:
        seen = f"{picture}{between.question}<assistant>{between.answer}<eos><user>{picture}"
    turns = "<user>".join(f"{t.question}<assistant>{t.answer}<eos>" for t in talk.turns)
    shared = head if talk.blind else head + seen
    count = len(packer.tokenizer(shared, add_special_tokens=False).input_ids)
    total = len(packer.tokenizer(shared + turns, add_special_tokens=False).input_ids)
    return shared + turns, [*range(count), *range(count + talk.shift, total + talk.shift)]


def _last_place(ids, part):
    return next(i for i in range(len(ids) - len(part), -1, -1) if ids[i : i + len(part)] == part)


@pytest.fixture(scope="module")
def qwen():
    """A tokenizer and an untrained model of the recipe with pictures of any shape, in eval mode."""
    tokenizer = make_tokenizer(QWEN)
    torch.manual_seed(0)
    return tokenizer, TINY_QWEN2_VL.build(TINY_QWEN2_VL, tokenizer).eval()


@pytest.mark.parametrize("size", TINY_QWEN2_VL.sizes, ids=lambda size: f"{size.cols}x{size.rows}")
def test_the_tower_over_a_batch_equals_the_tower_picture_by_picture(qwen, size):
    """The architecture's own forward pass, fed by its own image processor, is the oracle."""
    processor, pictures = tiny_qwen2_vl.image_processor(TINY_QWEN2_VL), []
    rng = np.random.RandomState(3)
    for _ in range(3):
        pictures.append(Image.fromarray(rng.randint(0, 256, (size.height_px, size.width_px, 3), np.uint8)))
    made = processor(images=pictures, return_tensors="pt")
    assert made["image_grid_thw"].tolist() == [[1, 2 * size.rows, 2 * size.cols]] * 3
    values = (torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2) / 255 - size.mean) / size.std
    torch.testing.assert_close(tiny_qwen2_vl.patches_of(values), made["pixel_values"], atol=1e-6, rtol=0)
    with torch.no_grad():
        ours = tiny_qwen2_vl.see(qwen[1], values)
        theirs = qwen[1].model.visual(made["pixel_values"], made["image_grid_thw"])
    torch.testing.assert_close(ours.embeds.flatten(0, 1), theirs.pooler_output, atol=2e-5, rtol=0)
    raster = torch.arange(3 * 4 * size.tokens).reshape(3, size.rows, size.cols, 2, 2).transpose(2, 3).flatten()
    torch.testing.assert_close(ours.last.flatten(0, 1), theirs.last_hidden_state[raster], atol=2e-5, rtol=0)


@pytest.mark.parametrize(("pictures", "between"), [(1, None), (2, None), (2, Exchange("count", "How many?", "2"))])
def test_a_packed_conversation_about_any_shape_equals_the_whole_model_on_its_text(qwen, pictures, between):
    """The whole model lays out positions in two dimensions itself, from the token types, and sees the pictures."""
    tokenizer, model = qwen
    packer, size = Packer(tokenizer, QWEN, TINY_QWEN2_VL.text_tokens), TINY_QWEN2_VL.sizes[1]
    talks = [TALKS[0], Conversation((Exchange("x", "How many things are there?", "four"),))]
    row = packer.row(talks, size, pictures, between)
    values = torch.randn(pictures, 3, size.height_px, size.width_px, generator=torch.Generator().manual_seed(1))
    shape = torch.tensor([[1, 2 * size.rows, 2 * size.cols]] * pictures)
    picture = f"<|vision_start|>{QWEN.image * size.tokens}<|vision_end|>"
    seen = picture * pictures if between is None else f"{picture}How many?<assistant>2<eos><user>{picture}"
    with torch.no_grad():
        packed = decode(model, packer.batch([row]), tiny_qwen2_vl.see(model, values).embeds)[-1][0]
        for number, talk in enumerate(talks):
            turns = "<user>".join(f"{t.question}<assistant>{t.answer}<eos>" for t in talk.turns)
            ids = torch.tensor([tokenizer(f"<bos><user>{seen}{turns}", add_special_tokens=False).input_ids])
            alone = model.model(
                input_ids=ids,
                pixel_values=tiny_qwen2_vl.patches_of(values),
                image_grid_thw=shape,
                mm_token_type_ids=(ids == packer.image).int(),
            ).last_hidden_state[0]
            span = [span for span in row.spans if span.conversation == number][-1]
            torch.testing.assert_close(packed[span.start : span.start + span.length], alone[-span.length :], atol=2e-5, rtol=0)


def test_a_row_learns_answers_and_nothing_else(packer):
    row = packer.row(TALKS, TINY_LLAVA.picture)
    learned = [i for i, label in enumerate(row.labels) if label != IGNORED]
    assert learned == [i for span in row.spans for i in range(span.start, span.start + span.length)]
    assert all(row.labels[i] == row.ids[i] for i in learned)
    assert packer.tokenizer.decode([row.ids[i] for i in learned]).count("<eos>") == 4


def test_the_loss_of_answers_equals_cross_entropy_where_there_are_no_locations(model, tokenizer, packer):
    text = packer.batch([packer.row(TALKS[:1], TINY_LLAVA.picture, pictures=0)])
    with torch.no_grad():
        hidden = decode(model, text, None)[-1]
        loss, _ = AnswerLoss(tokenizer, torch.device("cpu"))(model, hidden, text)
        logits = torch.log_softmax(model.lm_head(hidden[0]), -1)
    weighed = [
        (-logits[i - 1, text.labels[0, i]] * text.weights[0, i], text.weights[0, i])
        for i in range(1, text.ids.shape[1])
        if text.labels[0, i] >= 0
    ]
    assert loss.item() == pytest.approx(float(sum(a for a, _ in weighed) / sum(b for _, b in weighed)), abs=1e-5)


# --- samples --------------------------------------------------------------------------------------


def test_a_sample_depends_on_its_stage_and_number_alone(packer):
    batches = Batches(packer, TINY_LLAVA.sizes)
    whole = batches.instruct(3, list(range(8)))
    parts = [batches.instruct(3, list(range(4))), batches.instruct(3, list(range(4, 8)))]
    assert torch.equal(whole.pixels, torch.cat([p.pixels for p in parts]))
    rows = [row[row != packer.pad].tolist() for p in parts for row in p.text.ids]
    assert [row[row != packer.pad].tolist() for row in whole.text.ids] == rows


@pytest.mark.parametrize("step", [8, 16])
def test_rows_of_two_pictures_hold_the_tokens_of_both(packer, step):
    batch = Batches(packer, TINY_LLAVA.sizes).instruct(3, [0, 1], step)
    assert batch.pixels.shape[0] == 4
    assert (batch.text.ids == packer.image).sum(1).tolist() == [2 * TINY_LLAVA.picture.tokens] * 2


def test_training_scenes_and_held_out_scenes_cannot_meet():
    assert trained_seed(len(STAGES), 2**33) < TRAINED_BELOW <= held_out_seed(0)
    with pytest.raises(ValueError, match="No training seed"):
        trained_seed(64, 0)


def test_conversations_are_mixed_as_said():
    import random

    talks = [t for seed in range(120) for t in conversations(random.Random(seed), make_scene(seed))]
    assert 0.04 < sum(t.blind for t in talks) / len(talks) < 0.09
    assert 0.12 < sum(len(t.turns) > 1 for t in talks) / len(talks) < 0.3


def test_training_pictures_are_what_the_processor_makes_of_the_drawing(tokenizer):
    processor = tiny_llava.processor(TINY_LLAVA, tokenizer).image_processor
    gaps = []
    for seed in range(12):
        scene = make_scene(seed)
        theirs = np.asarray(processor(images=[draw(scene, 512)], return_tensors="np")["pixel_values"][0])
        gaps.append(np.abs(pixels(scene, TINY_LLAVA.picture, None) - theirs).mean() * TINY_LLAVA.picture.std * 255)
    assert max(gaps) < 2.0, "grey levels"


@pytest.mark.parametrize("size", TINY_QWEN2_VL.sizes, ids=lambda size: f"{size.cols}x{size.rows}")
def test_training_pictures_of_any_shape_are_what_the_processor_makes_of_the_drawing(size):
    processor, gaps = tiny_qwen2_vl.image_processor(TINY_QWEN2_VL), []
    for seed in range(6):
        scene = make_scene(seed)
        drawn = draw(scene, 512).resize((512 * size.cols // 8, 512 * size.rows // 8), Image.Resampling.BICUBIC)
        if size.tokens < 54:  # a small square is taken as it is
            drawn = drawn.resize((size.width_px, size.height_px), Image.Resampling.BICUBIC)
        made = processor(images=[drawn], return_tensors="pt")
        assert made["image_grid_thw"].tolist() == [[1, 2 * size.rows, 2 * size.cols]]
        ours = tiny_qwen2_vl.patches_of(torch.from_numpy(pixels(scene, size, None))[None])
        gaps.append((ours - made["pixel_values"]).abs().mean().item() * size.std * 255)
    assert max(gaps) < 2.5, "grey levels"


def test_sizes_take_turns_and_every_sample_of_a_step_has_one():
    packer = Packer(make_tokenizer(QWEN), QWEN, TINY_QWEN2_VL.text_tokens)
    batches = Batches(packer, TINY_QWEN2_VL.sizes)
    met = [batches.size(3, step) for step in range(400)]
    assert met[::2] == [TINY_QWEN2_VL.picture] * 200
    assert set(met[1::2]) == set(TINY_QWEN2_VL.sizes[1:])
    batch = batches.instruct(3, [0, 1], 10)
    height, width = batch.pixels.shape[2:]
    assert (height, width) != (128, 128)
    assert batch.classes.shape[1] == height * width // 64
    assert batch.token_classes.shape[1] == height * width // 256
    assert (batch.text.ids == packer.image).sum(1).tolist() == [height * width // 256] * 2


@pytest.mark.parametrize(("rows", "cols"), [(12, 12), (12, 20), (16, 10)])
def test_patch_facts_agree_with_masks(rows, cols):
    """The drawing's own masks at 960 px, cut into the same patches; stretching a picture stretches them with it."""
    size = PictureSize(cols * 8, rows * 8, 8)
    for seed in range(40):
        scene = make_scene(seed, label=seed % 2 == 0)
        facts = patch_facts(scene, size.width_px, size.height_px, size.patch_px)
        cut = masks(scene, 960).reshape(len(scene.things), rows, 960 // rows, cols, 960 // cols)
        shares = cut.mean((2, 4)).reshape(len(scene.things), size.tokens)
        for patch in range(size.tokens):
            owner = facts.owner[patch]
            if owner > 0:
                thing = scene.things[owner - 1]
                assert shares[owner - 1, patch] > COVERED - 0.08
                assert facts.classes[patch, 0] == SHAPES.index(thing.shape) + 1
                assert facts.classes[patch, 1] == tuple(COLOURS).index(thing.colour) + 1
                np.testing.assert_allclose(facts.boxes[patch], np.array(thing.box) / SIDE, atol=1e-6)
            elif owner == 0:
                assert shares[:, patch].max(initial=0) < COVERED + 0.08
            else:
                assert facts.classes[patch, 0] == TEXT_SHAPE


def test_the_learning_rate_warms_up_stays_and_decays():
    stage = Stage("x", 100, 1.0, 10, 0.5, (), 1.0, lambda *_: None)
    assert [stage.scale(0), stage.scale(9), stage.scale(40)] == pytest.approx([0.1, 1.0, 1.0])
    assert stage.scale(75) == pytest.approx(0.5)
    assert stage.scale(99) == pytest.approx(0.02)


# --- a whole run ----------------------------------------------------------------------------------

SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from dataclasses import replace
from pathlib import Path
from studies.training import stages, trainer
trainer.BATCH, trainer.SAVE_EVERY, trainer.LOG_EVERY, trainer.CHECK_EVERY = 4, 1, 1, 100
stages.STAGES = trainer.STAGES = tuple(replace(s, steps=n, warm_steps=1) for s, n in zip(stages.STAGES, (6, 2, 2, 5)))
if __name__ == "__main__":
    trainer.train("tiny-llava", Path(sys.argv[1]), processes=int(sys.argv[2]))
"""


def _start(folder: Path, script: Path, processes: int = 1) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(folder), str(processes)]
    with _said(folder).open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)


def _said(folder: Path) -> Path:
    return folder.with_name(folder.name + ".log")


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "short_run.py"
    path.write_text(SCRIPT.format(root=str(ROOT)))
    return path


@pytest.fixture(scope="module")
def whole_run(script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    process = _start(folder, script)
    assert process.wait(300) == 0, _said(folder).read_text()[-2000:]
    return folder


@pytest.mark.slow
def test_a_run_killed_twice_ends_with_the_weights_of_a_run_left_alone(whole_run, script, tmp_path):
    folder = tmp_path / "killed"
    for wanted in ((0, 3), (3, 2)):  # in the tower's stage, then in instruction tuning
        process = _start(folder, script)
        _wait_for(folder, process, *wanted)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
    process = _start(folder, script)
    assert process.wait(300) == 0, _said(folder).read_text()[-2000:]
    for name in ("stage1.pt", "final.pt"):
        alone, killed = (torch.load(f / name, weights_only=True) for f in (whole_run, folder))
        for key, value in alone.items():
            torch.testing.assert_close(killed[key], value, atol=1e-5, rtol=1e-4)
    lines = [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]
    steps = [(line["stage"], line["step"]) for line in lines]
    assert len(steps) == len(set(steps)) == 15


def _wait_for(folder: Path, process: subprocess.Popen, stage: int, step: int) -> None:
    names = [s.name for s in STAGES]
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, _said(folder).read_text()[-2000:]
        curve = folder / "curves.jsonl"
        lines = curve.read_text().splitlines() if curve.exists() else []
        whole = [json.loads(line) for line in lines if line.endswith("}")]
        if any((names.index(row["stage"]), row["step"]) >= (stage, step) for row in whole):
            return
        time.sleep(0.05)
    raise AssertionError("the run did not get that far")


@pytest.mark.slow
def test_the_processes_of_a_killed_run_end_too(script, tmp_path):
    process = _start(tmp_path / "two", script, processes=2)
    _wait_for(tmp_path / "two", process, 0, 1)
    children = _children(process.pid)
    assert len(children) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    deadline = time.monotonic() + 60
    while any(
        Path(f"/proc/{pid}/stat").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2] for pid in children
    ):
        assert time.monotonic() < deadline, "a process outlived its run"
        time.sleep(0.2)


def _children(pid: int) -> list[int]:
    if not Path("/proc").exists():
        pytest.skip("needs /proc to find a process's children")
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_an_exported_folder_opens_with_transformers_alone(whole_run, tmp_path):
    from studies.training.export import export

    folder = export(whole_run, "tiny-llava", "final", tmp_path / "out")
    assert max(path.stat().st_size for path in folder.iterdir()) < 10_000_000
    assert (folder / "curves.png").stat().st_size > 5000
    assert json.loads((folder / "training.json").read_text())["architecture"] == "LlavaForConditionalGeneration"
    picture = tmp_path / "scene.png"
    draw(make_scene(held_out_seed(3)), 300).save(picture)
    code = f"""
import sys
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
model, processor = AutoModelForImageTextToText.from_pretrained({str(folder)!r}), AutoProcessor.from_pretrained({str(folder)!r})
talk = [{{"role": "user", "content": [{{"type": "image"}}, {{"type": "text", "text": "What color is it?"}}]}}]
text = processor.apply_chat_template(talk, add_generation_prompt=True)
inputs = processor(text=text, images=Image.open({str(picture)!r}), return_tensors="pt")
model.generate(**inputs, max_new_tokens=3, do_sample=False)
assert not [name for name in sys.modules if name.split(".")[0] in ("studies", "model", "app", "panels")]
print(type(model).__name__, int((inputs["input_ids"] == model.config.image_token_id).sum()), model.dtype)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.split() == ["LlavaForConditionalGeneration", "144", "torch.float32"], done.stderr[-2000:]
