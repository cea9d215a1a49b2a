"""What two answers share and where they part: words, boxes. As `compare_pairs.js` takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from model.geometry.boxes import Box
from model.prompt import ImagePart, Prompt
from studies.paired import agreement, match_boxes, word_diff

from ..base.components import PictureUrls
from ..base.scenes import scene_of, suggestions
from .answers import Answer
from .boxes import NamedBox, boxes_in

MAX_WORDS = 2000
"""Longer answers are compared as far as here: the table of a comparison grows with both."""
READ = "Boxes are read from <loc...> and <|box_start|> alone, matched one to one so that their IoUs add up to the most."


@dataclass(frozen=True)
class PairView:
    """Two columns by their places: `diff` is [kind, words of the first, words of the second], `agreement` name, value and why."""

    a: int
    b: int
    diff: Sequence[tuple[str, str, str]]
    agreement: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class BoxView:
    """A box in pixels of the picture, x0 y0 x1 y1."""

    box: tuple[float, float, float, float]
    name: str


@dataclass(frozen=True)
class BoxColumn:
    letter: str
    boxes: Sequence[BoxView]


@dataclass(frozen=True)
class BoxRow:
    """Two boxes of two columns that were matched, or one without a partner: corners in words."""

    of: str
    what: str
    a: str
    b: str
    iou: str


@dataclass(frozen=True)
class BoxesView:
    """The boxes of all columns on one picture of `size` (width, height), and how they lie on each other."""

    url: str
    size: tuple[int, int]
    columns: Sequence[BoxColumn]
    rows: Sequence[BoxRow]
    note: str


def pair_views(answered: Sequence[tuple[int, Answer]], picture: ImagePart | None) -> list[PairView]:
    """Every two of the columns that have an answer: where their words part, and how far they agree."""
    return [_pair(i, a, j, b, picture) for (i, a), (j, b) in combinations(answered, 2)]


def _pair(i: int, a: Answer, j: int, b: Answer, picture: ImagePart | None) -> PairView:
    one, other = (" ".join(answer.text.split()[:MAX_WORDS]) for answer in (a, b))
    said, tokens = agreement(one, other), _shared(a, b)
    found = [
        ("same words", "yes" if said.exact else "no", "Case and punctuation aside"),
        ("words shared", f"{said.f1:.2f}", "F1 of the two answers' words, order left aside; 1 is all"),
        ("first tokens shared", f"{tokens:,}", "How many tokens the two answers begin alike with"),
    ]
    if picture is not None:
        first, second = ([one.box for one in boxes_in(answer.text, *picture.image.size)] for answer in (a, b))
        if first or second:
            found.append(("boxes, mean IoU", f"{match_boxes(first, second).mean_iou:.2f}", "What has no partner counts 0"))
    stretches = [("same" if s.same else "other", s.a, s.b) for s in word_diff(one, other)]
    return PairView(i, j, stretches, found)


def _shared(a: Answer, b: Answer) -> int:
    """How many texts of tokens two answers begin alike with. Their vocabularies may differ."""
    alike = 0
    for one, other in zip(a.tokens, b.tokens):
        if one.text != other.text:
            break
        alike += 1
    return alike


def boxes_view(answered: Sequence[tuple[int, Answer]], prompt: Prompt, urls: PictureUrls) -> BoxesView | None:
    """The boxes of all columns on the last picture, and how they lie on each other; None where nobody wrote one."""
    if not prompt.images:
        return None
    part = prompt.images[-1]
    width, height = part.image.size
    columns = [(answer.letter, boxes_in(answer.text, width, height)) for _, answer in answered]
    if not any(boxes for _, boxes in columns):
        return None
    truth = true_boxes(prompt, part)
    if truth:
        columns.append(("truth", truth))
    return BoxesView(
        url=urls.of(part),
        size=(width, height),
        columns=[BoxColumn(letter, [_view(one) for one in boxes]) for letter, boxes in columns],
        rows=[row for (a, first), (b, second) in combinations(columns, 2) for row in _rows(a, first, b, second)],
        note=f"{READ} Corners x0 y0 x1 y1 in pixels of the picture.",
    )


def true_boxes(prompt: Prompt, part: ImagePart) -> list[NamedBox]:
    """Where the things are that a question of the drawn world asks about, if its answer is boxes."""
    scene = scene_of(part)
    question = next((q for q in suggestions(scene) if q.text == prompt.question), None) if scene else None
    return boxes_in(question.answer, *part.image.size) if question else []


def _rows(a: str, first: Sequence[NamedBox], b: str, second: Sequence[NamedBox]) -> list[BoxRow]:
    """Pairs of boxes that meet, then those without a partner."""
    matched = match_boxes([one.box for one in first], [one.box for one in second])
    of = f"{a}, {b}"
    found = [
        BoxRow(of, first[i].name or second[j].name, _corners(first[i].box), _corners(second[j].box), f"{iou:.2f}")
        for i, j, iou in matched.pairs
    ]
    found += [BoxRow(of, first[i].name, _corners(first[i].box), "", "0") for i in matched.only_a]
    found += [BoxRow(of, second[j].name, "", _corners(second[j].box), "0") for j in matched.only_b]
    return found


def _view(one: NamedBox) -> BoxView:
    box = one.box
    return BoxView((round(box.x0, 1), round(box.y0, 1), round(box.x1, 1), round(box.y1, 1)), one.name)


def _corners(box: Box) -> str:
    return " ".join(f"{v:.0f}" for v in (box.x0, box.y0, box.x1, box.y1))
