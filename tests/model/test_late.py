"""Imports that come late: all that loading needs, in a pause of the garbage collector that ends as it began."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest
from program import ROOT

from model import late
from model.late import NEEDED, import_all, nothing_collected


def test_all_that_loading_needs_is_imported_and_nothing_before() -> None:
    code = (
        "import sys, model\nfrom model.late import NEEDED, all_imported, import_all\n"
        "assert not all_imported()\nassert not set(NEEDED) & set(sys.modules)\nimport_all()\nassert all_imported()\n"
        "import gc\nassert gc.isenabled()\nassert gc.get_freeze_count() > 100_000"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=180)


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
