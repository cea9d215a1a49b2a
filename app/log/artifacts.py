"""What was made of a run and kept with it: heat maps, for one. The numbers lie in blobs, what they are in the row.

An artifact goes with its run: when that is deleted (`cleanup`), and into the export of its session (`export`, `restore`).
"""

from __future__ import annotations

import json

from model.errors import InputError
from panels.base.records import Artifact, Json

from . import rows
from .store import Store

MOST_OF_A_RUN = 500
MEDIA_TYPE = "application/octet-stream"


def keep(store: Store, artifact_of: tuple[str, str, str], data: bytes, media_type: str, meta: Json) -> bool:
    """Keep bytes as (run, kind, name), in place of what was kept so before. False where the run is gone or holds too many."""
    run_id, kind, name = artifact_of
    with store.write() as db:
        if db.execute("SELECT 1 FROM runs WHERE id = ?", [run_id]).fetchone() is None:
            return False
        many = db.execute("SELECT count(*) FROM artifacts WHERE run_id = ? AND name != ?", [run_id, name]).fetchone()[0]
        if many >= MOST_OF_A_RUN:
            return False
        sha = store.blobs.put(data)
        db.execute("DELETE FROM artifacts WHERE run_id = ? AND kind = ? AND name = ?", [run_id, kind, name])
        row = {"run_id": run_id, "kind": kind, "name": name, "id": sha, "media_type": media_type,
               "size_bytes": len(data), "meta": rows.to_json(dict(meta))}  # fmt: skip
        rows.add(db, "artifacts", row)
    return True


def listed(store: Store, run_id: str, kind: str) -> list[Artifact]:
    """What is kept of a run, the oldest first."""
    found = store.read("SELECT * FROM artifacts WHERE run_id = ? AND kind = ? ORDER BY rowid", [run_id, kind])
    return [Artifact(**{**row, "meta": json.loads(row["meta"] or "{}")}) for row in found]


def one(store: Store, run_id: str, kind: str, name: str) -> tuple[Artifact, bytes]:
    """An artifact with its bytes. Raises InputError where it is not there."""
    found = next((artifact for artifact in listed(store, run_id, kind) if artifact.name == name), None)
    missing = f"The {kind} {name!r} of this turn is not kept any more. Make it again."
    if found is None:
        raise InputError(missing)
    try:
        with store.blobs.open(found.id) as file:
            return found, file.read()
    except OSError as error:
        raise InputError(missing) from error
