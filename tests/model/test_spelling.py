"""What people paste into the field of a checkpoint, and what it is taken for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from model.checkpoint import parse_spec
from model.core import Core
from model.errors import UnknownCheckpoint


@pytest.mark.parametrize(
    ("pasted", "spec"),
    [
        ("https://huggingface.co/llava-hf/llava-1.5-7b-hf", "llava-hf/llava-1.5-7b-hf"),
        ("https://huggingface.co/llava-hf/llava-1.5-7b-hf/", "llava-hf/llava-1.5-7b-hf"),
        ("http://hf.co/llava-hf/llava-1.5-7b-hf?library=transformers", "llava-hf/llava-1.5-7b-hf"),
        ("huggingface.co/llava-hf/llava-1.5-7b-hf", "llava-hf/llava-1.5-7b-hf"),
        ("https://huggingface.co/llava-hf/llava-1.5-7b-hf/tree/b234b804", "llava-hf/llava-1.5-7b-hf@b234b804"),
        ("https://huggingface.co/llava-hf/llava-1.5-7b-hf/blob/main/config.json", "llava-hf/llava-1.5-7b-hf@main"),
        ("'llava-hf/llava-1.5-7b-hf:bfloat16'", "llava-hf/llava-1.5-7b-hf:bfloat16"),
        ('"tiny-llava"', "tiny-llava"),
        ("  tiny-llava:eager ", "tiny-llava:eager"),
    ],
)
def test_an_address_and_quotes_are_understood(pasted: str, spec: str) -> None:
    assert parse_spec(pasted).spec == spec


@pytest.mark.parametrize("pasted", ["https://example.org/a/b", "ftp://huggingface.co/a/b", "https://huggingface.co/a", "'", "''"])
def test_other_addresses_are_refused(pasted: str) -> None:
    with pytest.raises(UnknownCheckpoint, match="There is no checkpoint"):
        parse_spec(pasted)


def test_a_name_of_ollama_is_told_what_it_is() -> None:
    with pytest.raises(UnknownCheckpoint, match=r"Names of Ollama \(name:size\) mean GGUF files"):
        parse_spec("llava:7b")


@pytest.fixture
def folder(folder_of: Callable[[str], Path], tmp_path: Path) -> Path:
    """A checkpoint in a folder with a blank in its name."""
    return shutil.copytree(folder_of("llava_clip"), tmp_path / "my model")


@pytest.mark.parametrize("form", ["{0}", "'{0}'", '"{0}"', "file://{0}", "{0}/", "{0}/config.json", "{0}/model.safetensors"])
def test_a_folder_however_it_is_written(form: str, folder: Path) -> None:
    assert parse_spec(form.format(folder)).source == str(folder)


def test_a_percent_sign_of_an_address_is_decoded(folder: Path) -> None:
    assert parse_spec(folder.as_uri()).source == str(folder)
    assert "%20" in folder.as_uri()


def test_options_stay_with_a_file_of_the_folder(folder: Path) -> None:
    spec = parse_spec(f"{folder}/config.json:eager")
    assert (spec.source, spec.attention) == (str(folder), "eager")


def test_of_a_training_run_the_last_checkpoint_is_meant(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    for step in (500, 1000, 90):
        shutil.copytree(folder_of("llava_clip"), tmp_path / "run" / f"checkpoint-{step}")
    (tmp_path / "run" / "checkpoint-2000").mkdir()  # not written yet
    spec = parse_spec(str(tmp_path / "run"))
    assert spec.source == str(tmp_path / "run" / "checkpoint-1000")
    assert spec.name == "checkpoint-1000"


def test_a_folder_of_the_hub_s_cache_is_the_snapshot_of_its_main_branch(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    cached = tmp_path / "models--owner--a-llava"
    for commit in ("a" * 40, "b" * 40):
        shutil.copytree(folder_of("llava_clip"), cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("a" * 40)
    assert parse_spec(str(cached)).source == str(cached / "snapshots" / ("a" * 40))
    (cached / "refs" / "main").unlink()
    assert Path(parse_spec(str(cached)).source).parent == cached / "snapshots"


def test_a_folder_without_either_is_left_as_it_is_and_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty" / "checkpoint-x").mkdir(parents=True)
    (tmp_path / "empty" / "notes.json").write_text(json.dumps({}))
    spec = parse_spec(str(tmp_path / "empty"))
    assert spec.source == str(tmp_path / "empty")
    with pytest.raises(Exception, match=r"empty has no config\.json in"):
        list(Core().load(spec))
