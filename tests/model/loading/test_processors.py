"""Tokenizers, image processors and processors of every family of the zoo, without torchvision; and what broken files say."""

from __future__ import annotations

import importlib.util
import inspect
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import errors as hub
from PIL import Image
from transformers import AutoModelForImageTextToText, PreTrainedModel, ProcessorMixin
from transformers.image_processing_backends import PilBackend
from zoo import BUILDERS, build, zoo

from model.errors import (
    BrokenCheckpoint,
    GatedCheckpoint,
    NoNetwork,
    NotAVisionLanguageModel,
    RemoteCode,
    UnknownCheckpoint,
    Unsupported,
)
from model.loading.processors import NoVideo, Processors, load_processors

ROOT = Path(__file__).resolve().parents[3]
FAMILIES = sorted(BUILDERS)
VIDEO = ("internvl", "llava_onevision", "qwen2_5_vl", "qwen2_vl", "smolvlm")
BARE = {
    "blip2": "Question: what is it? Answer:",
    "kosmos2": "<grounding>An image of",
    "paligemma": "<image>answer en what is it",
}
"""Prompts of the families that have no chat template."""

torch.set_num_threads(1)
# PaliGemma's processor gives torch tensors to np.array, which NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@dataclass
class Loaded:
    name: str
    folder: Path
    parts: Processors
    model: PreTrainedModel

    def text(self) -> str:
        if self.name in BARE:
            return BARE[self.name]
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is in this picture?"}]}
        return self.parts.processor.apply_chat_template([turn], add_generation_prompt=True)

    def inputs(self, picture: Image.Image) -> dict[str, torch.Tensor]:
        text, begin = self.text(), self.parts.tokenizer.bos_token
        twice = {"add_special_tokens": False} if begin and text.startswith(begin) else {}
        inputs = self.parts.processor(text=text, images=[picture], return_tensors="pt", **twice)
        return {name: value for name, value in inputs.items() if name != "labels"}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return zoo(tmp_path_factory)


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, checkpoint: Callable[[str], Path]) -> Loaded:
    folder = checkpoint(request.param)
    return Loaded(request.param, folder, load_processors(str(folder)), AutoModelForImageTextToText.from_pretrained(folder).eval())


@pytest.fixture
def copy(checkpoint: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A checkpoint that may be broken."""

    def make(name: str) -> Path:
        return shutil.copytree(checkpoint(name), tmp_path / name)

    return make


def picture(seed: int, size: tuple[int, int] = (90, 60)) -> Image.Image:
    """Random pixels in blocks of 10, so that they survive resizing."""
    blocks = np.random.default_rng(seed).integers(0, 256, (size[1] // 10, size[0] // 10, 3), np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None removes one."""
    content = {**json.loads(path.read_text()), **changes} if path.exists() else changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def test_every_family_has_a_tokenizer_a_pillow_image_processor_and_its_processor(loaded: Loaded) -> None:
    parts = loaded.parts
    assert isinstance(parts.image_processor, PilBackend)
    assert isinstance(parts.processor, ProcessorMixin)
    assert parts.processor.tokenizer is parts.tokenizer
    assert parts.processor.image_processor is parts.image_processor
    assert type(parts.processor).__name__ == json.loads((loaded.folder / "processor_config.json").read_text())["processor_class"]
    assert (parts.chat_template is None) == (loaded.name in BARE)
    assert parts.processor.chat_template == parts.chat_template


def test_any_text_comes_back_and_common_words_are_one_token(loaded: Loaded) -> None:
    tokenizer = loaded.parts.tokenizer
    for text in ("Is it 57 red circles?\n\tyes", "caf\u00e9 \u65e5\u672c \U0001f600 <b>&amp;</b>", "two  spaces"):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    assert len(tokenizer.tokenize("is there a red circle left")) == len(tokenizer.tokenize("is")) + 5


def test_there_is_one_image_token_for_every_image_feature(loaded: Loaded) -> None:
    inputs = loaded.inputs(picture(0))
    if loaded.name == "kosmos2":  # no id of its own: ordinary ids under a mask
        assert int(inputs["image_embeds_position_mask"].sum()) == loaded.model.config.latent_query_num == 64
        return
    found = int((inputs["input_ids"] == loaded.model.config.image_token_id).sum())
    if loaded.name == "mllama":  # a marker: the keys are in the cross-attention layers
        assert found == 1
        return
    encode = loaded.model.base_model.get_image_features
    wanted = {name: value for name, value in inputs.items() if name in inspect.signature(encode).parameters}
    with torch.inference_mode():
        features = encode(**wanted, return_dict=True).pooler_output
    features = torch.cat([part.flatten(0, -2) for part in ([features] if torch.is_tensor(features) else features)])  # [T, D]
    assert features.shape == (found, 64)


def test_generate_works_and_another_picture_gives_other_logits(loaded: Loaded) -> None:
    one, other = loaded.inputs(picture(0)), loaded.inputs(picture(1))
    assert torch.equal(one["input_ids"], other["input_ids"])
    with torch.inference_mode():
        change = (loaded.model(**one).logits[:, -1] - loaded.model(**other).logits[:, -1]).abs().max()
        written = loaded.model.generate(**one, max_new_tokens=3, do_sample=False)
    assert change > 0.02
    assert one["input_ids"].shape[1] < written.shape[1] <= one["input_ids"].shape[1] + 3


def test_a_picture_of_another_shape_works(loaded: Loaded) -> None:
    with torch.inference_mode():
        assert torch.isfinite(loaded.model(**loaded.inputs(picture(2, (40, 150)))).logits).all()


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in BARE])
def test_the_chat_template_tokenizes_with_a_picture_in_it(name: str, checkpoint: Callable[[str], Path]) -> None:
    processor = load_processors(str(checkpoint(name))).processor
    turn = {"role": "user", "content": [{"type": "image", "image": picture(0)}, {"type": "text", "text": "What is it?"}]}
    inputs = processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=True, return_dict=True)
    assert "pixel_values" in inputs
    assert set(inputs) <= {*processor.model_input_names, "token_type_ids", "mm_token_type_ids", "cross_attention_mask"}


def test_llava_drops_content_that_is_a_plain_string(checkpoint: Callable[[str], Path]) -> None:
    processor = load_processors(str(checkpoint("llava_clip"))).processor
    assert processor.apply_chat_template([{"role": "user", "content": "What is it?"}]) == "USER: "


@pytest.mark.parametrize("name", VIDEO)
def test_video_is_refused_with_a_sentence(name: str, checkpoint: Callable[[str], Path]) -> None:
    processor = load_processors(str(checkpoint(name))).processor
    assert isinstance(processor.video_processor, NoVideo)
    frames = np.zeros((4, 56, 56, 3), np.uint8)
    with pytest.raises(Unsupported, match="give those as pictures"):
        processor(text=processor.video_token, videos=[[frames]], return_tensors="pt")
    assert type(processor).__name__ in repr(processor)


def test_nothing_is_said_about_torchvision(checkpoint: Callable[[str], Path]) -> None:
    code = "import sys; from model.loading.processors import load_processors\nfor folder in sys.argv[1:]: load_processors(folder)"
    folders = [str(checkpoint(name)) for name in FAMILIES]
    run = subprocess.run([sys.executable, "-c", code, *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout + run.stderr == ""


def test_transformers_is_left_as_it_was(checkpoint: Callable[[str], Path]) -> None:
    from transformers import processing_utils
    from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor

    load_processors(str(checkpoint("qwen2_vl")))
    assert processing_utils.MODALITY_TO_BASE_CLASS_MAPPING["video_processor"] == "VideoProcessorMixin"
    assert Qwen2VLProcessor.check_argument_for_proper_class is ProcessorMixin.check_argument_for_proper_class


def test_two_builds_are_the_same_bytes_and_leave_the_random_state_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for name in FAMILIES:
        torch.manual_seed(len(name))
        first, second = build(name, tmp_path / "a"), build(name, tmp_path / "b")
        files = sorted(path.name for path in first.iterdir())
        assert files == sorted(path.name for path in second.iterdir())
        assert [file for file in files if (first / file).read_bytes() != (second / file).read_bytes()] == []
        assert 200_000 < (first / "model.safetensors").stat().st_size < 1_800_000
    torch.manual_seed(3)
    assert torch.equal(before, torch.get_rng_state())
    build("llava_clip", tmp_path / "c")
    assert torch.equal(before, torch.get_rng_state())


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")


def listed(path: Path) -> None:
    path.write_text("[1, 2]")


@pytest.mark.parametrize("damage", [half, empty, noise, pointer, listed])
@pytest.mark.parametrize("file", ["tokenizer", "tokenizer_config", "preprocessor_config", "processor_config", "config"])
@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl"])
def test_a_damaged_file_is_named_and_has_a_cure(
    name: str, file: str, damage: Callable[[Path], None], copy: Callable[[str], Path]
) -> None:
    folder = copy(name)
    damage(folder / f"{file}.json")
    with pytest.raises(BrokenCheckpoint, match=rf"{file}\.json.*[Cc]opy the file again"):
        load_processors(str(folder))


@pytest.mark.parametrize("file", ["tokenizer.json", "preprocessor_config.json", "config.json"])
@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "blip2", "gemma3", "mllama"])
def test_a_missing_file_is_named_and_has_a_cure(name: str, file: str, copy: Callable[[str], Path]) -> None:
    folder = copy(name)
    (folder / file).unlink()
    with pytest.raises(BrokenCheckpoint, match=rf"{name} has no .*{file}.*Copy the file"):
        load_processors(str(folder))


def test_a_tokenizer_without_the_family_s_tokens_is_broken(copy: Callable[[str], Path]) -> None:
    folder = copy("gemma3")
    for key in ("boi_token", "model_specific_special_tokens", "extra_special_tokens"):
        edit(folder / "tokenizer_config.json", **{key: None})
    with pytest.raises(BrokenCheckpoint, match="boi_token"):
        load_processors(str(folder))


TEMPLATE = "{% for message in messages %}{{ message['role'] }}{% endfor %}"


@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("chat_template.json", TEMPLATE),
        ("processor_config.json", TEMPLATE),
        ("tokenizer_config.json", TEMPLATE),
        ("tokenizer_config.json", [{"name": "tools", "template": "no"}, {"name": "default", "template": TEMPLATE}]),
    ],
)
@pytest.mark.parametrize("name", ["llava_clip", "smolvlm"])
def test_the_chat_template_is_found_where_repositories_keep_it(
    name: str, file: str, value: Any, copy: Callable[[str], Path]
) -> None:
    folder = copy(name)
    edit(folder / file, chat_template=value)
    assert load_processors(str(folder)).chat_template == (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    parts = load_processors(str(folder))
    assert parts.chat_template == TEMPLATE
    assert parts.processor.apply_chat_template([{"role": "user", "content": [{"type": "text", "text": "a"}]}]) == "user"


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl", "idefics3"])
def test_settings_inside_processor_config_are_read(name: str, copy: Callable[[str], Path]) -> None:
    folder = copy(name)
    pictures = json.loads((folder / "preprocessor_config.json").read_text())
    before = load_processors(str(folder)).image_processor(images=picture(0), return_tensors="np")["pixel_values"]
    edit(folder / "processor_config.json", image_processor=pictures)
    (folder / "preprocessor_config.json").unlink()
    after = load_processors(str(folder)).image_processor(images=picture(0), return_tensors="np")["pixel_values"]
    assert np.array_equal(before, after)


@pytest.mark.parametrize(
    "changes",
    [
        {"image_processor_type": "CLIPImageProcessorFast"},
        {"image_processor_type": "CLIPImageProcessorPil"},
        {"image_processor_type": None, "feature_extractor_type": "CLIPFeatureExtractor"},
        {"image_processor_type": None},
    ],
)
def test_other_names_of_an_image_processor_are_pillow_too(changes: dict[str, Any], copy: Callable[[str], Path]) -> None:
    folder = copy("llava_clip")
    edit(folder / "preprocessor_config.json", **changes)
    assert isinstance(load_processors(str(folder)).image_processor, PilBackend)


def test_the_processor_class_is_found_from_the_model_type(copy: Callable[[str], Path]) -> None:
    folder = copy("internvl")
    for file in ("preprocessor_config.json", "processor_config.json", "tokenizer_config.json"):
        edit(folder / file, processor_class=None)
    assert type(load_processors(str(folder)).processor).__name__ == "InternVLProcessor"


def test_a_second_tokenizer_is_read_from_its_own_folder(copy: Callable[[str], Path]) -> None:
    folder = copy("blip2")
    edit(folder / "processor_config.json", processor_class="InstructBlipProcessor")
    assert load_processors(str(folder)).processor is None
    (folder / "qformer_tokenizer").mkdir()
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / file, folder / "qformer_tokenizer" / file)
    inputs = load_processors(str(folder)).processor(text="what is it?", images=picture(0), return_tensors="pt")
    assert inputs["qformer_input_ids"].shape[1] > 1


def test_an_unknown_processor_class_leaves_tokenizer_and_image_processor(copy: Callable[[str], Path]) -> None:
    folder = copy("llava_clip")
    edit(folder / "preprocessor_config.json", processor_class="NoSuchProcessor")
    edit(folder / "processor_config.json", processor_class="NoSuchProcessor")
    parts = load_processors(str(folder))
    assert parts.processor is None
    assert isinstance(parts.image_processor, PilBackend)
    assert parts.chat_template


def test_an_image_processor_that_needs_torchvision_says_so(copy: Callable[[str], Path]) -> None:
    folder = copy("llava_clip")
    edit(folder / "preprocessor_config.json", image_processor_type="Sam2ImageProcessor")
    if importlib.util.find_spec("torchvision"):
        assert type(load_processors(str(folder)).image_processor).__name__ == "Sam2ImageProcessor"
    else:
        with pytest.raises(Unsupported, match="works with torchvision only"):
            load_processors(str(folder))


def test_code_of_a_repository_is_not_run(copy: Callable[[str], Path], tmp_path: Path) -> None:
    folder, trace = copy("llava_clip"), tmp_path / "ran"
    (folder / "evil.py").write_text(
        f"open({str(trace)!r}, 'w')\nclass Evil: pass\nEvilTokenizer = EvilConfig = EvilPictures = Evil\n"
    )
    edit(folder / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.EvilConfig"})
    with pytest.raises(RemoteCode, match="'evil'"):
        load_processors(str(folder))
    edit(folder / "config.json", model_type="llava", auto_map={"AutoConfig": "evil.EvilConfig"})
    assert load_processors(str(folder)).processor
    edit(folder / "preprocessor_config.json", image_processor_type="Evil", auto_map={"AutoImageProcessor": "evil.EvilPictures"})
    with pytest.raises(RemoteCode, match="image processor"):
        load_processors(str(folder))
    edit(folder / "preprocessor_config.json", image_processor_type="CLIPImageProcessor")
    edit(folder / "tokenizer_config.json", tokenizer_class="Evil", auto_map={"AutoTokenizer": [None, "evil.EvilTokenizer"]})
    load_processors(str(folder))  # tokenizer.json is read without the class
    assert not trace.exists()


def test_a_model_type_nobody_knows_is_named(copy: Callable[[str], Path]) -> None:
    folder = copy("llava_clip")
    edit(folder / "config.json", model_type="llava_from_tomorrow")
    with pytest.raises(NotAVisionLanguageModel, match="'llava_from_tomorrow'"):
        load_processors(str(folder))
    edit(folder / "config.json", model_type=None)
    with pytest.raises(BrokenCheckpoint, match="has no model_type"):
        load_processors(str(folder))


def test_a_chat_template_that_is_not_text_is_named(copy: Callable[[str], Path]) -> None:
    folder = copy("llava_clip")
    noise(folder / "chat_template.jinja")
    with pytest.raises(BrokenCheckpoint, match=r"chat_template\.jinja.*Copy the file again"):
        load_processors(str(folder))


def response(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    Exception.__init__(error, "no")
    return error


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (hub.GatedRepoError, GatedCheckpoint),
        (hub.RepositoryNotFoundError, UnknownCheckpoint),
        (hub.RevisionNotFoundError, UnknownCheckpoint),
        (hub.HfHubHTTPError, NoNetwork),
        (hub.LocalEntryNotFoundError, NoNetwork),
    ],
)
def test_what_the_hub_says_becomes_a_sentence(
    raised: type[Exception], expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> str:
        raise response(raised)

    monkeypatch.setattr("model.loading.processors.snapshot_download", refuse)
    with pytest.raises(expected, match="someone/llava@main"):
        load_processors("someone/llava", revision="main")


def test_a_repository_that_is_not_here_is_not_looked_for_on_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NoNetwork, match="someone/llava"):
        load_processors("someone/llava", local_files_only=True)
    with pytest.raises(UnknownCheckpoint, match="no/such/folder"):
        load_processors("no/such/folder", local_files_only=True)


def test_a_repository_is_read_from_its_snapshot(checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def snapshot(repo: str, **kwargs: Any) -> str:
        asked.update(kwargs, repo=repo)
        return str(checkpoint("llava_clip"))

    monkeypatch.setattr("model.loading.processors.snapshot_download", snapshot)
    assert load_processors("someone/llava", revision="abc", local_files_only=True).processor
    assert (asked["repo"], asked["revision"], asked["local_files_only"]) == ("someone/llava", "abc", True)
    assert not any(pattern.endswith(("safetensors", "bin", "py")) for pattern in asked["allow_patterns"])
