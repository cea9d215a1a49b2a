"""What the documents say is so: tables, examples, queries, commands."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from program import Program
from store_fixtures import picture, says, turn

from app.log.store import FILE, Store
from app.readme import ROOT, TABLES, pages, rewrite
from app.settings import ENVIRONMENT
from studies.world.files import from_png, to_png
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in pages()}
README = PAGES["README.md"]
LINKED = {**PAGES, **{name: (ROOT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "studies/README.md")}}
PAGE_LINES = 160
EXAMPLE = ROOT / "assets" / "examples" / "scene.png"


def block(page: str, heading: str, language: str) -> str:
    """The first block in that language below a heading of a page."""
    found = re.search(rf"^#+ {re.escape(heading)}\n.*?^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)
    assert found, f"no {language} block below {heading} in {page}"
    return found[1]


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_of_a_page_are_those_the_program_writes(page: str) -> None:
    assert rewrite(PAGES[page]) == PAGES[page], "run `python app.py readme`"


def test_every_table_stands_on_one_page() -> None:
    assert sorted(name for text in PAGES.values() for name in re.findall(r"<!-- table: (\w+) -->", text)) == sorted(TABLES)


@pytest.mark.parametrize("page", LINKED)
def test_what_a_page_names_is_there(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", LINKED[page]) if not link.startswith("http")]
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
    names = re.findall(r"`((?:app|model|panels|studies|assets|tests|docs)/[\w/.-]*)`", LINKED[page])
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_readme_leads_to_every_page_and_each_fits_a_screen() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert {name for name in PAGES if name.startswith("docs/")} <= set(links)
    assert {name: len(text.splitlines()) for name, text in PAGES.items() if len(text.splitlines()) > PAGE_LINES} == {}


def test_the_example_scene_is_the_one_the_world_draws() -> None:
    scene = make_scene(held_out_seed(47))
    data = EXAMPLE.read_bytes()
    assert from_png(data) == scene
    assert len(data) < 100_000
    assert from_png(to_png(scene)) == scene


def test_the_python_example_runs_and_is_right() -> None:
    heart = next(thing for thing in make_scene(held_out_seed(47)).things if thing.shape == "heart")
    done = subprocess.run(
        [sys.executable, "-c", block("README.md", "From Python", "python")],
        cwd=ROOT, capture_output=True, text=True, timeout=300, env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == heart.colour
    assert lines[1].startswith("Yes ["), lines[1]  # there is a red star
    assert any(line.startswith("Token(") for line in lines)
    assert lines[-1].startswith("Finished(")
    assert len(block("README.md", "From Python", "python").splitlines()) <= 10


def test_the_queries_of_the_log_page_run_on_a_real_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    exec(compile(block("docs/log.md", "The log", "python"), "docs/log.md", "exec"), names)
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
    commands = {command for text in LINKED.values() for command in re.findall(r"`python app.py (\w+)", text)}
    assert len(commands) > 3
    assert [command for command in commands if command not in done.stdout] == []


def test_the_calls_of_the_api_page_run_to_the_letter(served: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scene.png").write_bytes(EXAMPLE.read_bytes())
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    source = block("docs/api.md", "From another program", "python").replace("http://127.0.0.1:7860", served.url)
    exec(compile(source, "docs/api.md", "exec"), names)
    heart = next(thing for thing in make_scene(held_out_seed(47)).things if thing.shape == "heart")
    assert names["turn"]["text"] == str(len(make_scene(held_out_seed(47)).things))
    assert names["again"]["text"] == heart.colour
    assert len(names["both"]["group"]) > 8


def test_requirements_hold_the_packages_of_the_card_with_floors_and_ceilings() -> None:
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    wanted = {re.split(r"[<>=\[; ]", line)[0]: line for line in lines if line and not line.startswith("-")}
    card = {"gradio", "torch", "transformers", "plotly", "pandas", "matplotlib", "pillow", "decord", "sqlite-utils"}
    assert card <= set(wanted), card - set(wanted)
    assert all(">=" in wanted[name] and "<" in wanted[name] for name in card)
    assert "torchvision" not in wanted
