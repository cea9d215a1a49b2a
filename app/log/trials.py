"""What a study has planned and done, in the session log: `studies.base.TrialLog` over a Store.

A study that is interrupted goes on where it stopped, because a trial's key says what it asks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import rows
from .store import Store

if TYPE_CHECKING:
    from studies.base import Outcome, Trial


class Trials:
    """The trials of all studies. A study is named by its id, which the caller chooses."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def begin(self, study: str, name: str, config: Mapping[str, Any]) -> None:
        """Notes which study that is and how it is set up. Beginning again changes nothing."""
        with self.store.write() as db:
            row = {"id": study, "name": name, "config": rows.to_json(dict(config)), "created_at": rows.now()}
            rows.add(db, "studies", row)

    def plan(self, study: str, trials: Iterable[Trial]) -> int:
        """Adds the trials that are not there yet and says how many those were."""
        planned = list(trials)  # made outside the transaction, which holds up everybody else
        with self.store.write() as db:
            rows.add(db, "studies", {"id": study, "name": study, "created_at": rows.now()})
            for checkpoint in {trial.checkpoint.id: trial.checkpoint for trial in planned}.values():
                rows.add(db, "checkpoints", rows.checkpoint_row(checkpoint))
            return sum(rows.add(db, "trials", _planned(study, trial)) for trial in planned)

    def done(self, study: str) -> set[str]:
        """The keys of the trials that need not run again. Failed ones may."""
        found = self.store.read("SELECT key FROM trials WHERE study_id = ? AND status = 'done'", [study])
        return {row["key"] for row in found}

    def record(self, study: str, trial: Trial, outcome: Outcome) -> None:
        """Writes down how a trial went. Its run is tied to it where the run is in the log."""
        self.plan(study, [trial])
        scores = {name: value if math.isfinite(value) else None for name, value in outcome.scores.items()}
        status, error = ("failed", rows.clean(outcome.error)) if outcome.error else ("done", None)
        with self.store.write() as db:
            db.execute(
                """UPDATE trials SET status = ?, output = ?, scores = ?, error = ?, updated_at = ?, attempts = attempts + 1,
                run_id = (SELECT id FROM runs WHERE id = ?) WHERE study_id = ? AND key = ?""",
                [status, rows.clean(outcome.output), rows.to_json(scores), error, rows.now(), outcome.run_id, study, trial.key],
            )

    def table(self, study: str) -> list[dict[str, Any]]:
        """All trials of a study with checkpoint name, condition, item, status, output, scores and error, by key."""
        found = self.store.read(
            """SELECT t.key, c.name AS checkpoint, t.condition, t.item, t.status, t.output, t.scores, t.error,
                t.attempts, t.run_id
            FROM trials t LEFT JOIN checkpoints c ON c.id = t.checkpoint_id WHERE t.study_id = ? ORDER BY t.key""",
            [study],
        )
        return [{**row, "item": json.loads(row["item"]), "scores": json.loads(row["scores"] or "{}")} for row in found]


def _planned(study: str, trial: Trial) -> dict[str, Any]:
    return {"study_id": study, "key": trial.key, "checkpoint_id": trial.checkpoint.id, "condition": trial.condition,
            "item": rows.to_json(dict(trial.item)), "status": "planned", "updated_at": rows.now()}  # fmt: skip
