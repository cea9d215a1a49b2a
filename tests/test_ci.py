"""The check of a commit runs what README says, and can be run at all."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

ROOT = Path(__file__).resolve().parent.parent
RUN = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def block(heading: str, path: Path = ROOT / "README.md") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".ci" / "commands.py"), str(path), heading]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_commands_are_those_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for heading, command in (("Run it", "python app.py"), ("Test it", "python -m pytest")):
        done = block(heading)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().endswith(command)
        assert f"```sh\n{done.stdout}```" in readme
        below = readme[readme.index(f"\n## {heading}\n") :]
        assert below.index(done.stdout) < below.index("\n## ", 1), "the block stands below another heading"


def test_a_heading_without_a_block_is_an_error(tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text("# Run it\n\n```python\nprint()\n```\n\n## Run it now\n\n```sh\ntrue\n```\n")
    assert block("Run it now", other).stdout == "true\n"
    missing = block("Test it", other)
    assert missing.returncode != 0
    assert "no ```sh block below 'Test it'" in missing.stderr


def test_the_script_is_valid_can_be_started_and_stops_at_the_first_error() -> None:
    done = subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert RUN.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in RUN


def test_it_runs_both_commands_with_a_browser_and_lints() -> None:
    assert re.findall(r'commands\.py README\.md "([^"]+)"', RUN) == ["Run it", "Test it"]
    assert "FOVEA_REQUIRE_BROWSER=1 bash -e" in RUN
    assert re.search(r"^ruff check \.$", RUN, re.MULTILINE)
    assert re.search(r"^ruff format --check \.$", RUN, re.MULTILINE)
    for tool in ("prettier@3.10.1 --check assets/js", "typescript@5.9.3 tsc --project assets/js"):  # where npm is there
        assert tool in RUN
    for name in re.findall(r"\.ci/[\w.]+", RUN):
        assert (ROOT / name).exists(), name


def test_the_question_it_asks_has_the_answer_it_expects() -> None:
    source = (ROOT / ".ci" / "ask.py").read_text(encoding="utf-8")
    seed = re.search(r"held_out_seed\((\d+)\)", source)
    assert seed
    hearts = [thing for thing in make_scene(held_out_seed(int(seed[1]))).things if thing.shape == "heart"]
    assert [thing.colour for thing in hearts] == re.findall(r'turn\["text"\] == "(\w+)"', source)


@pytest.mark.parametrize("name", ["ask.py", "commands.py"])
def test_its_python_can_be_read_by_the_oldest_version(name: str) -> None:
    ast.parse((ROOT / ".ci" / name).read_text(encoding="utf-8"), feature_version=(3, 10))
