"""Whatever can be asked of the log: a visitor of a public page gets nothing of another's, and changes nothing of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from gradio.context import LocalContext
from store_fixtures import picture, rows, says, turn

from app.log.history import History
from app.log.store import Store
from app.public.guest_log import GuestLog
from app.public.guests import Guests
from model.errors import WorkbenchError
from panels.base.bench import History as Seen
from studies.comparison import Comparison, Side

MARK = "quagga4711"
"""Stands in all that is the victim's."""
WHOLE = {"usage": "sizes of the whole log are nobody's own", "trials": "outcomes of studies are of checkpoints"}
"""What is not cut down to a visitor's, and why."""
METHODS = sorted(name for name, _ in inspect.getmembers(GuestLog) if not name.startswith("_"))


class Page:
    """A page of a visitor, on whose behalf things are done."""

    def __init__(self, guests: Guests, key: str) -> None:
        self._context = copy_context()
        self._page = Blocks()
        self._context.run(LocalContext.blocks_config.set, self._page)  # type: ignore[arg-type]
        self._context.run(guests.enter, key)

    def __call__(self, act: Callable[..., Any], *given: Any, **named: Any) -> Any:
        return self._context.run(act, *given, **named)


class Blocks:
    """Stands for the state that Gradio holds of a page."""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[GuestLog]:
    store = Store(tmp_path / "data")
    yield GuestLog(History(store), Guests(store))
    store.close()


@pytest.fixture
def victim(log: GuestLog) -> dict[str, Any]:
    """What there is of a visitor, by the name of the parameter that names it."""
    page = Page(log.guests, "a" * 32)
    session = page(log.new_session, f"Session {MARK}")
    part = picture("red", MARK)
    run = turn(log.store, says("user", part, f"What? {MARK}"), answer=MARK, session=session)
    page(log.rate, run, 1, MARK)
    page(log.keep, run, "map", MARK, MARK.encode(), {"title": MARK})
    group, blind = f"group-{MARK}", f"blind-{MARK}"
    for id in (group, blind):
        sides = (Side(f"{id}-a", MARK), Side(f"{id}-b", MARK))
        page(log.begin_comparison, Comparison(id, session, MARK, MARK, id == blind, False, sides, ""))
        for side in sides:
            asked = {"session": session, "panel": "compare", "group": id, "run_id": side.run}
            turn(log.store, says("user", part, f"Which? {MARK}"), answer=MARK, **asked)
    page(log.vote, group, "A")
    replay = turn(log.store, says("user", f"What? {MARK}"), answer=MARK, session="", panel="replay", group=run)
    named = {"session": session, "run_id": run, "group": group, "comparison": group, "image_id": part.id, "parent_run_id": run,
             "ids": [run], "among": [session], "query": MARK, "replay": replay, "blind": blind}  # fmt: skip
    return named | {"page": page}


OTHERS: dict[str, Any] = {
    "kind": "map", "name": MARK, "client": "browser", "settings": {"a": 1}, "value": -1, "note": "mine", "data": b"mine",
    "meta": {}, "outcome": "B", "limit": 100, "panel": "chat", "owner": "", "reasons": (), "waited_ms": None,
    "checkpoint": "", "since": "", "until": "", "rating": None, "status": "", "message_id": None,
}  # fmt: skip
"""What an attacker gives for parameters that name nothing of the victim's."""


def given(name: str, victim: dict[str, Any]) -> dict[str, Any]:
    """Arguments that ask a method for all it could give of the victim. A parameter nobody thought of fails the test."""
    found: dict[str, Any] = {}
    for parameter in list(inspect.signature(getattr(GuestLog, name)).parameters)[1:]:
        if parameter == "id":
            found["id"] = victim["comparison" if name == "comparison" else "session"]
        elif name == "reveal":
            found[parameter] = victim["blind"]
        elif name == "begin_comparison":
            found[parameter] = Comparison("fresh", victim["session"], "?", "", False, False, (), "")
        else:
            found[parameter] = victim[parameter] if parameter in victim else OTHERS[parameter]
    return found


def everything(log: GuestLog) -> list[Any]:
    """All rows of the tables a visitor could change, and the files."""
    tables = ("sessions", "runs", "messages", "images", "ratings", "artifacts", "comparisons", "votes", "shares")
    files = sorted(path.name for path in (log.store.root / "blobs").rglob("*") if path.is_file())
    return [*(rows(log.store.root, f"SELECT * FROM {table}") for table in tables), files]


@pytest.mark.parametrize("name", [name for name in METHODS if name not in {*WHOLE, "claim", "new_session", "has", "share"}])
def test_nothing_of_another_is_given_and_nothing_changed(log: GuestLog, victim: dict[str, Any], name: str) -> None:
    """`share` makes a link that only the owner may; `claim` is not for panels: both have tests of their own."""
    attacker, before = Page(log.guests, "b" * 32), everything(log)
    try:
        found = attacker(getattr(log, name), **given(name, victim))
    except WorkbenchError as error:
        text = str(error)
        assert "There is no" in text or "is not part of" in text, text
        text = text.replace(victim["group"], "").replace(repr(victim["run_id"]), "")  # the ids that were asked for
    else:
        assert not found, f"{name} gave {found!r}"
        text = repr(found)
    assert MARK not in text
    assert everything(log) == before


@pytest.mark.parametrize("name", [name for name in METHODS if name not in {*WHOLE, "claim", "new_session", "has", "share",
                                                                          "forget_comparison", "open_shared"}])  # fmt: skip
def test_the_owner_is_given_what_another_is_not(log: GuestLog, victim: dict[str, Any], name: str) -> None:
    """Or the test above could not fail."""
    arguments = given(name, victim)
    if name in ("children", "set_current"):
        arguments["parent_run_id" if name == "children" else "run_id"] = None
    before = everything(log)
    found = victim["page"](getattr(log, name), **arguments)
    assert found or everything(log) != before


def test_every_method_that_panels_know_is_asked() -> None:
    known = {name for name in vars(Seen) if not name.startswith("_")}
    assert known <= set(METHODS)
    assert set(WHOLE) <= known


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_what_is_the_same_for_all_tells_nothing_of_anybody(log: GuestLog, victim: dict[str, Any], name: str) -> None:
    attacker = Page(log.guests, "b" * 32)
    found = attacker(getattr, log, name)
    assert MARK not in repr(attacker(found) if callable(found) else found.table("s"))


def test_a_turn_is_shared_by_its_owner_alone(log: GuestLog, victim: dict[str, Any]) -> None:
    attacker = Page(log.guests, "b" * 32)
    with pytest.raises(WorkbenchError, match="There is no run"):
        attacker(log.share, victim["run_id"])
    assert rows(log.store.root, "SELECT * FROM shares") == []
    victim["page"](log.share, victim["run_id"])
    session = attacker(log.open_shared, victim["run_id"])
    assert [row.answer for row in attacker(log.thread, attacker(log.current, session))] == [MARK]


def test_a_replay_is_its_turns_owners(log: GuestLog, victim: dict[str, Any]) -> None:
    attacker, replay = Page(log.guests, "b" * 32), victim["replay"]
    assert attacker(log.search, panel="replay") == []
    assert [row.id for row in victim["page"](log.search, panel="replay")] == [replay]
    assert victim["page"](log.run, replay).row.answer == MARK
    with pytest.raises(WorkbenchError, match="There is no run"):
        attacker(log.run, replay)
