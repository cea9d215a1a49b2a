"""What is put in place of hidden patches, and how likely an answer's words are then.

Token mean: the visual token becomes the mean of the picture's own. The tower is not run again, and the decoder sees
something near what it knows. Blur: the patch's pixels become those of the blurred picture, and everything is run
again. It is slower and leaves what the tower was trained on; it is there to see whether a ranking hangs on the replacement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from model import ImagePart, Message, Prompt
from model.internals.subject import Subject
from model.internals.trace import Want
from model.late import torch, without_gradients
from model.progress import Run, batches

from .curves import Chance

BLUR_SHARE = 0.08
"""Standard deviation of the blur, as a share of the longer side."""


def token_mean(subject: Subject, words: Sequence[int], run: Run | None = None) -> Chance:
    """Hidden tokens become the mean visual token. Asking raises Unsupported where features cannot stand in for pixels."""

    @without_gradients
    def chance(shown: np.ndarray) -> np.ndarray:
        ranked = np.lexsort(shown.T[::-1])  # rows that begin alike stand together: what they share is read once
        keep, found = torch.from_numpy(shown[ranked]), np.empty(len(shown), np.float32)
        for part in batches(len(keep), subject.batch_rows, run or Run()):
            found[ranked[part]] = subject.said(words, subject.hidden(keep[part])).exp().numpy()
        return found

    return chance


def blurred(subject: Subject, words: Sequence[int], run: Run | None = None) -> Chance:
    """Pixels of hidden tokens become those of the blurred picture, in the first picture of the prompt."""
    grid, source = subject.inputs.grid, subject.prompt.images[0]
    assert grid is not None, "blurring needs to know where tokens look"
    soft = np.asarray(source.image.filter(ImageFilter.GaussianBlur(BLUR_SHARE * max(source.image.size))))
    sharp = np.asarray(source.image)

    def mixed(row: np.ndarray) -> Image.Image:
        clear = np.nan_to_num(grid.paint(row.astype(np.float32)), nan=1.0) >= 0.5
        return Image.fromarray(np.where(clear[..., None], sharp, soft))

    def chance(shown: np.ndarray) -> np.ndarray:
        parts = batches(len(shown), subject.batch_rows, run or Run())
        return np.concatenate([np.exp(logprobs_of(subject, words, [mixed(row) for row in shown[part]])) for part in parts])

    return chance


@without_gradients
def logprobs_of(subject: Subject, words: Sequence[int], pictures: Sequence[Image.Image]) -> np.ndarray:
    """The words' joint log-probability with each of other first pictures of the same size, all else equal. float [N]."""
    others = [Subject(subject.vlm, with_picture(subject.prompt, picture), subject.answer_ids) for picture in pictures]
    if subject.vlm.fast.features:
        return subject.said(words, torch.stack([other.features for other in others])).numpy()
    traces = [other.trace(Want(attention=False)) for other in others]
    return np.array([sum(trace.tokens[k].logprob for k in words) for trace in traces])


def with_picture(prompt: Prompt, picture: Image.Image) -> Prompt:
    """The prompt with its first picture replaced."""
    first = prompt.images[0]
    part = ImagePart(picture, b"", first.media_type, hashlib.sha256(picture.tobytes()).hexdigest(), first.name)

    def swapped(message: Message) -> Message:
        return replace(message, parts=tuple(part if p is first else p for p in message.parts))

    return replace(prompt, messages=tuple(swapped(message) for message in prompt.messages))
