"""Run a study from the command line: progress as it goes, its table, and its figures as one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from model import parse_spec
from model.errors import InputError

from . import studies

RESULTS = Path(__file__).resolve().parent / "results"
"""Where results that the README states are kept."""


def run_study(
    name: str, specs: Sequence[str], *, as_json: bool, say: Callable[[str], None], keep: Path | None = None
) -> int:
    """Run a study and print its report; with `keep`, write NAME.md and NAME.json into that folder too.

    Returns 0. Raises InputError for an unknown name, CheckpointError for a bad spec.
    """
    if name not in studies:
        known = "; ".join(f"{slug}: {studies[slug].question}" for slug in studies)
        raise InputError(f"There is no study {name!r}. Known: {known}")
    report = studies[name].measure([parse_spec(spec) for spec in specs], say)
    say(report.table())
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{name}.md").write_text(report.table() + "\n", encoding="utf-8")
        (keep / f"{name}.json").write_text(json.dumps(report.figures, indent=1) + "\n", encoding="utf-8")
    if as_json:
        say(json.dumps(report.figures))
    return 0
