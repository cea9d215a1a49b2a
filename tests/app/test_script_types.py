"""TypeScript is written from the dataclasses of the views; the file that is kept is never stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest

from app import script_types


class Colour(Enum):
    RED = "red"
    BLUE = "b'lue"


@dataclass(frozen=True)
class Inner:
    at: tuple[float, int]


@dataclass(frozen=True)
class Outer:
    """What is shown.

    In two lines.
    """

    name: str
    seen: bool | None
    items: tuple[Inner, ...]
    kind: Literal["one", "two"]
    more: dict[str, list[int | None]]
    rest: Any = None


TEXT = """// Written by `python app.py types` from the dataclasses that panels send. Not to be edited.

/**
 * What is shown.
 *
 * In two lines.
 */
export interface Outer {
  name: string;
  seen: boolean | null;
  items: Inner[];
  kind: 'one' | 'two';
  more: Record<string, (number | null)[]>;
  rest: any;
}

export interface Inner {
  at: [number, number];
}
"""


def test_a_dataclass_is_an_interface_and_so_are_those_it_holds() -> None:
    assert script_types.text([Outer]) == TEXT
    assert script_types.text([Outer, Inner, Outer]) == TEXT


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (str, "string"),
        (int, "number"),
        (float, "number"),
        (Sequence[str], "string[]"),
        (list[list[float]], "number[][]"),
        (tuple[str, ...], "string[]"),
        (Mapping[str, Inner], "Record<string, Inner>"),
        (int | float | None, "number | null"),
        (Colour, "'red' | 'b\\'lue'"),
        (Literal[1, True, None], "1 | true | null"),
    ],
)
def test_types_are_said_as_json_carries_them(hint: Any, said: str) -> None:
    assert script_types.typescript(hint) == said


@pytest.mark.parametrize("hint", [bytes, dict[int, str], complex, type])
def test_what_json_has_not_is_refused(hint: Any) -> None:
    with pytest.raises(TypeError, match="cannot be sent to a script"):
        script_types.typescript(hint)


def test_two_dataclasses_of_one_name_are_refused() -> None:
    other = dataclass(type("Inner", (), {"__annotations__": {"at": int}}))
    with pytest.raises(TypeError, match="both have a Inner"):
        script_types.text([Inner, other])


def test_the_file_is_written_from_the_views_as_they_are() -> None:
    assert script_types.PATH.read_text(encoding="utf-8") == script_types.text(script_types.replies())


def test_writing_it_leaves_what_is_right(tmp_path: Path) -> None:
    script_types.write(tmp_path / "types.d.ts")
    assert (tmp_path / "types.d.ts").read_bytes() == script_types.PATH.read_bytes()
