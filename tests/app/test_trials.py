"""The trials of studies in the session log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from store_fixtures import OTHER, TINY, says, turn

from app.log.store import Store
from app.log.trials import Trials
from model.checkpoint import Checkpoint


@dataclass(frozen=True)
class FakeTrial:
    key: str
    checkpoint: Checkpoint = TINY
    condition: str = "plain"
    item: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FakeOutcome:
    output: str
    scores: Mapping[str, float] = field(default_factory=dict)
    run_id: str | None = None
    error: str | None = None


@pytest.fixture
def trials(tmp_path):
    store = Store(tmp_path)
    yield Trials(store)
    store.close()


def test_planning_twice_adds_nothing(trials):
    planned = [FakeTrial("a"), FakeTrial("b", OTHER, "blurred", {"question": "é", "truth": True})]
    assert [trials.plan("pope", planned), trials.plan("pope", planned), trials.plan("pope", [*planned, FakeTrial("c")])] == [
        2,
        0,
        1,
    ]
    assert trials.plan("chair", planned) == 2
    row = trials.table("pope")[1]
    assert (row["key"], row["checkpoint"], row["condition"], row["item"]) == (
        "b",
        "other",
        "blurred",
        {"question": "é", "truth": True},
    )
    assert (row["status"], row["attempts"], row["scores"]) == ("planned", 0, {})


def test_what_is_done_need_not_run_again_and_what_failed_may(trials):
    planned = [FakeTrial(key) for key in "abc"]
    trials.plan("pope", planned)
    trials.record("pope", planned[0], FakeOutcome("yes", {"correct": 1.0, "margin": math.nan}))
    trials.record("pope", planned[1], FakeOutcome("", error="Memory ran out."))
    assert trials.done("pope") == {"a"}
    trials.record("pope", planned[1], FakeOutcome("no"))
    assert trials.done("pope") == {"a", "b"}
    assert trials.done("chair") == set()
    found = [(row["status"], row["output"], row["scores"], row["error"], row["attempts"]) for row in trials.table("pope")]
    assert found == [
        ("done", "yes", {"correct": 1.0, "margin": None}, None, 1),
        ("done", "no", {}, None, 2),
        ("planned", None, {}, None, 0),
    ]


def test_a_trial_is_tied_to_its_run_where_the_log_has_it(trials):
    run_id = turn(trials.store, says("user", "q"))
    trials.record("pope", FakeTrial("a"), FakeOutcome("yes", run_id=run_id))
    trials.record("pope", FakeTrial("b"), FakeOutcome("yes", run_id="never logged"))
    assert [row["run_id"] for row in trials.table("pope")] == [run_id, None]


def test_a_study_keeps_how_it_was_set_up_when_it_began(trials):
    trials.begin("pope-1", "pope", {"pictures": 10})
    trials.begin("pope-1", "pope", {"pictures": 20})
    trials.plan("pope-1", [FakeTrial("a")])
    assert trials.store.read("SELECT id, name, config FROM studies") == [
        {"id": "pope-1", "name": "pope", "config": '{"pictures": 10}'}
    ]
