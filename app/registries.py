"""The registries of the program together: what of them failed to load is told in the header and by doctor."""

from __future__ import annotations

import importlib
from typing import Any

from model.registry import Registry

REGISTRIES = (
    ("model.families", "families", "families"), ("model.heat", "heat_methods", "heat methods"),
    ("model.decoders", "decoders", "decoders"), ("panels", "panels", "tabs"), ("studies", "studies", "studies"),
)  # fmt: skip
"""Package, name in it, and what its entries are called."""


def registries() -> dict[str, Registry[Any]]:
    """Each registry by what its entries are called. Imports their packages."""
    return {words: getattr(importlib.import_module(package), name) for package, name, words in REGISTRIES}


def failures() -> dict[str, str]:
    """Files of entries that failed to load, of all registries, each with its error. Imports every entry."""
    return {file: error for registry in registries().values() for file, error in registry.failures.items()}
