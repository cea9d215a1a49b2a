"""Run a study from the command line: progress as it goes, its table, and its figures as one line of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model import parse_spec
from model.errors import InputError

from . import studies
from .base import Report

RESULTS = Path(__file__).resolve().parent / "results"
"""Where results that the README states and panels show are kept."""


def run_study(
    name: str,
    specs: Sequence[str],
    *,
    as_json: bool,
    say: Callable[[str], None],
    keep: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> int:
    """Run a study and print its report; with `keep`, write NAME.md and NAME.json into that folder too.

    `options` are what else it takes. Returns 0. Raises InputError for an unknown name or option, CheckpointError for a bad spec.
    """
    if name not in studies:
        known = "; ".join(f"{slug}: {studies[slug].question}" for slug in studies)
        raise InputError(f"There is no study {name!r}. Known: {known}")
    given = dict(options or {})
    for option in given:
        if option not in studies[name].options:
            raise InputError(f"The study {name} takes no --{option}.")
    report = studies[name].measure([parse_spec(spec) for spec in specs], say, **given)
    say(report.table())
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        path = kept_path(name, report.about, keep)
        path.with_suffix(".md").write_text(report.table() + "\n", encoding="utf-8")
        path.write_text(_written(report), encoding="utf-8")
    if as_json:
        say(json.dumps(report.figures))
    return 0


def kept_path(study: str, about: str = "", folder: Path = RESULTS) -> Path:
    """Where the figures of a study are kept; `about` is the checkpoint's name where there is a file for each."""
    return folder / f"{study}-{re.sub(r'[^A-Za-z0-9._-]+', '-', about)[:80]}.json" if about else folder / f"{study}.json"


def kept(study: str, about: str = "", folder: Path = RESULTS) -> dict[str, Any] | None:
    """The figures that were kept, or None where none were."""
    path = kept_path(study, about, folder)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _written(report: Report) -> str:
    return json.dumps(report.figures, indent=1) + "\n"
