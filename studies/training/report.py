"""Pictures and words about a training run: the curves, and the model card with its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

INK = "#333333"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
"""Okabe and Ito's palette, without yellow."""


def plot_curves(curve: Path, target: Path, until: str | None = None) -> None:
    """Losses of all stages, and held-out accuracy where it was taken, as a PNG. `until` ends with that stage."""
    rows = [json.loads(line) for line in curve.read_text().splitlines()]
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    if until is not None:
        stages = stages[: stages.index(until) + 1]
        rows = [row for row in rows if row["stage"] in stages]
    checked = [row for row in rows if any(key.startswith("held-out") for key in row)]
    figure, axes = plt.subplots(1, 2 if checked else 1, figsize=(11 if checked else 6, 3.8), squeeze=False)
    _losses(axes[0, 0], rows, stages)
    if checked:
        _held_out(axes[0, 1], checked)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=INK, labelsize=8)
    figure.tight_layout()
    figure.savefig(target, dpi=120)
    plt.close(figure)


def _losses(axis: Axes, rows: list[dict[str, Any]], stages: list[str]) -> None:
    start = 0
    for number, stage in enumerate(stages):
        own = [row for row in rows if row["stage"] == stage]
        for name, style in (("patch loss", ":"), ("answer loss", "-")):
            points = [(start + row["step"], row[name]) for row in own if name in row]
            if points:
                axis.plot(*zip(*points, strict=True), style, color=COLOURS[number % len(COLOURS)], linewidth=1.2)
        end = start + max(row["step"] for row in own)
        axis.text(
            (start + end) / 2,
            1.02,
            stage,
            transform=axis.get_xaxis_transform(),
            ha="center",
            fontsize=8,
            color=COLOURS[number % len(COLOURS)],
        )
        start = end + 1
    axis.set_yscale("log")
    axis.set_xlabel("step", fontsize=9, color=INK)
    axis.set_ylabel("loss (solid: answers, dotted: patches)", fontsize=9, color=INK)


def _held_out(axis: Axes, rows: list[dict[str, Any]]) -> None:
    shown = ("exist", "colour", "shape", "count", "read", "find", "relation")
    ends = []
    for colour, kind in zip(COLOURS, shown, strict=True):
        points = [(row["step"] + 1, row[f"held-out {kind}"]) for row in rows if f"held-out {kind}" in row]
        if points:
            axis.plot(*zip(*points, strict=True), color=colour, linewidth=1.4)
            ends.append((points[-1][1], points[-1][0], kind, colour))
    last = 2.0
    for value, step, kind, colour in sorted(ends, reverse=True):
        last = min(value, last - 0.05)
        axis.text(step, last, f" {kind}", color=colour, fontsize=8, va="center")
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("step of instruction tuning", fontsize=9, color=INK)
    axis.set_ylabel("held-out accuracy (find: mean IoU)", fontsize=9, color=INK)
