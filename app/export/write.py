"""A session as a folder or a zip that a person can read and `restore.import_session` brings back.

README.md      how it was made and what is in it
session.md     the conversation, to be read
session.json   the session's name, settings, and the turn it stands at
runs.jsonl     one JSON object per run
images/        the pictures, by the sha256 of their bytes
artifacts/     what was made of the runs and kept, maps above all, by the sha256 of their bytes

A blind comparison that waits for its vote is left out whole: a line per answer would say which checkpoint gave it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.errors import InputError
from studies.comparison import left_out

from ..log import rows
from ..log.history import History
from ..log.sealing import VEIL
from ..log.turns import RATER
from ..log.turns import conversation as messages_to
from .markdown import conversation, span
from .restore import import_session

__all__ = ["FORMAT", "export_session", "export_zip", "import_session"]

FORMAT = 1
MOST_ARTIFACTS, MOST_ARTIFACT_BYTES = 8_000, 300_000_000
"""An export carries so many files of artifacts, the newest first: beyond it, it could not be read back."""
SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif",
            "image/bmp": "bmp", "image/tiff": "tiff", "image/avif": "avif"}  # fmt: skip
_COPIED = ("id", "parent_run_id", "panel", "status", "error", "started_at", "answer_prefix", "prompt_tokens", "reused_tokens",
           "visual_tokens", "cached_images", "new_tokens", "queued_ms", "prefill_ms", "decode_ms", "note")  # fmt: skip
_SQL = f"""SELECT r.*, c.spec, c.family, c.parameters, c.weights, a.parts AS answer, t.value AS rating, t.note
    FROM runs r JOIN checkpoints c ON c.id = r.checkpoint_id LEFT JOIN messages a ON a.id = r.answer_id
    LEFT JOIN ratings t ON t.run_id = r.id AND t.rater = '{RATER}'
    {VEIL}
    WHERE r.session_id = ? AND k.id IS NULL ORDER BY r.started_at, r.rowid"""

_KEPT = f"""SELECT a.run_id, a.kind, a.name, a.id, a.size_bytes, a.meta FROM artifacts a JOIN runs r ON r.id = a.run_id
    {VEIL}
    WHERE r.session_id = ? AND k.id IS NULL ORDER BY a.rowid DESC"""
_SEALED = "SELECT count(*) AS n FROM comparisons WHERE session_id = ? AND blind AND revealed_at IS NULL"


def export_session(history: History, session_id: str, folder: Path) -> Path:
    """Writes the session into that folder, which must be new or empty, and gives it back."""
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder.name!r} is not an empty folder. Choose a new one.")
    for name, data in _files(history, session_id):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def export_zip(history: History, session_id: str, path: Path) -> Path:
    """Writes the session into a zip of that path, replacing what was there, and gives the path back."""
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in _files(history, session_id):
                file.writestr(name, data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _files(history: History, session_id: str) -> Iterator[tuple[str, bytes]]:
    """Every file of an export, by name."""
    with history.store.snapshot():
        session = history.session(session_id)
        images, artifacts = _images(history, session_id), _artifacts(history, session_id)
        runs = [_run(history, row, images, artifacts.get(row["id"], [])) for row in history.store.read(_SQL, [session_id])]
        kept, sealed = history.store.read(_KEPT, [session_id]), history.store.read(_SEALED, [session_id])[0]["n"]
    about = {"format": FORMAT, "id": session.id, "name": session.name, "started_at": session.started_at,
             "client": session.client, "app_version": session.app_version, "settings": dict(session.settings),
             "current_run_id": session.current_run_id}  # fmt: skip
    yield "session.json", (rows.to_json(about) + "\n").encode()
    yield "session.md", conversation(session.name, runs).encode()
    yield "runs.jsonl", "".join(rows.to_json(run) + "\n" for run in runs).encode()
    missing = 0
    for image in images.values():
        data = _read(history, image["sha256"])
        if data is None:
            missing += 1
        else:
            yield image["file"], data
    for name in sorted({one["file"] for of_run in artifacts.values() for one in of_run}):
        data = _read(history, name.removeprefix("artifacts/").removesuffix(".bin"))
        if data is not None:
            yield name, data
    lost = len(kept) - sum(map(len, artifacts.values()))
    yield "README.md", _readme(about, len(runs), len(images), missing, len(kept) - lost, lost, sealed).encode()


def _read(history: History, sha: str) -> bytes | None:
    """The bytes of a file, None where it is gone."""
    try:
        with history.store.blobs.open(sha) as file:
            return file.read()
    except FileNotFoundError:
        return None


def _images(history: History, session_id: str) -> dict[str, dict[str, str]]:
    """The pictures of a session by sha256, each with the name of its file in the export and its own name."""
    found = history.store.read(
        f"""WITH RECURSIVE open AS (SELECT r.id, r.prompt_id FROM runs r {VEIL} WHERE r.session_id = :session AND k.id IS NULL),
        said(id) AS (
            SELECT prompt_id FROM open
            UNION SELECT m.parent_id FROM said JOIN messages m ON m.id = said.id)
        SELECT id, media_type, source FROM images
        WHERE id IN (SELECT image_id FROM message_images WHERE message_id IN (SELECT id FROM said))
            OR id IN (SELECT b.image_id FROM boxes b JOIN open ON open.id = b.run_id)
        ORDER BY id""",
        {"session": session_id},
    )
    return {
        row["id"]: {"sha256": row["id"], "file": f"images/{row['id']}.{SUFFIXES[row['media_type']]}", "name": row["source"] or ""}
        for row in found
    }


def _artifacts(history: History, session_id: str) -> dict[str, list[dict[str, Any]]]:
    """What is kept of each run, the oldest first, each with the name of its file in the export; only what has its file."""
    found: dict[str, list[dict[str, Any]]] = {}
    files: set[str] = set()
    size_bytes = 0
    for row in history.store.read(_KEPT, [session_id]):
        new = row["id"] not in files
        if new and (len(files) >= MOST_ARTIFACTS or size_bytes + row["size_bytes"] > MOST_ARTIFACT_BYTES):
            break
        if row["id"] not in history.store.blobs:
            continue
        files.add(row["id"])
        size_bytes += row["size_bytes"] if new else 0
        one = {
            "kind": row["kind"],
            "name": row["name"],
            "file": f"artifacts/{row['id']}.bin",
            "meta": json.loads(row["meta"] or "{}"),
        }
        found.setdefault(row["run_id"], []).insert(0, one)
    return found


def _run(
    history: History, row: Mapping[str, Any], images: Mapping[str, Mapping[str, str]], artifacts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A line of runs.jsonl."""
    chain = messages_to(history.store, row["prompt_id"])
    boxes = history.store.read(
        "SELECT image_id, label, x0, y0, x1, y1, score, said FROM boxes WHERE run_id = ? ORDER BY position", [row["id"]]
    )
    return {
        **{name: row[name] for name in _COPIED},
        "group": row["group_id"],
        "checkpoint": json.loads(row["spec"]),
        "loaded": {"family": row["family"], "parameters": row["parameters"], "weights": row["weights"]},
        "options": json.loads(row["options"] or "{}"),
        "messages": [{"role": m.role, "parts": [_part(part, images) for part in m.parts]} for m in chain],
        "answer": "\n".join(json.loads(row["answer"])) if row["answer"] is not None else None,
        "answer_tokens": json.loads(row["answer_tokens"] or "[]"),
        "reason": row["finish_reason"],
        "tokens": json.loads(row["tokens"] or "[]"),
        "rating": row["rating"],
        "boxes": [{**box, "image_id": images[box["image_id"]]["file"] if box["image_id"] else None} for box in boxes],
        "artifacts": list(artifacts),
        "versions": json.loads(row["versions"] or "{}"),
        "warnings": json.loads(row["warnings"] or "[]"),
    }


def _part(part: rows.Part, images: Mapping[str, Mapping[str, str]]) -> rows.Part:
    if isinstance(part, str):
        return part
    return {**part, "image": images[part["image"]]["file"], "name": images[part["image"]]["name"]}


def _readme(about: Mapping[str, Any], runs: int, images: int, missing: int, artifacts: int, left: int, sealed: int) -> str:
    name = span(about["name"] or about["id"])
    lost = f"\n{missing} of the pictures were missing from the log and are missing here.\n" if missing else ""
    lost += f"\n{left} of the things kept with runs are left out: their files were gone, or they were too many.\n" if left else ""
    lost += f"\n{left_out(sealed)}\n" if sealed else ""
    many = f"{runs} runs, {images} pictures, {artifacts} things kept with runs"
    return f"""Made by Fovea on {rows.now()[:16]} UTC from the session {name}: {many}.
{lost}
- `session.md`: the conversation, to be read.
- `runs.jsonl`: one run per line, as JSON: messages, answer, tokens with log-probabilities, options, checkpoint, times.
- `session.json`: the session's name and settings.
- `images/`: the pictures, named by the sha256 of their bytes.
- `artifacts/`: maps and what else was kept with runs, named likewise. `runs.jsonl` says what each is and how its numbers lie.

Fovea reads this folder, or a zip of it, back as a new session. The runs were found with:

```sql
{_SQL}
```
"""
