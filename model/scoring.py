"""How likely given answers are: many prompts and answers at once over the prefix they share.

All continuations form a tree of tokens. In "packed" mode the whole tree is one row: a token sees the
shared prefix and its own ancestors, and its position is its depth, so every path is computed exactly
as if it stood alone, and the prefix's keys and values are never copied (SpecInfer's tree attention,
used for probes). "expanded" batches the paths over copies of the prefix; "each" runs them one by one.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .errors import PromptError
from .families.base import Inputs
from .prompt import Prompt
from .tokens import extend
from .vlm import ScoringMode, VisionLanguageModel, reusable, shared_prefix, token_names

PACK_TOKENS = 1024
EXPAND_ROWS = 8


@dataclass(frozen=True)
class Scores:
    """Log-likelihoods of the answers to one prompt, natural logarithms.

    `total` float64 [answers]: the sum over an answer's tokens, its end not included. `tokens` holds
    the parts, one float64 array an answer.
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


@dataclass
class Node:
    """A token of the tree. `parent` -1 is the end of the shared prefix."""

    token: int
    parent: int
    depth: int
    children: dict[int, int] = field(default_factory=dict)


def score_many(
    vlm: VisionLanguageModel, prompts: Sequence[Prompt], answers: Sequence[Sequence[str]], mode: ScoringMode | None = None
) -> list[Scores]:
    """Score each prompt's own answers. `mode` None takes the fastest that passed the self-test.

    An answer's tokens are those of its text on its own. Raises PromptError.
    """
    begun = time.perf_counter()
    mode = mode or vlm.fast.scoring
    with torch.inference_mode():
        asked = [vlm.prepare(prompt, room=64) for prompt in prompts]
        paths = [[_answer_ids(vlm, p, answer) for answer in said] for p, said in zip(prompts, answers, strict=True)]
        if mode == "each":
            found = [_each(vlm, inputs, said) for inputs, said in zip(asked, paths, strict=True)]
        else:
            found = _shared(vlm, prompts, asked, paths, mode)
    ms = (time.perf_counter() - begun) * 1e3
    return [
        Scores(tuple(said), np.array([t.sum() for t in tokens]), tuple(tokens), mode, ms / len(prompts))
        for said, tokens in zip(answers, found, strict=True)
    ]


def forced(vlm: VisionLanguageModel, prompt: Prompt, answer: str) -> np.ndarray:
    """Whether each token of an answer is the most likely one after the true tokens before it. bool [tokens]."""
    ids = _answer_ids(vlm, prompt, answer)
    with torch.inference_mode():
        inputs = vlm.prepare(Prompt(prompt.messages, prompt.answer_prefix, tuple(ids)))
        more, _ = vlm.vision(inputs)
        out = vlm.parts.model(input_ids=inputs.tensors["input_ids"], attention_mask=inputs.tensors["attention_mask"], use_cache=False, **more)
    guess = out.logits[0, -len(ids) - 1 : -1].argmax(-1)
    return (guess == torch.tensor(ids, device=guess.device)).cpu().numpy()


def _answer_ids(vlm: VisionLanguageModel, prompt: Prompt, answer: str) -> list[int]:
    """The tokens of an answer: those of its text on its own, or behind a forced beginning those it adds to it."""
    tokenizer, prefix = vlm.parts.tokenizer, prompt.answer_prefix
    if prefix:
        whole, known = (tokenizer(text, add_special_tokens=False).input_ids for text in (prefix + answer, prefix))
        if whole[: len(known)] == known and len(whole) > len(known):
            return whole[len(known) :]
    ids = tokenizer(answer, add_special_tokens=False).input_ids
    if not ids:
        raise PromptError("An answer to be scored is empty. Give it some text.")
    return ids


def _shared(vlm, prompts, asked: Sequence[Inputs], paths, mode: ScoringMode) -> list[list[np.ndarray]]:
    names = [token_names(inputs, [i.id for i in prompt.images]) for prompt, inputs in zip(prompts, asked, strict=True)]
    shared = min(shared_prefix(names[0], other) for other in names) if len(names) > 1 else len(names[0]) - 1
    shared = min(shared, *(len(name) - 1 for name in names))
    usable = min(reusable(inputs, shared, False) for inputs in asked)  # a branch holds text only
    if usable == 0 and any(len(inputs.visual) for inputs in asked):
        return [_each(vlm, inputs, said) for inputs, said in zip(asked, paths, strict=True)]
    cache = _prefix(vlm, asked[0], usable)
    sequences = [(inputs.ids[usable:], answer) for inputs, said in zip(asked, paths, strict=True) for answer in said]
    scored = (_packed if mode == "packed" else _expanded)(vlm, cache, usable, sequences)
    found, at = [], 0
    for said in paths:
        found.append(scored[at : at + len(said)])
        at += len(said)
    return found


def _prefix(vlm: VisionLanguageModel, inputs: Inputs, length: int) -> Any:
    """Keys and values of the first `length` tokens of a prompt."""
    cache = vlm.new_cache()
    more, _ = vlm.vision(inputs)
    more = {k: v[..., :length] if isinstance(v, torch.Tensor) and v.ndim == 2 and v.shape[-1] == len(inputs.ids) else v for k, v in more.items()}
    if length:
        ids = inputs.tensors["input_ids"][:, :length]
        vlm.parts.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1, **more)
    return cache


def build_tree(sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> tuple[list[Node], list[list[int]]]:
    """One tree of all (prompt rest, answer) sequences, and for each the nodes that predict its answer's tokens."""
    nodes: list[Node] = []
    roots: dict[int, int] = {}
    predictors = []
    for rest, answer in sequences:
        at, places = -1, []
        for token in [*rest, *answer]:
            places.append(at)
            branch = roots if at < 0 else nodes[at].children
            if token not in branch:
                branch[token] = len(nodes)
                nodes.append(Node(token, at, 0 if at < 0 else nodes[at].depth + 1))
            at = branch[token]
        predictors.append(places[len(rest) :])
    return nodes, predictors


def _packed(vlm, cache, start: int, sequences) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    group: list = []
    for sequence in [*sequences, None]:
        size = sum(len(rest) + len(answer) for rest, answer in group)
        if group and (sequence is None or size + len(sequence[0]) + len(sequence[1]) > PACK_TOKENS):
            found += _one_row(vlm, cache, start, group)
            group = []
        if sequence is not None:
            group.append(sequence)
    return found


def _one_row(vlm: VisionLanguageModel, cache, start: int, sequences) -> list[np.ndarray]:
    nodes, predictors = build_tree(sequences)
    asked = {at for places in predictors for at in places}
    fed = [i for i, node in enumerate(nodes) if node.children or i in asked]
    place = {node: row for row, node in enumerate(fed)}
    seen = torch.zeros(len(fed), len(fed), dtype=torch.bool)
    for row, i in enumerate(fed):
        if nodes[i].parent >= 0:
            seen[row] = seen[place[nodes[i].parent]]
        seen[row, row] = True
    device, dtype = vlm.parts.device, vlm.parts.dtype
    hidden = torch.cat([torch.zeros(len(fed), start, dtype=torch.bool), ~seen], 1).to(device)  # [S, start + S]
    mask = torch.zeros(hidden.shape, dtype=dtype, device=device).masked_fill_(hidden, torch.finfo(dtype).min)[None, None]
    depths = torch.tensor([nodes[i].depth for i in fed], device=device)
    out = vlm.parts.model(
        input_ids=torch.tensor([[nodes[i].token for i in fed]], device=device), attention_mask=mask,
        position_ids=vlm.family.positions(vlm.parts, start, depths), past_key_values=cache, use_cache=True,
        logits_to_keep=torch.tensor(sorted(place[i] for i in asked), device=device),
    )  # fmt: skip
    cache.crop(-len(fed))
    row_of = {row: n for n, row in enumerate(sorted(place[i] for i in asked))}
    logprobs = torch.log_softmax(out.logits[0].float(), -1)
    return [_path(logprobs, [row_of[place[at]] for at in places], answer) for places, (_, answer) in zip(predictors, sequences, strict=True)]


def _expanded(vlm: VisionLanguageModel, cache, start: int, sequences) -> list[np.ndarray]:
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
        depths = torch.arange(longest, device=device)
        position = vlm.family.positions(vlm.parts, start, depths)  # [1, S] or [3, 1, S]
        position = position.expand(*position.shape[:-2], len(rows), -1)
        out = vlm.parts.model(
            input_ids=ids.to(device), attention_mask=mask.to(device), position_ids=position, past_key_values=own, use_cache=True
        )
        for i, (rest, answer) in enumerate(rows):
            first = len(rest) - 1
            logprobs = torch.log_softmax(out.logits[i, first : first + len(answer)].float(), -1)
            found.append(_path(logprobs, list(range(len(answer))), answer))
    return found


def _each(vlm: VisionLanguageModel, inputs: Inputs, answers: list[list[int]]) -> list[np.ndarray]:
    """One plain forward pass an answer: the reference the others are held to."""
    found = []
    for answer in answers:
        more, _ = vlm.vision(inputs)
        cpu = {k: v.cpu() for k, v in inputs.tensors.items() if k not in inputs.pixel_names and k != "image_grid_thw"}
        grown = {k: v.to(vlm.parts.device) for k, v in extend(cpu, answer[:-1]).items()}
        out = vlm.parts.model(**(more | grown), use_cache=False)
        first = len(inputs.ids) - 1
        logprobs = torch.log_softmax(out.logits[0, first : first + len(answer)].float(), -1)
        found.append(_path(logprobs, list(range(len(answer))), answer))
    return found


def _path(logprobs: torch.Tensor, rows: list[int], answer: Sequence[int]) -> np.ndarray:
    return logprobs[torch.tensor(rows), torch.tensor(list(answer))].double().cpu().numpy()
