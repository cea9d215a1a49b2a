"""Sessions in and out of the page: a zip to download, a zip to bring in."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from gradio.utils import get_upload_folder

from model.errors import InputError

from ..log.history import History
from .write import export_zip, import_session


def exporter(history: History) -> Callable[[str], str]:
    """Session id -> path of a zip that the page may offer for download, where Gradio keeps its files."""

    def export(session: str) -> str:
        if not session:
            raise InputError("This run belongs to no session. Open it in Chat to export the session it repeats.")
        name = re.sub(r"[^\w-]+", "-", history.session(session).name or "session", flags=re.ASCII).strip("-")[:40] or "session"
        folder = Path(get_upload_folder()) / "exports"
        folder.mkdir(parents=True, exist_ok=True)
        return str(export_zip(history, session, folder / f"{name}-{session[:32]}.zip"))

    return export


def importer(history: History) -> Callable[[str], str]:
    """Path of an uploaded zip -> id of the session it became. Raises InputError for anything that is not one."""
    return lambda path: import_session(history, Path(path))
