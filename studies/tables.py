"""The tables of studies/README.md, from what studies kept, so that they cannot drift.

`python app.py readme` rewrites every block between `<!-- kept: STUDY -->` and `<!-- end -->`; a test fails while one is stale.
"""

from __future__ import annotations

import re
from pathlib import Path

from .runner import RESULTS

_BLOCK = re.compile(r"(<!-- kept: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rewrite(text: str, folder: Path = RESULTS) -> str:
    """The text with every block written anew: all kept tables of a study, one after the other."""
    return _BLOCK.sub(lambda match: f"{match[1]}{_tables(match[2], folder)}\n{match[3]}", text)


def _tables(study: str, folder: Path) -> str:
    paths = sorted(path for path in folder.glob("*.md") if path.stem == study or path.stem.startswith(study + "-"))
    found = [path.read_text(encoding="utf-8").strip() for path in paths]
    return "\n\n".join(found) or f"Nothing kept yet: `python app.py study {study} --keep`."
