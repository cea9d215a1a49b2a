"""Deprecations of packages are for those who develop this program, whose tests collect them. Whoever runs it is not told.

Other warnings are. With --verbose nothing is hidden.
"""

from __future__ import annotations

import importlib
import logging
import re
import warnings

_SPEAKS = re.compile(r"\bdeprecat|\bwill be removed\b", re.IGNORECASE)


def hide_deprecations() -> None:
    """From here on, in all threads. It imports transformers, whose log has a handler of its own."""
    importlib.import_module("transformers.utils.logging")
    for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
        warnings.filterwarnings("ignore", category=category)
    warnings.filterwarnings("ignore", message=rf"(?is).*({_SPEAKS.pattern})")  # some packages' are of a category of their own
    for name in ("", "transformers"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler):  # what prints
                handler.addFilter(_is_none)


def _is_none(record: logging.LogRecord) -> bool:
    return not _SPEAKS.search(record.getMessage())
