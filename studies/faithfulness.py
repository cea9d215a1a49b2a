"""How far a map can be believed on a checkpoint: every heat method against masks, against the answer, and against chance.

Scenes are held out, drawn, and known to the pixel; a user's own pictures come as a COCO file. Questions that
are answered wrong, or right without the picture, are left out. What is measured is whether a map falls on the thing
asked about (lift, hit, AUROC) and whether the answer hangs on what it marks (deletion, insertion). Neither says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from model import Checkpoint, Core, parse_spec
from model.errors import InputError, Unsupported
from model.families.base import Capability
from model.heat import heat_methods

from . import studies
from .base import Report, Tell
from .maps.case_measurement import Mapped, all_mapped, slow_methods
from .maps.cases import Case, CaseAnswer, asked, drawn_cases
from .maps.coco import coco_cases
from .maps.heads import best_head, found_head, lifts
from .maps.sanity import ByMethod, blur_gaps, erased, flatness, noisy, redrawn, repeated
from .maps.standings import Standing, agreement, default, difference, halves, standings
from .report_faithfulness import report

SCENES = 100
AT_LEAST = 8
"""Fewer cases than this are no study."""


@studies.add
class Faithfulness:
    """Maps against masks, curves, sanity checks: a table per checkpoint."""

    slug: ClassVar[str] = "faithfulness"
    title: ClassVar[str] = "Faithfulness of heat maps"
    question: ClassVar[str] = "does a heat map fall on what was asked about, and does the answer hang on what it marks?"
    options: ClassVar[tuple[str, ...]] = ("scenes", "annotations", "pictures")

    def measure(
        self,
        checkpoints: Sequence[Checkpoint],
        tell: Tell,
        scenes: int = SCENES,
        annotations: Path | None = None,
        pictures: Path | None = None,
    ) -> Report:
        """Measure the first checkpoint, tiny-llava by default; the order of methods is compared with that on the others.

        Raises InputError where too few answers are right and need the picture, CheckpointError, Unsupported.
        """
        first, *others = checkpoints or [parse_spec("tiny-llava")]
        if pictures and not annotations:
            raise InputError("A folder of pictures needs a COCO json that says what is where: give it with --annotations.")
        core = Core()
        begun = time.process_time()
        study = Studied(core, first, tell)
        cases = coco_cases(annotations, pictures, scenes) if annotations else drawn_cases(scenes)
        study.run(list(cases), drawn=not annotations)
        spent_s = time.process_time() - begun
        for other in others:
            study.compare(other)
        source = f"{annotations.stem}, one a picture and category" if annotations else "one a held-out scene"
        about = f"{first.name}-{annotations.stem}" if annotations else first.name
        return report(study.figures() | {"source": source, "cpu_s": round(spent_s, 1)}, about)


class Studied:
    """One checkpoint being studied: cases, what was measured, and what was checked."""

    def __init__(self, core: Core, checkpoint: Checkpoint, tell: Tell) -> None:
        self.core, self.checkpoint, self.tell = core, checkpoint, tell
        self.cases: list[Case] = []
        self.asked: list[CaseAnswer] = []
        self.found: list[Mapped] = []
        self.rows: list[Standing] = []
        self.heads: dict[str, dict[str, Any]] = {}
        self.ranking: dict[str, dict[str, Any]] = {}
        self.right: dict[str, int] = {}

    def run(self, cases: Sequence[Case], *, drawn: bool) -> None:
        """Ask, map, check."""
        for _ in self.core.load(self.checkpoint):
            pass
        able = self.core.capabilities(self.checkpoint)
        if not {Capability.GRID, Capability.ATTENTION} <= able:
            raise Unsupported(
                f"{self.checkpoint.name} has no maps to study: its visual tokens or its attention cannot be reached."
            )
        self.cases = list(cases)
        self.asked = self.kept(self.checkpoint)
        self.found = all_mapped(self.core, self.checkpoint, self.asked, self.methods(), self._progress("mapped"), self._choose)
        self.rows = standings(self.found, self._checks(drawn))
        rho, methods = agreement(*halves(self.found))
        self.ranking["on two halves of the cases"] = {"spearman": round(rho, 3), "methods": methods, "n": len(self.found) // 2}

    def methods(self) -> list[str]:
        able = self.core.capabilities(self.checkpoint)
        return [slug for slug in heat_methods if heat_methods[slug].needs <= able]

    def kept(self, checkpoint: Checkpoint) -> list[CaseAnswer]:
        """The cases that are answered right and need the picture. Raises InputError where they are too few."""
        progress = self._progress("asked")
        found = []
        for number, case in enumerate(self.cases):
            found.append(asked(self.core, checkpoint, case))
            progress(number + 1, len(self.cases))
        right = [one for one in found if one.right]
        able = [one for one in right if one.dependent]
        self.tell(f"{checkpoint.name}: {len(found)} asked, {len(right)} right, {len(able)} of them dependent on the picture")
        if len(able) < AT_LEAST:
            raise InputError(
                f"{checkpoint.name} answered {len(right)} of {len(found)} questions right, {len(able)} of them because of the "
                f"picture. A study needs {AT_LEAST}: ask about more pictures, or about things it knows."
            )
        self.right[checkpoint.name] = len(right)
        return able

    def _choose(self, half: Sequence[Mapped]) -> Mapping[str, tuple[int, int]]:
        able = [(one.heads, one.target) for one in half if one.heads is not None]
        if not able:
            return {}
        best = best_head([lifts(heads, on) for heads, on in able])
        without, votes = found_head([heads for heads, _ in able], [on.grid for _, on in able])
        self.heads = {
            "best_head": {"layer": best[0], "head": best[1], "chosen": "highest mean lift on the first half of the cases"},
            "found_head": {
                "layer": without[0],
                "head": without[1],
                "chosen": "without masks, on the first half",
                "votes": round(votes, 3),
            },
        }
        return {"best_head": best, "found_head": without}

    def _checks(self, drawn: bool) -> dict[str, ByMethod]:
        core, checkpoint, found = self.core, self.checkpoint, self.found
        self.tell("checking against a decoder of random weights, noise, repetition and blur")
        checks = {
            "random_decoder": redrawn(core, checkpoint, found),
            "noise": noisy(core, checkpoint, found),
            "repeat": repeated(core, checkpoint, found),
            "blur_gap": blur_gaps(core, checkpoint, found),
        }
        if drawn:
            self.tell("erasing things, asking about absent ones")
            checks["erased"] = erased(core, checkpoint, found)
            checks["evenness_present"] = flatness(core, checkpoint, self.methods(), present=True)
            checks["evenness_absent"] = flatness(core, checkpoint, self.methods(), present=False)
        return checks

    def compare(self, other: Checkpoint) -> None:
        """Put the order of methods beside that on another checkpoint, asked the same; where it cannot be asked, why."""
        for _ in self.core.load(other):
            pass
        slugs = [slug for slug in self.methods() if slug not in slow_methods()]
        try:
            there = all_mapped(self.core, other, self.kept(other), slugs, self._progress(f"{other.name} mapped"))
        except InputError as error:
            self.ranking[f"here and on {other.name}"] = {"spearman": None, "methods": 0, "n": 0, "why": str(error)}
            return
        rho, methods = agreement(self.found, there)
        self.ranking[f"here and on {other.name}"] = {"spearman": round(rho, 3), "methods": methods, "n": len(there)}

    def figures(self) -> dict[str, Any]:
        """Everything as plain JSON, `methods` first."""
        refused = {slug: reason for one in self.found for slug, reason in one.refused.items()}
        lift = np.mean([lifts(one.heads, one.target) for one in self.found if one.heads is not None], axis=0)
        pairs = {
            f"{a} - {b}": difference(self.found, a, b)
            for a, b in (("relevancy", "attention"), ("integrated_gradients", "attention"))
        }
        return {
            "methods": {row.slug: row.to_json() for row in self.rows},
            "default": default(self.rows),
            "checkpoint": self.checkpoint.name,
            "weights": self.core.vlm(self.checkpoint).weights,
            "asked": len(self.cases),
            "right": self.right[self.checkpoint.name],
            "n": len(self.found),
            "area": round(float(np.mean([one.target.area for one in self.found])), 4),
            "replacement": self.asked[0].replacement,
            "heads": self.heads,
            "head_lift": np.round(lift, 2).tolist() if np.ndim(lift) else [],
            "ranking": self.ranking,
            "refused": refused,
            "pairs": {name: round(d.errors, 2) for name, d in pairs.items() if d is not None},
        }

    def _progress(self, what: str) -> Callable[[int, int], None]:
        def say(done: int, total: int) -> None:
            if done % 25 == 0 or done == total:
                self.tell(f"{what} {done} of {total}")

        return say
