"""Print constraints.txt: the exact versions this environment has of all that requirements.txt and requirements-dev.txt bring.

`.ci/run --newest` writes it, once everything is green in a fresh environment. The build of torch is left out (2.13.0, not
2.13.0+cpu), so that it holds on any index. A package that needs a newer Python than the oldest of ours is named for those
alone; what this machine does not install, such as CUDA's libraries, is not named.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-dev.txt")
TOOLS = {"pip", "setuptools", "wheel"}
"""What installs packages is not held."""
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def constraints(files: Iterable[Path]) -> list[str]:
    """One line a package, by name: what the files ask for and all that those packages ask for here."""
    wanted = [requirement for path in files for requirement in _requirements(path.read_text(encoding="utf-8").splitlines())]
    found: dict[str, set[str]] = {}
    while wanted:
        one = wanted.pop()
        name = canonicalize_name(one.name)
        extras = {"", *one.extras} - found.get(name, set())
        found.setdefault(name, set()).update(extras)
        for line in metadata.requires(name) or ():
            needed = Requirement(line)
            if any(needed.marker is None or needed.marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(needed)
    return [_line(name) for name in sorted(found.keys() - TOOLS)]


def _requirements(lines: Iterable[str]) -> Iterator[Requirement]:
    for line in lines:
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text and ((one := Requirement(text)).marker is None or one.marker.evaluate()):
            yield one


def _line(name: str) -> str:
    pythons = SpecifierSet(metadata.metadata(name).get("Requires-Python") or "")
    oldest = next(python for python in PYTHONS if pythons.contains(f"{python}.99"))
    marker = f' ; python_version >= "{oldest}"' if oldest != PYTHONS[0] else ""
    return f"{name}=={Version(metadata.version(name)).public}{marker}"


if __name__ == "__main__":
    system = f"{platform.system()} {platform.machine()}"
    print(f"# Exact versions of the last full green run: {date.today()}, Python {platform.python_version()}, {system}.")  # noqa: DTZ011
    print("# pip install -c constraints.txt -r requirements.txt. Written by .ci/run --newest; packages not named here are free.")
    print("\n".join(constraints(map(Path, sys.argv[1:]) if sys.argv[1:] else [ROOT / name for name in FILES])))
