"""Lens health: whether what a checkpoint's decoder says at visual tokens has to do with what is there.

Most decoders were never taught to speak at a picture's patches; a lens on them shows words all the same. Here the
lens's and TAM's map of a color or a shape is compared with the mask of all things that have it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from model import Checkpoint, Core, ask, parse_spec
from model.errors import InputError, Unsupported
from model.events import Event, Found, Share
from model.families.base import Capability
from model.heat import heat_methods
from model.heat.base import Choice
from model.internals.subject import Subject, grid_of
from model.progress import Run

from . import studies
from .base import Outcome, Report, Tell, Trial, TrialLog
from .maps.cases import VALUES, Case, drawn_cases
from .maps.localisation import located, target
from .metrics import Figure, bootstrap_mean
from .world.draw import masks

SCENES = 20
OFFSET = 80_000
KINDS = ("colour", "shape")
METHODS = ("logit_lens", "tam")
CHANCE = 0.5
RULE = f"A lens is usable where the low end of its AUROC's 95 % interval is above {CHANCE}."


@dataclass(frozen=True)
class LensHealth:
    """AUROC of each lens against masks; None where a checkpoint does not allow it, with the reason in `refused`."""

    auroc: Mapping[str, Figure]
    refused: Mapping[str, str]

    def usable(self, method: str) -> bool:
        """Whether the low end of the interval is above chance."""
        return method in self.auroc and self.auroc[method].low > CHANCE

    def to_json(self) -> dict[str, Any]:
        """`auroc` and `usable` as a whole, of the logit lens; `methods` with intervals."""
        methods = {
            name: {**{k: round(getattr(f, k), 4) for k in ("value", "low", "high")}, "n": f.n, "usable": self.usable(name)}
            for name, f in self.auroc.items()
        }
        values = {heat_methods[name].title: figure["value"] for name, figure in methods.items()}
        return {"usable": self.usable("logit_lens"), "auroc": values, "methods": methods, "refused": dict(self.refused)}


@studies.add
class Lens:
    """The lens and TAM against masks, on a few scenes."""

    slug: ClassVar[str] = "lens"
    title: ClassVar[str] = "Lens health"
    question: ClassVar[str] = "does what the decoder says at a patch have to do with what is there?"
    options: ClassVar[tuple[str, ...]] = ("scenes",)

    def measure(self, checkpoints: Sequence[Checkpoint], tell: Tell, scenes: int = SCENES) -> Report:
        """Measure the first checkpoint, tiny-llava by default. Raises CheckpointError, InputError."""
        checkpoint = checkpoints[0] if checkpoints else parse_spec("tiny-llava")
        core = Core()
        found = lens_health(core, checkpoint, scenes)
        rows = [(heat_methods[name].title, str(figure), _how(found, name)) for name, figure in found.auroc.items()]
        rows += [(heat_methods[name].title, "", reason) for name, reason in found.refused.items()]
        tell(f"{checkpoint.name}: {'usable' if found.usable('logit_lens') else 'not usable'}")
        notes = [f"{scenes} held-out scenes, a color or a shape each, against the mask of all things that have it. {RULE}"]
        figures = found.to_json() | {"checkpoint": checkpoint.name, "weights": core.vlm(checkpoint).weights, "n": scenes}
        return Report(f"Lens health of {checkpoint.name}", rows, figures, notes, checkpoint.name)


def _how(found: LensHealth, name: str) -> str:
    figure = found.auroc[name]
    return f"mean AUROC, n = {figure.n}: {'usable' if found.usable(name) else 'not usable'}"


def lens_health(core: Core, checkpoint: Checkpoint, scenes: int = SCENES) -> LensHealth:
    """Measure how the lens and TAM lie on what is there. A trace a scene. Raises CheckpointError, InputError for no scenes."""
    return next(event.value for event in lens_events(core, checkpoint, scenes) if isinstance(event, Found))


def lens_events(
    core: Core, checkpoint: Checkpoint, scenes: int = SCENES, log: TrialLog | None = None
) -> Generator[Event | Share | Found[LensHealth], None, None]:
    """The measurement as it goes on: what loading says, a Share after each scene, Found at the end.

    With a `log` each scene is written down, and those that are there are not measured again. Closing it ends it.
    """
    if scenes < 2:
        raise InputError(f"{scenes} scenes give no interval. Ask for more.")
    yield from core.load(checkpoint)
    if not {Capability.GRID, Capability.ATTENTION} <= core.capabilities(checkpoint):
        reason = f"{checkpoint.name} has no visual tokens whose states could be read."
        yield Found(LensHealth({}, dict.fromkeys(METHODS, reason)))
        return
    study = study_of(checkpoint, core.vlm(checkpoint).weights)
    found = {} if log is None else logged(log, study)
    for i, case in enumerate(lens_cases(scenes)):
        if i in found:
            continue
        yield Share(i / scenes)
        with closing(
            core.examine(checkpoint, ask(case.question, case.picture), case.truth, partial(_aurocs, case=case))
        ) as events:
            for event in events:
                if isinstance(event, Found):
                    found[i] = event.value
                else:
                    yield Share((i + event.share) / scenes) if isinstance(event, Share) else event
        if i not in found:  # it was stopped
            return
        if log is not None:
            log.record(study, _trial(checkpoint, i), _outcome(found[i]))
    yield Share(1.0)
    yield Found(_health([found[i] for i in range(scenes)]))


def study_of(checkpoint: Checkpoint, weights: str) -> str:
    """The id under which scenes of a checkpoint with these weights are written down; by its name where they have no hash."""
    return f"lens-{weights or checkpoint.id}"


def logged(log: TrialLog, study: str) -> dict[int, dict[str, float | str]]:
    """What is written down of each scene: AUROC by method, nan where it has none, or why there is none."""
    found = {}
    for row in log.table(study):
        if row["status"] == "done":
            refused = json.loads(row["output"] or "{}")
            values = {name: math.nan if value is None else value for name, value in row["scores"].items()}
            found[int(row["item"]["scene"])] = values | refused
    return found


def logged_health(log: TrialLog, checkpoint: Checkpoint, weights: str, scenes: int = SCENES) -> LensHealth | None:
    """The health of a checkpoint with these weights as it was written down; None where it was not, or not to the end."""
    found = logged(log, study_of(checkpoint, weights))
    return _health([found[i] for i in range(scenes)]) if all(i in found for i in range(scenes)) else None


def _trial(checkpoint: Checkpoint, scene: int) -> Trial:
    return Trial(f"scene-{scene:04}", checkpoint, "lens", {"scene": scene})


def _outcome(found: Mapping[str, float | str]) -> Outcome:
    refused = {name: value for name, value in found.items() if isinstance(value, str)}
    return Outcome(json.dumps(refused), {name: value for name, value in found.items() if not isinstance(value, str)})


def _health(scenes: Sequence[Mapping[str, float | str]]) -> LensHealth:
    refused = {name: value for scene in scenes for name, value in scene.items() if isinstance(value, str)}
    values = {
        name: [value for scene in scenes if isinstance(value := scene[name], float) and not math.isnan(value)]
        for name in METHODS
        if name not in refused
    }
    return LensHealth({name: bootstrap_mean(v) for name, v in values.items() if v}, refused)


def lens_cases(scenes: int) -> Iterator[Case]:
    """Questions about colors and shapes; the mask is that of every thing with the value asked for."""
    made = 0
    for case in drawn_cases(scenes * len(VALUES), OFFSET):
        if case.kind in KINDS and made < scenes:
            made += 1
            assert case.scene is not None
            alike = [i for i, thing in enumerate(case.scene.things) if getattr(thing, case.kind) == case.truth]
            mask = np.asarray(masks(case.scene, case.mask.shape[0])[alike].any(0))
            yield Case(case.picture, case.question, case.truth, case.others, mask, case.kind, case.scene, tuple(alike))


def _aurocs(subject: Subject, run: Run, case: Case) -> dict[str, float | str]:
    """AUROC by method, or why there is none. The words are all tokens of the answer."""
    words = tuple(range(len(subject.answer_ids)))
    found: dict[str, float | str] = {}
    for name in METHODS:
        try:
            scores = heat_methods[name](subject, words, Choice(), run).scores
            found[name] = float(located(np.nan_to_num(scores), target(grid_of(subject), case.mask)).auroc)
        except Unsupported as error:
            found[name] = str(error)
    return found
