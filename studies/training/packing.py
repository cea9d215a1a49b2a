"""Many questions about the same pictures in one sequence: about six times the supervision per computation.

A row begins with what all its conversations share: `<bos><user>` and the pictures' tokens, or a first
turn and a second picture. Then the conversations follow, one after the other. A block mask lets a token
see the shared part and its own conversation only, and positions restart after the shared part, so every
conversation is computed exactly as if it stood alone in the chat template.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedTokenizerFast

from .sizes import PictureSize
from .tokenizer import ASSISTANT, BOS, EOS, PAD, SYSTEM, USER, Dialect, token_id, token_ids

IGNORED = -100
HEAD, SEEN, FIRST, NOWHERE = 0, 1, 2, 10**6
"""Segments: what everybody sees (<bos>, a system prompt, <user>), pictures and turns before, the first conversation, padding."""


@dataclass(frozen=True)
class Exchange:
    """One question and its answer."""

    kind: str
    question: str
    answer: str


@dataclass(frozen=True)
class Conversation:
    """Turns that see each other. `blind` ones do not see the pictures. `shift` moves their positions on.

    A shift makes a conversation look as if it stood later in a long one, which positions must bear.
    """

    turns: tuple[Exchange, ...]
    blind: bool = False
    shift: int = 0


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
    """One sequence before batching: lists with one entry per token. A blind conversation's segment is negative.

    A token's place in two dimensions is its position moved on by `down` and by `across`.
    """

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    down: list[int] = field(default_factory=list)
    across: list[int] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def add(self, asked: Sequence[int], said: Sequence[int], segment: int, position: int) -> None:
        """Append tokens that are read, then tokens that are learned, at consecutive positions."""
        count = len(asked) + len(said)
        self.ids += [*asked, *said]
        self.labels += [IGNORED] * len(asked) + list(said)
        self.weights += [0.0] * len(asked) + [max(1, len(said)) ** -0.5] * len(said)
        self.segments += [segment] * count
        self.positions += range(position, position + count)
        self.down += [0] * count
        self.across += [0] * count

    def lay(self, image: int, rows: int, cols: int, position: int) -> None:
        """Append a picture's tokens, row by row, all at one position and apart in two dimensions (M-RoPE)."""
        first, count = len(self.ids), rows * cols
        self.add([image] * count, [], SEEN, position)
        self.positions[first:] = [position] * count
        self.down[first:] = [row for row in range(rows) for _ in range(cols)]
        self.across[first:] = [col for _ in range(rows) for col in range(cols)]


@dataclass
class PackedText:
    """A batch of rows: `ids`, `labels`, `weights` are [B, T]; `mask` is bool [B, 1, T, T], True where seen.

    `positions` are [B, T], or [3, B, T] (time, row, column) for a dialect with places in two dimensions.

    `labels[b, t]` is the token at t where it is part of an answer, else IGNORED; it is predicted at t - 1.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    spans: list[list[Span]]


class Packer:
    """Builds rows with up to `text_tokens` tokens of conversations about pictures of one size."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, dialect: Dialect, text_tokens: int) -> None:
        self.tokenizer, self.dialect, self.text_tokens = tokenizer, dialect, text_tokens
        self.pad, self.bos, self.eos, self.system, self.user, self.assistant, self.image = (
            token_id(tokenizer, t) for t in (PAD, BOS, EOS, SYSTEM, USER, ASSISTANT, dialect.image)
        )
        self.before, self.after = (token_ids(tokenizer, part) for part in (dialect.before, dialect.after))
        self._encoded: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        ids = self._encoded.get(text)
        if ids is None:
            ids = self.tokenizer(text, add_special_tokens=False).input_ids
            if len(self._encoded) < 100_000:
                self._encoded[text] = ids
        return ids

    def row(
        self,
        conversations: Sequence[Conversation],
        size: PictureSize,
        pictures: int = 1,
        between: Exchange | None = None,
        system: str = "",
    ) -> Row:
        """Pictures, then the conversations that fit, in order; one that does not fit is left out.

        With `between`, two pictures do not come together: the turn is taken about the first, and the
        second comes with the turns that follow.
        """
        row = Row()
        told = [self.system, *self.encode(system)] if system else []
        row.add([self.bos, *told, self.user], [], HEAD, 0)
        head = place = len(row.ids)
        for number in range(pictures):
            if number and between is not None:
                turn = [*self._asked(between), *self._said(between), self.user]
                row.add(turn, [], SEEN, place)
                place += len(turn)
            place = self._picture(row, size, place)
        shared = len(row.ids)
        for number, talk in enumerate(conversations):
            turns = [(self._asked(turn, later=i > 0), self._said(turn)) for i, turn in enumerate(talk.turns)]
            length = sum(len(asked) + len(said) for asked, said in turns)
            room = self.text_tokens - (len(row.ids) - shared)
            if length > room:
                if room < 12:
                    break
                continue
            position = head if talk.blind else place + talk.shift
            segment = -(number + FIRST) if talk.blind else number + FIRST
            for i, (asked, said) in enumerate(turns):
                row.spans.append(Span(talk.turns[i].kind, len(row.ids) + len(asked), len(said), number, i))
                row.add(asked, said, segment, position)
                position += len(asked) + len(said)
        return row

    def _picture(self, row: Row, size: PictureSize, place: int) -> int:
        """Append a picture with what stands around it. Returns the position after it."""
        row.add(self.before, [], SEEN, place)
        place += len(self.before)
        if self.dialect.two_dimensional:
            row.lay(self.image, size.rows, size.cols, place)
            place += max(size.rows, size.cols)
        else:
            row.add([self.image] * size.tokens, [], SEEN, place)
            place += size.tokens
        row.add(self.after, [], SEEN, place)
        return place + len(self.after)

    def _asked(self, turn: Exchange, later: bool = False) -> list[int]:
        return ([self.user] if later else []) + self.encode(turn.question) + [self.assistant]

    def _said(self, turn: Exchange) -> list[int]:
        return [*self.encode(turn.answer), self.eos]

    def batch(self, rows: Sequence[Row]) -> PackedText:
        """Rows padded to one length, with the block mask. See `PackedText` for shapes."""
        length = max(len(row.ids) for row in rows)

        def padded(name: str, fill: float) -> torch.Tensor:
            return torch.tensor([[*getattr(row, name), *[fill] * (length - len(row.ids))] for row in rows])

        segments, positions = padded("segments", NOWHERE), padded("positions", 0)
        if self.dialect.two_dimensional:
            positions = torch.stack([positions, positions + padded("down", 0), positions + padded("across", 0)])
        return PackedText(
            padded("ids", self.pad),
            padded("labels", IGNORED),
            padded("weights", 0.0),
            positions,
            _mask(segments),
            [row.spans for row in rows],
        )


def _mask(segments: torch.Tensor) -> torch.Tensor:
    """What each token sees: of the tokens before it the head, its own conversation, and unless it is blind the pictures."""
    length = segments.shape[1]
    rows, columns = segments[:, :, None], segments[:, None, :]  # [B, T, 1], [B, 1, T]
    seen = (rows == columns) | (columns == HEAD) | ((columns == SEEN) & (rows >= SEEN))
    return (seen & torch.ones(length, length, dtype=torch.bool).tril())[:, None]
