"""Imports that come late: all that loading needs, in a pause of the garbage collector that ends as it began."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import transformers
from program import ROOT
from transformers.utils import import_utils

from model import late
from model.late import NEEDED, import_all, nothing_collected


def test_all_that_loading_needs_is_imported_and_nothing_before() -> None:
    code = (
        "import sys, model\nfrom model.late import NEEDED, all_imported, import_all\n"
        "assert not all_imported()\nassert not set(NEEDED) & set(sys.modules)\nimport_all()\nassert all_imported()\n"
        "import gc\nassert gc.isenabled()\nassert gc.get_freeze_count() > 100_000\n"
        "from transformers.utils import import_utils\nassert import_utils.define_import_structure.__module__ == 'model.late'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=180)


def test_names_of_transformers_are_read_once_and_are_the_same() -> None:
    real, read = inspect.unwrap(import_utils.define_import_structure), []
    theirs = ModuleType("theirs")
    vars(theirs)["define_import_structure"] = lambda folder: read.append(folder) or real(folder)
    late._read_models_once(theirs)
    folder = Path(transformers.__file__).parent / "models"
    assert theirs.define_import_structure(folder, prefix="models") == real(folder, prefix="models")
    assert theirs.define_import_structure(str(folder / "__init__.py")) == real(str(folder / "__init__.py"))
    assert read == [str(folder)]


def test_what_is_there_is_not_frozen_again() -> None:
    assert set(NEEDED) <= set(sys.modules) or import_all() is None
    before = gc.get_freeze_count()
    import_all()
    assert gc.get_freeze_count() == before


def test_the_pause_ends_however_it_is_left_and_as_it_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[int] = []
    monkeypatch.setattr(late.gc, "freeze", lambda: frozen.append(1))

    def paused() -> None:
        with nothing_collected():
            assert not gc.isenabled()
            with nothing_collected():
                assert not gc.isenabled()
            assert not gc.isenabled(), "the outer one goes on"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        paused()
    assert gc.isenabled()
    assert frozen == [1]
