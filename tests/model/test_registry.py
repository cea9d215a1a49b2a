"""Entries find themselves; a broken one is told of and does not take the others along."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.registry import Registry

HEAD = "from {package} import entries\n\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of entries that is imported for the first time."""
    name = "shelf_of_entries"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text(f"from model.registry import Registry\nentries = Registry('thing', '{name}')\n")
    (folder / "pear.py").write_text(HEAD.format(package=name) + "@entries.add\nclass Pear:\n    slug, colour = 'pear', 'green'\n")
    (folder / "apple.py").write_text(
        HEAD.format(package=name) + "@entries.add\nclass Apple:\n    slug, colour = 'apple', 'red'\n"
    )
    (folder / "base.py").write_text("raise RuntimeError('no entry')\n")
    (folder / "_drawing.py").write_text("raise RuntimeError('no entry')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[module]


def entries_of(package: str) -> Registry:
    return __import__(package).entries


def test_entries_are_found_by_name_in_order_without_being_asked_for(package: str) -> None:
    entries = entries_of(package)
    assert list(entries) == ["apple", "pear"]
    assert len(entries) == 2
    assert "pear" in entries
    assert "plum" not in entries
    assert [entry.colour for entry in entries.values()] == ["red", "green"]
    assert entries["pear"] is entries["pear"]
    assert entries.failures == {}


def test_a_broken_module_is_told_of_and_the_others_stay(package: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / package / "plum.py").write_text("import no_such_package\n")
    (tmp_path / package / "fig.py").write_text("def broken(:\n")
    entries = entries_of(package)
    assert list(entries) == ["apple", "pear"]
    assert entries.failures[f"{package}/plum.py"] == "ModuleNotFoundError: No module named 'no_such_package'"
    assert entries.failures[f"{package}/fig.py"].startswith("SyntaxError")
    with pytest.raises(
        KeyError, match=r"no thing named 'plum'\. Known: apple, pear\. .*plum\.py failed to load: ModuleNotFoundError"
    ):
        entries["plum"]
    logged = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert (
        f"{package}/plum.py fails to load, so this thing is left out: ModuleNotFoundError: No module named 'no_such_package'"
        in logged
    )
    assert len(logged) == 2


def test_an_entry_whose_file_fails_after_it_is_none(package: str, tmp_path: Path) -> None:
    entry = "@entries.add\nclass Kiwi: slug = 'kiwi'\n"
    (tmp_path / package / "kiwi").mkdir()
    (tmp_path / package / "kiwi" / "__init__.py").write_text(HEAD.format(package=package) + entry + "1 / 0\n")
    entries = entries_of(package)
    assert entries.failures == {f"{package}/kiwi/__init__.py": "ZeroDivisionError: division by zero"}
    assert list(entries) == ["apple", "pear"]


def test_a_name_is_given_once(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "second.py").write_text(HEAD.format(package=package) + "@entries.add\nclass Other: slug = 'apple'\n")
    entries = entries_of(package)
    assert list(entries) == ["apple", "pear"]
    assert "Two thing entries are named 'apple'" in entries.failures[f"{package}/second.py"]
    assert entries["apple"].colour == "red"


def test_threads_that_ask_first_together_all_see_everything(package: str) -> None:
    entries, seen = entries_of(package), []
    threads = [threading.Thread(target=lambda: seen.append(list(entries))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen == [["apple", "pear"]] * 8
