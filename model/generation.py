"""Hooks into transformers' own `generate`: record each token with its alternatives, sample with a private seed, stop.

`generate` is used as it is, so greedy answers are its answers token for token. Sampling happens in the
last logits processor with a generator of the run's own, so two runs at once do not disturb each other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from .events import Alternative, Token
from .options import Options
from .tokens import Detokenizer


class Interrupted(Exception):
    """The run was stopped inside a forward pass. Not an error."""


@dataclass(frozen=True)
class Choice:
    """The token of one step and how likely it was."""

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...]


class Chooser(LogitsProcessor):
    """Records each step's choice; where sampling is asked for, makes it.

    `scores` arrive after the checkpoint's own processors (a repetition penalty, say), before any
    temperature. Log-probabilities are of that distribution, in float32.
    """

    def __init__(self, options: Options, device: torch.device, first: Callable[[], None]) -> None:
        self._options, self._first = options, first
        self._random = torch.Generator(device).manual_seed(options.seed)
        warpers = [TemperatureLogitsWarper(float(options.temperature))] if options.temperature not in (0.0, 1.0) else []
        warpers += [TopPLogitsWarper(options.top_p)] if options.top_p < 1.0 else []
        self._warp = LogitsProcessorList(warpers)
        self.choice: Choice | None = None
        self._started = False

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if not self._started:
            self._started = True
            self._first()
        logprobs = torch.log_softmax(scores[0].float(), -1)
        if self._options.temperature == 0.0:
            chosen = scores[0].argmax()
            picked = scores
        else:
            chances = torch.softmax(self._warp(input_ids[:1], scores[:1].float()), -1)[0]
            chosen = torch.multinomial(chances, 1, generator=self._random)[0]
            picked = torch.full_like(scores, -torch.inf)
            picked[..., chosen] = 0.0
        count = min(self._options.alternatives, logprobs.numel())
        best = torch.topk(logprobs, count) if count else None
        top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)) if best is not None else ()
        token = int(chosen)
        self.choice = Choice(token, float(logprobs[token]), top)
        return picked


class Teller(StoppingCriteria):
    """Turns each chosen token into a Token event, and says when to stop."""

    def __init__(self, chooser: Chooser, tokenizer, ends: frozenset[int], stop: threading.Event, emit: Callable[[Token], None]) -> None:
        self._chooser, self._tokenizer, self._ends, self._stop, self._emit = chooser, tokenizer, ends, stop, emit
        self._text = Detokenizer(tokenizer)
        self._anchor = tokenizer("a", add_special_tokens=False).input_ids[-1:]
        self._pieces: dict[int, str] = {}
        self.ids: list[int] = []
        self.ended = False
        self.last_at = time.perf_counter()

    def __call__(self, input_ids: torch.LongTensor, scores, **kwargs) -> torch.Tensor:
        choice = self._chooser.choice
        assert choice is not None, "the chooser runs before the teller"
        self.ids.append(choice.id)
        self.last_at = time.perf_counter()
        if choice.id in self._ends:
            self.ended = True
        else:
            top = tuple(Alternative(i, self._piece(i), p) for i, p in choice.top)
            self._emit(Token(len(self.ids) - 1, choice.id, self._text.push(choice.id), choice.logprob, top))
        return torch.full((input_ids.shape[0],), self._stop.is_set() or self.ended, dtype=torch.bool, device=input_ids.device)

    @property
    def text(self) -> str:
        """The text so far, with what is left of an unfinished character."""
        self._text.flush()
        return self._text.text

    def _piece(self, token: int) -> str:
        """A token on its own, with the space it starts with: decoded behind a letter, then cut."""
        if token not in self._pieces:
            both = self._decode([*self._anchor, token])
            self._pieces[token] = both[len(self._decode(self._anchor)) :]
        return self._pieces[token]

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


@contextmanager
def interruptible(model: nn.Module, stop: threading.Event) -> Iterator[None]:
    """Within this, every layer of the model raises Interrupted once `stop` is set: a long prefill ends at once too."""

    def check(module: nn.Module, args) -> None:
        if stop.is_set():
            raise Interrupted

    layers = [layer for module in model.modules() if isinstance(module, nn.ModuleList) for layer in module]
    hooks = [layer.register_forward_pre_hook(check) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def end_tokens(model: nn.Module) -> frozenset[int]:
    """Ids that end an answer, by the checkpoint's generation config."""
    eos = model.generation_config.eos_token_id
    if eos is None:
        return frozenset()
    return frozenset(eos if isinstance(eos, list) else [eos])
