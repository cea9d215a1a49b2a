"""Which versions of packages are here, which are asked for, and which the last full green run had.

Read from requirements.txt, constraints.txt and what is installed. Nothing is imported but `packaging`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS, CONSTRAINTS = ROOT / "requirements.txt", ROOT / "constraints.txt"


@dataclass(frozen=True)
class Package:
    """One that running needs. `wanted` is a range such as ">=5.20,<5.25"; `tested` is empty where this Python was not."""

    name: str
    wanted: str
    found: str
    tested: str

    @property
    def trouble(self) -> str:
        """What is wrong with it, as a sentence; empty where it may run."""
        if not self.found:
            return f"{self.name} is not installed; {self.wanted} is needed."
        if not Requirement(self.name + self.wanted).specifier.contains(Version(self.found).public, prereleases=True):
            return f"{self.name} {self.found} is outside of {self.wanted}."
        return ""

    @property
    def as_tested(self) -> bool:
        """Whether it is the version of the last full green run; builds of one version, as +cpu and +cu128, are the same."""
        return bool(self.found and self.tested) and Version(self.found).public == Version(self.tested).public

    def __str__(self) -> str:
        untested = "" if self.as_tested else f" (tested: {self.tested})" if self.tested else " (not tested on this Python)"
        return f"{self.name} {self.found}{untested}"


def packages(requirements: Path = REQUIREMENTS, constraints: Path = CONSTRAINTS) -> list[Package]:
    """Those requirements.txt names for this machine, in its order. Without constraints.txt none counts as tested."""
    tested = {one.name: next(iter(one.specifier)).version for one in _lines(constraints)} if constraints.exists() else {}
    return [
        Package(one.name, _range(one), installed(one.name), tested.get(canonicalize_name(one.name), ""))
        for one in _lines(requirements)
    ]


def installed(name: str) -> str:
    """The version of a package here; empty where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _range(one: Requirement) -> str:
    return ",".join(sorted(map(str, one.specifier), reverse=True))  # the floor first


def _lines(path: Path) -> Iterator[Requirement]:
    """What a file asks for where this is running."""
    for line in path.read_text(encoding="utf-8").splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text and ((one := Requirement(text)).marker is None or one.marker.evaluate()):
            yield one
