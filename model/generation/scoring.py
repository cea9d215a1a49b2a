"""How likely given answers are: many prompts and answers at once over the prefix they share.

All continuations form a tree of tokens. In "packed" mode the whole tree is one row: a token sees the
shared prefix and its own ancestors, and its position is its depth, so every path is computed exactly
as if it stood alone, and the prefix's keys and values are never copied (SpecInfer's tree attention,
used for probes). "expanded" batches the paths over copies of the prefix, "each" reads them one by one,
and "stepped" makes plain `generate` write them token by token: slow, and right by definition.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import PromptError
from ..events import Token
from ..families.base import Inputs
from ..families.base.chat_template import words
from ..families.base.tokens import extend
from ..late import torch
from ..options import Options
from ..prompt import Prompt
from .answer import Answering
from .prefix_cache import held, reusable, shared_prefix, token_names
from .token_tree import Node, Sequences, build_tree
from .vlm import ScoringMode, VisionLanguageModel

PACK_TOKENS = 1024
EXPAND_ROWS = 8


@dataclass(frozen=True)
class Scores:
    """Log-likelihoods of the answers to one prompt, natural logarithms.

    `total` float64 [answers]: the sum over an answer's tokens, its end not included. `tokens` holds
    the parts, one float64 array an answer. `mode` is how they were computed.
    """

    answers: tuple[str, ...]
    total: np.ndarray
    tokens: tuple[np.ndarray, ...]
    mode: ScoringMode
    ms: float

    @property
    def best(self) -> str:
        return self.answers[int(self.total.argmax())]

    def probabilities(self) -> np.ndarray:
        """The answers' shares of their joint probability. float64 [answers], sums to 1."""
        share = np.exp(self.total - self.total.max())
        return share / share.sum()


def score_many(
    vlm: VisionLanguageModel, prompts: Sequence[Prompt], answers: Sequence[Sequence[str]], mode: ScoringMode | None = None
) -> list[Scores]:
    """Score each prompt's own answers. `mode` None takes the fastest that passed the self-test.

    An answer's tokens are those of its text on its own. Prompts that share too little for a mode that
    shares are read one by one. Raises PromptError.
    """
    begun = time.perf_counter()
    if not all(answers):
        raise PromptError("There is nothing to score: a prompt has no answers. Give at least one.")
    paths = [[answer_ids(vlm, p, answer) for answer in said] for p, said in zip(prompts, answers, strict=True)]
    asked = [vlm.prepare(p, max(map(len, said))) for p, said in zip(prompts, paths, strict=True)]
    with torch.inference_mode():
        found, mode = _scored(vlm, prompts, asked, paths, mode or vlm.fast.scoring)
    ms = (time.perf_counter() - begun) * 1e3
    return [
        Scores(tuple(said), np.array([t.sum() for t in tokens]), tuple(tokens), mode, ms / len(prompts))
        for said, tokens in zip(answers, found, strict=True)
    ]


def forced(vlm: VisionLanguageModel, prompt: Prompt, answer: str) -> np.ndarray:
    """Whether each token of an answer is the most likely one after the true tokens before it. bool [tokens]."""
    ids = answer_ids(vlm, prompt, answer)
    inputs = vlm.prepare(prompt, len(ids))
    if not vlm.fast.extend:
        return np.array([token.alternatives[0].id == token.id for token in _stepped(vlm, prompt, ids)])
    with torch.inference_mode():
        return (_read(vlm, inputs, ids).argmax(-1).cpu() == torch.tensor(ids)).numpy()


def answer_ids(vlm: VisionLanguageModel, prompt: Prompt, answer: str) -> list[int]:
    """The tokens of an answer: those of its text on its own, or behind a forced beginning those it adds to it."""
    tokenizer, prefix, answer = vlm.parts.tokenizer, words(vlm.parts, prompt.answer_prefix), words(vlm.parts, answer)
    if prefix:
        whole, known = (tokenizer(text, add_special_tokens=False).input_ids for text in (prefix + answer, prefix))
        if whole[: len(known)] == known and len(whole) > len(known):
            return whole[len(known) :]
    ids = tokenizer(answer, add_special_tokens=False).input_ids
    if not ids:
        raise PromptError("An answer to be scored is empty. Give it some text.")
    return ids


Paths = Sequence[Sequence[Sequence[int]]]
"""For each prompt the token ids of each of its answers."""
Found = list[list[np.ndarray]]
"""For each prompt and answer the log-probabilities of the answer's tokens, float64."""


def _scored(
    vlm: VisionLanguageModel, prompts: Sequence[Prompt], asked: Sequence[Inputs], paths: Paths, mode: ScoringMode
) -> tuple[Found, ScoringMode]:
    if mode in ("packed", "expanded"):
        usable = _usable(vlm, prompts, asked, paths)
        if usable is not None:
            return _shared(vlm, asked, paths, mode, usable), mode
        mode = "each"
    if mode == "stepped":
        stepped = [[_stepped(vlm, prompt, ids) for ids in said] for prompt, said in zip(prompts, paths, strict=True)]
        return [[np.array([token.logprob for token in tokens]) for tokens in said] for said in stepped], mode
    each = [[_read(vlm, inputs, ids) for ids in said] for inputs, said in zip(asked, paths, strict=True)]
    return [
        [_path(logprobs, range(len(ids)), ids) for logprobs, ids in zip(rows, said, strict=True)]
        for rows, said in zip(each, paths, strict=True)
    ], mode


def _usable(vlm: VisionLanguageModel, prompts: Sequence[Prompt], asked: Sequence[Inputs], paths: Paths) -> int | None:
    """How many leading tokens all prompts share, all pictures among them; None where that does not serve."""
    names = [token_names(inputs, [i.id for i in prompt.images]) for prompt, inputs in zip(prompts, asked, strict=True)]
    shared = min(len(name) - 1 for name in names)
    shared = min([shared, *(shared_prefix(names[0], other) for other in names[1:])])
    usable = min(reusable(inputs, shared, False) for inputs in asked)  # a branch holds text only
    longest = max(len(name) + max(map(len, said)) for name, said in zip(names, paths, strict=True))
    if not vlm.fast.reaches(longest) or (usable == 0 and any(inputs.pictures for inputs in asked)):
        return None
    return usable


def _shared(vlm: VisionLanguageModel, asked: Sequence[Inputs], paths: Paths, mode: ScoringMode, usable: int) -> Found:
    cache = _prefix(vlm, asked[0], usable)
    sequences = [(inputs.ids[usable:], answer) for inputs, said in zip(asked, paths, strict=True) for answer in said]
    scored = iter((_packed if mode == "packed" else _expanded)(vlm, asked[0], cache, usable, sequences))
    return [[next(scored) for _ in said] for said in paths]


def _prefix(vlm: VisionLanguageModel, inputs: Inputs, length: int) -> Any:
    """Keys and values of the first `length` tokens of a prompt."""
    cache = vlm.new_cache()
    if length:
        vlm.family.forget_prompt(vlm.parts)
        whole = vlm.vision(inputs).arguments.items()
        more = {k: v[:, :length] if isinstance(v, torch.Tensor) and v.shape == (1, len(inputs.ids)) else v for k, v in whole}
        ids = inputs.tensors["input_ids"][:, :length]
        vlm.parts.model(input_ids=ids, use_cache=True, logits_to_keep=1, **held(vlm.parts.model, cache), **more)
    return cache


def _packed(vlm: VisionLanguageModel, inputs: Inputs, cache: Any, start: int, sequences: Sequences) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    group: list[tuple[Sequence[int], Sequence[int]]] = []
    size = 0
    for rest, answer in sequences:
        if group and size + len(rest) + len(answer) > PACK_TOKENS:
            found += _one_row(vlm, inputs, cache, start, group)
            group, size = [], 0
        group.append((rest, answer))
        size += len(rest) + len(answer)
    return found + _one_row(vlm, inputs, cache, start, group)


def _one_row(vlm: VisionLanguageModel, inputs: Inputs, cache: Any, start: int, sequences: Sequences) -> list[np.ndarray]:
    nodes, predictors = build_tree(sequences)
    asked = sorted({at for places in predictors for at in places})
    fed = sorted({*asked, *(i for i, node in enumerate(nodes) if node.children)})  # an answer's last token predicts nothing
    place = {node: row for row, node in enumerate(fed)}
    device = vlm.parts.device
    out = vlm.parts.model(
        input_ids=torch.tensor([[nodes[i].token for i in fed]], device=device),
        attention_mask=_tree_mask(vlm, nodes, fed, place, start),
        position_ids=vlm.family.positions(vlm.parts, inputs, start, torch.tensor([nodes[i].depth for i in fed], device=device)),
        **held(vlm.parts.model, cache),
        use_cache=True,
        logits_to_keep=torch.tensor([place[i] for i in asked], device=device),
    )
    cache.crop(-len(fed))
    row = {node: n for n, node in enumerate(asked)}
    logprobs = torch.log_softmax(out.logits[0].float(), -1)  # [asked, V]
    return [_path(logprobs, [row[at] for at in places], ids) for places, (_, ids) in zip(predictors, sequences, strict=True)]


def _tree_mask(vlm: VisionLanguageModel, nodes: list[Node], fed: list[int], place: dict[int, int], start: int) -> torch.Tensor:
    """Added to attention scores, [1, 1, S, start + S]: 0 for the prefix, a node and its ancestors, else the least number."""
    seen = torch.zeros(len(fed), len(fed), dtype=torch.bool)
    for row, i in enumerate(fed):
        if nodes[i].parent >= 0:
            seen[row] = seen[place[nodes[i].parent]]
        seen[row, row] = True
    device, dtype = vlm.parts.device, vlm.parts.dtype
    hidden = torch.cat([torch.zeros(len(fed), start, dtype=torch.bool), ~seen], 1).to(device)  # [S, start + S]
    return torch.zeros(hidden.shape, dtype=dtype, device=device).masked_fill_(hidden, torch.finfo(dtype).min)[None, None]


def _expanded(vlm: VisionLanguageModel, inputs: Inputs, cache: Any, start: int, sequences: Sequences) -> list[np.ndarray]:
    found = []
    device = vlm.parts.device
    for at in range(0, len(sequences), EXPAND_ROWS):
        rows = sequences[at : at + EXPAND_ROWS]
        longest = max(len(rest) + len(answer) - 1 for rest, answer in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), start + longest, dtype=torch.long)
        for i, (rest, answer) in enumerate(rows):
            tokens = [*rest, *answer[:-1]]
            ids[i, : len(tokens)] = torch.tensor(tokens)
            mask[i, : start + len(tokens)] = 1
        own = copy.deepcopy(cache)
        own.batch_repeat_interleave(len(rows))
        position = vlm.family.positions(vlm.parts, inputs, start, torch.arange(longest, device=device))  # [1, S] or [3, 1, S]
        out = vlm.parts.model(
            input_ids=ids.to(device), attention_mask=mask.to(device), **held(vlm.parts.model, own), use_cache=True,
            position_ids=position.expand(*position.shape[:-2], len(rows), -1),
        )  # fmt: skip
        for i, (rest, answer) in enumerate(rows):
            logprobs = torch.log_softmax(out.logits[i, len(rest) - 1 :].float(), -1)
            found.append(_path(logprobs, range(len(answer)), answer))
    return found


def _read(vlm: VisionLanguageModel, inputs: Inputs, answer: Sequence[int]) -> torch.Tensor:
    """Log-probabilities of what stands in an answer's places, from one plain forward pass. float32 [answer, V]."""
    arguments = vlm.vision(inputs).arguments
    text = {k: v for k, v in inputs.tensors.items() if k in ("input_ids", "attention_mask")}
    plain = {k: v for k, v in arguments.items() if isinstance(v, torch.Tensor)}
    grown = extend(vlm.parts.model, plain | text, answer[:-1])
    out = vlm.parts.model(**(arguments | grown), use_cache=False)
    first = len(inputs.ids) - 1
    return torch.log_softmax(out.logits[0, first : first + len(answer)].float(), -1)


def _stepped(vlm: VisionLanguageModel, prompt: Prompt, answer: Sequence[int]) -> list[Token]:
    """The answer's tokens, written by `generate` as it is told to."""
    events: list[Any] = []
    asked = Prompt(prompt.messages, prompt.answer_prefix, tuple(answer))
    Answering(vlm, asked, Options(alternatives=1), events.append, threading.Event(), stepwise=True).go()
    return [event for event in events if isinstance(event, Token)]


def _path(logprobs: torch.Tensor, rows: Sequence[int], answer: Sequence[int]) -> np.ndarray:
    return logprobs[torch.tensor(list(rows)), torch.tensor(list(answer))].double().cpu().numpy()
