"""One case measured: the maps of its answer, where they lie, and what becomes of the answer when they are followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from model import Checkpoint, Core
from model.errors import Unsupported
from model.heat import heat_methods
from model.internals.subject import Subject
from model.progress import Run

from .cases import CaseAnswer, replaced
from .curves import Curves, curves
from .localisation import Located, Target, located, target
from .map_set import baselines, head_maps, maps_of

QUICK = frozenset({"integrated_gradients"})
"""Methods of many passes that still take less than a second on the built-in checkpoints."""
SLOW_CASES, SLOW_SHARE = 8, 10
"""Slow methods are measured on every tenth case, and on eight at least."""


@dataclass(frozen=True)
class Mapped:
    """Everything measured on one case. `maps` float [T] by method, baseline or head; `heads` raw attention [L, H, T]."""

    asked: CaseAnswer
    target: Target = field(repr=False)
    maps: Mapping[str, np.ndarray] = field(repr=False)
    located: Mapping[str, Located] = field(repr=False)
    curves: Mapping[str, Curves] = field(repr=False)
    heads: np.ndarray | None = field(repr=False)
    cpu_s: Mapping[str, float] = field(repr=False)
    refused: Mapping[str, str] = field(repr=False)


def slow_methods() -> list[str]:
    """Methods that take hundreds of passes a map."""
    return [slug for slug in heat_methods if heat_methods[slug].cost == "passes" and slug not in QUICK]


def spread(count: int, wanted: int) -> list[int]:
    """So many indices below `count`, evenly apart; all of them where there are not more."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, wanted))})


def slow_cases(count: int) -> list[int]:
    """Which of so many cases slow methods are measured on."""
    return spread(count, max(SLOW_CASES, count // SLOW_SHARE))


def mapped(
    core: Core,
    checkpoint: Checkpoint,
    asked: CaseAnswer,
    slugs: Sequence[str],
    seed: int,
    heads: Mapping[str, tuple[int, int]] | None = None,
) -> Mapped:
    """Measure one case: these methods, the baselines, and single heads (layer, head) under their names."""

    def work(subject: Subject, run: Run) -> Mapped:
        return measured(subject, asked, slugs, seed, heads or {}, run)

    return core.examined(checkpoint, asked.prompt, asked.answer_ids, work)


def measured(
    subject: Subject, asked: CaseAnswer, slugs: Sequence[str], seed: int, heads: Mapping[str, tuple[int, int]], run: Run
) -> Mapped:
    """As `mapped`, on the model thread."""
    found = maps_of(subject, asked.words, slugs, run)
    grid = subject.inputs.grid
    if grid is None:
        raise Unsupported(
            f"It is not known where the visual tokens of {subject.vlm.checkpoint.name} look. Choose another checkpoint."
        )
    try:
        attention = head_maps(subject, asked.words, run)
    except Unsupported:
        attention = None
    single = {name: attention[at] for name, at in heads.items()} if attention is not None else {}
    maps = {**found.scores, **single, **baselines(grid, asked.case.picture, seed)}
    on = target(grid, asked.case.mask)
    chance, _ = replaced(subject, asked.words)
    return Mapped(
        asked,
        on,
        maps,
        {name: located(scores, on) for name, scores in maps.items()},
        curves(maps, chance, seed=seed),
        attention,
        found.cpu_s,
        found.refused,
    )


def all_mapped(
    core: Core,
    checkpoint: Checkpoint,
    asked: Sequence[CaseAnswer],
    slugs: Sequence[str],
    tell: Callable[[int, int], None],
    choose: Callable[[Sequence[Mapped]], Mapping[str, tuple[int, int]]] | None = None,
) -> list[Mapped]:
    """Measure all cases. `choose` picks single heads from the first half; they are scored on the second half alone."""
    slow, held = set(slow_methods()), set(slow_cases(len(asked)))
    heads: Mapping[str, tuple[int, int]] = {}
    found: list[Mapped] = []
    for number, one in enumerate(asked):
        if choose and number == len(asked) // 2:
            heads = choose(found)
        here = [slug for slug in slugs if slug not in slow or number in held]
        found.append(mapped(core, checkpoint, one, here, number, heads))
        tell(number + 1, len(asked))
    return found
