"""From files to a model: what is checked before a weight is read, what is estimated, and what each failure says."""

from __future__ import annotations

import builtins
import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from bed import Bed
from fakes import picture
from safetensors.torch import load_file, save_file

from model.checkpoint import Checkpoint, parse_spec
from model.core import Core
from model.errors import (
    BrokenCheckpoint,
    CheckpointError,
    NotAVisionLanguageModel,
    RemoteCode,
    TooBig,
    UnknownCheckpoint,
    UnsafeWeights,
    Unsupported,
)
from model.loading import load as loading
from model.loading.files import Files, inspect_folder
from model.loading.load import OVERHEAD, Placement, check_fits, pick_device, pick_dtype, place, weights_digest
from model.options import Options
from model.prompt import ask

CPU = torch.device("cpu")


@pytest.fixture
def copy(folder_of: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint that may be broken."""

    def make(name: str = "llava_clip", called: str = "mine") -> Path:
        return shutil.copytree(folder_of(name), tmp_path / called)

    return make


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None removes one."""
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def load(folder: Path, **options: Any) -> Core:
    core = Core()
    for _ in core.load(replace(parse_spec(str(folder)), **options)):
        pass
    return core


# --- files ------------------------------------------------------------------------------------


def test_a_folder_s_weights_are_counted_from_their_headers(folder_of: Callable[[str], Path]) -> None:
    for name in ("llava_clip", "qwen2_vl", "paligemma"):
        folder = folder_of(name)
        found, tensors = inspect_folder(folder, name), load_file(folder / "model.safetensors")
        assert found.elements == sum(tensor.numel() for tensor in tensors.values())
        assert found.stored_bytes == sum(tensor.nbytes for tensor in tensors.values())
        assert found.weights == (folder / "model.safetensors",)
        assert found.config["model_type"]


def shard(folder: Path, count: int = 3) -> None:
    """The same weights in several files with an index, as large checkpoints have them."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    index: dict[str, str] = {}
    for i, name in enumerate(names):
        part = {key: tensor for n, (key, tensor) in enumerate(sorted(tensors.items())) if n % count == i}
        save_file(part, folder / name, {"format": "pt"})
        index |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def test_weights_in_several_files_are_those_of_the_index(copy: Callable[..., Path], folder_of: Callable[[str], Path]) -> None:
    folder, whole = copy(), inspect_folder(folder_of("llava_clip"), "whole")
    shard(folder)
    shutil.copy(folder_of("qwen2_vl") / "model.safetensors", folder / "consolidated.safetensors")
    found = inspect_folder(folder, "mine")
    assert [path.name for path in found.weights] == [f"model-{i}-of-00003.safetensors" for i in ("00001", "00002", "00003")]
    assert (found.elements, found.stored_bytes) == (whole.elements, whole.stored_bytes)
    one, other = load(folder), load(folder_of("llava_clip"))
    answers = [c.answer("Is it?", picture(0), checkpoint=s.checkpoint) for c in (one, other) for s in c.loaded()]
    assert answers[0].text == answers[1].text
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(BrokenCheckpoint, match=r"mine lacks model-00002-of-00003\.safetensors\. Download it again"):
        inspect_folder(folder, "mine")


@pytest.mark.parametrize(
    "index", ["{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": "../../etc/passwd"}}', '{"weight_map": {"a": 5}}', '{"a": 1}']
)
def test_an_index_that_is_damaged_is_named(index: str, copy: Callable[..., Path]) -> None:
    folder = copy()
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(BrokenCheckpoint, match=r"index\.json is damaged|mine lacks"):
        inspect_folder(folder, "mine")


def header(content: Any, body: bytes = b"") -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    "data",
    [
        b"", b"abc", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 100) + b"{}", header(b"not json"), header(b"\xff\xfe"),
        header([1, 2]), header({"a": 5}), header({"a": {"dtype": "F32"}}), header({"a": {"dtype": "F32", "data_offsets": [0]}}),
        header({"a": {"dtype": "F32", "data_offsets": ["x", 4]}}),
        header({"a": {"dtype": "F32", "data_offsets": [0, 400]}}, b"1" * 40), header(b"[" * 100_000),
    ],
)  # fmt: skip
def test_damaged_weights_are_found_before_they_are_read(data: bytes, copy: Callable[..., Path]) -> None:
    folder = copy()
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(BrokenCheckpoint, match=r"mine's model\.safetensors is cut off or damaged .* Download it again\."):
        inspect_folder(folder, "mine")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_weights_that_are_cut_off_are_found(share: float, copy: Callable[..., Path]) -> None:
    folder = copy()
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(BrokenCheckpoint, match="cut off or damaged"):
        load(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.ckpt", "model.pkl"])
def test_a_pickle_is_never_opened(name: str, copy: Callable[..., Path]) -> None:
    folder = copy()
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(UnsafeWeights, match=rf"mine has only {name}, a pickle that can run code when opened\. .*save_pretrained"):
        load(folder)


@pytest.mark.parametrize(
    ("break_it", "error", "said"),
    [
        (lambda f: (f / "model.safetensors").unlink(), BrokenCheckpoint, r"has a config but no weights .* Download"),
        (lambda f: (f / "config.json").unlink(), BrokenCheckpoint, r"has no config\.json .* save_pretrained wrote"),
        (lambda f: (f / "config.json").write_text("{"), BrokenCheckpoint, r"config\.json is damaged"),
        (lambda f: (f / "config.json").write_text("[1]"), BrokenCheckpoint, r"config\.json holds no settings"),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe"), BrokenCheckpoint, r"config\.json is damaged"),
        (lambda f: (f / "config.json").write_text("[" * 100_000), BrokenCheckpoint, r"config\.json is damaged"),
        (lambda f: edit(f / "config.json", model_type="bert"), NotAVisionLanguageModel, "is a bert, which does not answer"),
        (lambda f: edit(f / "config.json", model_type=None), NotAVisionLanguageModel, "names no model_type, so nobody can tell"),
        (lambda f: edit(f / "config.json", model_type=["llava"]), NotAVisionLanguageModel, "names no model_type"),
        (
            lambda f: edit(f / "config.json", model_type="cogvlm", auto_map={"AutoModel": "evil.py"}),
            RemoteCode,
            "wants its own Python code to run .* never done here. .* -hf",
        ),
        (lambda f: (f / "tokenizer.json").unlink(), BrokenCheckpoint, "has no tokenizer"),
        (lambda f: (f / "preprocessor_config.json").unlink(), BrokenCheckpoint, r"preprocessor_config\.json"),
    ],
)
def test_each_thing_that_can_be_missing_or_wrong_has_a_sentence(
    break_it: Callable[[Path], Any], error: type[Exception], said: str, copy: Callable[..., Path]
) -> None:
    folder = copy()
    break_it(folder)
    with pytest.raises(error, match=said):
        load(folder)


def test_a_folder_that_went_away_is_said(copy: Callable[..., Path]) -> None:
    folder = copy()
    spec = parse_spec(str(folder))
    shutil.rmtree(folder)
    core = Core()
    with pytest.raises(UnknownCheckpoint, match=r"There is no folder .*mine; it was moved or deleted"):
        list(core.load(spec))
    with pytest.raises(UnknownCheckpoint, match="moved or deleted"):
        core.capabilities(spec)


ODD = (None, [], {}, "text", 0, -1, 3.5, True, [None], {"a": None}, 10**9)


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl"])
def test_a_config_with_anything_in_it_loads_or_is_refused(name: str, copy: Callable[..., Path], bed: Bed) -> None:
    """Each setting that sizes or names something, made odd: a CheckpointError or a checkpoint, never anything else."""
    folder, core = copy(name), Core()
    whole = (folder / "config.json").read_text()
    keys = [
        "vision_config",
        "text_config",
        "image_token_id",
        "image_token_index",
        "vision_feature_layer",
        "dtype",
        "architectures",
    ]
    refused = 0
    for i, key in enumerate(
        [*keys, *[f"text_config.{k}" for k in ("hidden_size", "vocab_size", "num_attention_heads", "dtype")]]
    ):
        for value in ODD[i % 3 :: 3]:
            config = json.loads(whole)
            place, _, inner = key.partition(".")
            if inner:
                config[place][inner] = value
            else:
                config[place] = value
            (folder / "config.json").write_text(json.dumps(config))
            try:
                list(core.load(parse_spec(str(folder))))
            except (CheckpointError, Unsupported) as error:
                refused += 1
                sentence = str(error)
            else:
                core.unload(parse_spec(str(folder)))
                continue
            assert sentence.strip().endswith(".")
            assert len(sentence) < 700
    assert refused > 10


# --- weights that do not fit ------------------------------------------------------------------


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})


def test_weights_that_lack_much_are_refused_and_a_little_is_told(copy: Callable[..., Path]) -> None:
    folder = copy()
    rewrite(folder, lambda t: {k: v for k, v in t.items() if "multi_modal_projector.linear_1.bias" not in k})
    core = load(folder)
    (status,) = core.loaded()
    lacking = "1 of its weights (model.multi_modal_projector.linear_1.bias)"
    assert status.warnings == (f"Not in its files, and as in a layer that was never trained: {lacking}.",)
    rewrite(folder, lambda t: {k: v for k, v in t.items() if "layers.0." not in k})
    with pytest.raises(
        BrokenCheckpoint, match=r"mine lacks \d+ of its weights \(.*layers\.0.* and more\), without which an answer is noise\."
    ):
        load(folder)


def test_no_checkpoint_of_the_zoo_lacks_anything(bed: Bed) -> None:
    for name in ("llava_clip", "qwen2_vl", "paligemma", "gemma3", "mllama", "smolvlm", "tiny-llava"):
        assert bed.vlm(name).parts.warnings == ()


@pytest.mark.parametrize("part", ["text_config", "vision_config"])
def test_a_config_without_a_part_does_not_make_a_large_one_at_random(
    part: str, copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, read = copy(), []
    edit(folder / "config.json", **{part: None})
    monkeypatch.setattr(
        loading.transformers.AutoModelForImageTextToText, "from_pretrained", lambda *args, **more: read.append(args)
    )
    with pytest.raises(BrokenCheckpoint, match=r"describes [\d,]{9,} weights, and its files hold [\d,]+\. Download"):
        load(folder)
    assert read == []


def test_weights_of_another_shape_are_refused(copy: Callable[..., Path]) -> None:
    folder = copy()
    rewrite(folder, lambda t: {k: v[: len(v) // 2].contiguous() if "embed_tokens" in k else v for k, v in t.items()})
    with pytest.raises(
        BrokenCheckpoint,
        match=r"weights do not fit its config\.json: .*embed_tokens\.weight is 253 x 64 in the files and 507 x 64",
    ):
        load(folder)


def test_one_bit_that_flipped_is_another_digest(copy: Callable[..., Path]) -> None:
    folder = copy()
    before = weights_digest(inspect_folder(folder, "mine"))
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-100] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(data))
    assert weights_digest(inspect_folder(folder, "mine")) != before
    assert len(before) == 64


def test_nothing_of_a_repository_is_run(copy: Callable[..., Path], tmp_path: Path) -> None:
    folder, trace = copy(), tmp_path / "ran"
    for name in ("modeling_evil.py", "configuration_evil.py", "processing_evil.py", "custom_generate/generate.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"open({str(trace)!r}, 'w')\nclass Evil: pass\n")
    code = {"AutoConfig": "configuration_evil.Evil", "AutoModelForImageTextToText": "modeling_evil.Evil"}
    edit(folder / "config.json", auto_map=code)
    core = load(folder)
    assert core.answer("Is it?", picture(0), checkpoint=str(folder), options=Options(max_new_tokens=2)).text
    assert not trace.exists()


# --- device, precision, memory ----------------------------------------------------------------


def machine(monkeypatch: pytest.MonkeyPatch, cuda: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("wanted", "cuda", "mps", "expected"),
    [
        ("auto", 0, False, "cpu"), ("auto", 2, False, "cuda:0"), ("auto", 0, True, "mps"), ("auto", 1, True, "cuda:0"),
        ("cpu", 1, True, "cpu"), ("cuda", 1, False, "cuda:0"), ("cuda:1", 2, False, "cuda:1"), ("mps", 1, True, "mps"),
        ("cuda", 0, False, None), ("cuda:1", 1, False, None), ("mps", 1, False, None),
    ],
)  # fmt: skip
def test_the_device_is_the_one_meant_or_said_to_be_absent(
    wanted: str, cuda: int, mps: bool, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, cuda, mps)
    if expected is None:
        with pytest.raises(CheckpointError, match=f"There is no {wanted} on this machine. Leave the device out, or use :cpu"):
            pick_device(wanted)
    else:
        assert str(pick_device(wanted)) == expected


@pytest.mark.parametrize(
    ("wanted", "config", "device", "expected"),
    [
        ("auto", {"dtype": "bfloat16"}, "cpu", torch.float32),
        ("auto", {"dtype": "bfloat16"}, "cuda", torch.bfloat16),
        ("auto", {"torch_dtype": "float16"}, "cuda", torch.float16),
        ("auto", {"dtype": "torch.float32"}, "mps", torch.float32),
        ("auto", {"text_config": {"dtype": "float16"}}, "cuda", torch.float16),
        ("auto", {"text_config": None}, "cuda", torch.bfloat16),
        ("auto", {"dtype": "float8_e4m3fn"}, "cuda", torch.bfloat16),
        ("auto", {}, "cuda", torch.bfloat16),
        ("bfloat16", {"dtype": "float32"}, "cpu", torch.bfloat16),
        ("float16", {}, "cuda", torch.float16),
    ],
)
def test_the_precision_is_the_one_meant(wanted: str, config: dict[str, Any], device: str, expected: torch.dtype) -> None:
    assert pick_dtype(wanted, config, torch.device(device)) == expected


@pytest.mark.parametrize(
    ("spec", "bytes_each"),
    [({}, 4), ({"dtype": "bfloat16"}, 2), ({"quantization": "int8"}, 1), ({"quantization": "nf4"}, 4.5 / 8)],
)
def test_the_need_is_estimated_from_the_number_of_weights(spec: dict[str, Any], bytes_each: float) -> None:
    found = Files(Path(), {"dtype": "bfloat16"}, (), 7 * 10**9, 14 * 10**9)
    placement = place(replace(Checkpoint("big", "a/big"), device="cpu", **spec), found)
    assert placement.needed_bytes == round(7e9 * bytes_each * OVERHEAD)
    small = replace(found, config={"quantization_config": {"bits": 4}}, stored_bytes=4 * 10**9)
    assert place(Checkpoint("big", "a/big", device="cpu"), small).needed_bytes == round(4e9 * OVERHEAD)


def test_the_estimate_is_near_what_is_taken(bed: Bed) -> None:
    for name in ("llava_clip", "qwen2_vl", "mllama", "paligemma"):
        vlm = bed.vlm(name)
        placement = place(bed.spec(name), inspect_folder(bed.spec(name).folder, name))
        assert vlm.size_bytes <= placement.needed_bytes <= 1.3 * vlm.size_bytes


@pytest.mark.parametrize(
    ("spec", "device", "cure"),
    [
        ({}, "cpu", "Write :bfloat16 behind its name to halve that"),
        ({"dtype": "bfloat16"}, "cpu", "Unload another checkpoint or choose a smaller one"),
        ({}, "cuda:0", "Write :nf4 behind its name"),
        ({"quantization": "nf4"}, "cuda:0", "Unload another checkpoint or choose a smaller one"),
    ],
)
def test_what_is_too_big_is_told_with_the_numbers_and_a_cure(
    spec: dict[str, Any], device: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "free_bytes", lambda device: 6 * 10**9)
    dtype = torch.float32 if device == "cpu" and not spec else torch.bfloat16
    placement = Placement(torch.device(device), dtype, 28 * 10**9)
    with pytest.raises(TooBig, match=rf"big needs about 28\.0 GB in .* and {device} has 8\.0 GB free\. {cure}"):
        check_fits(replace(Checkpoint("big", "a/big"), **spec), placement, 2 * 10**9)
    check_fits(Checkpoint("big", "a/big"), placement, 22 * 10**9)


def test_too_big_is_known_before_a_weight_is_read(
    own_bed: Bed, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []
    monkeypatch.setattr(loading, "free_bytes", lambda device: 10**5)
    monkeypatch.setattr(loading, "load_parts", lambda *args: read.append(args))
    with pytest.raises(TooBig, match="llava_clip needs about"):
        own_bed.vlm("llava_clip")
    assert read == []


def test_fewer_bits_need_packages_that_are_named(copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name in ("accelerate", "bitsandbytes"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CheckpointError, match="nf4 needs two more packages: pip install accelerate bitsandbytes"):
        load(copy(), quantization="nf4")


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_attention_asked_for_is_used(attention: str, folder_of: Callable[[str], Path]) -> None:
    core = load(folder_of("llava_clip"), attention=attention)
    (status,) = core.loaded()
    assert core.vlm(status.checkpoint).parts.config._attn_implementation == attention


def test_half_precision_answers_and_knows_its_short_cuts(folder_of: Callable[[str], Path]) -> None:
    core = load(folder_of("llava_clip"), dtype="bfloat16")
    (status,) = core.loaded()
    vlm = core.vlm(status.checkpoint)
    assert vlm.parts.model.dtype == torch.bfloat16
    assert vlm.prepare(ask("Is it?", picture(0))).tensors["pixel_values"].dtype == torch.bfloat16
    assert vlm.fast.features
    assert core.answer("Is it?", picture(0), checkpoint=status.checkpoint, options=Options(max_new_tokens=2)).text


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ImportError("needs the foo library"), CheckpointError, "needs a package that is not installed: needs the foo library"),
        (KeyError("hidden"), BrokenCheckpoint, "weights do not fit its config, or are damaged"),
        (ZeroDivisionError("by zero"), BrokenCheckpoint, r"by zero \(ZeroDivisionError\)"),
        (ValueError("LlavaModel does not support sdpa attention"), CheckpointError, "cannot use :sdpa"),
        (TooBig("as it is"), TooBig, "as it is"),
    ],
)
def test_what_goes_wrong_in_reading_is_told_by_kind(
    error: Exception, kind: type[Exception], said: str, copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(loading.transformers.AutoModelForImageTextToText, "from_pretrained", fail)
    with pytest.raises(kind, match=said):
        load(copy(), attention="sdpa")
