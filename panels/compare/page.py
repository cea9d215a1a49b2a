"""What the compare tab shows for a state of the page: its setup, a comparison from the log, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import gradio as gr
from gradio.blocks import Block

from model import Prompt, WorkbenchError, ask
from model.errors import InputError
from studies.comparison import GONE, Comparison

from ..base.bench import Bench, Opening, SessionState, Values
from ..base.components import PictureUrls
from ..base.records import Reply, RunRow
from ..base.requests import plain
from ..base.scenes import scene_of, suggestions
from .answers import logged_answer
from .requests import LEAST, MAX_SPEC, Setting
from .views import decoder_views, sealed_view, whole_view

MOST_QUESTIONS, MOST_PUBLIC = 500, 48
PICTURES = {0: "No picture on the bench", 1: "With the picture on the bench"}
GROUP, COLUMNS = "compare", ("a", "b", "c", "d")
ADDRESSES = (GROUP, *COLUMNS)
"""What an address may ask for: `?compare=` a comparison, `?a=..&b=..` up to four checkpoints."""
MOST_COMPARISONS = 10_000
BUSY = "A comparison is being made. Wait for it, or stop it with Esc."


@dataclass(frozen=True)
class TabVisit:
    """Which session the tab was shown in, and what it was opened for last."""

    session: str = ""
    opening: Opening | None = None


def specs_of(opened: Opening | None) -> list[str]:
    """The checkpoints an address names for the columns, such as `?a=tiny-llava&b=tiny-qwen2-vl`."""
    return [opened.what[name][:MAX_SPEC] for name in COLUMNS if opened.what.get(name)] if opened else []


def comparison_of(bench: Bench, row: RunRow) -> Mapping[str, str]:
    """The comparison a turn belongs to, to be opened with it; of an import there may be the answers alone."""
    known = {held.id for held in bench.history.comparisons(row.session, MOST_COMPARISONS)} if row.group else set()
    return {GROUP: row.group} if row.group in known else {}


@dataclass(frozen=True)
class ComparePage:
    """The tab: its components, and what they are to show.

    `group` is the comparison shown, `runs` those being asked, `seen` holds a `TabVisit`.
    None of the three leaves the server.
    """

    bench: Bench
    urls: PictureUrls
    setup: gr.HTML
    stage: gr.HTML
    error: gr.HTML
    group: gr.State
    runs: gr.State
    seen: gr.State
    halted: set[str] = field(default_factory=set)
    """Question sets that were told to stop. One takes its name out when it has."""

    @property
    def parts(self) -> list[Block]:
        return [self.setup, self.stage, self.error, self.group, self.runs, self.seen]

    @property
    def most(self) -> int:
        """How many questions a set may have here."""
        return MOST_PUBLIC if self.bench.public else MOST_QUESTIONS

    def busy(self, running: bool) -> Values:
        """The setup while columns are asked, and after. It names no checkpoint: what was set stays in the page."""
        return {self.setup: {"running": running}}

    def set_up(
        self, state: SessionState, opened: Opening | None, running: bool = False, settings: Sequence[Setting] = ()
    ) -> Reply:
        """What the setup offers: the checkpoints of the picker, the question on the bench, questions that suit its picture.

        `opened` is what the tab was opened for last.
        """
        bench, named = self.bench, specs_of(opened)
        prompt = self.at_hand(state)
        scene = scene_of(prompt.images[-1]) if prompt.images else None
        offered = [question.text for question in suggestions(scene)] if scene else []
        many = len({part.id for part in prompt.images})
        return {
            "choices": self.choices(),
            "decoders": plain(decoder_views()),
            "typed": not bench.public,
            "columns": [setting.plain() for setting in settings] or self._columns(state, named),
            "fixed": bool(settings or named),
            "asked": opened.id if opened else "",
            "question": prompt.question,
            "pictures": PICTURES.get(many, f"With {many} pictures"),
            "suggestions": [text for text in offered if text != prompt.question][:3],
            "running": running,
            "most": self.most,
            "longest": bench.longest,
            "public": bench.public,
        }  # fmt: skip

    def at_hand(self, state: SessionState) -> Prompt:
        """The question on the bench with its pictures; an empty one where there is none."""
        try:
            return self.bench.history.run(state.at_hand).prompt if state.at_hand else Prompt(())
        except WorkbenchError:  # deleted, or sealed: then the bench is empty here
            return Prompt(())

    def choices(self) -> list[list[str]]:
        """[spec, words] of what the picker offers: what is loaded, then what is built in and not."""
        loaded = [status.checkpoint for status in self.bench.core.loaded()]
        idle = [c for c in dict.fromkeys((*self.bench.builtin, *self.bench.offered)) if c not in loaded]
        return [[c.spec, c.spec] for c in loaded] + [[c.spec, f"{c.spec} (not loaded)"] for c in idle]

    def _columns(self, state: SessionState, named: list[str]) -> list[dict[str, object]]:
        """The columns to begin with: those an address names, else the checkpoint in use and another."""
        others = [spec for spec, _ in self.choices() if spec != state.checkpoint]
        specs = named or [state.checkpoint, *others[: LEAST - 1]]
        columns: list[dict[str, object]] = [{"spec": spec} for spec in specs]
        if len(columns) < LEAST:  # one checkpoint alone is compared with itself, sampled
            columns.append({**columns[0], "temperature": 1.0})
        return columns

    def shown(self, held: Comparison, notes: Sequence[str] = ()) -> Reply:
        """A comparison from the log: sealed, or whole."""
        if held.sealed:
            rows = {row.id: row for row in self.bench.history.group(held.id)}
            pictures = [self.bench.history.picture(id) for id in self.bench.history.pictures_of(held.id)]
            texts = [rows[side.run].answer if side.run in rows else "" for side in held.columns]
            ended = all(side.run in rows and rows[side.run].status != "running" for side in held.columns)
            return sealed_view(held, texts, ask(held.question, *pictures), self.urls, ended)
        found = [logged_answer(self.bench, i, side) for i, side in enumerate(held.columns)]
        prompts = [prompt for _, prompt in found if prompt is not None]
        plain = [p for side, (_, p) in zip(held.columns, found, strict=True)
                 if p is not None and not side.setup.get("system") and not side.setup.get("side_px")]  # fmt: skip
        prompt = next(iter((*plain, *prompts)), ask(held.question))
        return whole_view(self.bench, held, [answer for answer, _ in found], prompt, self.urls, notes)

    def may_see(self, state: SessionState, group: str) -> Comparison:
        """The comparison of that id. Raises InputError where there is none that this page may see."""
        held = self.bench.history.comparison(group)
        return own(self.bench, held, state.session)

    def running(self, values: Values) -> bool:
        """Whether columns of this page are being asked."""
        runs = values.get(self.runs) or {}
        return bool(runs) and any(row.status == "running" for row in self.bench.history.group(runs.get("", "")))

    def quiet(self) -> Values:
        return {self.error: gr.HTML(visible=False)}


def own(bench: Bench, held: Comparison, session: str) -> Comparison:
    """The comparison itself. Raises InputError on a public page for one of another session."""
    if bench.public and held.session != session:
        raise InputError(GONE)
    return held
