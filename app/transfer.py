"""Sessions in and out of the page: a zip to download, a zip to bring in."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from .export import export_zip, import_session
from .history import History


def exporter(history: History) -> Callable[[str], str]:
    """Session id -> path of a zip that the page may offer for download."""

    def export(session: str) -> str:
        name = re.sub(r"[^\w-]+", "-", history.session(session).name or "session").strip("-")[:40] or "session"
        folder = Path(tempfile.mkdtemp(prefix="fovea-export-"))
        return str(export_zip(history, session, folder / f"{name}-{session[:12]}.zip"))

    return export


def importer(history: History) -> Callable[[str], str]:
    """Path of an uploaded zip -> id of the session it became. Raises InputError for anything that is not one."""
    return lambda path: import_session(history, Path(path))
