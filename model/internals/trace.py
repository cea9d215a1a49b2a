"""What happened inside while an answer was read: attention rows, probabilities, hidden states.

Chat is untouched. A trace is one teacher-forced pass over prompt and answer: the row that predicts
answer token k is the position before it. Only the wanted rows of each attention module are kept, and
of those only the columns of visual tokens, so a trace takes about a thousandth of what keeping all
attentions would.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..events import Alternative, Token
from ..families.base import Inputs
from ..families.base.tokens import Detokenizer
from ..generation.hooks import interruptible
from ..generation.vlm import VisionLanguageModel
from ..geometry.grid import ImageGrid
from ..late import torch
from ..prompt import Prompt
from ..tap import Rows, Tap, tapped
from .roles import Place, Prefixes, Role, decoder_layers, place, prefixes

RowOf = Literal["predicting", "reading"]
TOP = 5


@dataclass(frozen=True)
class Want:
    """What a trace keeps besides probabilities.

    `attention` keeps decoder rows over visual tokens; `rows` says whose: the position that predicts a
    token, or the token's own, which reads it. `hidden` are depths at which the decoder's states at visual
    tokens and at the rows are kept: 0 is what enters the first layer, k what leaves the k-th, -1 the last
    layer's, before the final norm. `vision` keeps the tower's attention.
    """

    attention: bool = True
    rows: RowOf = "predicting"
    hidden: tuple[int, ...] = ()
    vision: bool = False

    def covers(self, other: Want) -> bool:
        """Whether a trace of this keeps all that the other wants."""
        attention = not other.attention or (self.attention and self.rows == other.rows)
        return attention and set(other.hidden) <= set(self.hidden) and (self.vision or not other.vision)


@dataclass(frozen=True)
class Trace:
    """One answer, looked into. K answer tokens, T visual tokens, L layers, H heads.

    `tokens` carry text, log-probability and alternatives. `entropy` float32 [K] in nats. `attention`
    float32 [L, H, K, T]: softmax over all keys, so a row sums to `image_mass` float32 [L, H, K] <= 1.
    `hidden` maps a depth to float32 [T, D]; `row_hidden` to [K, D]. `others` holds attention of other
    modules by (role, layer), each [B, H, R, C]. `size_bytes` is what all of it takes.
    """

    prompt: Prompt
    answer_ids: tuple[int, ...]
    tokens: tuple[Token, ...]
    entropy: np.ndarray
    visual: np.ndarray
    prompt_tokens: int
    grid: ImageGrid | None
    attention: np.ndarray | None = field(default=None, repr=False)
    image_mass: np.ndarray | None = field(default=None, repr=False)
    hidden: dict[int, np.ndarray] = field(default_factory=dict, repr=False)
    row_hidden: dict[int, np.ndarray] = field(default_factory=dict, repr=False)
    others: dict[tuple[Role, int], list[np.ndarray]] = field(default_factory=dict, repr=False)

    @property
    def rows(self) -> np.ndarray:
        """The positions whose rows predict the answer tokens. int64 [K]."""
        return np.arange(self.prompt_tokens - 1, self.prompt_tokens - 1 + len(self.answer_ids))

    @property
    def size_bytes(self) -> int:
        arrays = [self.entropy, self.attention, self.image_mass, *self.hidden.values(), *self.row_hidden.values()]
        arrays += [a for found in self.others.values() for a in found]
        return sum(a.nbytes for a in arrays if a is not None)


def take_trace(
    vlm: VisionLanguageModel,
    prompt: Prompt,
    answer_ids: Sequence[int],
    want: Want | None = None,
    stop: threading.Event | None = None,
    say: Callable[[str], None] | None = None,
) -> Trace:
    """Trace an answer, given as token ids. Runs on the model thread.

    Raises PromptError where prompt and answer do not fit the context, Unsupported where a model's
    attention cannot be listened to, Interrupted when `stop` is set.
    """
    want = want or Want()
    stop = stop or threading.Event()
    if say:
        say(f"Reading {len(answer_ids)} tokens of answer")
    full = Prompt(prompt.messages, prompt.answer_prefix, (*prompt.answer_tokens, *answer_ids))
    inputs = vlm.prepare(full)
    prompt_tokens = len(inputs.ids) - len(answer_ids)
    with torch.inference_mode(), interruptible(vlm.parts.model, stop):
        out, tap, where, hidden, row_hidden = _run(vlm, inputs, prompt_tokens, len(answer_ids), want)
    logits = out.logits[0, : len(answer_ids)].float()
    logprobs = torch.log_softmax(logits, -1)
    attention, mass, others = _sorted(tap, where, want)
    return Trace(
        prompt,
        tuple(answer_ids),
        _tokens(vlm, answer_ids, logprobs),
        (-(logprobs.exp() * logprobs).sum(-1)).cpu().numpy(),
        inputs.visual,
        prompt_tokens,
        inputs.grid,
        attention,
        mass,
        hidden,
        row_hidden,
        others,
    )


def _run(vlm: VisionLanguageModel, inputs: Inputs, start: int, count: int, want: Want) -> tuple[Any, ...]:
    where = prefixes(vlm.family, vlm.parts)
    device = vlm.parts.device
    first = start - 1 if want.rows == "predicting" else start
    queries = torch.arange(first, first + count, device=device)
    visual = torch.from_numpy(inputs.visual).to(device)

    def wants(name: str) -> Rows | None:
        role = place(name, where).role
        if role is Role.DECODER:
            return Rows(queries, visual) if want.attention and len(visual) else None
        if role is Role.DECODER_CROSS:
            return Rows(queries, None, cross=True) if want.attention else None
        if role is Role.CONNECTOR_CROSS:
            return Rows(cross=True) if want.attention else None
        return Rows() if want.vision and role is Role.VISION else None

    tap = Tap(wants)
    more = _pixels(inputs) if want.vision else vlm.vision(inputs).arguments
    keep = torch.arange(start - 1, start - 1 + count, device=device)
    vlm.family.forget_prompt(vlm.parts)
    with tapped(vlm.parts.model, tap), _states(vlm, want.hidden, where, (inputs.visual, keep.cpu().numpy())) as states:
        out = vlm.parts.model(
            input_ids=inputs.tensors["input_ids"],
            attention_mask=inputs.tensors.get("attention_mask"),
            use_cache=False,
            logits_to_keep=keep,
            **more,
        )
    return out, tap, where, *states


@contextmanager
def _states(
    vlm: VisionLanguageModel, depths: Sequence[int], where: Prefixes, positions: tuple[np.ndarray, np.ndarray]
) -> Iterator[tuple[dict[int, np.ndarray], dict[int, np.ndarray]]]:
    """While open, what enters and leaves the decoder's layers at these positions is kept, by depth."""
    kept: tuple[dict[int, np.ndarray], dict[int, np.ndarray]] = ({}, {})
    model, names = vlm.parts.model, decoder_layers(vlm.parts.model, where)

    def keep(depth: int, states: torch.Tensor) -> None:
        for held, at in zip(kept, positions, strict=True):
            held[depth] = states[0, torch.from_numpy(at).to(states.device)].float().cpu().numpy()

    def entering(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        keep(0, args[0] if args else kwargs["hidden_states"])

    def leaving(depth: int) -> Callable[..., None]:
        return lambda module, args, out: keep(depth, out[0] if isinstance(out, tuple) else out)

    hooks = []
    for depth in {d if d >= 0 else len(names) + 1 + d for d in depths}:
        if depth == 0:
            hooks.append(model.get_submodule(names[0]).register_forward_pre_hook(entering, with_kwargs=True))
        else:
            hooks.append(model.get_submodule(names[depth - 1]).register_forward_hook(leaving(depth)))
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def _pixels(inputs: Inputs) -> dict[str, torch.Tensor]:
    """Everything but ids and mask: the tower runs, so that its attention can be heard."""
    return {k: v for k, v in inputs.tensors.items() if k not in ("input_ids", "attention_mask")}


def _sorted(
    tap: Tap, where: Prefixes, want: Want
) -> tuple[np.ndarray | None, np.ndarray | None, dict[tuple[Role, int], list[np.ndarray]]]:
    """Decoder rows stacked by layer, the rest by place."""
    decoder: dict[int, Any] = {}
    others: dict[tuple[Role, int], list[np.ndarray]] = {}
    for name, found in tap.rows.items():
        spot: Place = place(name, where)
        if spot.role is Role.DECODER:
            decoder[spot.layer] = found[-1]
        else:
            others.setdefault((spot.role, spot.layer), []).extend(c.weights.numpy() for c in found)
    if not decoder:
        return None, None, others
    layers = [decoder[i] for i in sorted(decoder)]
    attention = np.stack([layer.weights[0].numpy() for layer in layers])
    return attention, np.stack([layer.mass[0].numpy() for layer in layers]), others


def _tokens(vlm: VisionLanguageModel, ids: Sequence[int], logprobs: torch.Tensor) -> tuple[Token, ...]:
    text = Detokenizer(vlm.parts.tokenizer)
    best = torch.topk(logprobs, min(TOP, logprobs.shape[-1]), -1)
    tokens = []
    for k, token in enumerate(ids):
        top = tuple(
            Alternative(int(i), vlm.parts.tokenizer.decode([int(i)]), float(p))
            for i, p in zip(best.indices[k], best.values[k], strict=True)
        )
        tokens.append(Token(k, token, text.push(token), float(logprobs[k, token]), top))
    return tuple(tokens)
