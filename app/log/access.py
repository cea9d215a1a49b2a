"""Whose eyes the log is read with. Every part of `history.History` asks it before it gives or changes anything.

`Access` itself lets everything be seen; `app.public.guest_log` has one for each visitor of a public page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.errors import InputError

from .store import Store


class Access:
    """Everybody may see everything: the log of one's own machine."""

    def sees_session(self, id: str) -> bool:
        """Whether that session may be seen, where it is there at all."""
        return True

    def sees_run(self, id: str) -> bool:
        """Whether that run may be seen, where it is there at all."""
        return True

    def session(self, id: str) -> str:
        """The id itself. Raises InputError, in the words for one that is not there, where it may not be seen."""
        return id

    def run(self, id: str) -> str:
        """The id itself. Raises InputError, in the words for one that is not there, where it may not be seen."""
        return id

    def picture(self, id: str) -> str:
        """The id itself. Raises InputError where no run that may be seen has that picture."""
        return id

    def only(self) -> Sequence[str] | None:
        """The ids of the only sessions that may be seen, the newest first; None where all may be."""
        return None


class LogPart:
    """What a part of the log works with. Raises InputError for ids that are not in it, LogError where it cannot be read."""

    def __init__(self, store: Store, access: Access | None = None) -> None:
        self.store, self.access = store, access or Access()

    def _one(self, sql: str, params: Sequence[Any], missing: str) -> dict[str, Any]:
        """The row a query gives. Raises InputError with that sentence where it gives none."""
        found = self.store.read(sql, params)
        if not found:
            raise InputError(missing)
        return found[0]
