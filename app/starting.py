"""The checkpoints the program was started with: loaded one after the other while the page is served already.

What is loading, how far it is and what failed is asked from here, by any thread; nothing is told to pages by itself.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Sequence

from model import Checkpoint, Loading, WorkbenchError
from panels.base.bench import explained

log = logging.getLogger(__name__)
WAITS = Loading("Waiting for its turn")


class Starting:
    """Loads `checkpoints` in order with `load`, which gives the steps of each and raises what goes wrong."""

    def __init__(self, checkpoints: Sequence[Checkpoint], load: Callable[[Checkpoint], Iterable[object]]) -> None:
        self.checkpoints = tuple(checkpoints)
        self._load = load
        self._steps: dict[Checkpoint, Loading] = dict.fromkeys(self.checkpoints, WAITS)
        """Of those that are not loaded yet and did not fail. Replaced, never changed, as is the next one."""
        self._errors: dict[Checkpoint, str] = {}

    def begin(self) -> None:
        """Load them on a thread of its own, which ends with the program."""
        threading.Thread(target=self.run, name="starting", daemon=True).start()

    def run(self) -> None:
        """Load them now. What goes wrong with one is kept and printed, and the others are loaded."""
        for checkpoint in self.checkpoints:
            try:
                for step in self._load(checkpoint):
                    if isinstance(step, Loading):
                        log.info("%s: %s", checkpoint.name, step.text)
                        self._steps = {**self._steps, checkpoint: step}
            except Exception as error:  # told on the page, and logged where it was not expected
                self._errors = {**self._errors, checkpoint: explained(error)}
                print(f"fovea: {self._errors[checkpoint]}", file=sys.stderr, flush=True)
            self._steps = {other: step for other, step in self._steps.items() if other != checkpoint}
        loaded = [checkpoint.name for checkpoint in self.checkpoints if checkpoint not in self._errors]
        print(f"Loaded: {', '.join(loaded) or 'nothing'}", flush=True)

    @property
    def loading(self) -> dict[Checkpoint, Loading]:
        """Those that are loading or will be, in order, with the step each is at."""
        return self._steps

    @property
    def errors(self) -> dict[Checkpoint, str]:
        """Those that could not be loaded, with a sentence on each."""
        return self._errors

    @property
    def first(self) -> Checkpoint:
        """The one a new page uses: the first that has not failed, or the first where all have."""
        return next((checkpoint for checkpoint in self.checkpoints if checkpoint not in self._errors), self.checkpoints[0])


def named(specs: Iterable[str], look: Callable[[str], Checkpoint]) -> tuple[list[Checkpoint], list[WorkbenchError]]:
    """The checkpoints that `look` finds under these names, each once, and what is wrong with the others."""
    found: dict[Checkpoint, None] = {}
    troubles: list[WorkbenchError] = []
    for spec in dict.fromkeys(specs):
        try:
            found[look(spec)] = None
        except WorkbenchError as error:
            troubles.append(error)
    return list(found), troubles
