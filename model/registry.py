"""One file, one entry: every module of a package registers itself when it is imported."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import threading
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar

log = logging.getLogger(__name__)


class Named(Protocol):
    """What can be an entry: a class that says its name."""

    @property
    def slug(self) -> str: ...


T = TypeVar("T", bound=Named)
C = TypeVar("C", bound=Named)


class Registry(Generic[T]):
    """Named things of one kind, found by importing every module of a package.

    Modules named `base` or starting with `_` are not entries. A module that fails to import does not
    take the others with it: its error is logged and kept in `failures`, and a test asserts that there are none.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self._failures: dict[str, str] = {}
        self._entries: dict[str, T] = {}
        self._scanned = False
        self._lock = threading.RLock()

    @property
    def failures(self) -> dict[str, str]:
        """Files that failed to import, by their path in the repository, each with its error."""
        self._scan()
        return self._failures

    def add(self, cls: type[C]) -> type[C]:
        """Decorator: make one instance of the class the entry named by its `slug`. Raises ValueError for a taken name."""
        entry: Any = cls()
        name = entry.slug
        if name in self._entries:
            other = type(self._entries[name]).__module__
            raise ValueError(f"Two {self.kind} entries are named {name!r}: {other} and {cls.__module__}.")
        self._entries[name] = entry
        return cls

    def __getitem__(self, name: str) -> T:
        self._scan()
        if name not in self._entries:
            failed = "".join(f" {file} failed to load: {error}." for file, error in self.failures.items())
            raise KeyError(
                f"There is no {self.kind} named {name!r}. Known: {', '.join(sorted(self._entries)) or 'none'}.{failed}"
            )
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._scan()
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        self._scan()
        return len(self._entries)

    def __contains__(self, name: Any) -> bool:
        self._scan()
        return name in self._entries

    def values(self) -> list[T]:
        """The entries, by name."""
        return [self[name] for name in self]

    def _scan(self) -> None:
        with self._lock:
            if self._scanned:
                return
            self._scanned = True
            package = importlib.import_module(self.package)
            for info in pkgutil.iter_modules(package.__path__):
                if info.name.startswith("_") or info.name == "base":
                    continue
                module = f"{self.package}.{info.name}"
                try:
                    importlib.import_module(module)
                except Exception as error:  # kept and shown; one broken file must not hide the others
                    self._entries = {name: entry for name, entry in self._entries.items() if type(entry).__module__ != module}
                    file = f"{module.replace('.', '/')}{'/__init__' if info.ispkg else ''}.py"
                    self._failures[file] = f"{type(error).__name__}: {error}"
                    log.exception("%s fails to load, so this %s is left out: %s", file, self.kind, self._failures[file])
