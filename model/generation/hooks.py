"""Hooks into transformers' own `generate`: record each token with its alternatives, sample with a private seed, stop.

`generate` is used as it is, so greedy answers are its answers token for token. Sampling happens in the
last logits processor, by the decoder, with a generator of the run's own, so two runs at once do not disturb each other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..events import Alternative, Token
from ..families.base.tokens import Detokenizer, Pieces
from ..late import Pretrained, nn, torch, transformers
from ..options import Options

if TYPE_CHECKING:
    from ..decoders.base import Step


class Interrupted(Exception):
    """The run was stopped inside a forward pass. Not an error."""


class NotFinite(Exception):
    """The scores of the next token are not numbers to choose by."""


@dataclass(frozen=True)
class TokenChoice:
    """The token of one step and how likely it was."""

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...]
    given: bool


class Chooser:
    """Makes each step's choice with the decoder's `step`, and records it.

    `scores` arrive after the checkpoint's own processors (a repetition penalty, say), before any
    temperature. Log-probabilities are of that distribution, in float32. The first tokens are those
    `forced`, whatever the scores; how likely they were is recorded all the same. Raises NotFinite where one of the scores is
    NaN or without bound, or all are minus infinity.
    """

    def __init__(
        self, options: Options, step: Step, device: torch.device, begin: Callable[[], None], forced: Sequence[int] = ()
    ) -> None:
        self._options, self._step, self._begin = options, step, begin
        self.forced = tuple(forced)
        self._random = torch.Generator(device).manual_seed(options.seed)
        self._made = 0
        self.choice: TokenChoice | None = None
        self.first: TokenChoice | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.first is None:
            self._begin()
        if not bool(torch.isfinite(scores[0].amax())):  # NaN wins a maximum
            raise NotFinite
        logprobs = torch.log_softmax(scores[0].float(), -1)
        token, given = self._choose(input_ids, scores), self._made < len(self.forced)
        self._made += 1
        count = min(self._options.alternatives, logprobs.numel())
        best = torch.topk(logprobs, count) if count else None
        top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)) if best is not None else ()
        self.choice = TokenChoice(token, float(logprobs[token]), top, given)
        self.first = self.first or self.choice
        picked = torch.full_like(scores, -torch.inf)
        picked[..., token] = 0.0
        return picked

    def _choose(self, input_ids: torch.Tensor, scores: torch.Tensor) -> int:
        drawn = self._step(input_ids[:1], scores[:1].float())[0]  # [V]
        if self._made < len(self.forced):
            return self.forced[self._made]
        if not self._options.decoder.sampled:
            return int(drawn.argmax())
        return int(torch.multinomial(torch.softmax(drawn, -1), 1, generator=self._random)[0])


class Teller:
    """Turns each chosen token into a Token event, and says when to stop.

    Once it has said so it tells no more: on some devices `generate` looks one step late.
    """

    def __init__(
        self, chooser: Chooser, pieces: Pieces, ends: frozenset[int], stop: threading.Event, emit: Callable[[Token], None]
    ) -> None:
        self._chooser, self._pieces, self._ends, self._stop, self._emit = chooser, pieces, ends, stop, emit
        self._text = Detokenizer(pieces.tokenizer)
        self._over = False
        self.ids: list[int] = []
        self.chosen = 0
        """How many tokens the model chose, the end of the answer not counted."""
        self.ended = False
        self.last_at = time.perf_counter()

    def give(self, ids: Sequence[int]) -> None:
        """Tell the tokens that the answer was made to begin with. They are certain: the model was not asked."""
        for token in ids:
            self._tell(TokenChoice(token, 0.0, (), True))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        if not self._over:
            choice = self._chooser.choice
            assert choice is not None, "the chooser runs before the teller"
            self.last_at = time.perf_counter()
            self.ended = choice.id in self._ends and not choice.given
            if self.ended:
                self.ids.append(choice.id)
            else:
                self.chosen += not choice.given
                self._tell(choice)
            self._over = self.ended or self._stop.is_set()
        return torch.full((input_ids.shape[0],), self._over, dtype=torch.bool, device=input_ids.device)

    def _tell(self, choice: TokenChoice) -> None:
        self.ids.append(choice.id)
        top = tuple(Alternative(i, self._pieces[i], p) for i, p in choice.top)
        self._emit(Token(len(self.ids) - 1, choice.id, self._text.push(choice.id), choice.logprob, top, choice.given))

    @property
    def text(self) -> str:
        """The text so far, with what is left of an unfinished character."""
        self._text.flush()
        return self._text.text


@contextmanager
def interruptible(model: nn.Module, stop: threading.Event) -> Iterator[None]:
    """Within this, every layer of the model raises Interrupted once `stop` is set: a long prefill ends at once too.

    On this thread: another may run the same model, and go on.
    """
    here = threading.get_ident()

    def check(module: nn.Module, args: object) -> None:
        if stop.is_set() and threading.get_ident() == here:
            raise Interrupted

    layers = [layer for module in model.modules() if isinstance(module, nn.ModuleList) for layer in module]
    hooks = [layer.register_forward_pre_hook(check) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def end_tokens(model: Pretrained) -> frozenset[int]:
    """Ids that end an answer, by the generation config of whatever writes it: the checkpoint, or a decoder it hands on to."""
    inner = [m for m in model.modules() if m is not model and isinstance(m, transformers.GenerationMixin)]
    writer: transformers.GenerationMixin = (
        inner[0] if inner and type(model).generate is not transformers.GenerationMixin.generate else model
    )
    eos = writer.generation_config.eos_token_id if writer.generation_config is not None else None
    return frozenset(eos if isinstance(eos, list) else () if eos is None else (eos,))
