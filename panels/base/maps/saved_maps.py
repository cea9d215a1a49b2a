"""What tabs keep with turns of the log: how it is named, written down, listed and found again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from model.errors import WorkbenchError

from ..bench import Bench, History
from ..card import Kept
from ..records import Json
from ..registry import panels

log = logging.getLogger(__name__)
MAX_TITLE = 200


@dataclass(frozen=True)
class SavedMap:
    """A kept map as Sessions lists it. `where` is the title of the tab that opens it."""

    kind: str
    name: str
    title: str
    note: str
    where: str


def name_of(what: Mapping[str, object], of: str) -> str:
    """A short name for a map, the same for the same request. `of` is the field of the request that begins it."""
    return f"{what[of]}-{hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=8).hexdigest()}"


def keep(bench: Bench, run_id: str, kind: str, name: str, data: bytes, meta: Json) -> bool:
    """Keep a map with its turn. False where it was not: a log that cannot be written is no reason to lose the map."""
    assert opener_of(kind), f"no tab says that it keeps {kind!r}, so it would never be found again"
    if not run_id:
        return False
    try:
        return bench.history.keep(run_id, kind, name, data, meta)
    except WorkbenchError as error:
        log.warning("A map was not logged: %s", error)
        return False


def saved_maps(history: History, run_id: str) -> list[SavedMap]:
    """What is kept of a turn by all tabs, in their order, the oldest first."""
    tabs = sorted(panels.values(), key=lambda panel: panel.order)
    return [
        line for panel in tabs for kind, kept in panel.keeps.items() for line in _lines(history, run_id, kind, kept, panel.title)
    ]


def _lines(history: History, run_id: str, kind: str, kept: Kept, where: str) -> list[SavedMap]:
    found = []
    for artifact in history.kept(run_id, kind):
        if kept.read(artifact.meta) is not None:
            title, note = kept.described(artifact.meta)
            found.append(SavedMap(kind, artifact.name, (title or kept.title)[:MAX_TITLE], note[:MAX_TITLE], where))
    return found


def opener_of(kind: str) -> str:
    """The slug of the tab that keeps this kind and opens it again, empty where none does."""
    return next((panel.slug for panel in panels.values() if kind in panel.keeps), "")


def to_reopen(history: History, run_id: str, kind: str, name: str) -> Json | None:
    """The request that makes a kept map again. None where the map is gone or cannot be read: an import may have brought it."""
    kept = next((panel.keeps[kind] for panel in panels.values() if kind in panel.keeps), None)
    meta = next((artifact.meta for artifact in history.kept(run_id, kind) if artifact.name == name), None)
    return None if kept is None or meta is None else kept.read(meta)
