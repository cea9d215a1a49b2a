"""The examples of CONTRIBUTING, added to a copy of the repository as written: found, run, and under the contract tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from guide import examples, extended_copy

SCENES = 12
MIN_P = """
import json
from model import Core, Options, from_image
from model.decoders import decoder
from studies.world.draw import draw
from studies.world.scene import make_scene

core, scene = Core(), from_image(draw(make_scene(4), 224))
def said(*given):
    return core.answer("Describe the image.", scene, options=Options(24, *given)).text
narrow, wide = decoder("min_p", {"min_p": 1.0, "temperature": 2.0}), decoder("min_p", {"min_p": 0.0, "temperature": 2.0})
drawn = [[said(kind, seed) for seed in (1, 2)] for kind in (narrow, wide)]
print(json.dumps([said(), *drawn, Options(24, narrow).words]))
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the repository with every example in it."""
    folder = extended_copy(tmp_path_factory.mktemp("extended") / "fovea")
    yield folder
    shutil.rmtree(folder)


def run(folder: Path, *arguments: str) -> str:
    """What `python ...` prints in the copy; it must end well."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=900,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def entries() -> set[str]:
    """Names of the examples, by which tests over all entries of a kind have theirs."""
    paths = {Path(path) for path in examples() if path.endswith(".py")}
    return {path.parent.name if path.parts[0] == "panels" else path.stem.removeprefix("zoo_") for path in paths}


def test_examples_are_whole_files() -> None:
    assert {Path(path).parts[:2] for path in examples()} >= {
        ("model", "heat"), ("model", "families"), ("model", "decoders"), ("tests", "kit"),
        ("panels", "brightness"), ("assets", "js"), ("assets", "css"),
    }  # fmt: skip


@pytest.mark.slow
def test_the_examples_are_found_and_keep_the_contracts(extended: Path) -> None:
    run(extended, "app.py", "readme")
    readme = (extended / "README.md").read_text(encoding="utf-8")
    assert "| Similarity to the word's state | Cosine of" in readme
    assert "| Brightness | What happens to an answer when the picture gets darker. |" in readme
    assert "| DeepSeek-VL | `deepseek_vl` | yes |" in readme
    assert "`python app.py study yes-bias`" in (extended / "docs" / "costs.md").read_text(encoding="utf-8")
    run(extended, "app.py", "types")
    assert "interface DarkAnswers" in (extended / "assets" / "js" / "types.d.ts").read_text(encoding="utf-8")
    rules = ["heat", "families", "decoders", "generation/test_generation.py"]
    rules = [*(f"tests/model/{one}" for one in rules), "tests/panels/test_panels.py", "tests/test_layers.py"]
    names = " or ".join(entries())
    printed = run(extended, "-m", "pytest", "-p", "no:cacheprovider", *rules, "-k", names)
    passed = re.search(r"(\d+) passed", printed)
    assert passed, printed
    assert int(passed[1]) > 30, printed


def test_the_example_of_a_decoder_draws_as_its_definition_says(extended: Path) -> None:
    """Where a token must be as likely as the likeliest, only that one is left."""
    greedy, narrow, wide, words = json.loads(run(extended, "-c", MIN_P).splitlines()[-1])
    assert narrow == [greedy, greedy]
    assert wide[0] != wide[1]
    assert words == "Min-p, temperature 2, min-p 1, seed 0"


def test_the_example_of_a_study_measures(extended: Path) -> None:
    printed = run(extended, "app.py", "study", "yes-bias", "--scenes", str(SCENES), "--json")
    found = json.loads(printed.splitlines()[-1])
    assert found["n"] == SCENES
    assert found["low"] <= found["yes_rate"] <= found["high"] <= 0.5  # the built-in checkpoint says no to what is not there
