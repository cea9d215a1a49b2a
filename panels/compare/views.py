"""A comparison as `compare.js` takes it: growing, sealed until its vote, or with all that can be said of its answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from model import Prompt, WorkbenchError
from model.decoders import decoders
from model.decoders.base import Number, settings_of
from model.decoders.plain import Plain
from model.heat import heat_methods
from model.heat.base import measured_by
from model.memory import human_bytes
from model.prompt import ImagePart
from studies.comparison import LETTERS, REASONS, Comparison

from ..base.bench import Bench
from ..base.components import PictureUrls
from ..base.maps.looks import NEEDS
from ..base.maps.overlay import PictureView
from ..base.maps.scores import scores_of
from ..base.records import Reply
from ..base.requests import plain
from ..base.run_views import compared
from ..base.scenes import truth
from ..base.settings import slid
from ..base.turn_views import image_views, milliseconds
from .answers import Answer
from .pairs import boxes_view, pair_views
from .requests import Asking, setting_of
from .run import Heard, veiled, veiled_stage
from .saved import kept_pairs

ENDED = {"stopped": "Stopped here.", "length": "Cut off at the length limit."}
"""What is said below an answer, by why it ended."""


@dataclass(frozen=True)
class PairReply:
    """Maps of two answers on the same cells, packed, in one unit."""

    pictures: Sequence[PictureView]
    scores: tuple[str, ...]
    unit: str
    signed: bool
    note: str


EMPTY_HEAT: Reply = {"why": "", "methods": [], "method": "", "kept": []}
UNFINISHED = "Its answers show when the last has ended. Open it again then, or reveal the names."


def live_view(asked: Asking, columns: Sequence[Heard], urls: PictureUrls, begun: float) -> Reply:
    """Columns that are being written. Behind the veil of a blind comparison all that differs is the text."""
    texts = veiled(columns) if asked.blind else [one.progress.answer for one in columns]
    found = []
    for i, (one, text) in enumerate(zip(columns, texts, strict=True)):
        column = _bare(i, text, False)
        if not asked.blind:
            progress = one.progress
            column |= {"name": one.entrant.label, "stage": progress.stage, "error": progress.error, "done": progress.done}
        found.append(column)
    stage = veiled_stage(columns, time.monotonic() - begun) if asked.blind else ""
    about = {"key": asked.group, "running": True, "blind": asked.blind, "sealed": asked.blind, "logged": False, "stage": stage}
    return {"view": "one", **about, **_question(asked.prompt, urls), "truth": "", "notes": list(asked.notes), "columns": found}


def sealed_view(held: Comparison, answers: Sequence[str], prompt: Prompt, urls: PictureUrls, ended: bool) -> Reply:
    """A blind comparison that waits for its vote: texts and letters, nothing else. `ended`: no column is being written."""
    columns = [_bare(i, text, True) for i, text in enumerate(answers)]
    about = {"key": held.id, "running": False, "blind": True, "sealed": True, "logged": False, "stage": ""}
    notes = [] if ended else [UNFINISHED]
    more = {"notes": notes, "truth": "", "vote": _vote(held, ended), "pairs": [], "boxes": None, "heat": EMPTY_HEAT}
    return {"view": "one", **about, **_question(prompt, urls), "columns": columns, **more}


def _bare(i: int, text: str, done: bool) -> Reply:
    """A column of which only letter and text may be known."""
    return {"letter": LETTERS[i], "name": "", "text": text, "stage": "", "error": "", "done": done, "tokens": [], "facts": []}


def whole_view(
    bench: Bench, held: Comparison, answers: Sequence[Answer], prompt: Prompt, urls: PictureUrls, notes: Sequence[str] = ()
) -> Reply:
    """A comparison with nothing hidden. `notes` are sentences above it."""
    answered = [(i, one) for i, one in enumerate(answers) if one.good]
    about = {"key": held.id, "running": False, "blind": held.blind, "sealed": False, "logged": True, "stage": ""}
    return {
        "view": "one", **about, **_question(prompt, urls), "truth": truth(prompt), "notes": list(notes),
        "columns": [column_view(one) for one in answers],
        "vote": _vote(held, len(answered) == len(answers)),
        "pairs": plain(pair_views(answered, _last_picture(prompt))),
        "boxes": plain(boxes_view(answered, prompt, urls)),
        "heat": heat_choices(bench, held, answered, prompt),
    }  # fmt: skip


def column_view(one: Answer) -> Reply:
    """One answer with what it took."""
    note = " ".join(filter(None, (ENDED.get(one.reason or "", ""), *one.warnings)))
    return {
        "letter": one.letter, "name": one.label, "text": one.text, "stage": note, "error": one.error, "done": True,
        "run": one.run,
        "tokens": [[token.text, round(max(token.logprob, -999.0), 4)] for token in one.tokens],
        "facts": facts(one),
    }  # fmt: skip


def facts(one: Answer) -> list[list[str]]:
    """What an answer took: [name, value, explanation] for each figure that is known."""
    found = []
    if one.first_token_ms is not None:
        why = "From the question to the scores of the first token, waiting for the other columns included"
        found.append(["to first token", milliseconds(one.first_token_ms), why])
    if one.spent is not None and one.first_token_ms is not None:
        found.append(["of it alone", milliseconds(one.spent.first_compute_ms), "How long the model worked for this column alone"])
    if one.tokens_per_s is not None:
        rate = one.tokens_per_s
        why = "As a reader sees it, the others' turns included"
        found.append(["tokens/s", f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}", why])
    if one.spent is not None and one.spent.compute_tokens_per_s is not None:
        found.append(["tokens/s alone", f"{one.spent.compute_tokens_per_s:,.0f}", "As it would be without the other columns"])
    if one.good:
        new = sum(not token.given for token in one.tokens)
        words = len(one.text.split())
        length = f"{new:,} {'token' if new == 1 else 'tokens'}, {words:,} {'word' if words == 1 else 'words'}"
        found.append(["length", length, "Tokens the model chose, and words"])
    if one.visual_tokens:
        found.append(["image tokens", f"{one.visual_tokens:,}", "Tokens the pictures became"])
    if one.prompt_tokens is not None:
        found.append(["prompt tokens", f"{one.prompt_tokens:,}", "Tokens of the whole prompt"])
    if one.spent is not None:
        why = "The checkpoint's weights, and the keys and values this answer took"
        found.append(["memory", f"{human_bytes(one.spent.weights_bytes)} + {human_bytes(one.spent.cache_bytes)}", why])
    return found


def same_again(bench: Bench, before: str, one: Heard) -> list[str]:
    """Whether a column that was asked again said the same, in a sentence; nothing where there is nothing to hold it beside."""
    try:
        told = compared(bench.history.run(before), one.progress.tokens, one.progress.answer)
    except WorkbenchError:
        return []
    return [f"{one.entrant.label}. {told['text']}"] if not one.failed else []


def heat_choices(bench: Bench, held: Comparison, answered: Sequence[tuple[int, Answer]], prompt: Prompt) -> Reply:
    """The heat methods that every answered column can be drawn by, or why none can."""
    if not prompt.images:
        return EMPTY_HEAT | {"why": "There is no picture in this question."}
    shared = frozenset.intersection(*(heat_methods[slug].needs for slug in heat_methods)) | NEEDS
    can, first = None, None
    for i, one in answered:
        try:
            checkpoint = bench.spec(setting_of(held.columns[i].setup).typed)
            has = bench.core.capabilities(checkpoint)
        except WorkbenchError as error:
            return EMPTY_HEAT | {"why": str(error)}
        first = first or checkpoint
        if not shared <= has:
            lacking = ", ".join(sorted(need.value for need in shared - has)).replace("_", " ")
            return EMPTY_HEAT | {"why": f"{one.label} does not give {lacking}, which maps need. Compare others to see heat."}
        can = has if can is None else can & has
    if can is None or first is None:
        return EMPTY_HEAT | {"why": "No column has an answer."}
    able = {slug: heat_methods[slug] for slug in heat_methods if heat_methods[slug].needs <= can}
    best = scores_of(first).default
    methods = [[slug, method.title, measured_by(method)] for slug, method in able.items()]
    kept = [one for one in kept_pairs(bench, answered) if one.method in able]
    return {"why": "", "methods": methods, "method": best if best in able else "attention", "kept": plain(kept)}


def _vote(held: Comparison, whole: bool) -> Reply:
    """What the vote looks like. A comparison with a column that failed is not counted; a blind vote is final."""
    why = "" if whole else "A column has no answer, so there is nothing to vote on."
    can = whole and not (held.outcome and held.blind)
    return {"can": can, "outcome": held.outcome, "reasons": list(held.reasons), "tags": list(REASONS), "why": why}


def _question(prompt: Prompt, urls: PictureUrls) -> Reply:
    return {"question": prompt.question, "images": image_views(list(dict.fromkeys(prompt.images)), urls)}


def _last_picture(prompt: Prompt) -> ImagePart | None:
    return prompt.images[-1] if prompt.images else None


@dataclass(frozen=True)
class NumberView:
    """A number that a decoder is set with; see `model.decoders.base.Number`."""

    name: str
    label: str
    low: float
    high: float
    step: float
    default: float
    why: str


@dataclass(frozen=True)
class DecoderView:
    """A decoder that a column can be asked with."""

    slug: str
    title: str
    numbers: tuple[NumberView, ...]


def decoder_views() -> list[DecoderView]:
    """The decoders there are, the plain one first."""
    entries = sorted(decoders.values(), key=lambda one: (one.slug != Plain.slug, one.slug))
    return [DecoderView(one.slug, one.title, tuple(_number(*field) for field in settings_of(one).items())) for one in entries]


def _number(name: str, number: Number) -> NumberView:
    span = slid(number)
    return NumberView(name, number.label, span.low, span.high, number.step, number.default, number.why)
