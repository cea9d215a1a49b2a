"""An answer with some of its picture changed: how likely it still is, what would be said instead, and another answer.

Visual tokens are hidden behind the mean one, cut off from the text, or given the states that another picture has in
their place. One description of the change serves both the answer as it stood and the one written anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from ..errors import InputError
from ..events import Alternative
from ..families.base.tokens import Detokenizer
from ..generation.hooks import end_tokens, interruptible
from ..progress import Run
from ..prompt import Prompt
from ..tap import Tap, tapped
from .activation_patching import carried
from .knockout import text_cut
from .subject import Subject
from .subject_cache import subject_of

How = Literal["mean", "cut", "patch"]
HOWS: tuple[How, ...] = get_args(How)
MOST_TOKENS = 64


@dataclass(frozen=True)
class Change:
    """What is done to visual tokens, which are named by their indices.

    `mean` puts the mean visual token in their place. `cut` lets no text attend to them, in these layers and heads
    (None: all). `patch` gives them the states of `source`, the same prompt with another picture, at `depth`: 0 is what
    enters the first layer.
    """

    tokens: tuple[int, ...]
    how: How = "mean"
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    source: Prompt | None = field(default=None, repr=False)
    depth: int = 0


@dataclass(frozen=True)
class Without:
    """What a change does to an answer of K tokens. `before` and `after` float32 [K], log-probabilities of its tokens.

    `instead` are the likeliest tokens at each place then, the answer's own tokens before it given.
    """

    before: np.ndarray = field(repr=False)
    after: np.ndarray = field(repr=False)
    instead: tuple[Alternative, ...]

    @property
    def lost(self) -> float:
        """Nats the whole answer lost."""
        return float(self.before.sum() - self.after.sum())


@dataclass(frozen=True)
class Anew:
    """The answer under a change, each token the most likely one. `ended`: it came to its end within the length."""

    text: str
    ended: bool


@torch.no_grad()
def without(subject: Subject, change: Change) -> Without:
    """The answer as it stood, under a change. Raises InputError where another picture does not align with this one."""
    model = subject.vlm.parts.model
    with _under(subject, change, 0) as features:
        logprobs = torch.log_softmax(model(**subject.arguments(features)).logits[0].float(), -1).cpu()  # [K, V]
    best = logprobs.max(-1)
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    instead = tuple(Alternative(i, subject.vlm.pieces[i], p) for i, p in pairs)
    ids = torch.tensor(subject.answer_ids, dtype=torch.int64)
    return Without(subject.logprobs()[0].numpy(), logprobs.gather(-1, ids[:, None])[:, 0].numpy(), instead)


@torch.no_grad()
def answered_without(subject: Subject, change: Change, run: Run, length: int | None = None) -> Anew:
    """The greedy answer to the same prompt under a change; `length` None follows the answer's own. Raises Interrupted."""
    bare = Subject(subject.vlm, subject.prompt, ())
    bare.outputs = subject.outputs
    length = min(MOST_TOKENS, max(16, 2 * len(subject.answer_ids))) if length is None else length
    model, tokenizer, ends = subject.vlm.parts.model, subject.vlm.parts.tokenizer, end_tokens(subject.vlm.parts.model)
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(ends, default=0)
    with _under(subject, change, length) as features, interruptible(model, run.stop):
        given = {k: v for k, v in bare.arguments(features).items() if k not in ("use_cache", "logits_to_keep")}
        # A sliding window's cache forgets where its keys stand, and edges are cut by where they stand.
        out = model.generate(**given, max_new_tokens=length, do_sample=False, temperature=None, top_p=None, top_k=None,
                             num_beams=1, pad_token_id=padding, use_cache=change.how != "cut",
                             stopping_criteria=StoppingCriteriaList([_Telling(run, len(bare.inputs.ids), length)]))  # fmt: skip
    text, ended = Detokenizer(tokenizer), False
    for token in out[0, len(bare.inputs.ids) :].tolist():
        ended = token in ends
        if ended:
            break
        text.push(token)
    text.flush()
    return Anew(text.text, ended)


class _Telling(StoppingCriteria):
    """Says how far the writing is, and never stops it: a stop is heard inside every layer."""

    def __init__(self, run: Run, start: int, length: int) -> None:
        self._run, self._start, self._length = run, start, length

    def __call__(self, input_ids: torch.Tensor, scores, **kwargs) -> torch.Tensor:
        self._run.step(input_ids.shape[1] - self._start, self._length)
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


@contextmanager
def _under(subject: Subject, change: Change, more: int) -> Iterator[torch.Tensor]:
    """While open, the model is under a change; gives the features [1, T, D] to run it with.

    `more` is how many tokens are written behind the prompt and answer.
    """
    chosen = torch.zeros(subject.count, dtype=torch.bool)
    chosen[list(change.tokens)] = True
    subject.vlm.family.forget_prompt(subject.vlm.parts)
    features = subject.features[None]
    if change.how == "mean":
        yield subject.hidden(~chosen[None])
    elif change.how == "cut":
        cut = text_cut(subject, chosen, change.layers, change.heads, more=more)
        with tapped(subject.vlm.parts.model, Tap(cuts=[cut])):
            yield features
    else:
        if change.source is None:
            raise InputError("Choose another picture first.")
        source = subject_of(subject.vlm, change.source, subject.answer_ids)
        with carried(source, subject, chosen, change.depth):
            subject.vlm.family.forget_prompt(subject.vlm.parts)
            yield features
