"""How long work is watched and stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .generation.hooks import Interrupted


@dataclass
class Run:
    """How a long piece of work is watched and stopped. `tell` gets a share from 0 to 1."""

    stop: threading.Event = field(default_factory=threading.Event)
    tell: Callable[[float], None] = lambda share: None

    def step(self, done: int, total: int) -> None:
        """Say how far it is. Raises Interrupted where it is to stop."""
        if self.stop.is_set():
            raise Interrupted
        self.tell(done / total if total else 1.0)


def batches(count: int, size: int, run: Run) -> Iterator[slice]:
    """Slices of a long piece of work, telling how far it is before each. Raises Interrupted."""
    for start in range(0, count, size):
        run.step(start, count)
        yield slice(start, min(start + size, count))
    run.step(count, count)
