"""Brings an exported session back as a new one. Everything in the export is checked before anything is written.

Messages and checkpoints get their ids from what they say, so what the log knows already is shared. Rows go
in with one transaction; when that fails, the pictures go again, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from model.errors import InputError, PictureError
from model.pictures import open_picture
from model.recorder import new_id

from ..log import rows
from ..log.artifacts import MEDIA_TYPE
from ..log.cleanup import sweep
from ..log.errors import LogError
from ..log.history import History
from ..log.turns import RATER
from .archive import Members, open_export
from .fields import Fields
from .run_line import Line, read_line

MAX_RUNS = 100_000
MAX_NAME = 200
_IMAGE = re.compile(r"images/([0-9a-f]{64})\.[a-z]{3,4}")
_ARTIFACT = re.compile(r"artifacts/([0-9a-f]{64})\.bin")


@dataclass(frozen=True)
class _Export:
    """An export that is fit to be written down. `images` are rows by the name of their file, `artifacts` sizes in bytes."""

    about: Fields
    lines: tuple[Line, ...]
    images: Mapping[str, Mapping[str, Any]]
    artifacts: Mapping[str, int]


def import_session(history: History, source: Path) -> str:
    """The id of the new session made from an exported folder or zip. Importing twice gives two sessions.

    Runs keep their ids unless the log has them already. Raises InputError where the export is damaged or unsafe;
    the log is then as before.
    """
    with open_export(Path(source)) as files:
        export = _checked(files)
        try:
            with history.store.write() as db:
                for name in (*export.images, *export.artifacts):
                    history.store.blobs.put(_bytes(files, name))
                return _write(db, export)
        except BaseException:
            with suppress(LogError):
                sweep(history.store, map(_sha, (*export.images, *export.artifacts)))
            raise


def _checked(files: Members) -> _Export:
    about = Fields.parse(files.read("session.json") if "session.json" in files.sizes else b"{}", "session.json")
    if about.data.get("format", 1) != 1:
        raise InputError("The export was made by a newer version. Update the program and import it again.")
    texts = [text for text in enumerate(files.read("runs.jsonl").split(b"\n"), 1) if text[1].strip()]
    if len(texts) > MAX_RUNS:
        raise InputError(f"The export holds {len(texts)} runs; at most {MAX_RUNS} are read. Split runs.jsonl.")
    lines = tuple(read_line(Fields.parse(text, f"Line {number} of runs.jsonl")) for number, text in texts)
    ids = {line.run["id"] for line in lines}
    if len(ids) != len(lines):
        raise InputError("Two lines of runs.jsonl have the same id. Export the session again.")
    names = {image: name for line in lines for image, name in line.images.items()}
    kept = dict.fromkeys(artifact["file"] for line in lines for artifact in line.artifacts)
    images = {image: _image_row(files, image, name) for image, name in names.items()}
    for name in kept:
        if not _ARTIFACT.fullmatch(name):
            raise InputError(
                f"runs.jsonl names the artifact {name[:80]!r}, not artifacts/<sha256>.bin. Export the session again."
            )
    return _Export(about, lines, images, {name: len(_bytes(files, name)) for name in kept})


def _image_bytes(files: Members, name: str) -> bytes:
    """The bytes of a picture. Raises InputError for a name that is none of a picture."""
    if not _IMAGE.fullmatch(name):
        raise InputError(f"runs.jsonl names the picture {name[:80]!r}, not images/<sha256>.<suffix>. Export the session again.")
    return _bytes(files, name)


def _bytes(files: Members, name: str) -> bytes:
    """The bytes of a file that is named by their sha256, which are what its name says."""
    data = files.read(name)
    if hashlib.sha256(data).hexdigest() != _sha(name):
        what = "picture" if name.startswith("images/") else "artifact"
        raise InputError(f"The {what} {name[:30]!r} has changed since it was exported. Export the session again.")
    return data


def _sha(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[0]


def _image_row(files: Members, name: str, source: str) -> dict[str, Any]:
    try:
        part = open_picture(_image_bytes(files, name), name).part
    except PictureError as error:
        raise InputError(f"The export holds a picture that cannot be opened. {error}") from error
    return rows.image_row(part) | {"source": source}


def _write(db: Database, export: _Export) -> str:
    """Adds the rows and gives the id of the session."""
    about, session = export.about, new_id()
    started_at = about.time("started_at") if "started_at" in about.data else rows.now()
    name, settings = (about.text("name") or "")[:MAX_NAME], rows.to_json(about.object("settings"))
    rows.add(db, "sessions", {"id": session, "started_at": started_at, "name": name, "client": "import",
                              "app_version": about.text("app_version"), "settings": settings})  # fmt: skip
    for image in export.images.values():
        rows.add(db, "images", image)
    runs: dict[str, str] = {}
    groups: dict[str, str] = {}
    for line in export.lines:
        run = line.run
        fresh = new_id() if _is_there(db, "id", run["id"]) else run["id"]
        group = run["group_id"]
        if group is not None and group not in groups:
            groups[group] = new_id() if _is_there(db, "group_id", group) else group
        parent = runs.get(run["parent_run_id"])  # one that comes later in the file is none, so there are no circles
        own = {"id": fresh, "session_id": session, "group_id": groups.get(group), "parent_run_id": parent}
        _write_run(db, line, run | own, export)
        runs[run["id"]] = fresh
    rows.change(db, "sessions", session, {"current_run_id": runs.get(about.text("current_run_id") or "")})
    return session


def _write_run(db: Database, line: Line, run: Mapping[str, Any], export: _Export) -> None:
    images = export.images
    rows.add(db, "checkpoints", line.checkpoint)
    prompt = rows.chain((role, [_part(part, images) for part in parts]) for role, parts in line.turns)
    prompt_id = prompt[-1].id if prompt else None
    answer = rows.chain([("assistant", (line.answer,))], prompt_id) if line.answer is not None else ()
    rows.write_chain(db, (*prompt, *answer))
    ends = {"prompt_id": prompt_id, "answer_id": answer[0].id if answer else None}
    rows.add(db, "runs", {**run, **ends})
    if line.rating is not None:
        rating = {"run_id": run["id"], "rater": RATER, "value": line.rating, "note": line.note, "rated_at": rows.now()}
        rows.add(db, "ratings", rating)
    for position, box in enumerate(line.boxes):
        image = images[box["image_id"]]["id"] if box["image_id"] else None
        rows.add(db, "boxes", {**box, "run_id": run["id"], "position": position, "image_id": image})
    for artifact in line.artifacts:
        file = artifact["file"]
        row = {"run_id": run["id"], "kind": artifact["kind"], "name": artifact["name"], "id": _sha(file),
               "media_type": MEDIA_TYPE, "size_bytes": export.artifacts[file], "meta": artifact["meta"]}  # fmt: skip
        rows.add(db, "artifacts", row)


def _is_there(db: Database, column: str, value: str) -> bool:
    return db.execute(f"SELECT 1 FROM runs WHERE {column} = ?", [rows.clean(value)]).fetchone() is not None


def _part(part: rows.Part, images: Mapping[str, Mapping[str, Any]]) -> rows.Part:
    return part if isinstance(part, str) else {**part, "image": images[part["image"]]["id"]}
