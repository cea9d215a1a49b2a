"""What the page may ask of the attention tab, checked: it is told by a script, and anybody may send anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.errors import InputError
from model.heat import heat_methods
from model.heat.base import Choice
from model.internals.interventions import INTERVENTION_KINDS, InterventionKind

from ..base.maps.looks import Seen

KINDS = ("open", "maps", "overview", "heat", "agree", "sinks", "partners", "change", "measure", "export")
MAX_WORDS = 256
MAX_ID = 100
MAX_CELLS = 100_000


@dataclass(frozen=True)
class Asked:
    """One request of the page. `key` is a name of its own making, by which it may watch and end the work."""

    key: str
    what: str
    run: str
    typed: str
    method: str
    words: tuple[int, ...]
    choice: Choice
    cells: tuple[int, ...] = ()
    things: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()
    how: InterventionKind = "mean"
    partner: str = ""
    depth: int = 0

    def fitting(self, seen: Seen) -> Seen:
        """The trace itself. Raises InputError where it names words, layers or heads that there are not."""
        tokens, choice = len(seen.trace.tokens), self.choice
        if any(word >= tokens for word in self.words):
            raise InputError(f"The answer has {tokens} tokens; token {max(self.words) + 1} was asked for. Choose one of them.")
        for name, value, many in (("layer", choice.layer, seen.layers), ("head", choice.head, seen.heads)):
            if value is not None and value >= many:
                raise InputError(f"There is no {name} {value + 1}: this checkpoint has {many}. Choose a lower one.")
        if any(token >= len(seen.trace.visual) for token in choice.without):
            raise InputError("The page set picture tokens aside that this picture does not have. Open the turn again.")
        return seen


def asked(value: Any) -> Asked:
    """A request as the page's script sends it. Raises InputError for what is none."""
    if not isinstance(value, Mapping):
        raise InputError("The page sent no usable request. Reload it and try again.")
    what = _text(value, "what", "")
    if what not in KINDS:
        raise InputError(f"{what[:40]!r} cannot be asked of this tab. Reload the page.")
    return Asked(
        key=_text(value, "key", "")[:MAX_ID],
        what=what,
        run=_text(value, "run", "")[:MAX_ID],
        typed=_text(value, "typed", ""),
        method=method_of(value.get("method", "attention")),
        words=_indices(value, "words", MAX_WORDS) or (0,),
        choice=choice_of(value),
        cells=_indices(value, "cells", MAX_CELLS),
        things=_indices(value, "things", MAX_WORDS),
        methods=tuple(method_of(one) for one in _list(value, "methods", len(heat_methods))),
        how=_how(value),
        partner=_text(value, "partner", "")[:MAX_ID],
        depth=_index(value, "depth") or 0,
    )


def method_of(value: Any) -> str:
    """The slug of a heat method. Raises InputError for one that there is not."""
    if not isinstance(value, str) or value not in heat_methods:
        raise InputError(f"There is no method {str(value)[:40]!r}. Known: {', '.join(heat_methods)}.")
    return value


def choice_of(value: Mapping[str, Any]) -> Choice:
    """Layer, head and the rest of a choice; what is missing has its default. Raises InputError."""
    reduce, rows = _text(value, "reduce", "mean"), _text(value, "rows", "predicting")
    if reduce not in ("mean", "max"):
        raise InputError(f"Layers and heads are put together by 'mean' or 'max', not {reduce[:40]!r}.")
    if rows not in ("predicting", "reading"):
        raise InputError(f"The row is 'predicting' or 'reading', not {rows[:40]!r}.")
    layer, head = (_index(value, name) for name in ("layer", "head"))
    return Choice(layer, head, reduce, rows, _indices(value, "without", MAX_CELLS))  # type: ignore[arg-type]


def _how(value: Mapping[str, Any]) -> InterventionKind:
    found = value.get("how", INTERVENTION_KINDS[0])
    if found not in INTERVENTION_KINDS:
        raise InputError(f"Patches are changed by {', '.join(INTERVENTION_KINDS)}, not {str(found)[:40]!r}.")
    return found


def _text(value: Mapping[str, Any], name: str, default: str) -> str:
    found = value.get(name, default)
    if not isinstance(found, str):
        raise InputError(f"The page sent no usable {name!r}. Reload it and try again.")
    return found


def _index(value: Mapping[str, Any], name: str) -> int | None:
    found = value.get(name)
    if found is not None and (type(found) is not int or found < 0):
        raise InputError(f"{name} is {str(found)[:40]!r}. Give a whole number from 0, or none for all.")
    return found


def _indices(value: Mapping[str, Any], name: str, most: int) -> tuple[int, ...]:
    """Whole numbers from 0, ascending, each once."""
    found = _list(value, name, most)
    if any(type(one) is not int or one < 0 for one in found):
        raise InputError(f"{name} is no list of whole numbers from 0.")
    return tuple(sorted(set(found)))


def _list(value: Mapping[str, Any], name: str, most: int) -> list[Any]:
    found = value.get(name) or []
    if not isinstance(found, list) or len(found) > most:
        raise InputError(f"{name} is no list of at most {most} things.")
    return found
