"""What two answers share and where they part: words, boxes. As `compare_pairs.js` takes it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

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


def pair_views(answered: Sequence[tuple[int, Answer]], picture: ImagePart | None) -> list[dict[str, Any]]:
    """Every two of the columns that have an answer: where their words part, and how far they agree."""
    return [_pair(i, a, j, b, picture) for (i, a), (j, b) in combinations(answered, 2)]


def _pair(i: int, a: Answer, j: int, b: Answer, picture: ImagePart | None) -> dict[str, Any]:
    one, other = (" ".join(answer.text.split()[:MAX_WORDS]) for answer in (a, b))
    said, tokens = agreement(one, other), _shared(a, b)
    found = [
        ["same words", "yes" if said.exact else "no", "Case and punctuation aside"],
        ["words shared", f"{said.f1:.2f}", "F1 of the two answers' words, order left aside; 1 is all"],
        ["first tokens shared", f"{tokens:,}", "How many tokens the two answers begin alike with"],
    ]
    if picture is not None:
        first, second = ([one.box for one in boxes_in(answer.text, *picture.image.size)] for answer in (a, b))
        if first or second:
            found.append(["boxes, mean IoU", f"{match_boxes(first, second).mean_iou:.2f}", "What has no partner counts 0"])
    stretches = [["same" if s.same else "other", s.a, s.b] for s in word_diff(one, other)]
    return {"a": i, "b": j, "diff": stretches, "agreement": found}


def _shared(a: Answer, b: Answer) -> int:
    """How many texts of tokens two answers begin alike with. Their vocabularies may differ."""
    alike = 0
    for one, other in zip(a.tokens, b.tokens):
        if one.text != other.text:
            break
        alike += 1
    return alike


def boxes_view(answered: Sequence[tuple[int, Answer]], prompt: Prompt, urls: PictureUrls) -> dict[str, Any] | None:
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
    return {
        "url": urls.of(part),
        "size": [width, height],
        "columns": [{"letter": letter, "boxes": [_view(one) for one in boxes]} for letter, boxes in columns],
        "rows": [row for (a, first), (b, second) in combinations(columns, 2) for row in _rows(a, first, b, second)],
        "note": f"{READ} Corners x0 y0 x1 y1 in pixels of the picture.",
    }


def true_boxes(prompt: Prompt, part: ImagePart) -> list[NamedBox]:
    """Where the things are that a question of the drawn world asks about, if its answer is boxes."""
    scene = scene_of(part)
    question = next((q for q in suggestions(scene) if q.text == prompt.question), None) if scene else None
    return boxes_in(question.answer, *part.image.size) if question else []


def _rows(a: str, first: Sequence[NamedBox], b: str, second: Sequence[NamedBox]) -> list[dict[str, Any]]:
    """Pairs of boxes that meet, then those without a partner."""
    matched = match_boxes([one.box for one in first], [one.box for one in second])
    found = [
        {"of": f"{a}, {b}", "what": first[i].name or second[j].name, "a": _corners(first[i].box), "b": _corners(second[j].box),
         "iou": f"{iou:.2f}"}
        for i, j, iou in matched.pairs
    ]  # fmt: skip
    for i in matched.only_a:
        found.append({"of": f"{a}, {b}", "what": first[i].name, "a": _corners(first[i].box), "b": "", "iou": "0"})
    for j in matched.only_b:
        found.append({"of": f"{a}, {b}", "what": second[j].name, "a": "", "b": _corners(second[j].box), "iou": "0"})
    return found


def _view(one: NamedBox) -> dict[str, Any]:
    return {"box": [round(v, 1) for v in (one.box.x0, one.box.y0, one.box.x1, one.box.y1)], "name": one.name}


def _corners(box: Box) -> str:
    return " ".join(f"{v:.0f}" for v in (box.x0, box.y0, box.x1, box.y1))
