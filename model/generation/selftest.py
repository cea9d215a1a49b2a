"""Which short cuts are legal for a loaded checkpoint: each is compared with the long way, in numbers.

A model's name says little: a sliding window, a bidirectional prefix or an encoder-decoder makes one
short cut wrong and leaves another right. What does not agree is not used, and a note says so. The long
way is plain `generate` over pixels, which every checkpoint has. Numbers that differ are told apart from code that
failed, and a warning that somebody made an error of is neither: it is raised.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from .. import pictures
from ..errors import BrokenCheckpoint, CheckpointError, PromptError, Unsupported, WorkbenchError
from ..memory import is_out_of_memory
from ..options import Options
from ..prompt import Message, Prompt, ask
from .answer import Answering
from .scoring import score_many
from .vlm import Note, NoteKind, ScoringMode, VisionLanguageModel

log = logging.getLogger(__name__)
TOLERANCE = {"torch.float32": 1e-3, "torch.float16": 2e-2, "torch.bfloat16": 6e-2}
"""Largest difference in log-probability that passes, by the weights' precision."""
QUESTIONS = ("Is there a red circle in the image?", "Is there anything blue?", "How many things are there here?")
ANSWERS = (("Yes, one.",), ("Nothing at all",))
CANDIDATES = 20
TALK = "self-test"
ENCODER, REUSE, EXTEND = "No encoder cache", "No reuse across turns", "Given answers are written token by token"
AHEAD = "What stands before a picture is read anew each time"

Numbers = Mapping[Any, float]
Check = Callable[[], bool]


def run(vlm: VisionLanguageModel) -> None:
    """Set `vlm.fast` from what agrees. About nine prefills of a small picture and a question.

    Raises Unsupported where the checkpoint cannot answer at all.
    """
    begun = time.perf_counter()
    fast, test = vlm.fast, _Test(vlm)
    could_take_features = fast.features
    fast.features = fast.extend = fast.reuse = fast.ahead = False
    fast.notes.clear()
    test.read_long_way()
    fast.features = fast.reuse = could_take_features
    if not could_take_features:
        fast.notes.append(Note(ENCODER, "absent", "this architecture does not take features in place of pixels."))
    elif not test.holds(None, test.begins_well):  # the usual case tells of features and of a new conversation at once
        fast.reuse = False
        fast.features = test.holds(ENCODER, test.features_agree)
    fast.reuse = True
    fast.reuse = test.holds(REUSE, test.reuse_agrees)
    if fast.reuse and fast.features:
        fast.ahead = True
        fast.ahead = test.holds(AHEAD, test.reuse_ahead_agrees)
    fast.extend = True
    fast.extend = test.holds(EXTEND, test.reading_agrees)
    fast.scoring = test.scoring_mode() if fast.extend else "stepped"
    window = vlm.window_tokens()
    fast.reach = window if window is not None and test.tokens <= window else None
    test.look_at_other_shapes()
    vlm.forget()
    fast.ms, fast.tested = (time.perf_counter() - begun) * 1e3, True
    log.info("%s: %s", vlm.checkpoint.name, fast)


class _Test:
    """The comparisons, on one small picture."""

    def __init__(self, vlm: VisionLanguageModel) -> None:
        self.vlm = vlm
        image, wide = pictures.from_image(_picture(96)), pictures.from_image(_picture(192))
        self.first, self.second = ask(QUESTIONS[0], image), ask(QUESTIONS[1], image)
        self.other, self.tall = ask(QUESTIONS[2], wide), ask(QUESTIONS[2], pictures.from_image(_picture(96).resize((48, 96))))
        talk = (*self.first.messages, Message("assistant", ("Yes",)), Message("user", (QUESTIONS[2],)))
        self.later = Prompt(talk)
        self.wanted: Numbers = {}
        self.tokens = 0
        self._begun = False
        self._each: dict[int, Numbers] = {}

    def read_long_way(self) -> None:
        """What plain `generate` makes of the first question. Raises Unsupported where it fails."""
        try:
            self.wanted = self._answer(self.first)
        except (WorkbenchError, MemoryError, Warning):
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise Unsupported(
                f"{self.vlm.checkpoint.name} was loaded but cannot answer a question about a picture: {_reason(error)} "
                "Choose another."
            ) from error

    def look_at_other_shapes(self) -> None:
        """Note what cannot be asked about wide and tall pictures, where a square one is answered."""
        for shape, prompt in (("Wide", self.other), ("Tall", self.tall)):
            try:
                self._answer(prompt)
            except WorkbenchError as error:
                self._note(f"{shape} pictures cannot be asked about", "failed", str(error))

    def begins_well(self) -> bool:
        self._begun = self._agree(None, self._answer(self.first, TALK), self.wanted)
        return self._begun

    def features_agree(self) -> bool:
        return self._agree(ENCODER, self._answer(self.first), self.wanted)

    def reuse_agrees(self) -> bool:
        """A conversation goes on, another comes in between, and then its last turn is taken back."""
        if not self._begun and not self._agree(REUSE, self._answer(self.first, TALK), self.wanted):
            return False
        self._interrupt()
        on = self._answer(self.later, TALK)
        back = self._answer(self.first, TALK)
        self.vlm.fast.reuse = False
        return self._agree(REUSE, on, self._answer(self.later)) and self._agree(REUSE, back, self.wanted)

    def reuse_ahead_agrees(self) -> bool:
        """A conversation is begun anew with a picture, its first words kept."""
        self._interrupt("another " + TALK)
        return self._agree(AHEAD, self._answer(self.first, "another " + TALK), self.wanted)

    def _interrupt(self, conversation: str = "") -> None:
        """Ask something else, to see what the model remembers of it. Some take no prompt without a picture."""
        try:
            self._answer(ask(QUESTIONS[2]), conversation)
        except PromptError:
            self._answer(self.other, conversation)

    def reading_agrees(self) -> bool:
        """One forward pass over a question and its answer, against `generate` made to write the answer."""
        return self._agree(EXTEND, self._read(0), self._scores("stepped", (0,)))

    def scoring_mode(self) -> ScoringMode:
        wanted = {**self._read(0), **self._read(1)}
        modes: tuple[ScoringMode, ...] = ("packed", "expanded")
        for mode in modes:
            if self.holds(f"Scoring is not {mode}", partial(self._scoring_agrees, mode, wanted)):
                return mode
        return "each"

    def _scoring_agrees(self, mode: ScoringMode, wanted: Numbers) -> bool:
        return self._agree(f"Scoring is not {mode}", self._scores(mode, (0, 1)), wanted)

    def _read(self, question: int) -> Numbers:
        """Log-probabilities of a question's answers by plain forward passes, computed once."""
        if question not in self._each:
            self._each[question] = self._scores("each", (question,))
        return self._each[question]

    def holds(self, what: str | None, check: Check) -> bool:
        """Whether a check passes. What a model raises when a short cut does not fit it is a note, no failure.

        Without `what` there is no note.
        """
        try:
            return check()
        except (CheckpointError, MemoryError, Warning):
            raise
        except PromptError as error:
            self._note(what, "absent", str(error))
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self._note(what, "failed", f"its code failed, {_reason(error)}")
        return False

    def _note(self, what: str | None, kind: NoteKind, why: str) -> None:
        if what is not None:
            self.vlm.fast.notes.append(Note(what, kind, why))

    def _answer(self, prompt: Prompt, conversation: str = "") -> Numbers:
        """Log-probabilities of the first token's candidates, by id."""
        run = Answering(
            self.vlm, prompt, Options(max_new_tokens=1, alternatives=CANDIDATES), lambda event: None, threading.Event(),
            conversation=conversation,
        )  # fmt: skip
        run.go()
        if not run.finite:
            raise BrokenCheckpoint(
                f"{self.vlm.checkpoint.name} gives scores that are not finite for a question about a picture. "
                f"{self.vlm.cure_of_overflow}"
            )
        assert run.first is not None, "nobody stops a self-test"
        self.tokens = max(self.tokens, run.prompt_tokens)
        return dict(run.first.top)

    def _scores(self, mode: ScoringMode, questions: tuple[int, ...]) -> Numbers:
        prompts = [(self.first, self.second)[question] for question in questions]
        found = score_many(self.vlm, prompts, [ANSWERS[question] for question in questions], mode)
        if any(scores.mode != mode for scores in found):
            raise PromptError("two prompts do not share what they would have to.")
        return {
            (question, j, k): float(value)
            for question, scores in zip(questions, found, strict=True)
            for j, tokens in enumerate(scores.tokens)
            for k, value in enumerate(tokens)
        }

    def _agree(self, what: str | None, found: Numbers, wanted: Numbers) -> bool:
        """Whether two sets of log-probabilities are the same within the precision. Their rarest candidates may differ."""
        both = found.keys() & wanted.keys()
        gaps = [abs(found[key] - wanted[key]) for key in both]
        gap = max(gaps) if gaps and not any(map(math.isnan, gaps)) else math.nan
        if len(both) > len(wanted) // 2 and gap <= TOLERANCE.get(str(self.vlm.parts.dtype), 1e-3):
            return True
        self._note(what, "differs", f"results differ by {gap:.1e}.")
        return False


def _picture(width: int) -> Image.Image:
    ramp = np.zeros((96, width, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.linspace(0, 190, width)[None], np.linspace(0, 190, 96)[:, None]
    ramp[20:50, 30:70] = (220, 40, 40)
    return Image.fromarray(ramp)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:160].rstrip('.') if str(error) else 'no message'}."
