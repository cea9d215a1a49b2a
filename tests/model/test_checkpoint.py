"""What a person types for a checkpoint, and what is made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.checkpoint import Checkpoint, builtin_folders, parse_spec
from model.errors import UnknownCheckpoint


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a folder of a checkpoint in it."""
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_built_in_checkpoints_are_found_by_name() -> None:
    assert {"tiny-llava", "tiny-llava-stage1"} <= set(builtin_folders())
    spec = parse_spec(" tiny-llava ")
    assert spec == Checkpoint("tiny-llava", "tiny-llava")
    assert spec.folder == builtin_folders()["tiny-llava"]
    assert (spec.folder / "config.json").is_file()


@pytest.mark.parametrize("text", ["runs/mine", "./runs/mine", "runs/mine/", "runs/../runs/mine"])
def test_a_folder_is_found_and_written_down_whole(text: str, here: Path) -> None:
    spec = parse_spec(text)
    assert spec == Checkpoint("mine", str(here / "runs" / "mine"))
    assert spec.folder == here / "runs" / "mine"


def test_a_folder_in_the_home_directory(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert parse_spec("~/runs/mine").source == str(here / "runs" / "mine")
    assert parse_spec("~/runs/mine:eager").attention == "eager"


def test_a_folder_comes_before_the_hub_and_a_built_in_name_before_a_folder(here: Path) -> None:
    assert parse_spec("runs/mine").folder
    assert parse_spec("runs/other") == Checkpoint("other", "runs/other")
    (here / "tiny-llava").mkdir()
    assert parse_spec("tiny-llava").source == "tiny-llava"


def test_names_of_folders_may_hold_what_separates_elsewhere(here: Path) -> None:
    (here / "step:10@b").mkdir()
    assert parse_spec("step:10@b") == Checkpoint("step:10@b", str(here / "step:10@b"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("llava-hf/llava-1.5-7b-hf", Checkpoint("llava-1.5-7b-hf", "llava-hf/llava-1.5-7b-hf")),
        ("a/b@main", Checkpoint("b (main)", "a/b", revision="main")),
        ("a/b@refs/pr/3", Checkpoint("b (refs/pr/3)", "a/b", revision="refs/pr/3")),
        ("a/b@v1.0:bf16", Checkpoint("b (v1.0,bfloat16)", "a/b", revision="v1.0", dtype="bfloat16")),
        ("a/b:cuda:1,fp16", Checkpoint("b (cuda:1,float16)", "a/b", device="cuda:1", dtype="float16")),
        ("a/b: 4bit , eager", Checkpoint("b (nf4,eager)", "a/b", quantization="nf4", attention="eager")),
        ("a/b:8bit,sdpa,cpu,fp32", Checkpoint("b (int8,sdpa,cpu,float32)", "a/b", None, None, "float32", "cpu", "int8", "sdpa")),
        ("tiny-llava:mps", Checkpoint("tiny-llava (mps)", "tiny-llava", device="mps")),
        ("a/b:", Checkpoint("b", "a/b")),
        ("a/b@", Checkpoint("b", "a/b")),
    ],
)  # fmt: skip
def test_revisions_and_options_are_read(text: str, expected: Checkpoint) -> None:
    assert parse_spec(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no checkpoint ''"),
        ("   ", "no checkpoint ''"),
        ("nothing-here", "Built in: tiny-llava"),
        ("../escape", "no checkpoint"),
        ("a/../b", "no checkpoint"),
        ("a/b/c", "no checkpoint"),
        ("/no/such/folder", "A folder must exist"),
        ("https://example.org/a/b", "no checkpoint"),
        ("file:///nowhere", "no checkpoint"),
        ("a/b;rm -rf", "no checkpoint"),
        ("a/b\x00", "no checkpoint"),
        ("~nobody-of-that-name/x/y", "no checkpoint"),
        ("<script>alert(1)</script>", "no checkpoint"),
        ("\ud800/\udfff", "no checkpoint"),
        ("x" * 5000, "no checkpoint"),
        ("a/b@../../etc", "is no revision"),
        ("a/b@a b", "is no revision"),
        ("a/b@" + "c" * 200, "is no revision"),
        ("a/b:fast", "'fast' is no option .* Known: auto, float32, bfloat16, float16, int8, nf4, sdpa, eager, cpu, cuda"),
        ("a/b:bf16,fp16", "'fp16' is no option"),
        ("a/b:cuda:x", "no option"),
        ("a/b:cpu,cuda", "no option"),
        ("tiny-llava@main", "tiny-llava is a folder, which has no revisions"),
    ],
)
def test_what_is_no_checkpoint_is_said_with_what_is(text: str, said: str) -> None:
    with pytest.raises(UnknownCheckpoint, match=said) as told:
        parse_spec(text)
    assert len(str(told.value)) < 600
    str(told.value).encode("utf-8", "strict")


def test_a_revision_of_a_folder_is_refused(here: Path) -> None:
    with pytest.raises(UnknownCheckpoint, match=r"mine is a folder, which has no revisions. Leave out @main"):
        parse_spec("runs/mine@main:bf16")


def test_equal_specs_have_equal_ids_and_survive_json(here: Path) -> None:
    texts = ["tiny-llava", "runs/mine", "a/b", "a/b@main", "a/b:bf16", "a/b:cpu", "a/b:nf4", "a/b:eager", "tiny-llava:fp32"]
    specs = [parse_spec(text) for text in texts]
    assert len({spec.id for spec in specs}) == len(specs)
    for spec, text in zip(specs, texts, strict=True):
        assert spec.id == parse_spec(text).id
        assert len(spec.id) == 16
        assert int(spec.id, 16) >= 0
        again = Checkpoint.from_json(spec.to_json())
        assert (again, again.id) == (spec, spec.id)
        assert json.loads(spec.to_json())["source"] == spec.source


def test_a_folder_that_went_away_is_no_folder(here: Path) -> None:
    spec = parse_spec("runs/mine")
    (here / "runs" / "mine").rmdir()
    assert spec.folder is None


@pytest.mark.parametrize(
    "text",
    [
        "tiny-llava",
        "tiny-llava:nf4,eager",
        "owner/name",
        "owner/name@main",
        "owner/name@b234b804:bfloat16,cuda:1",
        "owner/name:cpu,int8",
    ],
)
def test_a_checkpoint_says_what_to_type_for_it(text: str) -> None:
    assert parse_spec(parse_spec(text).spec) == parse_spec(text)
