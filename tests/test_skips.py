"""Every skip has a reason, and SKIPS.md lists them all and no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
WAYS = {"skip": 0, "skipif": None, "xfail": 0, "importorskip": None, "skipTest": 0, "SkipTest": 0, "skipUnless": 1, "skipIf": 1}
"""Ways not to run a test: where its reason stands if it is not called `reason`."""


def skips(source: str) -> list[str]:
    """The reasons of all skips in a file; an empty one where none is given."""
    tree = ast.parse(source)
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = []
    for node in ast.walk(tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        of = node.value if isinstance(node, ast.Attribute) else None
        if name not in WAYS or (isinstance(of, ast.Name) and of.id == "gr"):
            continue
        call = called.get(id(node))
        if isinstance(node, ast.Name) and call is None:
            continue  # a variable of that name
        given = {word.arg: word.value for word in call.keywords} if call else {}
        at = WAYS[name]
        reason = given.get("reason") or (call.args[at] if call and at is not None and len(call.args) > at else None)
        found.append(str(reason.value) if isinstance(reason, ast.Constant) else "")
    return found


def test_the_list_is_complete_and_holds_nothing_else() -> None:
    text = (TESTS / "SKIPS.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(tests/[\w/.]+)` \| ([^|]+) \| [^|]+ \|$", text, re.MULTILINE)
    found = [
        (f"tests/{path.relative_to(TESTS).as_posix()}", reason)
        for path in sorted(TESTS.rglob("*.py"))
        if path != Path(__file__).resolve()
        for reason in skips(path.read_text(encoding="utf-8"))
    ]
    assert sorted(found) == sorted(listed)
    assert len(listed) == text.count("\n| `"), "a row is not of the form the test reads"


def test_a_skip_is_found_however_it_is_written() -> None:
    assert skips("import pytest\ndef test():\n    pytest.skip('late')\n") == ["late"]
    assert skips("@pytest.mark.skipif(True, reason='old')\ndef test(): ...\n") == ["old"]
    assert skips("@pytest.mark.skip\ndef test(): ...\n") == [""]
    assert skips("from pytest import skip\nskip(why())\n") == [""]
    assert skips("x = pytest.importorskip('numpy', reason='none here')\n") == ["none here"]
    assert skips("pytestmark = pytest.mark.xfail\n") == [""]
    assert skips("yield gr.skip()\nskip = 3\nx[:skip]\n") == []
