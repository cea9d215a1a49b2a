"""The faithfulness study in words and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import Report
from .maps.standings import PASSES_BELOW, REFERENCE, RULE

COLUMNS = {
    "lift": "lift",
    "hit": "hit",
    "auroc": "AUROC",
    "deletion": "deletion (low)",
    "insertion": "insertion (high)",
    "gap": "ins - del",
    "left_at_5": "left at 5 %",
    "left_at_10": "left at 10 %",
}
CHECKS = {
    "random_decoder": "random decoder",
    "noise": "pixel noise",
    "repeat": "made twice",
    "erased": "erased things",
    "blur_gap": "ins - del, blur",
    "evenness_present": "evenness, present",
    "evenness_absent": "evenness, absent",
}


def report(figures: Mapping[str, Any], about: str) -> Report:
    """The report of one checkpoint from its figures. `about` names what is kept."""
    methods = figures["methods"]
    chosen = figures["default"]
    rows = [
        ("questions asked", f"{figures['asked']}", figures["source"]),
        ("answered right", f"{figures['right']}", "the right word is said and no wrong one"),
        ("measured", f"{figures['n']}", f"right, and more than 0.3 likelier than with the {figures['replacement']} everywhere"),
        ("area of the mask", f"{figures['area']:.3f}", "mean share of the cells: lift 1 is a map that ignores it"),
        ("default method", methods[chosen]["title"] if chosen else "none", "best insertion - deletion that passes the check"),
        *((f"order of methods, {other}", _spearman(r), _order(r)) for other, r in figures["ranking"].items()),
        ("time", f"{figures['cpu_s']:.0f} CPU s", "all of it, comparisons with other checkpoints left out"),
    ]
    notes = [
        _scores(methods),
        _checks(methods),
        RULE,
        *(f"{slug}: layer {h['layer'] + 1}, head {h['head'] + 1}; {h['chosen']}." for slug, h in figures["heads"].items()),
        *(f"Not measured: {slug}. {reason}" for slug, reason in figures["refused"].items()),
    ]
    return Report(f"Faithfulness of heat maps on {figures['checkpoint']}", rows, figures, notes, about)


def _spearman(ranking: Mapping[str, Any]) -> str:
    return "" if ranking["spearman"] is None else f"{ranking['spearman']:.2f}"


def _order(ranking: Mapping[str, Any]) -> str:
    if ranking["spearman"] is None:
        return f"not compared: {ranking['why']}"
    return f"Spearman of insertion - deletion over {ranking['methods']} methods, n = {ranking['n']}"


def _scores(methods: Mapping[str, Any]) -> str:
    lines = [
        f"| map | n | {' | '.join(COLUMNS.values())} | against {REFERENCE} | CPU s |",
        "|---|" + "---:|" * (len(COLUMNS) + 3),
    ]
    for row in methods.values():
        cells = [_cell(row[name]) for name in COLUMNS]
        against = row.get("against_attention")
        errors = f"{against['value']:+.3f} ({against['standard_errors']:+.1f} s.e.)" if against else ""
        lines.append(f"| {_name(row)} | {row['n']} | {' | '.join(cells)} | {errors} | {row['cpu_s']:.3f} |")
    return "\n".join(lines)


def _checks(methods: Mapping[str, Any]) -> str:
    names = [name for name in CHECKS if any(name in row for row in methods.values())]
    lines = [f"| map | {' | '.join(CHECKS[name] for name in names)} | passes |", "|---|" + "---:|" * (len(names) + 1)]
    for row in methods.values():
        cells = [f"{_cell(row[name])} n={row[name]['n']}" if name in row else "" for name in names]
        verdict = {True: "yes", False: "no", None: ""}[row["passes"]]
        lines.append(f"| {_name(row)} | {' | '.join(cells)} | {verdict} |")
    return "\n".join([*lines, "", f"Passes: Spearman with the map of a random decoder below {PASSES_BELOW}."])


def _name(row: Mapping[str, Any]) -> str:
    return row["title"] if row["kind"] == "method" else f"*{row['title']}*"


def _cell(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
