"""Answers that are being looked into: kept between clicks, within a limit of bytes."""

from __future__ import annotations

from collections.abc import Sequence

from ..generation.vlm import VisionLanguageModel
from ..prompt import Prompt
from .subject import Subject

LIMIT_BYTES = 256 * 2**20
"""What the subjects of one checkpoint may hold together. The newest stays, whatever its size."""


def subject_of(vlm: VisionLanguageModel, prompt: Prompt, answer_ids: Sequence[int]) -> Subject:
    """The subject for a prompt and an answer; the one held already if there is one. On the model thread."""
    key = (prompt, tuple(answer_ids))
    held: Subject = vlm.subjects.pop(key, None) or Subject(vlm, prompt, answer_ids)
    vlm.subjects[key] = held
    while len(vlm.subjects) > 1 and sum(subject.size_bytes for subject in vlm.subjects.values()) > LIMIT_BYTES:
        vlm.subjects.popitem(last=False)
    return held
