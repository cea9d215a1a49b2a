"""What the user asked, before any template: messages of text and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from PIL import Image

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class ImagePart:
    """One picture of a message. Equal ids are the same picture.

    `image` is upright RGB, decoded by `pictures.open_picture`; the core never sees a path or a URL.
    `data` are the bytes of the file it came from, `media_type` what they are, `id` their sha256 in 64
    hex digits. `name` is what the file was called. `time_s` is set on frames of a video.
    """

    image: Image.Image = field(compare=False, repr=False)
    data: bytes = field(compare=False, repr=False)
    media_type: str = field(compare=False)
    id: str
    name: str = field(default="", compare=False)
    time_s: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation: text and pictures in the order they are read."""

    role: Role
    parts: tuple[str | ImagePart, ...]

    @property
    def text(self) -> str:
        """The text parts, joined by line breaks."""
        return "\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> tuple[ImagePart, ...]:
        return tuple(part for part in self.parts if isinstance(part, ImagePart))


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation that ends where the assistant is to speak.

    `answer_prefix` is text the answer is made to begin with. `answer_tokens` are token ids it is made
    to begin with instead: exact where text is not, as when an answer is continued from an alternative.
    """

    messages: tuple[Message, ...]
    answer_prefix: str = ""
    answer_tokens: tuple[int, ...] = ()

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """Every picture of the conversation, in order."""
        return tuple(image for message in self.messages for image in message.images)

    @property
    def question(self) -> str:
        """The text of the last user turn."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")


def frame_name(time_s: float) -> str:
    """What a frame of a video is called: "frame at 1.2 s", to a hundredth of a second."""
    seconds = f"{round(time_s, 2) + 0.0:.2f}"
    return f"frame at {seconds.rstrip('0').rstrip('.')} s"


def picture_names(parts: Sequence[ImagePart]) -> list[str]:
    """What each picture of a prompt is called: a frame by its time, another by its number; by both where two are of one time."""
    times = [None if part.time_s is None else frame_name(part.time_s) for part in parts]
    numbers = [f"picture {number}" for number in range(1, len(parts) + 1)]
    return [
        number if time is None else time if times.count(time) == 1 else f"{time}, {number}"
        for time, number in zip(times, numbers, strict=True)
    ]


def ask(question: str, *images: ImagePart, system: str = "") -> Prompt:
    """A one-turn prompt: the pictures, then the question."""
    turns = [Message("system", (system,))] if system else []
    return Prompt((*turns, Message("user", (*images, question))))
