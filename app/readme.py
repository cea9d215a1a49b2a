"""The tables of README.md and docs/, written from the registries and from measured files, so that they cannot drift.

`python app.py readme` rewrites every block between `<!-- table: NAME -->` and `<!-- end -->`; a test
fails while one is stale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from model.checkpoint import builtin_folders
from model.families import families
from model.families.base import Capability
from model.heat import heat_methods
from panels import panels
from studies import studies

ROOT = Path(__file__).resolve().parent.parent


def pages(root: Path = ROOT) -> list[Path]:
    """README.md and the pages of docs/."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
KINDS = "exist colour shape size texture count read find describe where relation beside more same".split()
MAIN = "seen wordings"
PARTS = (MAIN, "held-out wordings", "wide and tall pictures")


def rewrite(text: str) -> str:
    """A page's text with every table written anew. Raises KeyError for a table nobody makes."""
    return _BLOCK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text)


def _panels() -> str:
    rows = [f"| {panel.title} | {panel.purpose} |" for panel in sorted(panels.values(), key=lambda p: p.order)]
    return "\n".join(["| tab | what it is for |", "|---|---|", *rows])


def _families() -> str:
    head = "| family | model types | " + " | ".join(c.value.replace("_", " ") for c in Capability) + " |"
    lines = [head, "|---|---|" + "---|" * len(Capability)]
    for slug in sorted(families, key=lambda name: (name == "generic", name)):
        family = families[slug]
        types = ", ".join(f"`{t}`" for t in family.model_types) or "any other image-text-to-text model of transformers"
        marks = " | ".join("yes" if c in family.capabilities else "" for c in Capability)
        lines.append(f"| {family.title} | {types} | {marks} |")
    return "\n".join(lines)


def _studies() -> str:
    rows = [f"| `python app.py study {slug}` | {studies[slug].question} |" for slug in studies]
    return "\n".join(["| command | question |", "|---|---|", *rows])


def _evaluation() -> str:
    folders = {name: folder for name, folder in builtin_folders().items() if (folder / "evaluation.json").exists()}
    found = {name: json.loads((folder / "evaluation.json").read_text()) for name, folder in folders.items()}
    columns = [
        (name, part, name if part == MAIN else part) for name in found for part in (PARTS if "-stage" not in name else PARTS[:1])
    ]
    lines = ["| kind | " + " | ".join(title for _, _, title in columns) + " |", "|---|" + "---:|" * len(columns)]
    for kind in KINDS:
        cells = [_cell(found[name].get(part, {}).get(kind)) for name, part, _ in columns]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(figure: dict[str, float] | None) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]" if figure else ""


def _heat() -> str:
    """Every method with what it measures and, where the study was kept, how it does on tiny-llava."""
    path = ROOT / "studies" / "results" / "faithfulness-tiny-llava.json"
    scores = json.loads(path.read_text())["methods"] if path.exists() else {}
    lines = ["| method | what it measures | lift | insertion - deletion |", "|---|---|---:|---:|"]
    for slug in heat_methods:
        one = scores.get(slug, {})
        gain = f"{one['insertion']['value'] - one['deletion']['value']:.2f}" if one else ""
        lift = f"{one['lift']['value']:.1f}" if one else ""
        lines.append(f"| {heat_methods[slug].title} | {heat_methods[slug].measures} | {lift} | {gain} |")
    return "\n".join(lines)


def _kept(name: str) -> str:
    return (ROOT / "studies" / "results" / f"{name}.md").read_text(encoding="utf-8").strip()


TABLES: dict[str, Callable[[], str]] = {
    "panels": _panels,
    "families": _families,
    "studies": _studies,
    "evaluation": _evaluation,
    "log": lambda: _kept("log"),
    "throughput": lambda: _kept("throughput"),
    "trace_cost": lambda: _kept("trace-cost"),
    "heat": _heat,
}
