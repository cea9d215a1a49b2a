"""A core for tests, with every checkpoint of the zoo at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fakes import Remembering

from model.checkpoint import Checkpoint, parse_spec
from model.core import Core
from model.generation.vlm import VisionLanguageModel


class Bed:
    """A core with a recorder that remembers, and checkpoints by their zoo name or as built in."""

    def __init__(self, folder_of: Callable[[str], Path]) -> None:
        self.recorder = Remembering()
        self.core = Core(self.recorder)
        self._folder_of = folder_of

    def spec(self, name: str) -> Checkpoint:
        return parse_spec(name if name.startswith("tiny-") else str(self._folder_of(name)))

    def vlm(self, name: str) -> VisionLanguageModel:
        """The loaded model; loaded now if it was not."""
        for _ in self.core.load(self.spec(name)):
            pass
        return self.core.vlm(self.spec(name))

    def forget_conversation(self, session: str) -> None:
        """Drop a chat's keys and values on every loaded checkpoint."""
        self.core.worker.call(lambda: [vlm.conversations.drop(session) for vlm in self.core.pool.values()])
