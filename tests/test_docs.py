"""What the documents say is so: tables, examples, queries, commands."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from store_fixtures import picture, says, turn

from app.log.store import FILE, Store
from app.readme import ROOT, TABLES, rewrite
from app.settings import ENVIRONMENT
from studies.world.files import from_png, to_png
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "assets" / "examples" / "scene.png"


def block(heading: str, language: str) -> str:
    """The first block in that language below a heading of the README."""
    found = re.search(rf"^#+ {re.escape(heading)}\n.*?^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found, f"no {language} block below {heading}"
    return found[1]


def test_the_tables_of_the_readme_are_those_the_program_writes() -> None:
    assert rewrite(README) == README, "run `python app.py readme`"
    assert set(re.findall(r"<!-- table: (\w+) -->", README)) == set(TABLES)


def test_what_the_readme_shows_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert links
    assert all((ROOT / link).exists() for link in links), links
    for name in re.findall(r"`((?:app|model|panels|studies|assets|tests)/[\w/.-]*)`", README):
        assert (ROOT / name).exists(), name


def test_the_example_scene_is_the_one_the_world_draws() -> None:
    scene = make_scene(held_out_seed(47))
    data = EXAMPLE.read_bytes()
    assert from_png(data) == scene
    assert len(data) < 100_000
    assert from_png(to_png(scene)) == scene


def test_the_python_example_runs_and_is_right() -> None:
    heart = next(thing for thing in make_scene(held_out_seed(47)).things if thing.shape == "heart")
    done = subprocess.run(
        [sys.executable, "-c", block("From Python", "python")], cwd=ROOT, capture_output=True, text=True, timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == heart.colour
    assert lines[1].startswith("Yes ["), lines[1]  # there is a red star
    assert any(line.startswith("Token(") for line in lines)
    assert lines[-1].startswith("Finished(")
    assert len(block("From Python", "python").splitlines()) <= 10


def test_the_queries_of_the_readme_run_on_a_real_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "data")
    turn(store, says("user", picture(), "What is it?"), answer="a heart")
    turn(store, says("user", "Hello"), answer="hello")
    store.close()
    assert (tmp_path / "data" / FILE).exists()
    monkeypatch.chdir(tmp_path)
    frames: list[pd.DataFrame] = []
    read = pd.read_sql

    def kept(sql: str, log: sqlite3.Connection) -> pd.DataFrame:
        frames.append(read(sql, log))
        return frames[-1]

    monkeypatch.setattr(pd, "read_sql", kept)
    names: dict[str, object] = {}
    exec(compile(block("The log", "python"), "README.md", "exec"), names)
    names["log"].close()  # type: ignore[attr-defined]
    newest, speeds = frames
    assert list(newest["answer"]) == ["hello", "a heart"]
    assert list(newest["question"]) == ["Hello", "What is it?"]
    assert list(speeds["checkpoint"]) == ["tiny-llava"]
    assert list(speeds["runs"]) == [2]


def test_help_names_every_environment_variable_and_command() -> None:
    done = subprocess.run([sys.executable, "app.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert all(name in done.stdout for names in ENVIRONMENT for name in names.split(", "))
    for command in re.findall(r"`python app.py (\w+)", README):
        assert command in done.stdout, command


def test_requirements_hold_the_packages_of_the_card_with_floors_and_ceilings() -> None:
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    wanted = {re.split(r"[<>=\[; ]", line)[0]: line for line in lines if line and not line.startswith("-")}
    card = {"gradio", "torch", "transformers", "plotly", "pandas", "matplotlib", "pillow", "decord", "sqlite-utils"}
    assert card <= set(wanted), card - set(wanted)
    assert all(">=" in wanted[name] and "<" in wanted[name] for name in card)
    assert "torchvision" not in wanted
