"""Interventions on visual tokens: their effect on an answer's log-probabilities, and the answer generated under them.

Tokens are replaced by their mean, cut off from the text's attention, or given the states another picture has at the same
places. One `Intervention` serves both the scored answer (`effect_of`) and the generated one (`rewrite`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from ..errors import InputError
from ..events import Alternative
from ..families.base.tokens import Detokenizer
from ..generation.hooks import end_tokens, interruptible
from ..late import torch, transformers, without_gradients
from ..progress import Run
from ..prompt import Prompt
from ..tap import Tap, tapped
from .activation_patching import carried
from .knockout import text_cut
from .subject import Subject, subject_of

InterventionKind = Literal["mean", "cut", "patch"]
INTERVENTION_KINDS: tuple[InterventionKind, ...] = get_args(InterventionKind)
MOST_TOKENS = 64


@dataclass(frozen=True)
class Intervention:
    """An operation on visual tokens, given by their indices.

    `mean` puts the mean visual token in their place. `cut` lets no text attend to them, in these layers and heads
    (None: all). `patch` gives them the states of `source`, the same prompt with another picture, at `depth`: 0 is what
    enters the first layer.
    """

    tokens: tuple[int, ...]
    kind: InterventionKind = "mean"
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    source: Prompt | None = field(default=None, repr=False)
    depth: int = 0


@dataclass(frozen=True)
class Effect:
    """The effect of an intervention on an answer of K tokens. `before` and `after` float32 [K], log-probabilities.

    `instead` holds the likeliest token at each place under the intervention, given the answer's own tokens before it.
    """

    before: np.ndarray = field(repr=False)
    after: np.ndarray = field(repr=False)
    instead: tuple[Alternative, ...]

    @property
    def lost(self) -> float:
        """Nats the whole answer lost."""
        return float(self.before.sum() - self.after.sum())


@dataclass(frozen=True)
class Rewritten:
    """The greedy answer under an intervention. `ended`: the end token came within the length."""

    text: str
    ended: bool


@without_gradients
def effect_of(subject: Subject, intervention: Intervention) -> Effect:
    """The effect on the answer's log-probabilities. Raises InputError where another picture does not align with this one."""
    model = subject.vlm.parts.model
    with _under(subject, intervention, 0) as features:
        logprobs = torch.log_softmax(model(**subject.arguments(features)).logits[0].float(), -1).cpu()  # [K, V]
    best = logprobs.max(-1)
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    instead = tuple(Alternative(i, subject.vlm.pieces[i], p) for i, p in pairs)
    ids = torch.tensor(subject.answer_ids, dtype=torch.int64)
    return Effect(subject.logprobs()[0].numpy(), logprobs.gather(-1, ids[:, None])[:, 0].numpy(), instead)


@without_gradients
def visual_dependence(subject: Subject) -> np.ndarray:
    """How much likelier, in nats, each token of the answer is with the picture than with the mean visual token everywhere.

    float32 [K]. Above 1 a word is called visual (2503.13891).
    """
    nothing = torch.zeros(1, subject.count, dtype=torch.bool)
    return (subject.logprobs()[0] - subject.logprobs(subject.hidden(nothing))[0]).numpy()


@without_gradients
def rewrite(subject: Subject, intervention: Intervention, run: Run, length: int | None = None) -> Rewritten:
    """The greedy answer to the same prompt; `length` None is twice the answer's own, 16 to 64 tokens. Raises Interrupted."""
    bare = Subject(subject.vlm, subject.prompt, ())
    bare.outputs = subject.outputs
    length = min(MOST_TOKENS, max(16, 2 * len(subject.answer_ids))) if length is None else length
    model, tokenizer, ends = subject.vlm.parts.model, subject.vlm.parts.tokenizer, end_tokens(subject.vlm.parts.model)
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(ends, default=0)
    with _under(subject, intervention, length) as features, interruptible(model, run.stop):
        given = {k: v for k, v in bare.arguments(features).items() if k not in ("use_cache", "logits_to_keep")}
        progress = _ProgressReport(run, len(bare.inputs.ids), length)
        # A sliding window's cache forgets where its keys stand, and edges are cut by where they stand.
        out = model.generate(**given, max_new_tokens=length, do_sample=False, temperature=None, top_p=None, top_k=None,
                             num_beams=1, pad_token_id=padding, use_cache=intervention.kind != "cut",
                             stopping_criteria=transformers.StoppingCriteriaList([progress]))  # fmt: skip
    text, ended = Detokenizer(tokenizer), False
    for token in out[0, len(bare.inputs.ids) :].tolist():
        ended = token in ends
        if ended:
            break
        text.push(token)
    text.flush()
    return Rewritten(text.text, ended)


class _ProgressReport:
    """Reports progress; never ends generation, since a stop interrupts the layers themselves."""

    def __init__(self, run: Run, start: int, length: int) -> None:
        self._run, self._start, self._length = run, start, length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        self._run.step(input_ids.shape[1] - self._start, self._length)
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


@contextmanager
def _under(subject: Subject, intervention: Intervention, more: int) -> Iterator[torch.Tensor]:
    """While open, the model runs under an intervention; yields the features [1, T, D] to run it with.

    `more` is how many tokens are generated behind the prompt and answer.
    """
    chosen = torch.zeros(subject.count, dtype=torch.bool)
    chosen[list(intervention.tokens)] = True
    subject.vlm.family.forget_prompt(subject.vlm.parts)
    features = subject.features[None]
    if intervention.kind == "mean":
        yield subject.hidden(~chosen[None])
    elif intervention.kind == "cut":
        cut = text_cut(subject, chosen, intervention.layers, intervention.heads, more=more)
        with tapped(subject.vlm.parts.model, Tap(cuts=[cut])):
            yield features
    else:
        if intervention.source is None:
            raise InputError("Choose another picture first.")
        source = subject_of(subject.vlm, intervention.source, subject.answer_ids)
        with carried(source, subject, chosen, intervention.depth):
            subject.vlm.family.forget_prompt(subject.vlm.parts)
            yield features
