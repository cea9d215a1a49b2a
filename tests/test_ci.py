"""The check of a commit runs what README says, and can be run at all."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

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


def test_it_runs_both_commands_with_a_browser_lints_and_checks_types() -> None:
    assert re.findall(r'commands\.py README\.md "([^"]+)"', RUN) == ["Run it", "Test it"]
    assert "export FOVEA_REQUIRE_BROWSER=1\nif ! PYTEST_ADDOPTS=" in RUN
    assert "python -m pytest --last-failed --last-failed-no-failures none\nfi\n" in RUN, "what fails twice ends the run"
    assert re.search(r"^ruff check \.$", RUN, re.MULTILINE)
    assert re.search(r"^ruff format --check \.$", RUN, re.MULTILINE)
    assert re.search(r"^mypy$", RUN, re.MULTILINE)
    for tool in ("prettier@3.10.1 --check assets/js", "typescript@5.9.3 tsc --project assets/js"):  # where npm is there
        assert tool in RUN
    for name in re.findall(r"\.ci/[\w.]+", RUN):
        assert (ROOT / name).exists(), name


def test_types_of_all_packages_are_checked_strictly() -> None:
    settings = re.search(
        r"^\[tool\.mypy\]\n(.*?)\n\[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert settings
    assert 'files = ["model", "studies", "panels", "app"]' in settings[1]
    assert "strict = true" in settings[1]
    assert re.findall(r"^(\w+) = false$", settings[1], re.MULTILINE) == ["disallow_untyped_calls", "warn_return_any"]


def test_it_knows_no_other_argument() -> None:
    done = subprocess.run([str(ROOT / ".ci" / "run"), "--newset"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "usage: .ci/run [--newest]\n")


class TestConstraints:
    """constraints.txt is of one run, holds what is asked for, and installs elsewhere."""

    @staticmethod
    def held() -> dict[str, Requirement]:
        lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        return {line.split("==")[0]: Requirement(line) for line in lines if not line.startswith("#")}

    @staticmethod
    def asked(name: str) -> list[Requirement]:
        lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
        return [Requirement(line) for line in lines if line]

    def test_all_that_is_asked_for_is_held_within_what_is_asked(self) -> None:
        held = self.held()
        assert list(held) == sorted(held)
        assert len(held) > 60, "what packages need themselves stands there, too"
        assert not {"pip", "setuptools"} & set(held)
        for one in (*self.asked("requirements.txt"), *self.asked("requirements-dev.txt")):
            (exact,) = held[canonicalize_name(one.name)].specifier
            assert exact.operator == "=="
            assert Version(exact.version).local is None, "a build is of one index alone"
            assert one.specifier.contains(exact.version), f"{one} and {exact}"

    def test_what_renames_things_in_minor_releases_ends_at_the_newest_that_was_run(self) -> None:
        asked, held = {one.name: one for one in self.asked("requirements.txt")}, self.held()
        for name in ("gradio", "torch", "transformers"):
            run = Version(next(iter(held[name].specifier)).version)
            (ceiling,) = (one.version for one in asked[name].specifier if one.operator == "<")
            assert ceiling == f"{run.major}.{run.minor + 1}"

    def test_they_are_what_packages_here_need(self, tmp_path: Path) -> None:
        asked = tmp_path / "asked.txt"
        asked.write_text('pytest>=9  # tests\ntorch\nnumpy\nno-such-thing; sys_platform == "none"\n')
        lines = subprocess.check_output(
            [sys.executable, str(ROOT / ".ci" / "constraints.py"), str(asked)], text=True
        ).splitlines()
        assert all(line.startswith("# ") for line in lines[:2])
        assert f"Python {sys.version.split()[0]}" in lines[0]
        held = {line.split("==")[0]: line for line in lines[2:]}
        assert list(held) == sorted(held)
        assert held["pytest"] == f"pytest=={metadata.version('pytest')}"
        assert held["pluggy"].startswith(f"pluggy=={metadata.version('pluggy')}")
        assert held["torch"] == f"torch=={metadata.version('torch').split('+')[0]}"
        assert "jinja2" in held, "torch needs it"
        assert not {"gradio", "setuptools", "no-such-thing"} & set(held)
        floor = metadata.metadata("numpy")["Requires-Python"].removeprefix(">=")
        newer = f' ; python_version >= "{floor}"' if Version(floor) > Version("3.10") else ""
        assert held["numpy"] == f"numpy=={metadata.version('numpy')}{newer}"

    def test_a_run_takes_them_unless_it_is_to_write_them(self) -> None:
        assert '[ "$newest" ] || export PIP_CONSTRAINT="$PWD/constraints.txt"' in RUN
        assert RUN.index("constraints.py >") > RUN.index("\nmypy\n"), "once all is green"


def test_the_question_it_asks_has_the_answer_it_expects() -> None:
    source = (ROOT / ".ci" / "ask.py").read_text(encoding="utf-8")
    seed = re.search(r"held_out_seed\((\d+)\)", source)
    assert seed
    hearts = [thing for thing in make_scene(held_out_seed(int(seed[1]))).things if thing.shape == "heart"]
    assert [thing.colour for thing in hearts] == re.findall(r'turn\["text"\] == "(\w+)"', source)


@pytest.mark.parametrize("name", ["ask.py", "commands.py", "constraints.py"])
def test_its_python_can_be_read_by_the_oldest_version(name: str) -> None:
    ast.parse((ROOT / ".ci" / name).read_text(encoding="utf-8"), feature_version=(3, 10))
