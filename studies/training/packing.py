"""Many questions about one picture in one sequence: about six times the supervision per computation.

A row is `<bos><user>` + the picture's tokens, shared by all, then conversations one after the other.
A block mask lets a token see the shared prefix and its own conversation only, and positions restart
after the prefix, so every conversation is computed exactly as if it stood alone in the chat template.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast

from .tokenizer import ASSISTANT, BOS, EOS, IMAGE, PAD, USER

IGNORED = -100
HEAD = 2
"""Tokens before the picture: <bos><user>."""


@dataclass(frozen=True)
class Turn:
    """One question and its answer."""

    kind: str
    question: str
    answer: str


@dataclass(frozen=True)
class Conversation:
    """Turns that see each other. `blind` ones do not see the picture."""

    turns: tuple[Turn, ...]
    blind: bool = False


@dataclass(frozen=True)
class Span:
    """Where an answer lies in a row: its tokens are ids[start : start + length], predicted one position earlier."""

    kind: str
    start: int
    length: int
    conversation: int
    turn: int


@dataclass
class Row:
    """One packed sequence before batching. All lists have one entry per text token after the prefix."""

    ids: list[int]
    labels: list[int]
    weights: list[float]
    segments: list[int]
    positions: list[int]
    spans: list[Span]


class Packer:
    """Builds rows of `text_tokens` tokens behind a prefix with `image_tokens` image tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, image_tokens: int, text_tokens: int) -> None:
        self.tokenizer, self.image_tokens, self.text_tokens = tokenizer, image_tokens, text_tokens
        self.pad, self.bos, self.eos, self.user, self.assistant, self.image = (
            tokenizer.convert_tokens_to_ids(t) for t in (PAD, BOS, EOS, USER, ASSISTANT, IMAGE)
        )
        self._encoded: dict[str, list[int]] = {}

    @property
    def prefix_tokens(self) -> int:
        return HEAD + self.image_tokens

    def encode(self, text: str) -> list[int]:
        ids = self._encoded.get(text)
        if ids is None:
            ids = self.tokenizer(text, add_special_tokens=False).input_ids
            if len(self._encoded) < 100_000:
                self._encoded[text] = ids
        return ids

    def row(self, conversations: Sequence[Conversation]) -> Row:
        """The conversations that fit, in order; one that does not fit is left out."""
        row = Row([], [], [], [], [], [])
        for number, talk in enumerate(conversations, start=1):
            ids: list[int] = []
            labels: list[int] = []
            weights: list[float] = []
            spans: list[Span] = []
            base = self.prefix_tokens + len(row.ids)
            for index, turn in enumerate(talk.turns):
                asked = ([self.user] if index else []) + self.encode(turn.question) + [self.assistant]
                said = [*self.encode(turn.answer), self.eos]
                spans.append(Span(turn.kind, base + len(ids) + len(asked), len(said), number - 1, index))
                ids += asked + said
                labels += [IGNORED] * len(asked) + said
                weights += [0.0] * len(asked) + [len(said) ** -0.5] * len(said)
            if len(row.ids) + len(ids) > self.text_tokens:
                if self.text_tokens - len(row.ids) < 12:
                    break
                continue
            start = HEAD if talk.blind else self.prefix_tokens
            row.ids += ids
            row.labels += labels
            row.weights += weights
            row.segments += [-number if talk.blind else number] * len(ids)
            row.positions += range(start, start + len(ids))
            row.spans += spans
        return row

    def batch(self, rows: Sequence[Row]) -> PackedText:
        """Rows padded to one length, with the prefix in front and the block mask. See `PackedText` for shapes."""
        count, prefix = len(rows), self.prefix_tokens
        length = prefix + max(len(row.ids) for row in rows)
        ids = torch.full((count, length), self.pad)
        ids[:, 0], ids[:, 1], ids[:, HEAD:prefix] = self.bos, self.user, self.image
        labels = torch.full((count, length), IGNORED)
        weights = torch.zeros(count, length)
        segments = torch.full((count, length), 10**6)
        segments[:, :prefix] = 0
        positions = torch.zeros(count, length, dtype=torch.long)
        positions[:, :prefix] = torch.arange(prefix)
        for i, row in enumerate(rows):
            span = slice(prefix, prefix + len(row.ids))
            ids[i, span], labels[i, span] = torch.tensor(row.ids), torch.tensor(row.labels)
            weights[i, span] = torch.tensor(row.weights)
            segments[i, span], positions[i, span] = torch.tensor(row.segments), torch.tensor(row.positions)
        return PackedText(ids, labels, weights, positions, _mask(segments, prefix), [row.spans for row in rows])


@dataclass
class PackedText:
    """A batch of rows: `ids`, `labels`, `weights`, `positions` are [B, T]; `mask` is bool [B, 1, T, T], True where seen.

    `labels[b, t]` is the token at t where it is part of an answer, else IGNORED; it is predicted at t - 1.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    spans: list[list[Span]]


def _mask(segments: torch.Tensor, prefix: int) -> torch.Tensor:
    length = segments.shape[1]
    rows, columns = segments[:, :, None], segments[:, None, :]  # [B, T, 1], [B, 1, T]
    same = rows == columns
    shared = columns == 0
    picture = (torch.arange(length) >= HEAD) & (torch.arange(length) < prefix)
    blind = (rows < 0) & picture[None, None]
    seen = (same | shared) & ~blind & torch.ones(length, length, dtype=torch.bool).tril()
    return seen[:, None]
