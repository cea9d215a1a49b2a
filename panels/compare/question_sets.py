"""A whole question set put to the columns: what differs first, who is right, and whether a difference is real."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import islice

import gradio as gr

from model import Column, Prompt, WorkbenchError
from model.errors import InputError, PictureError
from model.prompt import ImagePart, Message
from model.recorder import new_id
from studies.comparison import LETTERS, Comparison, Side
from studies.metrics import Figure
from studies.question_set import Compared, SetQuestion, compare_all, differing_first, drawn, listed, summary, typed

from ..base.bench import SessionState, Values, sent
from ..base.handlers import event_handler
from ..base.records import Reply
from ..base.scenes import scene_part
from ..base.turn import MAX_PICTURES
from .page import BUSY, ComparePage
from .requests import Entrant, entrant, prompt_for, settings_of, whole_question
from .run import PANEL

MAX_ROWS = 200
MAX_TEXT = 4_000_000
CHECKED = ("scenes", "typed", "file")
UPDATE_S = 0.5
SET = "set"
"""The key under which the page's runs name the set they belong to."""
MEANING = (
    "Exact McNemar: of the questions that one alone got right, each is as likely one's as the other's, if neither is better. "
    "Intervals are 95 % Wilson. Descriptions are left out of drawn scenes; a box is right from an IoU of .5 on."
)


class Several:
    """Handlers of the question set."""

    def __init__(self, page: ComparePage) -> None:
        self.page, self.bench, self.message = page, page.bench, page.error

    @event_handler
    def ask(self, values: Values, event: gr.EventData) -> Iterator[Values]:
        """Every question to every column, one comparison each; the table grows as they are answered."""
        p, state = self.page, values[self.bench.state]
        if p.running(values):
            raise InputError(BUSY)
        settings = settings_of(sent(event, "columns", list))
        questions = list(islice(self._questions(state, event), p.most + 1))
        self._check(len(questions))
        columns = tuple(entrant(self.bench, setting, Prompt(())) for setting in settings)
        yield {**p.busy(True), **p.quiet()}
        found: list[Compared] = []
        name, shown, why = new_id(), 0.0, ""
        try:
            with closing(self._compared(state, columns, questions, name)) as steps:
                for one, group in steps:
                    step: Values = {p.runs: {"": group, SET: name}}
                    found += [one] if one is not None else []
                    if time.monotonic() - shown > UPDATE_S:
                        shown = time.monotonic()
                        step |= {p.stage: set_view(columns, found, len(questions), True)}
                    yield step
        except Exception as error:
            if not (found and isinstance(error, WorkbenchError)):  # what was answered by then is worth its table
                yield {**p.busy(False), p.runs: {}}
                raise
            why = str(error)
        finally:
            p.halted.discard(name)
        yield {**p.busy(False), p.runs: {}, p.stage: set_view(columns, found, len(questions), False, why)}

    def _questions(self, state: SessionState, event: gr.EventData) -> Iterable[SetQuestion]:
        """The questions as they were chosen. Raises InputError, PictureError."""
        source, text = sent(event, "source", str), sent(event, "text", str)
        pictures = list({part.id: part for part in self.page.at_hand(state).images}.values())[-1:]
        if source not in CHECKED:
            raise InputError(f"Questions come from {', '.join(CHECKED)}, not from {source[:40]!r}.")
        if source == "scenes":
            count = sent(event, "count", int)
            if not 2 <= count <= self.page.most:
                raise InputError(f"{count} questions were asked for; choose 2 to {self.page.most}.")
            return drawn(count)
        if len(text) > MAX_TEXT:
            raise InputError(f"The questions have {len(text):,} characters; at most {MAX_TEXT:,} are read. Split them.")
        if source == "typed":
            self._check(sum(bool(line.strip()) for line in text.splitlines()))
            return [replace(one, question=whole_question(one.question)) for one in typed(text, pictures)]
        found = listed(text, sent(event, "name", str)[:100] or "The file", _few(self.page.most * MAX_PICTURES))
        found = [replace(one, question=whole_question(one.question)) for one in found]
        return [one if one.pictures else SetQuestion(one.question, tuple(pictures), one.truths, one.kind) for one in found]

    def _check(self, questions: int) -> None:
        if questions > self.page.most:
            raise InputError(f"The set has more than {self.page.most} questions, which is the most here. Shorten it.")

    def _compared(
        self, state: SessionState, columns: Sequence[Entrant], questions: Sequence[SetQuestion], name: str
    ) -> Generator[tuple[Compared | None, str]]:
        """What came of each question with the id of its comparison; (None, id) as one begins. Stops where one was stopped.

        Columns that cannot be asked at all count as failed in every question.
        """
        ready = [i for i, one in enumerate(columns) if one.column is not None]
        if not ready:
            raise InputError(" ".join(dict.fromkeys(one.error for one in columns)))
        for asked in questions:
            group = new_id()
            yield None, group
            made = [self._column(columns[i], asked) for i in ready]
            self._begin(state, group, asked, columns, dict(zip(ready, made, strict=True)))
            try:
                one = self._one(state, asked, made, group)
            except WorkbenchError:
                self.bench.history.forget_comparison(group)
                raise
            yield widened(one, columns, ready), group
            if name in self.page.halted:
                return

    def _one(self, state: SessionState, asked: SetQuestion, made: Sequence[Column], group: str) -> Compared:
        """What came of one question."""
        steps = compare_all(
            self.bench.core, [asked], lambda _: made, panel=PANEL, session=state.session, group=lambda: group
        )  # fmt: skip
        with closing(steps):
            return next(steps)

    def _column(self, one: Entrant, asked: SetQuestion) -> Column:
        assert one.column is not None, "only columns that can be asked are"
        prompt = Prompt((Message("user", (*asked.pictures, asked.question)),))
        return Column(one.column.checkpoint, prompt_for(prompt, one.setting), one.setting.options, new_id())

    def _begin(
        self, state: SessionState, group: str, asked: SetQuestion, columns: Sequence[Entrant], made: dict[int, Column]
    ) -> None:
        """Each question is a comparison of its own, to be found again. A log that cannot be written is no hindrance."""
        sides = tuple(
            Side(made[i].run_id if i in made else one.run, one.label, one.setting.plain(one.error))
            for i, one in enumerate(columns)
        )
        with suppress(WorkbenchError):
            made_of = Comparison(group, state.session, asked.question, asked.kind, False, False, sides, "")
            self.bench.history.begin_comparison(made_of)


def _few(most: int) -> Callable[[str], ImagePart]:
    """What opens the pictures that a file of questions names, so many of them: each is drawn before anything is asked."""
    named: set[str] = set()

    def opened(name: str) -> ImagePart:
        named.add(name)
        if len(named) > most:
            raise InputError(f"The file names more than {most} pictures, which is the most here. Shorten it.")
        return picture_named(name)

    return opened


def picture_named(name: str) -> ImagePart:
    """A picture that a file of questions may name: a drawn scene by its number. Raises PictureError for any other."""
    number = name.removeprefix("scene ").strip()
    if not number.isdecimal() or len(number) > 9:
        raise PictureError(
            f"The picture {name[:60]!r} cannot be opened from a page: a file names drawn scenes by their number, or no picture. "
            "Chat takes pictures; from Python `studies.question_set` takes those beside a list."
        )
    return scene_part(int(number))


def widened(one: Compared, columns: Sequence[Entrant], ready: Sequence[int]) -> Compared:
    """The outcome over all columns: those that were never asked have nothing but their error."""
    at = {i: k for k, i in enumerate(ready)}
    said = tuple(one.said[at[i]] if i in at else None for i in range(len(columns)))
    right = tuple(one.right[at[i]] if i in at else None for i in range(len(columns)))
    errors = tuple(one.errors[at[i]] if i in at else columns[i].error for i in range(len(columns)))
    return Compared(one.asked, one.group, said, right, errors)


def set_view(columns: Sequence[Entrant], found: Sequence[Compared], asked: int, running: bool, why: str = "") -> Reply:
    """The tables as `compare/tables.js` takes them: the questions the columns differ on come first. `why` it ended early."""
    total, letters = summary(found), LETTERS[: len(columns)]
    kinds = {kind.replace("_", " "): figures for kind, figures in sorted(total.by_kind.items())}
    order, number = differing_first(found), {id(one): k + 1 for k, one in enumerate(found)}
    right = total.right or (None,) * len(columns)
    notes = [f"{letter}, {one.label}: {one.error}" for letter, one in zip(letters, columns) if one.error]
    if not running and len(found) < asked:
        notes.append(" ".join(filter(None, (f"Stopped after {len(found)} of {asked} questions.", why))))
    return {
        "view": "set",
        "running": running,
        "share": len(found) / max(1, asked),
        "stage": f"{len(found)} of {asked} questions",
        "notes": notes,
        "letters": list(letters),
        "columns": [
            [f"{letters[i]}  {one.label}", *_figure(right[i]), str(sum(bool(row.errors[i]) for row in found))]
            for i, one in enumerate(columns)
        ],
        "tests": [
            [f"{letters[a]}, {letters[b]}", str(t.both), str(t.only_a), str(t.only_b), str(t.neither), f"{t.p:.3g}"]
            for (a, b), t in total.tests.items()
        ],
        "kinds": [
            [kind, str(max(f.n if f else 0 for f in figures)), *(f"{f.value:.2f}" if f else "\u2013" for f in figures)]
            for kind, figures in kinds.items()
        ],
        "meaning": MEANING,
        "heading": _heading(found, right),
        "rows": [_row(number[id(one)], one) for one in order[:MAX_ROWS]],
        "more": f"The first {MAX_ROWS} of {len(order)} are shown; all are in Sessions." if len(order) > MAX_ROWS else "",
    }


def _heading(found: Sequence[Compared], right: Sequence[Figure | None]) -> str:
    """What the order of the questions is."""
    if all(figure is None for figure in right):
        return "Questions, the answers least alike first"
    differ = sum({True, False} <= set(one.right) for one in found)
    if not differ:
        return "Questions; there is none that one got right and another did not"
    return f"Questions; the {differ} that one got right and another did not come first"


def _figure(figure: Figure | None) -> tuple[str, str]:
    if figure is None:
        return "\u2013", "\u2013"
    return f"{round(figure.value * figure.n)} of {figure.n}", f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def _row(index: int, one: Compared) -> Reply:
    answers = [
        {"text": (said if said is not None else "failed") or "(empty)", "right": right, "error": error}
        for said, right, error in zip(one.said, one.right, one.errors, strict=True)
    ]
    return {
        "index": index, "question": one.asked.question, "truth": " or ".join(one.asked.truths), "answers": answers,
        "group": one.group,
    }  # fmt: skip
