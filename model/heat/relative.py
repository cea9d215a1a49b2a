"""Relative attention: a word's attention against that of a question about nothing in particular."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..families.base import Capability
from ..internals.subject import Subject
from ..internals.trace import Want, take_trace
from ..prompt import Message, Prompt
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat

GENERAL = "Write a general description of the image."
FLOOR = 1e-6


@heat_methods.add
class Relative:
    slug = "relative"
    title = "Relative attention"
    measures = (
        "How many times more attention a patch gets for this word than when the same picture is to be described in general."
    )
    paper = (
        "Zhang et al. 2502.17422: the ratio of attention for the question and for a general one, heads averaged. "
        "Here the mean of its logarithm over layers unless one is chosen; weights below 1e-6 count as 1e-6."
    )
    cost = "trace"
    depends_on = "occurrence"
    layered = True
    needs = frozenset({Capability.GRID, Capability.ATTENTION})

    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        trace = subject.trace(Want(rows=choice.rows), run.stop)
        general = take_trace(subject.vlm, _general(subject.prompt), subject.answer_ids[:1], Want(), run.stop)
        assert trace.attention is not None, "the trace has the attention that was wanted"
        assert general.attention is not None, "and so has that of the general question"
        here = _heads(trace.attention[:, :, list(words)].mean(2), choice.head)
        there = _heads(general.attention[:, :, 0], choice.head)
        ratio = np.log(np.maximum(here, FLOOR)) - np.log(np.maximum(there, FLOOR))
        layer = slice(None) if choice.layer is None else slice(choice.layer, choice.layer + 1)
        scores = ratio[layer].max(0) if choice.reduce == "max" else ratio[layer].mean(0)
        where = "all layers" if choice.layer is None else f"layer {choice.layer + 1}"
        return heat(subject, scores, "log ratio of attention", choice, signed=True, note=f"{where}; against “{GENERAL}”")


def _heads(attention: np.ndarray, head: int | None) -> np.ndarray:
    """[L, H, T] -> [L, T]."""
    return attention.mean(1) if head is None else attention[:, head]


def _general(prompt: Prompt) -> Prompt:
    """The prompt with the words of every question replaced, its pictures where they were, and no earlier answers."""
    pictures = tuple(prompt.images)
    system = tuple(m for m in prompt.messages if m.role == "system")
    return replace(prompt, messages=(*system, Message("user", (*pictures, GENERAL))), answer_prefix="", answer_tokens=())
