"""Buttons of a turn, as the cards of all tabs name them: which there are beside a turn, and what a press on one opens."""

from __future__ import annotations

from collections.abc import Iterable

import gradio as gr

from .bench import Bench, Panel, SessionState
from .card import Action, Place
from .records import RunRecord
from .registry import panels

Button = tuple[str, str, str]
"""Name, text and explanation, as the page's scripts take it."""


def entries(place: Place) -> list[tuple[Panel, Action]]:
    """The actions that stand in a place, in order, each with the tab whose it is."""
    found = [(panel, action) for panel in panels.values() for action in panel.actions if place in action.places]
    return sorted(found, key=lambda entry: (entry[1].order, entry[0].order))


def buttons(place: Place, record: RunRecord | None = None) -> list[Button]:
    """The buttons of one turn in a place; without a turn, of any."""
    actions: Iterable[Action] = (action for _, action in entries(place))
    return [(a.name, a.text, a.title) for a in actions if record is None or a.turns(record)]


def opened(bench: Bench, state: SessionState, place: Place, name: str, run_id: str) -> dict[gr.State | gr.Tabs, object]:
    """The page with the tab of an action opened at a turn; nothing for an action that its tab answers itself.

    Raises InputError for a turn that there is not.
    """
    found = next(((panel, action) for panel, action in entries(place) if action.name == name and action.opens), None)
    if found is None:
        return {}
    panel, action = found
    row = bench.history.run(run_id).row
    return {
        bench.state: state.open(panel.slug, row.id, action.what(bench, row)),
        bench.tabs: gr.Tabs(selected=panel.slug),
    }
