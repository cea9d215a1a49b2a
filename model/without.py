"""An answer without some of its picture: how likely it still is, what would be said instead, and another answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch

from .events import Alternative
from .generation import end_tokens, interruptible
from .knockout import text_cut
from .progress import Run
from .subject import Subject
from .tap import Tap, tapped
from .tokens import Detokenizer

How = Literal["mean", "cut"]
HOWS: tuple[How, ...] = get_args(How)


@dataclass(frozen=True)
class Without:
    """What hiding does to an answer of K tokens. `before` and `after` float32 [K], log-probabilities of its tokens.

    `instead` are the likeliest tokens at each place then, the answer's own tokens before it given.
    """

    before: np.ndarray = field(repr=False)
    after: np.ndarray = field(repr=False)
    instead: tuple[Alternative, ...]

    @property
    def lost(self) -> float:
        """Nats the whole answer lost."""
        return float(self.before.sum() - self.after.sum())


@torch.no_grad()
def without(subject: Subject, tokens: Sequence[int], how: How = "mean") -> Without:
    """The answer without these visual tokens: replaced by the mean one, or cut off from all text that follows or precedes."""
    hidden = torch.zeros(subject.count, dtype=torch.bool)
    hidden[list(tokens)] = True
    features = subject.hidden(~hidden[None]) if how == "mean" else subject.features[None]
    model = subject.vlm.parts.model
    subject.vlm.family.forget_prompt(subject.vlm.parts)
    with tapped(model, Tap(cuts=[text_cut(subject, hidden)])) if how == "cut" else nullcontext():
        logprobs = torch.log_softmax(model(**subject.arguments(features)).logits[0].float(), -1).cpu()  # [K, V]
    best = logprobs.max(-1)
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    instead = tuple(Alternative(i, subject.vlm.pieces[i], p) for i, p in pairs)
    after = logprobs.gather(-1, torch.tensor(subject.answer_ids)[:, None])[:, 0]
    return Without(subject.logprobs()[0].numpy(), after.numpy(), instead)


@torch.no_grad()
def answered_without(subject: Subject, tokens: Sequence[int], run: Run, length: int = 64) -> str:
    """The greedy answer to the same prompt with these visual tokens replaced by the mean one. Raises Interrupted."""
    bare = Subject(subject.vlm, subject.prompt, ())
    keep = torch.ones(1, subject.count, dtype=torch.bool)
    keep[:, list(tokens)] = False
    given = {k: v for k, v in bare.arguments(bare.hidden(keep)).items() if k not in ("use_cache", "logits_to_keep")}
    model, tokenizer, ends = subject.vlm.parts.model, subject.vlm.parts.tokenizer, end_tokens(subject.vlm.parts.model)
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(ends, default=0)
    subject.vlm.family.forget_prompt(subject.vlm.parts)
    with interruptible(model, run.stop):
        out = model.generate(**given, max_new_tokens=length, do_sample=False, temperature=None, top_p=None, top_k=None,
                             num_beams=1, pad_token_id=padding)  # fmt: skip
    text = Detokenizer(tokenizer)
    for token in out[0, len(bare.inputs.ids) :].tolist():
        if token in ends:
            break
        text.push(token)
    text.flush()
    return text.text
