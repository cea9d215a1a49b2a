"""The examples of CONTRIBUTING as files, and copies of the repository with them in it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "data", "training", "checkpoints", "node_modules")


def examples() -> dict[str, str]:
    """The whole files among the code blocks, by the path in their first line."""
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w+\n(?:# |// |/\* )(\S+/\S+)(?: \*/)?\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    return dict(blocks)


def extended_copy(folder: Path) -> Path:
    """A copy of the repository with every example in it, and the checkpoints by a link. Nothing that was there is changed."""
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    (folder / "assets" / "checkpoints").symlink_to(ROOT / "assets" / "checkpoints")
    for path, source in examples().items():
        assert not (folder / path).exists(), f"{path} is there already"
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(source, encoding="utf-8")
    return folder
