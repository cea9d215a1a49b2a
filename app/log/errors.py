"""What kept the log from being written, in words and with a cure. Paths stay out: the sentences reach browsers."""

from __future__ import annotations

import errno
import sqlite3

from model.errors import WorkbenchError

_FULL = ("the disk is full", "Free space")
_READ_ONLY = ("the data folder is read-only", "Make it writable, or choose another with FOVEA_DATA")
_LOCKED = ("another program holds the log", "Close that program, or wait for it")
_DAMAGED = ("the log is damaged", "Move the data folder away and start again")
_SAID = {"is full": _FULL, "readonly": _READ_ONLY, "unable to open": _READ_ONLY, "locked": _LOCKED,
         "malformed": _DAMAGED, "not a database": _DAMAGED}  # fmt: skip
_ERRNO = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EROFS: _READ_ONLY, errno.EACCES: _READ_ONLY, errno.EPERM: _READ_ONLY}
_DEFECTS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InternalError, sqlite3.DataError, sqlite3.NotSupportedError)


class LogError(WorkbenchError):
    """The session log cannot be opened, read or written."""


def passing(error: Exception) -> bool:
    """True where the surroundings are to blame, so that the same write may succeed later."""
    return isinstance(error, OSError) or (isinstance(error, sqlite3.DatabaseError) and not isinstance(error, _DEFECTS))


def locked(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def explain(error: Exception) -> tuple[str, str]:
    """Why, and what to do about it; neither ends with a full stop."""
    if isinstance(error, OSError):
        return _ERRNO.get(error.errno or 0, (error.strerror or type(error).__name__, "See the program's own log"))
    found = next((words for said, words in _SAID.items() if said in str(error)), None)
    return found or (str(error), "See the program's own log")


def sentence(what: str, error: Exception) -> str:
    """'The log was not changed' -> 'The log was not changed: the disk is full. Free space.'"""
    why, cure = explain(error)
    return f"{what}: {why}. {cure}."
