"""Which short cuts are legal for a loaded checkpoint: each is compared with the long way, in numbers.

A model's name says little: a sliding window, a bidirectional prefix or an encoder-decoder makes one
short cut wrong and leaves another right. What does not agree is not used, and a note says so.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import numpy as np
import torch
from PIL import Image

from . import pictures
from .errors import WorkbenchError
from .events import Finished, Token
from .options import Options
from .prompt import Message, Prompt, ask
from .scoring import score_many
from .vlm import ScoringMode, VisionLanguageModel

log = logging.getLogger(__name__)
TOLERANCE = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 6e-2}
"""Largest difference in log-probability that passes, by the weights' precision."""
QUESTIONS = ("Is there a red circle in the image?", "Is there anything blue?", "How many things are there here?")
ANSWERS = ("Yes", "No")
SHORT_CUT_ERRORS = (ValueError, TypeError, RuntimeError, AttributeError, KeyError, IndexError, NotImplementedError)
"""What a model raises when a short cut does not fit it. Anything else is a fault of ours and is raised."""


def run(vlm: VisionLanguageModel) -> None:
    """Set `vlm.fast` from what agrees. About eight forward passes over a small picture."""
    begun = time.perf_counter()
    image = pictures.from_image(_picture())
    vlm.fast.notes.clear()
    _check_features(vlm, image)
    _check_reuse(vlm, image)
    _check_scoring(vlm, image)
    vlm.forget()
    vlm.fast.ms = (time.perf_counter() - begun) * 1e3
    log.info("%s: %s", vlm.checkpoint.name, vlm.fast)


def _picture() -> Image.Image:
    ramp = np.zeros((96, 96, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(96)[None] * 2, np.arange(96)[:, None] * 2
    ramp[20:50, 30:70] = (220, 40, 40)
    return Image.fromarray(ramp)


def _check_features(vlm: VisionLanguageModel, image) -> None:
    if not vlm.fast.features:
        vlm.fast.notes.append("No encoder cache: this architecture does not take features in place of pixels.")
        return
    prompt = ask(QUESTIONS[0], image)
    try:
        with_features = _answer(vlm, prompt, "")[1]
        vlm.fast.features = False
        without = _answer(vlm, prompt, "")[1]
    except WorkbenchError:
        raise
    except SHORT_CUT_ERRORS as error:
        vlm.fast.features = False
        vlm.fast.notes.append(f"No encoder cache: {_reason(error)}")
        return
    vlm.fast.features = _agree(vlm, with_features, without, "No encoder cache")


def _check_reuse(vlm: VisionLanguageModel, image) -> None:
    if vlm.parts.config.is_encoder_decoder:
        vlm.fast.notes.append("No reuse across turns: the pictures pass through an encoder-decoder.")
        return
    first = ask(QUESTIONS[0], image)
    try:
        vlm.fast.reuse = True
        said = _answer(vlm, first, "self-test")[0]
        second = Prompt((*first.messages, Message("assistant", (said or "Yes",)), Message("user", (QUESTIONS[2],))))
        again = _answer(vlm, second, "self-test")[1]
        vlm.fast.reuse = False
        fresh = _answer(vlm, second, "")[1]
    except WorkbenchError as error:
        vlm.fast.reuse = False
        vlm.fast.notes.append(f"No reuse across turns: {error}")
        return
    except SHORT_CUT_ERRORS as error:
        vlm.fast.reuse = False
        vlm.fast.notes.append(f"No reuse across turns: {_reason(error)}")
        return
    vlm.fast.reuse = _agree(vlm, again, fresh, "No reuse across turns")


def _answer(vlm: VisionLanguageModel, prompt: Prompt, conversation: str) -> tuple[str, dict[int, float]]:
    """The text of a two-token answer, and the log-probabilities of the first token's candidates by id."""
    events: list[Any] = []
    vlm.answer(events.append, threading.Event(), "", prompt, Options(max_new_tokens=2, alternatives=20), conversation)
    first = next((event for event in events if isinstance(event, Token)), None)
    text = next(event.text for event in events if isinstance(event, Finished))
    return text, {a.id: a.logprob for a in first.alternatives} if first else {}


def _check_scoring(vlm: VisionLanguageModel, image) -> None:
    if vlm.parts.config.is_encoder_decoder:
        vlm.fast.notes.append("Answers are scored one by one: the prompt passes through an encoder-decoder.")
        return
    prompts = [ask(question, image) for question in QUESTIONS]
    wanted = _scores(vlm, prompts, "each")
    for mode in ("packed", "expanded"):
        try:
            found = _scores(vlm, prompts, mode)
        except SHORT_CUT_ERRORS as error:
            vlm.fast.notes.append(f"Scoring is not {mode}: {_reason(error)}")
            continue
        if _agree(vlm, found, wanted, f"Scoring is not {mode}"):
            vlm.fast.scoring = mode
            return


def _scores(vlm: VisionLanguageModel, prompts: list[Prompt], mode: ScoringMode) -> dict[Any, float]:
    found = score_many(vlm, prompts, [ANSWERS] * len(prompts), mode)
    return {(i, j): float(value) for i, scores in enumerate(found) for j, value in enumerate(scores.total)}


def _agree(vlm: VisionLanguageModel, found: dict[Any, float], wanted: dict[Any, float], what: str) -> bool:
    """Whether two sets of log-probabilities are the same within the precision. Their rarest candidates may differ."""
    both = found.keys() & wanted.keys()
    gap = max((abs(found[k] - wanted[k]) for k in both), default=float("nan"))
    if len(both) > len(wanted) // 2 and gap <= TOLERANCE.get(vlm.parts.dtype, 1e-3):
        return True
    vlm.fast.notes.append(f"{what}: results differ by {gap:.1e}.")
    return False


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else 'no message'}."
