"""Maps that were looked at, kept with their turn in the log: how they are named, written down and found again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from model.errors import WorkbenchError

from ..bench import Bench, History

log = logging.getLogger(__name__)
MAX_TITLE = 200
TABS = {"heat": "attention", "patches": "patches"}
"""Kinds of kept maps, and the panel that opens each."""


def name_of(what: Mapping[str, Any], of: str) -> str:
    """A short name for a map, the same for the same request. `of` is the field of the request that begins it."""
    return f"{what[of]}-{hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=8).hexdigest()}"


def write_down(bench: Bench, run_id: str, kind: str, name: str, data: bytes, meta: Mapping[str, Any]) -> bool:
    """Keep a map with its turn. False where it was not: a log that cannot be written is no reason to lose the map."""
    assert kind in TABS, kind
    if not run_id:
        return False
    try:
        return bench.history.keep(run_id, kind, name, data, meta)
    except WorkbenchError as error:
        log.warning("A map was not logged: %s", error)
        return False


def meta_of(history: History, run_id: str, kind: str, name: str) -> Mapping[str, Any] | None:
    """What is written of a kept map; None where it is gone. It may have come with an import and hold anything."""
    return next((artifact.meta for artifact in history.kept(run_id, kind) if artifact.name == name), None)


def line(kind: str, name: str, title: str, note: str) -> dict[str, str]:
    """A kept map as Sessions lists it."""
    return {"kind": kind, "name": name, "title": title[:MAX_TITLE], "note": note[:MAX_TITLE]}
