"""How far each heat method can be believed on a checkpoint, as the study `faithfulness` measured it. Reads its file only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from model import Checkpoint
from studies.runner import kept

FALLBACK = "relevancy"
MEANING = (
    "Lift: how many times more of the map falls on the thing asked about than of an even one. Hit: the thing covers at least a "
    "quarter of its highest patch. AUROC: patches of the thing rank above others. Deletion, low is good, and insertion, high is "
    "good: the answer's probability as patches go or come in the map's order. In brackets 95 % intervals."
)
FIGURES = ("lift", "hit", "auroc", "deletion", "insertion")


@dataclass(frozen=True)
class Scores:
    """Figures by method: {"lift": {"value", "low", "high"}, ...}. `default` is the method measured best."""

    default: str = FALLBACK
    by_method: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def sentence(self, method: str, checkpoint: str) -> str:
        """The figures of a method in words; where there are none, how to get them."""
        found = self.by_method.get(method)
        if not found:
            command = f"python app.py study faithfulness --checkpoint {checkpoint} --keep"
            return f"Not yet measured on this checkpoint: {command}"
        parts = [f"{name} {_interval(found[name])}" for name in FIGURES if name in found]
        n = f"; n = {found['n']}" if "n" in found else ""
        blind = " The map hardly changes when the decoder's weights are random." if found.get("passes") is False else ""
        return f"Measured on drawn scenes with this checkpoint: {', '.join(parts)}{n}.{blind}"


def scores_of(checkpoint: Checkpoint) -> Scores:
    """What is known of a checkpoint's maps. Empty, with a default, where it was not measured or the file is damaged."""
    try:
        found = kept("faithfulness", checkpoint.name) or {}
        methods = {str(name): _figures(one) for name, one in found["methods"].items()}
        default = found.get("default")
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Scores()
    return Scores(default if default in methods else FALLBACK, methods)


def _figures(found: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one method that can be read: each a value with an interval, or a number."""
    kept: dict[str, Any] = {}
    for name in FIGURES:
        one = found.get(name)
        figure = one if isinstance(one, Mapping) else {"value": one}
        if _number(figure.get("value")):
            kept[name] = {part: figure[part] for part in ("value", "low", "high") if _number(figure.get(part))}
    passes = {"passes": found["passes"]} if isinstance(found.get("passes"), bool) else {}
    return kept | passes | ({"n": found["n"]} if _number(found.get("n")) else {})


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _interval(figure: Mapping[str, float]) -> str:
    value = f"{figure['value']:.3g}"
    return f"{value} [{figure['low']:.3g}, {figure['high']:.3g}]" if {"low", "high"} <= set(figure) else value
