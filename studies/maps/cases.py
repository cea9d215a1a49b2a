"""Questions about one place of a picture, with a mask of that place: the ground under a map.

A case is kept only if the checkpoint answers it right and needs the picture for it. Where it does not, no
map can be right or wrong, and every method would score the same.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from model import Checkpoint, Core, Finished, Options, Prompt, Token, ask, from_image
from model.errors import Unsupported
from model.internals.subject import Subject
from model.progress import Run
from model.prompt import ImagePart

from ..world import questions
from ..world.draw import draw, masks
from ..world.scene import COLOURS, SHAPES, SIZES, TEXTURES, Scene, make_scene
from ..world.splits import held_out_seed
from .curves import Chance
from .replacing import blurred, token_mean

SIZE_PX = 512
OFFSET = 70_000
"""Held-out scenes from here on are this study's own; evaluation asks about others."""
VALUES = {"colour": tuple(COLOURS), "shape": SHAPES, "size": SIZES, "texture": TEXTURES}
DEPENDENT = 0.3
"""How much likelier the picture has to make the words, as a probability."""
NEW_TOKENS = 24


@dataclass(frozen=True)
class Case:
    """A question whose answer lies at one place. `mask` bool [H, W] is the place, in pixels of the picture.

    `truth` is the word that is right, `others` are words that would be wrong. `things` index those of the scene
    that are asked about, where there is a scene.
    """

    picture: ImagePart
    question: str
    truth: str
    others: tuple[str, ...]
    mask: np.ndarray = field(repr=False)
    kind: str
    scene: Scene | None = field(default=None, repr=False)
    things: tuple[int, ...] = ()


@dataclass(frozen=True)
class CaseAnswer:
    """What a checkpoint made of a case. `words` index the tokens of `answer_ids` that say the truth; none where it is not said.

    `with_picture` and `without` are the words' joint probability, 0 to 1; `replacement` says what stood for no picture.
    """

    case: Case
    prompt: Prompt
    said: str
    answer_ids: tuple[int, ...]
    words: tuple[int, ...]
    with_picture: float = 0.0
    without: float = 0.0
    replacement: str = ""

    @property
    def right(self) -> bool:
        return bool(self.words) and not any(_word(other).search(self.said) for other in self.case.others)

    @property
    def dependent(self) -> bool:
        return self.with_picture - self.without > DEPENDENT


def drawn_cases(scenes: int, offset: int = OFFSET) -> Iterator[Case]:
    """One question about an attribute of one thing for each of so many held-out scenes, which hold two things or more."""
    index = made = 0
    while made < scenes:
        scene = make_scene(held_out_seed(offset + index))
        rng = random.Random(2 * held_out_seed(offset + index) + 1)
        index += 1
        kind = tuple(VALUES)[made % len(VALUES)]
        question = questions.ask(rng, scene, kind) if len(scene.things) > 1 else None
        if question is None:
            continue
        made += 1
        others = tuple(value for value in VALUES[kind] if value != question.answer)
        mask = masks(scene, SIZE_PX)[question.things[0]]
        picture = from_image(draw(scene, SIZE_PX))
        yield Case(picture, question.text, question.answer, others, mask, kind, scene, question.things)


def asked(core: Core, checkpoint: Checkpoint, case: Case) -> CaseAnswer:
    """Ask a checkpoint, and measure how much its words need the picture if they are right."""
    prompt = ask(case.question, case.picture)
    events = list(
        core.generate(checkpoint, prompt, Options(max_new_tokens=NEW_TOKENS, alternatives=0), panel="study:faithfulness")
    )
    said = next(event.text for event in events if isinstance(event, Finished))
    tokens = [event for event in events if isinstance(event, Token)]
    words = spoken([token.text for token in tokens], case.truth)
    ids = tuple(token.id for token in tokens)[: max(words, default=-1) + 1]
    found = CaseAnswer(case, prompt, said.strip(), ids, words)
    if not found.right:
        return found

    def needs(subject: Subject, run: Run) -> tuple[float, float, str]:
        chance, replacement = replaced(subject, words)
        shown, hidden = chance(np.array([[True] * subject.count, [False] * subject.count]))
        return float(shown), float(hidden), replacement

    return CaseAnswer(case, prompt, found.said, ids, words, *core.examined(checkpoint, prompt, ids, needs))


def replaced(subject: Subject, words: Sequence[int]) -> tuple[Chance, str]:
    """The replacement this checkpoint allows, and its name: the mean visual token, else blurred pixels."""
    try:
        _ = subject.features
    except Unsupported:
        return blurred(subject, words), "blurred pixels"
    return token_mean(subject, words), "mean visual token"


def spoken(pieces: Sequence[str], word: str) -> tuple[int, ...]:
    """Indices of the tokens, given by their text, that spell a word's first mention. Case does not count."""
    match = _word(word).search("".join(pieces))
    if match is None:
        return ()
    ends = np.cumsum([len(piece) for piece in pieces])
    return tuple(
        i
        for i, (end, piece) in enumerate(zip(ends, pieces, strict=True))
        if piece and end > match.start() and end - len(piece) < match.end()
    )


def _word(word: str) -> re.Pattern[str]:
    return re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
