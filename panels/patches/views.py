"""What the Patches panel shows of an answer, as its scripts take it. Runs on the model thread; gives plain data.

Matrices over all pairs of patches are sent whole where they are small, so that another patch needs no
request; else the rows of the patches asked for, put together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model import Prompt
from model.errors import Unsupported
from model.geometry.grid import ImageGrid
from model.internals.features import (
    STAGES,
    Features,
    Stage,
    colours,
    features_at,
    layers_of,
    similarities,
    similarity,
    word_ids,
    word_likeness,
)
from model.internals.interventions import Intervention, effect_of, rewrite
from model.internals.sinks import find_sinks
from model.internals.subject import Subject, subject_of
from model.internals.tower import read_layer, tower_attention, tower_heads
from model.internals.trace import Trace
from model.progress import Run

from ..base.maps.lens_health import LensView
from ..base.maps.overlay import PictureView, geometry, packed
from ..base.maps.source_picture import Brought, brought
from ..base.requests import Request, within
from ..base.turn_views import TokenView, token_views
from .maps import TITLES, LensRow, lens_words, tower_way
from .requests import Between, Colours, Likeness, OfTokens, TowerLook, Without, WordLikeness, WordLook, chosen, placed

WHOLE = 2**18
"""A matrix of so many numbers is sent whole: a megabyte."""


@dataclass(frozen=True)
class StageView:
    """How many layers a stage has and which to begin with, or why it cannot be looked into."""

    layers: int
    first: int
    why: str = ""


@dataclass(frozen=True)
class SinksView:
    """Visual tokens that draw attention for what they are, in the tower and in the decoder."""

    tower: tuple[int, ...]
    decoder: tuple[int, ...]


@dataclass(frozen=True)
class About:
    checkpoint: str
    question: str


@dataclass(frozen=True)
class Opened:
    """The answer's words, what can be asked of this checkpoint, the sinks, and the patch to begin with.

    `cell` is the cell that each visual token stands for, -1 for none; `mixing` float32 [T, cells], packed. `decoder` is its
    layers and heads. What comes with the pictures is filled in beside the model: `pictures`, `about`, `lens`.
    """

    cell: tuple[int, ...]
    mixing: str | None
    geometry: str
    titles: Mapping[str, tuple[str, str]]
    words: Sequence[TokenView]
    stages: Mapping[str, StageView]
    heads: int
    decoder: tuple[int, int]
    sinks: SinksView
    dimensions: tuple[int, ...]
    whole: int
    first: int
    pictures: Sequence[PictureView] = ()
    about: About | None = None
    lens: LensView | None = None


@dataclass(frozen=True)
class Pairs:
    """A packed matrix over patches, or where that is too large one row: of the patches asked for. `width` of the features."""

    matrix: str | None = None
    row: str | None = None
    width: int | None = None


@dataclass(frozen=True)
class LensWords:
    """The lens at some patches: for each depth the likeliest words with their probability."""

    rows: Sequence[LensRow]


@dataclass(frozen=True)
class Hidden:
    """The answer's log-probabilities before and after hiding patches, packed, and what would be said instead: id, text, p."""

    before: str
    after: str
    instead: tuple[tuple[int, str, float], ...]


@dataclass(frozen=True)
class Again:
    """The answer the model gives with patches hidden. `ended`: it came to its end within the length."""

    text: str
    ended: bool


@dataclass(frozen=True)
class OtherColours:
    """Colours of the other picture's patches, with its cells and its pictures, which are filled in beside the model."""

    colours: str
    cell: tuple[int, ...]
    mixing: str | None
    pictures: Sequence[PictureView] = ()


@dataclass(frozen=True)
class Coloured:
    """Principal components of patches as colours, float32 [T, 3] from 0 to 1, packed; `other` is of the same fit."""

    colours: str
    other: OtherColours | None = None


@dataclass(frozen=True)
class Likenesses:
    """Cosine of each patch with a word's embedding, packed, and the pieces the word was read as."""

    row: str
    pieces: tuple[str, ...]


def opened(subject: Subject, run: Run, request: Request) -> Opened:
    """All that the page needs of an answer before a patch is chosen."""
    grid, trace, sinks = placed(subject), subject.trace(), find_sinks(subject)
    attention = trace.attention
    return Opened(
        cell=tuple(grid.homes().tolist()),
        mixing=_mixing(grid),
        geometry=geometry(grid),
        titles=TITLES,
        words=token_views(trace.tokens),
        stages={stage: _layers(subject, stage) for stage in STAGES},
        heads=_tower_heads(subject),
        decoder=(0, 0) if attention is None else (attention.shape[0], attention.shape[1]),
        sinks=SinksView(_where(sinks.tower), _where(sinks.decoder)),
        dimensions=tuple(sinks.dimensions),
        whole=WHOLE,
        first=_first(trace, sinks.tokens),
    )


def _where(marked: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(marked).tolist())


def _mixing(grid: ImageGrid) -> str | None:
    return None if grid.mixing is None else packed(grid.mixing)


def _layers(subject: Subject, stage: Stage) -> StageView:
    try:
        count = layers_of(subject, stage)
        return StageView(count, {"tower": lambda: read_layer(subject), "connector": lambda: 0}.get(stage, lambda: count // 2)())
    except Unsupported as error:
        return StageView(0, 0, str(error))


def _tower_heads(subject: Subject) -> int:
    try:
        return tower_heads(subject)
    except Unsupported:
        return 0


def _first(trace: Trace, sinks: np.ndarray) -> int:
    """The patch that the answer's words attend to most, sinks set aside."""
    if trace.attention is None or not trace.attention.size:
        return len(trace.visual) // 2
    received = trace.attention.mean((0, 1, 2))
    received[sinks] = -1
    return int(received.argmax())


def alike(subject: Subject, run: Run, request: Likeness) -> Pairs:
    """Cosines between patches at one stage: all of them, or of those asked for with all."""
    features = features_of(subject, request.stage, request.layer)
    width = features.values.shape[1]
    if subject.count**2 <= WHOLE:
        return Pairs(matrix=packed(similarities(features)), width=width)
    return Pairs(row=packed(similarity(features, chosen(request.tokens, subject))), width=width)


def features_of(subject: Subject, stage: Stage, layer: int) -> Features:
    """Features of a stage. Raises InputError for a layer that there is not."""
    return features_at(subject, stage, within("layer", layer, layers_of(subject, stage)))


def seen(subject: Subject, run: Run, request: TowerLook) -> Pairs:
    """The tower's attention between patches in one layer, of one head or the mean."""
    layer = within("layer", request.layer, layers_of(subject, "tower"))
    head = None if request.head is None else within("head", request.head, tower_heads(subject))
    if subject.count**2 <= WHOLE:
        return Pairs(matrix=packed(tower_attention(subject, range(subject.count), layer, head)))
    return Pairs(row=packed(tower_way(subject, chosen(request.tokens, subject), layer, head, request.way)))


def used(subject: Subject, run: Run, request: WordLook) -> Pairs:
    """Attention of the answer's words [K, T] on the patches, mean over layers and heads that are not chosen.

    Where that is large: of one word [T], or [K] on the patches asked for together.
    """
    attention = subject.trace().attention
    if attention is None:
        raise Unsupported(f"The decoder of {subject.vlm.checkpoint.name} keeps no attention over its picture's tokens.")
    if request.layer is not None:
        layer = within("layer", request.layer, attention.shape[0])
        attention = attention[layer : layer + 1]
    if request.head is not None:
        head = within("head", request.head, attention.shape[1])
        attention = attention[:, head : head + 1]
    mean = attention.mean((0, 1))  # [K, T]
    if mean.size <= WHOLE:
        return Pairs(matrix=packed(mean))
    if request.word is None:
        return Pairs(row=packed(mean[:, chosen(request.tokens, subject)].sum(1)))
    return Pairs(row=packed(mean[within("word", request.word, len(mean))]))


def says(subject: Subject, run: Run, request: OfTokens) -> LensWords:
    return LensWords(lens_words(subject, chosen(request.tokens, subject)))


def hidden(subject: Subject, run: Run, request: Without) -> Hidden:
    found = effect_of(subject, hiding(subject, request))
    instead = tuple((token.id, token.text, round(token.logprob, 4)) for token in found.instead)
    return Hidden(packed(found.before), packed(found.after), instead)


def again(subject: Subject, run: Run, request: Without) -> Again:
    found = rewrite(subject, hiding(subject, request), run)
    return Again(found.text, found.ended)


def hiding(subject: Subject, request: Without) -> Intervention:
    """What a request hides, and how."""
    return Intervention(tuple(chosen(request.tokens, subject)), request.how)


def coloured(subject: Subject, run: Run, request: Colours) -> Coloured:
    """Colours of this prompt's patches alone."""
    return Coloured(packed(colours([features_of(subject, request.stage, request.layer)])[0]))


def joint_colours(subject: Subject, run: Run, request: Colours, other: Prompt) -> tuple[Coloured, ImageGrid]:
    """Colours of this prompt's patches and of the same prompt's with the other picture, of one fit; and that one's grid."""
    second = subject_of(subject.vlm, other, subject.answer_ids)
    first, again = colours([features_of(one, request.stage, request.layer) for one in (subject, second)])
    grid = placed(second)
    return Coloured(packed(first), OtherColours(packed(again), tuple(grid.homes().tolist()), _mixing(grid))), grid


def like_word(subject: Subject, run: Run, request: WordLikeness) -> Likenesses:
    ids = word_ids(subject, request.word)
    return Likenesses(packed(word_likeness(subject, ids)), tuple(subject.vlm.pieces[i] for i in ids))


def between(subject: Subject, run: Run, request: Between, other: Prompt) -> Brought:
    """Shares of the answer that come back when states of the chosen patches are put into a run on the other picture."""
    return brought(subject, run, other, tuple(chosen(request.tokens, subject)))
