"""Compare: two to four columns get the same question side by side; what differs is measured, voted on and counted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar

import gradio as gr

from model import WorkbenchError
from model.errors import InputError
from model.families.base import Capability
from model.recorder import new_id
from studies.comparison import LETTERS, Comparison, Side

from .. import panels
from ..base.bench import MODEL, QUICK, Bench, SessionState, Values, sent
from ..base.card import Action, Element, Kept
from ..base.components import PictureUrls, component
from ..base.handlers import event_handler
from ..base.maps.instrument import Instrument
from ..base.records import Reply
from .answers import answer_of
from .endpoints import add_compare_api
from .heat import ANSWERS
from .page import ADDRESSES, BUSY, GROUP, ComparePage, TabVisit, comparison_of
from .question_sets import SET, Several
from .requests import Asking, Entrant, asking, kind_of, once_more, setting_of, settings_of
from .run import Heard, run
from .views import live_view, same_again, whole_view
from .votes import cast_vote, votes_view

NO_VOTE = "A column failed, so there is nothing to vote on, and the names are shown."
UNLOGGED = "This comparison is not in the log: it is gone when another is made. {why}"


@panels.add
class Compare:
    """Columns side by side, and the votes on them."""

    slug: ClassVar[str] = "compare"
    title: ClassVar[str] = "Compare"
    order: ClassVar[int] = 60
    purpose: ClassVar[str] = (
        "One question to several checkpoints side by side: answers, boxes and heat, blind votes, question sets."
    )
    needs: ClassVar[frozenset[Capability]] = frozenset()
    actions: ClassVar[tuple[Action, ...]] = (
        Action("compare", "Compare", "The same question to other checkpoints, side by side", order=30, what=comparison_of),
    )
    keeps: ClassVar[Mapping[str, Kept]] = {}
    addresses: ClassVar[tuple[str, ...]] = ADDRESSES
    elements: ClassVar[Mapping[str, Element]] = {
        "compare_setup": Element(
            '<fv-compare-setup class="fv-versus-setup" role="region" aria-label="Columns and question"></fv-compare-setup>',
            ("ask", "questions", "votes", "halt"),
        ),
        "compare": Element(
            '<fv-compare class="fv-versus" role="region" aria-label="Comparison"></fv-compare>',
            ("vote", "reveal", "again", "stopone", "kind"),
        ),
    }

    def build(self, bench: Bench) -> None:
        tool = Instrument(bench, self, ANSWERS)
        setup = component("compare_setup", elem_id="compare-setup")
        error = component("message", visible=False, elem_id="compare-error")
        stage = tool.component("compare")
        page = ComparePage(bench, PictureUrls(), setup, stage, error, gr.State(""), gr.State({}), gr.State(TabVisit()))
        _Comparing(page).wire()
        add_compare_api(bench)


class _Comparing:
    """Handlers of the tab."""

    def __init__(self, page: ComparePage) -> None:
        self.page, self.bench, self.message = page, page.bench, page.error

    def wire(self) -> None:
        b, p = self.bench, self.page
        given = {p.group, p.runs, p.seen, b.state, b.remembered}
        shown = [*p.parts, b.state]
        asked = [
            p.setup.ask(self.ask, given, shown, **MODEL),
            p.stage.again(self.again, given, shown, **MODEL),
            p.setup.questions(Several(p).ask, given, shown, **MODEL),
        ]
        b.answering += asked
        gr.on([b.state.change, b.opened.change], self.stand, given, shown, **QUICK)
        p.stage.vote(self.vote, given, shown, **QUICK)
        p.stage.reveal(self.reveal, given, shown, **QUICK)
        p.setup.votes(self.votes, given, shown, **QUICK)
        p.stage.kind(self.votes, given, shown, **QUICK)
        quiet = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        p.setup.halt(self.halt, [p.runs], None, **quiet)
        p.stage.stopone(self.halt_one, [p.runs], None, **quiet)

    # --- what is shown -------------------------------------------------------------------------

    @event_handler
    def stand(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """What the tab shows when the bench changes: columns and question to begin with, or a comparison that was opened."""
        p, state, seen = self.page, values[self.bench.state], values[self.page.seen]
        opened = state.opened(Compare.slug) or seen.opening
        found: Values = {p.setup: p.set_up(state, opened, bool(p.running(values))), p.seen: TabVisit(state.session, opened)}
        if seen == TabVisit(state.session, opened) or p.running(values):
            yield found
            return
        held: Comparison | None
        group = opened.what.get(GROUP, "") if opened and seen.opening != opened else ""
        if group:
            held = p.may_see(state, group)
            if not held.sealed:  # the order of its columns would tell
                found |= {p.setup: p.set_up(state, opened, settings=[setting_of(side.setup) for side in held.columns])}
        else:
            last = self.bench.history.comparisons(state.session, 1) if seen.session != state.session else []
            held = last[0] if last else None
        if held is not None:
            found |= {p.group: held.id, p.stage: p.shown(held), **p.quiet()}
        yield found

    @event_handler
    def reveal(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Names without a vote."""
        p = self.page
        held = p.may_see(values[self.bench.state], values[p.group])
        self.bench.history.reveal(held.id)
        yield {p.stage: p.shown(self.bench.history.comparison(held.id)), **p.quiet()}

    @event_handler
    def vote(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """A vote on the comparison shown; it reveals the names."""
        p, session = self.page, values[self.bench.state].session
        reasons, waited = sent(event, "reasons", list), sent(event, "waited_ms", int)
        voted = cast_vote(self.bench, session, values[p.group], sent(event, "outcome", str), reasons, waited)
        yield {p.stage: p.shown(voted), **p.quiet()}

    @event_handler
    def votes(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """All that was voted here: win rates and ranks, and the votes themselves to take along."""
        kind, blind = sent(event, "kind", str)[:60], sent(event, "blind", bool)
        yield {self.page.stage: votes_view(self.bench, values[self.bench.state].session, kind, blind), **self.page.quiet()}

    # --- what is asked -------------------------------------------------------------------------

    @event_handler
    def ask(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """The question in the box, to every column."""
        state = self._free(values)
        settings, question = settings_of(sent(event, "columns", list)), sent(event, "question", str)
        kind = kind_of(self.page.at_hand(state).images, question)
        asked = asking(self.bench, state.session, state.at_hand, question, settings, sent(event, "blind", bool), kind)
        yield from self._take(state, asked)

    @event_handler
    def again(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """The comparison shown, once more as it was; whether each column says the same stands above."""
        p, state = self.page, self._free(values)
        held = p.may_see(state, values[p.group])
        if held.sealed:
            raise InputError("Vote first, or reveal the names: a comparison is asked again with its names shown.")
        columns = once_more(self.bench, held)
        prompt = next((c.column.prompt for c in columns if c.column is not None), None)
        if prompt is None:
            raise InputError("None of its columns can be asked again. Begin a new comparison.")
        asked = Asking(new_id(), state.session, prompt, tuple(c.setting for c in columns), False, held.kind)
        yield from self._take(state, asked, columns, [side.run for side in held.columns])

    def _take(
        self, state: SessionState, asked: Asking, again: Sequence[Entrant] = (), before: Sequence[str] = ()
    ) -> Iterator[Values]:
        """Ask all columns and show them growing; then, where it is blind, only their texts until the vote."""
        p, begun = self.page, time.monotonic()
        self._unseal(state)
        yield {**p.busy(True), p.group: asked.group, p.runs: {"": asked.group}, **p.quiet()}
        columns: tuple[Heard, ...] = ()
        told_runs = False
        try:
            for columns in run(self.bench, asked, again):
                found: Values = {p.stage: live_view(asked, columns, p.urls, begun)}
                if not told_runs:
                    letters = {letter: one.entrant.run for letter, one in zip(LETTERS, columns)}
                    found[p.runs], told_runs = {"": asked.group, **letters}, True
                yield found
        except Exception:
            yield {**p.busy(False), p.runs: {}}
            raise
        yield {**p.busy(False), p.runs: {}, p.stage: self._ended(asked, columns, before)}

    def _ended(self, asked: Asking, columns: Sequence[Heard], before: Sequence[str]) -> Reply:
        """A comparison whose columns have ended, from the log; from memory where it could not be written down."""
        p, history = self.page, self.bench.history
        notes = list(asked.notes)
        for old, one in zip(before, columns):
            notes += same_again(self.bench, old, one)
        try:
            held = history.comparison(asked.group)
            if held.sealed and any(one.failed for one in columns):
                history.reveal(asked.group)
                held, notes = history.comparison(asked.group), [NO_VOTE, *notes]
            return p.shown(held, notes) | {"notes": notes}
        except WorkbenchError as error:
            sides = tuple(Side(one.entrant.run, one.entrant.label, one.entrant.setting.plain()) for one in columns)
            held = Comparison(asked.group, asked.session, asked.prompt.question, asked.kind, False, False, sides, "")
            answers = [answer_of(i, one) for i, one in enumerate(columns)]
            notes.append(UNLOGGED.format(why=self.bench.trouble() or str(error)))
            return whole_view(self.bench, held, answers, asked.prompt, p.urls, notes) | {"logged": False}

    def _unseal(self, state: SessionState) -> None:
        """A blind comparison left behind without a vote is revealed, so that its answers can be found in Sessions."""
        for held in self.bench.history.comparisons(state.session, 10):
            if held.sealed:
                self.bench.history.reveal(held.id)

    def _free(self, values: Values) -> SessionState:
        """The state of a page that compares nothing at the moment. Raises InputError."""
        if self.page.running(values):
            raise InputError(BUSY)
        return values[self.bench.state]

    def halt(self, runs: dict[str, str]) -> None:
        """End every column; what they said stays."""
        if runs:
            self.page.halted.add(runs.get(SET, ""))
            self.bench.core.stop(runs[""])

    def halt_one(self, runs: dict[str, str], event: gr.EventData) -> None:
        """End one column."""
        with suppress(InputError):  # a page that names no column stops none
            letter = sent(event, "letter", str)
            if letter and runs and letter in runs:
                self.bench.core.stop(runs[letter])
