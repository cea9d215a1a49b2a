"""The session log as a person looks back at it: its parts in one, as `panels.base.bench.History` names them.

What is never done here: change what was said. What it deletes is decided in `cleanup`; writing is the recorder's (`store`).
"""

from __future__ import annotations

from panels.base.records import Usage

from . import cleanup
from .artifacts import ArtifactLog
from .comparisons import ComparisonLog
from .sessions import SessionLog
from .trials import Trials
from .turns import TurnLog


class History(SessionLog, TurnLog, ArtifactLog, ComparisonLog):
    """The whole log, seen with the eyes of its `access`. Every method may be called from any thread.

    A new read is a method of the part it belongs to, which asks `access` first, and a line in the panels' protocol.
    """

    @property
    def trials(self) -> Trials:
        """What studies wrote down: of checkpoints, nobody's own."""
        return Trials(self.store)

    def usage(self) -> Usage:
        """How much the log holds."""
        return cleanup.usage(self.store)
