"""JSON that a stranger wrote, read field by field with its type. What does not fit is said with its place."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from model.errors import InputError

_LARGEST = 2**53


class Fields:
    """One JSON object. `where` is how it is called in errors, such as "Line 3 of runs.jsonl"."""

    def __init__(self, data: Any, where: str) -> None:
        self.where = where
        if not isinstance(data, dict):
            raise InputError(f"{where} is no JSON object. Export the session again.")
        self.data: Mapping[str, Any] = data

    @classmethod
    def parse(cls, data: bytes, where: str) -> Fields:
        """The object in these bytes. NaN and infinity are no JSON."""
        try:
            return cls(json.loads(data.decode("utf-8"), parse_constant=_refuse, parse_float=_finite), where)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is no JSON. Export the session again, or repair it in a text editor.") from error

    def wrong(self, name: str, wanted: str) -> InputError:
        """The error for a field that is not what it must be."""
        found = str(self.data.get(name))[:60]
        return InputError(f"{self.where}: {name!r} is {found!r}. It must be {wanted}. Export the session again.")

    def text(self, name: str) -> str | None:
        return self._value(name, (str,), "a text or null")

    def required(self, name: str) -> str:
        """A text that must be there and not be empty."""
        value = self.text(name)
        if not value:
            raise self.wrong(name, "a text")
        return value

    def count(self, name: str) -> int | None:
        return self._value(name, (int,), "a whole number or null")

    def number(self, name: str) -> float | None:
        return self._value(name, (int, float), "a number or null")

    def time(self, name: str) -> str:
        """A time as the log writes it: UTC with microseconds."""
        try:
            time = datetime.fromisoformat(self.required(name))
            return time.replace(tzinfo=time.tzinfo or timezone.utc).astimezone(timezone.utc).isoformat(timespec="microseconds")
        except (ValueError, OverflowError) as error:
            raise self.wrong(name, "a time such as 2026-11-20T16:30:00+00:00") from error

    def items(self, name: str) -> list[Any]:
        return self._value(name, (list,), "a list") or []

    def object(self, name: str) -> dict[str, Any]:
        return self._value(name, (dict,), "an object") or {}

    def _value(self, name: str, kinds: tuple[type, ...], wanted: str) -> Any:
        value = self.data.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, kinds) or (isinstance(value, int) and abs(value) > _LARGEST):
            raise self.wrong(name, wanted)
        return value


def _finite(text: str) -> float:
    """1e999 is JSON, but no number the log could give back."""
    return value if math.isfinite(value := float(text)) else _refuse(text)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")
