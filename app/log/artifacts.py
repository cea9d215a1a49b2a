"""What was made of a run and kept with it: heat maps, for one. The numbers lie in blobs, what they are in the row.

An artifact goes with its run: when that is deleted (`cleanup`), and into the export of its session (`app.export`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from model.errors import InputError
from panels.base.records import Artifact, Json

from . import rows
from .access import LogPart
from .sealing import SEALED, is_sealed

MOST_OF_A_RUN = 500
MEDIA_TYPE = "application/octet-stream"


class ArtifactLog(LogPart):
    """Things kept with runs. Of a run of a sealed comparison none is shown."""

    def keep(self, run_id: str, kind: str, name: str, data: bytes, meta: Json) -> bool:
        """Keeps bytes with a run, in place of what had that name; False where the run is gone or holds too many."""
        if not self.access.sees_run(run_id):
            return False
        with self.store.write() as db:
            if db.execute("SELECT 1 FROM runs WHERE id = ?", [run_id]).fetchone() is None:
                return False
            many = db.execute("SELECT count(*) FROM artifacts WHERE run_id = ? AND name != ?", [run_id, name]).fetchone()[0]
            if many >= MOST_OF_A_RUN:
                return False
            sha = self.store.blobs.put(data)
            db.execute("DELETE FROM artifacts WHERE run_id = ? AND kind = ? AND name = ?", [run_id, kind, name])
            row = {"run_id": run_id, "kind": kind, "name": name, "id": sha, "media_type": MEDIA_TYPE,
                   "size_bytes": len(data), "meta": rows.to_json(dict(meta))}  # fmt: skip
            rows.add(db, "artifacts", row)
        return True

    def kept(self, run_id: str, kind: str) -> list[Artifact]:
        """What is kept of a run, the oldest first."""
        if not self.access.sees_run(run_id) or is_sealed(self.store, run_id):
            return []
        found = self.store.read("SELECT * FROM artifacts WHERE run_id = ? AND kind = ? ORDER BY rowid", [run_id, kind])
        return [_artifact(row) for row in found]

    def kept_bytes(self, run_id: str, kind: str, name: str) -> tuple[Artifact, bytes]:
        """One thing kept of a run, with its bytes. Raises InputError for one of a sealed comparison, too."""
        if is_sealed(self.store, self.access.run(run_id)):
            raise InputError(SEALED)
        missing = f"The {kind} {name!r} of this turn is not kept any more. Make it again."
        sql = "SELECT * FROM artifacts WHERE run_id = ? AND kind = ? AND name = ?"
        found = _artifact(self._one(sql, [run_id, kind, name], missing))
        try:
            with self.store.blobs.open(found.id) as file:
                return found, file.read()
        except OSError as error:
            raise InputError(missing) from error


def _artifact(row: Mapping[str, Any]) -> Artifact:
    return Artifact(**{**row, "meta": json.loads(row["meta"] or "{}")})
