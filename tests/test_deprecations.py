"""What the suite does with warnings: ours fail a test, a package's deprecations are counted and printed once at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deprecations import Deprecation

KIT = Path(__file__).resolve().parent / "kit"
LIBRARY = """
import logging, warnings

def old(value):
    warnings.warn(f"`old` is deprecated and will be removed in version 9.1. Use `new` instead.", FutureWarning, stacklevel=2)
    return value

def odd():
    warnings.warn("that is odd", UserWarning, stacklevel=2)

def told():
    logging.getLogger("library").warning("`told` is deprecated. Use `tell`.")
    logging.getLogger("library").warning("2 tokens were cut off.")
"""
OUR_CODE = """
import warnings
import library

def call():
    return library.old(1)

def odd():
    library.odd()

def own():
    warnings.warn("`own` is deprecated", DeprecationWarning)
"""
TESTS = """
import threading
import library
import pytest
from app import ours

def test_a_call_of_ours_that_a_package_deprecates():
    assert ours.call() == 1
    assert library.old(2) == 2

def test_the_same_on_another_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(ours.call()))
    thread.start()
    thread.join()
    assert found == [1]

def test_what_is_logged():
    library.told()

def test_our_own():
    ours.own()

def test_another_warning_of_a_package():
    ours.odd()
"""


@pytest.fixture(scope="module", params=["", "-n 2"], ids=["one process", "two workers"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A suite of five tests of its own, under our filters, with a package beside it that deprecates what is called."""
    top = tmp_path_factory.mktemp("suite")
    filters = "".join(f"\n    {one}" for one in request.config.getini("filterwarnings"))
    (top / "pytest.ini").write_text(f"[pytest]\npythonpath = . packages\nfilterwarnings ={filters}\n")
    for path, text in (
        ("packages/library.py", LIBRARY), ("app/__init__.py", ""), ("app/ours.py", OUR_CODE), ("tests/test_it.py", TESTS),
        ("tests/conftest.py", f"import sys\nsys.path.insert(0, {str(KIT)!r})\nfrom deprecations import Deprecations\n\n"
         "def pytest_configure(config):\n    config.pluginmanager.register(Deprecations(config.rootpath))\n"),
    ):  # fmt: skip
        (top / path).parent.mkdir(exist_ok=True)
        (top / path).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    variables["PYTEST_ADDOPTS"] = request.param
    return subprocess.run(command, cwd=top, capture_output=True, text=True, timeout=120, env=variables)


def test_ours_fail_and_a_packages_deprecations_do_not(run: subprocess.CompletedProcess[str]) -> None:
    failed = sorted(line.split(" - ")[0] for line in run.stdout.splitlines() if line.startswith("FAILED"))
    assert failed == ["FAILED tests/test_it.py::test_another_warning_of_a_package", "FAILED tests/test_it.py::test_our_own"]
    assert "2 failed, 3 passed" in run.stdout
    assert "DeprecationWarning: `own` is deprecated" in run.stdout


def test_they_are_printed_once_with_the_version_that_brings_the_change(run: subprocess.CompletedProcess[str]) -> None:
    _, _, said = run.stdout.partition("deprecations of dependencies")
    lines = [line for line in said.splitlines() if line.startswith("library")]
    removed = "library, changes in 9.1: `old` is deprecated and will be removed in version 9.1. Use `new` instead."
    assert sorted(lines) == [
        f"{removed} (app/ours.py:6, 2 x)",
        f"{removed} (tests/test_it.py:9, 1 x)",
        "library, names no version: `told` is deprecated. Use `tell`. (tests/test_it.py:19, 1 x)",
    ]
    assert "were cut off" not in said


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("`past_key_values` is deprecated and will be removed in version 5.40.0 for `X.forward`.", "changes in 5.40.0"),
        ("The attribute will be removed in v5.30; use `b`.", "changes in 5.30"),
        ("deprecated since 3.9, to be removed in 3.13", "changes in 3.13"),
        ("`cache_params` is deprecated. Use `cache` instead.", "names no version"),
    ],
)
def test_the_version_is_read_from_the_message(message: str, said: str) -> None:
    assert Deprecation("package 1.0", message, "x.py:1").version == said
