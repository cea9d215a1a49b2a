"""Handlers of a tab's events, the same for every tab: the page's session is found again, and what goes wrong is a sentence."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import wraps
from typing import Protocol

import gradio as gr

from .bench import Bench, Values, guarded

Handler = Callable[..., Iterator[Values]]


class Tab(Protocol):
    """Whoever handles events of the page. `message` is where the tab says what went wrong."""

    bench: Bench
    message: gr.HTML


def event_handler(handler: Handler) -> Handler:
    """A method that yields updates, made fit for a page. It gets the values with the page's session in them.

    What goes wrong in it is a sentence in the tab's `message`, and the page stays usable.
    """

    @wraps(handler)
    def safe(self: Tab, values: Values, event: gr.EventData) -> Iterator[Values]:
        def steps() -> Generator[Values]:
            yield from handler(self, found_again(self.bench, values), event)

        yield from guarded(steps(), self.message)

    return safe


def found_again(bench: Bench, values: Values) -> Values:
    """The values, with the session found again where the server has forgotten this page, as after a long sleep.

    `Bench.state` and `Bench.remembered` must be among them. Raises InputError where the session is gone, on a public page.
    """
    state, remembered = values[bench.state], values.get(bench.remembered)
    if not state.session and isinstance(remembered, str) and remembered:
        state = bench.state_of(bench.history.session(remembered), state.checkpoint)
    return {**values, bench.state: bench.standing(state)}
