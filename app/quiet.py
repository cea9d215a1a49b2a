"""Deprecations of packages are for those who develop this program, whose tests collect them. Whoever runs it is not told.

Other warnings are. With --verbose nothing is hidden.
"""

from __future__ import annotations

import logging
import re
import warnings

_SPEAKS = re.compile(r"\bdeprecat|\bwill be removed\b", re.IGNORECASE)


class _Quiet(logging.Logger):
    """A logger whose own handlers leave deprecations out."""

    def addHandler(self, hdlr: logging.Handler) -> None:
        _leave_out(hdlr)
        super().addHandler(hdlr)


def hide_deprecations() -> None:
    """From here on, in all threads, whether transformers, whose log has a handler of its own, is imported yet or not."""
    for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
        warnings.filterwarnings("ignore", category=category)
    warnings.filterwarnings("ignore", message=rf"(?is).*({_SPEAKS.pattern})")  # some packages' are of a category of their own
    if "transformers" not in logging.root.manager.loggerDict:
        usual = logging.getLoggerClass()
        logging.setLoggerClass(_Quiet)
        logging.getLogger("transformers")
        logging.setLoggerClass(usual)
    for name in ("", "transformers"):
        for handler in logging.getLogger(name).handlers:
            _leave_out(handler)


def _leave_out(handler: logging.Handler) -> None:
    if isinstance(handler, logging.StreamHandler):  # what prints
        handler.addFilter(_is_none)


def _is_none(record: logging.LogRecord) -> bool:
    return not _SPEAKS.search(record.getMessage())
