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
from .vlm import VisionLanguageModel

log = logging.getLogger(__name__)
TOLERANCE = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 6e-2}
"""Largest difference in log-probability that passes, by the weights' precision."""
QUESTIONS = ("Is there a red circle in the image?", "Is there anything blue?", "How many things are there here?")
ANSWERS = ("Yes", "No")


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
    prompt = [ask(QUESTIONS[0], image)]
    try:
        with_features = score_many(vlm, prompt, [ANSWERS], "each")[0].total
        vlm.fast.features = False
        without = score_many(vlm, prompt, [ANSWERS], "each")[0].total
    except WorkbenchError:
        raise
    except (ValueError, TypeError, RuntimeError, AttributeError, KeyError) as error:
        vlm.fast.features = False
        vlm.fast.notes.append(f"No encoder cache: {_reason(error)}")
        return
    vlm.fast.features = _agree(vlm, with_features, without, "No encoder cache: answers from features differ by {:.1e}.")


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
    except (ValueError, TypeError, RuntimeError, AttributeError, KeyError, IndexError) as error:
        vlm.fast.reuse = False
        vlm.fast.notes.append(f"No reuse across turns: {_reason(error)}")
        return
    both = sorted(again.keys() & fresh.keys())
    if len(both) < len(fresh) // 2:  # not even the same candidates
        vlm.fast.notes.append("No reuse across turns: answers differ.")
        return
    again_, fresh_ = (np.array([side[i] for i in both]) for side in (again, fresh))
    vlm.fast.reuse = _agree(vlm, again_, fresh_, "No reuse across turns: answers differ by {:.1e}.")


def _answer(vlm: VisionLanguageModel, prompt: Prompt, conversation: str) -> tuple[str, dict[int, float]]:
    """The text of a two-token answer, and the log-probabilities of the first token's candidates by id."""
    events: list[Any] = []
    vlm.answer(events.append, threading.Event(), "", prompt, Options(max_new_tokens=2, alternatives=20), conversation)
    first = next((event for event in events if isinstance(event, Token)), None)
    text = next(event.text for event in events if isinstance(event, Finished))
    return text, {a.id: a.logprob for a in first.alternatives} if first else {}


def _check_scoring(vlm: VisionLanguageModel, image) -> None:
    prompts = [ask(question, image) for question in QUESTIONS]
    answers = [ANSWERS] * len(prompts)
    wanted = np.array([s.total for s in score_many(vlm, prompts, answers, "each")])
    if vlm.parts.config.is_encoder_decoder:
        vlm.fast.notes.append("Answers are scored one by one: the prompt passes through an encoder-decoder.")
        return
    for mode in ("packed", "expanded"):
        try:
            found = np.array([s.total for s in score_many(vlm, prompts, answers, mode)])
        except (ValueError, TypeError, RuntimeError, AttributeError, KeyError, IndexError, NotImplementedError) as error:
            vlm.fast.notes.append(f"Scoring is not {mode}: {_reason(error)}")
            continue
        if _agree(vlm, found, wanted, f"Scoring is not {mode}: results differ by {{:.1e}}."):
            vlm.fast.scoring = mode
            return


def _agree(vlm: VisionLanguageModel, found: np.ndarray, wanted: np.ndarray, note: str) -> bool:
    if found.shape != wanted.shape or not np.isfinite(wanted).all():
        vlm.fast.notes.append(note.format(float("nan")))
        return False
    gap = float(np.abs(found - wanted).max(initial=0.0))
    if gap <= TOLERANCE.get(vlm.parts.dtype, 1e-3):
        return True
    vlm.fast.notes.append(note.format(gap))
    return False


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else 'no message'}."
