"""Deprecations of dependencies while tests run: kept apart from errors, printed once at the end of the run.

A warning our own code gives is an error. One that a package gives, whoever called it, is news of its next version: it
is counted here with the version that brings the change, and the test goes on. Packages that log theirs are heard too.
What C code warns of is not: nobody can tell whose it is.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

OURS = ("app", "model", "panels", "studies", "tests", "app.py")
CATEGORIES = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
LOGGERS = ("", "transformers")
"""The root, and a logger that passes nothing on to it."""
_SPEAKS = re.compile(r"deprecat|will be removed|will become|will no longer", re.IGNORECASE)
_VERSION = re.compile(r"(?:version|release|from|in|after|since|until)\s+v?(\d+\.\d+(?:\.\d+)?)", re.IGNORECASE)


@dataclass(frozen=True)
class Deprecation:
    """What a package says will change. `where` is our line that led to it, or the package's own."""

    package: str
    message: str
    where: str

    @property
    def version(self) -> str:
        """The version that brings the change, as far as the message says."""
        named = _VERSION.findall(self.message)
        return f"changes in {named[-1]}" if named else "names no version"


class Deprecations(logging.Handler):
    """A plugin of pytest. `root` holds our packages; `warn` stands in for `warnings.warn` from `listen` to `leave`."""

    def __init__(self, root: Path) -> None:
        super().__init__(logging.WARNING)
        self.root, self.found = root.resolve(), Counter[Deprecation]()
        self._stdlib = Path(sysconfig.get_paths()["stdlib"]).resolve()
        self._warn = warnings.warn

    def listen(self) -> None:
        self._warn = warnings.warn
        warnings.warn = self.warn  # type: ignore[assignment]
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self)

    def leave(self) -> None:
        warnings.warn = self._warn
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self)

    def warn(self, message: Any, category: type[Warning] | None = None, stacklevel: int = 1, *args: Any, **kwargs: Any) -> None:
        """Count it where a package deprecates something, else warn as ever."""
        kind = type(message) if isinstance(message, Warning) else category or UserWarning
        issuer = sys._getframe(1)
        package = self._package(issuer)
        if package and (issubclass(kind, CATEGORIES) or "Deprecat" in kind.__name__):
            self.found[Deprecation(package, _one_line(str(message)), self._where(issuer))] += 1
        else:
            self._warn(message, category, stacklevel + 1, *args, **kwargs)

    def emit(self, record: logging.LogRecord) -> None:
        """Count what a package's log says of it."""
        message = record.getMessage()
        if _SPEAKS.search(message) and record.name.split(".")[0] not in OURS:
            package = _distribution(record.name.split(".")[0])
            self.found[Deprecation(package, _one_line(message), self._where(sys._getframe(1)))] += 1

    def lines(self) -> list[str]:
        """One for each, those named most often first."""
        return [
            f"{one.package}, {one.version}: {one.message} ({one.where}, {count:,} x)" for one, count in self.found.most_common()
        ]

    def pytest_configure(self) -> None:
        self.listen()

    def pytest_unconfigure(self) -> None:
        self.leave()

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand what one of several workers found to the process that prints."""
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output["deprecations"] = [[*astuple(one), count] for one, count in self.found.items()]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take what a worker of pytest-xdist hands over; one that was killed hands over nothing."""
        for *fields, count in getattr(node, "workeroutput", {}).get("deprecations", ()):
            self.found[Deprecation(*fields)] += count

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.found:
            terminalreporter.section("deprecations of dependencies")
            for line in self.lines():
                terminalreporter.line(line)

    def _package(self, frame: FrameType) -> str:
        """Name and version of the package whose code this is; empty for ours and for Python's."""
        path = Path(frame.f_code.co_filename)
        if frame.f_code.co_filename.startswith("<") or self._is_ours(path):
            return ""
        if path.is_relative_to(self._stdlib) and "site-packages" not in path.parts:
            return ""
        return _distribution(str(frame.f_globals.get("__name__", path.stem)).split(".")[0])

    def _is_ours(self, path: Path) -> bool:
        return path.is_relative_to(self.root) and path.relative_to(self.root).parts[0] in OURS

    def _where(self, frame: FrameType) -> str:
        """Our innermost line on the stack, else the line itself."""
        for outer in _outwards(frame):
            path = Path(outer.f_code.co_filename)
            if self._is_ours(path):
                return f"{path.relative_to(self.root).as_posix()}:{outer.f_lineno}"
        return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def _outwards(frame: FrameType) -> Iterator[FrameType]:
    at: FrameType | None = frame
    while at is not None:
        yield at
        at = at.f_back


@functools.cache
def _distribution(module: str) -> str:
    """Name and version of what a top-level module was installed by."""
    names = metadata.packages_distributions().get(module, [module])
    try:
        return f"{names[0]} {metadata.version(names[0])}"
    except metadata.PackageNotFoundError:
        return names[0]


def _one_line(message: str) -> str:
    return " ".join(message.split())
