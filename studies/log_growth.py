"""What the session log costs as it grows: every list, search and reopening of a page, at three sizes of the same log.

The log is filled with turns about drawn scenes, as sessions of ten turns that build on one another. A study may not know
how a log is kept: what fills it and asks it is handed in (`GrowingLog`; `app.log.measured` has the one in SQLite).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol

from model import Checkpoint
from model.memory import human_bytes

from . import studies
from .base import Report, Tell

TURNS = 200_000
"""About what a lab asks in a year."""
REPEATS = 15
BAR_MS = 50.0


class GrowingLog(Protocol):
    """A log of its own for one measurement.

    `actions` are what a page asks of it, by what a reader would call them; each says how many things it found, so that an
    empty answer is never taken for a quick one. `size_bytes` is what lies on disk.
    """

    actions: Mapping[str, Callable[[], int]]

    def grow(self, turns: int) -> None: ...
    def size_bytes(self) -> int: ...
    def close(self) -> None: ...


@studies.add
class LogGrowth:
    """Milliseconds of what a page asks of the log, at a hundredth, a tenth and all of the turns."""

    slug: ClassVar[str] = "log"
    title: ClassVar[str] = "The session log as it grows"
    question: ClassVar[str] = "how long do lists, searches and reopening take when a year is in the log?"
    options: ClassVar[tuple[str, ...]] = ("turns", "log")

    def measure(self, checkpoints: Sequence[Checkpoint], tell: Tell, log: Callable[[], GrowingLog], turns: int = TURNS) -> Report:
        """Fill a log up to `turns` and time it on the way. About two minutes for 200,000. Checkpoints play no part."""
        sizes = sorted({max(1, turns // 100), max(1, turns // 10), turns})
        grown = log()
        try:
            found: dict[str, list[float]] = {name: [] for name in grown.actions}
            for size in sizes:
                began = time.perf_counter()
                grown.grow(size)
                tell(f"{size:,} turns are in the log after {time.perf_counter() - began:.0f} s")
                for name, act in grown.actions.items():
                    found[name].append(_median_ms(name, act))
                tell("; ".join(f"{name} {times[-1]:.1f} ms" for name, times in found.items()))
            return _report(sizes, found, grown.size_bytes())
        finally:
            grown.close()


def _median_ms(name: str, act: Callable[[], int]) -> float:
    """Median wall time of an action once it has run. Raises ValueError where it found nothing."""
    if not act():
        raise ValueError(f"'{name}' found nothing, so its time means nothing.")
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        act()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def _report(sizes: Sequence[int], found: Mapping[str, Sequence[float]], size_bytes: int) -> Report:
    rows = [
        (name, f"{times[-1]:.2f} ms", "at " + ", ".join(f"{n:,}: {ms:.2f}" for n, ms in zip(sizes, times, strict=True)))
        for name, times in found.items()
    ]
    slowest = max(found, key=lambda name: found[name][-1])
    over = [name for name, times in found.items() if times[-1] > BAR_MS]
    rows.append(("size on disk", human_bytes(size_bytes), f"{sizes[-1]:,} turns, without pictures"))
    figures = {
        name.replace(" ", "_").replace(",", "") + "_ms": dict(zip(map(str, sizes), times)) for name, times in found.items()
    }
    notes = (
        f"Medians of {REPEATS}, wall time, one process. Slowest with all in it: {slowest}. "
        + (f"Above {BAR_MS:.0f} ms: {', '.join(over)}." if over else f"Nothing is above {BAR_MS:.0f} ms."),
    )
    return Report("The session log as it grows", rows, {**figures, "size_bytes": size_bytes, "over_bar": over}, notes)
