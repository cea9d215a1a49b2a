"""A whole set of questions put to several columns at once: what each says, who is right, where they part first.

Questions are typed, come from a file, or are about held-out scenes of the drawn world, whose answers are known. Each
question is one comparison, recorded as such. Truth is words: see `is_right`.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from model import Column, ColumnFailed, Core, Finished, from_image
from model.errors import InputError
from model.prompt import ImagePart

from .evaluation import SIZE_PX, Item, grade, main_items
from .metrics import Figure, wilson
from .paired import McNemar, agreement, mcnemar, words
from .world.draw import draw

MOST = 5000
"""Questions of one set."""
OVERLAP = 0.5
"""A box is right from this IoU on."""
NUMBERS = dict(
    zip("zero one two three four five six seven eight nine ten eleven twelve".split(), map(str, range(13)), strict=True)
)


@dataclass(frozen=True)
class SetQuestion:
    """One question of a set. `truths` are answers that would be right, none where that is not known.

    `item` is the same question as the drawn world's own scorer takes it, where it is one of its.
    """

    question: str
    pictures: tuple[ImagePart, ...]
    truths: tuple[str, ...] = ()
    kind: str = ""
    item: Item | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Compared:
    """What came of one question, column by column. `said` is None where a column failed, and `errors` says why then.

    `right` is None where the truth is not known or nothing was said.
    """

    asked: SetQuestion
    group: str
    said: tuple[str | None, ...]
    right: tuple[bool | None, ...]
    errors: tuple[str, ...]

    @property
    def likeness(self) -> float:
        """The least agreement of two answers, 0 to 1; 0 where one is missing."""
        if None in self.said:
            return 0.0
        return min((agreement(a or "", b or "").f1 for a, b in itertools.combinations(self.said, 2)), default=1.0)


@dataclass(frozen=True)
class Summary:
    """A set as figures. `right` of each column are of the questions whose truth is known, by kind too.

    `tests` are exact McNemar tests of two columns over the questions both answered; `same` how often they used the same words.
    """

    asked: int
    right: tuple[Figure | None, ...]
    by_kind: Mapping[str, tuple[Figure | None, ...]]
    tests: Mapping[tuple[int, int], McNemar]
    same: Mapping[tuple[int, int], Figure]


# --- where questions come from ----------------------------------------------------------------


def typed(text: str, pictures: Sequence[ImagePart]) -> list[SetQuestion]:
    """Each line as a question about each picture; "question | answer" where the answer is known. Raises InputError."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = []
    each: list[tuple[ImagePart, ...]] = [(picture,) for picture in pictures]
    for line, shown in itertools.product(lines, each or [()]):
        question, _, answer = line.partition("|")
        if not question.strip():
            raise InputError(f"The line {line!r} has no question before its stroke. Write: question | answer.")
        truths = (answer.strip(),) if answer.strip() else ()
        found.append(SetQuestion(question.strip(), shown, truths))
    if not found:
        raise InputError("There is no question. Write one a line.")
    return _counted(found)


def drawn(count: int) -> Iterator[SetQuestion]:
    """So many questions about held-out scenes of the drawn world, in the evaluation's shares of kinds, without descriptions."""
    pictures: dict[int, ImagePart] = {}
    items = (item for item in main_items(4000) if item.question.kind != "describe")
    for item in itertools.islice(items, count):
        seed = item.scene.seed
        pictures = {seed: pictures.get(seed) or from_image(draw(item.scene, SIZE_PX), f"drawn scene {seed}.png")}
        question = item.question
        yield SetQuestion(question.text, (pictures[seed],), (question.answer,), question.kind, item)


def listed(text: str, name: str, picture: Callable[[str], ImagePart]) -> list[SetQuestion]:
    """The questions of a file: CSV with a header, a JSON list, or one JSON object a line.

    Each has `image` (a name, or several), `question`, and may have `answer` (one, or several that are right) and `kind`.
    `picture` opens a name. Raises InputError, PictureError.
    """
    found: list[SetQuestion] = []
    opened: dict[str, ImagePart] = {}
    for number, row in enumerate(_rows(text, name), 1):
        if not isinstance(row, Mapping) or not str(row.get("question") or "").strip():
            raise InputError(
                f"Row {number} of {name} has no question. It needs image and question, and may have answer and kind."
            )
        for image in _several(row.get("image")):
            opened[image] = opened.get(image) or picture(image)
        pictures = tuple(opened[image] for image in _several(row.get("image")))
        question, kind = str(row["question"]).strip(), str(row.get("kind") or "")
        found.append(SetQuestion(question, pictures, tuple(_several(row.get("answer"))), kind))
    if not found:
        raise InputError(f"{name} has no questions.")
    return _counted(found)


def _rows(text: str, name: str) -> list[Any]:
    text = text.removeprefix("\ufeff")
    if name.lower().endswith(".csv"):
        return list(csv.DictReader(io.StringIO(text)))
    try:
        if text.lstrip().startswith("["):
            return json.loads(text)
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise InputError(f"{name} is neither CSV nor JSON ({error}). Give a .csv, a .json list, or a .jsonl.") from error


def _several(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(one).strip() for one in values if one is not None and str(one).strip()]


def _counted(found: list[SetQuestion]) -> list[SetQuestion]:
    if len(found) > MOST:
        raise InputError(f"These are {len(found):,} questions. A set holds up to {MOST:,}.")
    return found


# --- asking -----------------------------------------------------------------------------------


def compare_all(
    core: Core,
    questions: Iterable[SetQuestion],
    columns: Callable[[SetQuestion], Sequence[Column]],
    *,
    panel: str = "python",
    session: str = "",
    group: Callable[[], str] = lambda: "",
) -> Generator[Compared]:
    """Put each question to the columns made for it, one comparison each, and give what came of it as it comes.

    Closing the iterator stops the question being answered, and the set. `group` names the next comparison.
    """
    for asked in questions:
        made, name = list(columns(asked)), group()
        said: list[str | None] = [None] * len(made)
        errors = [""] * len(made)
        with closing(core.side_by_side(made, panel=panel, session=session, group=name)) as events:
            for told in events:
                if isinstance(told, ColumnFailed):
                    errors[told.column] = told.error
                elif isinstance(told.event, Finished):
                    said[told.column] = told.event.text.strip()
        right = tuple(None if text is None else is_right(asked, text) for text in said)
        yield Compared(asked, name, tuple(said), right, tuple(errors))


def is_right(asked: SetQuestion, said: str) -> bool | None:
    """Whether an answer is right; None where that is not known.

    The drawn world's own scorer where the question is one of its, a box from an IoU of 0.5 on. Else: whether the words,
    numbers as digits, are those of a right answer, or begin with them. "Yes, there is one." is right for "yes".
    """
    if asked.item is not None:
        return grade(asked.item, said) >= OVERLAP
    if not asked.truths:
        return None
    heard = _counted_words(said)
    return any(heard[: len(truth)] == truth for truth in map(_counted_words, asked.truths) if truth)


def _counted_words(text: str) -> list[str]:
    return [NUMBERS.get(word, word) for word in words(text)]


# --- what it comes to -------------------------------------------------------------------------


def differing_first(found: Sequence[Compared]) -> list[Compared]:
    """Questions in the order to look at: one right and another wrong, then the least alike, then the rest as asked."""
    return sorted(found, key=lambda one: (not {True, False} <= set(one.right), one.likeness))


def summary(found: Sequence[Compared]) -> Summary:
    """A set as figures."""
    columns = len(found[0].said) if found else 0
    kinds = dict.fromkeys(one.asked.kind for one in found if one.asked.kind)
    tests, same = {}, {}
    for a, b in itertools.combinations(range(columns), 2):
        known = [(one.right[a], one.right[b]) for one in found if one.right[a] is not None and one.right[b] is not None]
        if known:
            tests[a, b] = mcnemar([bool(x) for x, _ in known], [bool(y) for _, y in known])
        texts = [(one.said[a], one.said[b]) for one in found if one.said[a] is not None and one.said[b] is not None]
        if texts:
            same[a, b] = wilson(sum(agreement(x or "", y or "").exact for x, y in texts), len(texts))
    by_kind = {kind: _right([one for one in found if one.asked.kind == kind], columns) for kind in kinds}
    return Summary(len(found), _right(found, columns), by_kind, tests, same)


def _right(found: Sequence[Compared], columns: int) -> tuple[Figure | None, ...]:
    known = [[one.right[column] for one in found if one.right[column] is not None] for column in range(columns)]
    return tuple(wilson(sum(map(bool, those)), len(those)) if those else None for those in known)
