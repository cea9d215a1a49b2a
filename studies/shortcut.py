"""Clever Hans: does a map show the mark that decides an answer, where it is known that a mark does?

A copy of a small checkpoint is tuned until a mark in a corner decides what color it says (`planting`). On
pictures it was not tuned on, the map of its answer should lie on the mark; on the same pictures, the map of the untuned
checkpoint's answer should not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

from model import Checkpoint, Core, parse_spec
from model.errors import Unsupported
from model.generation.scoring import answer_ids
from model.generation.vlm import VisionLanguageModel
from model.heat import heat_methods
from model.internals.subject import Subject
from model.running.pool import SMALL_PARAMETERS

from . import studies
from .base import Report, Tell
from .maps.case_measurement import slow_methods
from .maps.localisation import located, target
from .maps.map_set import baselines, maps_of, titles
from .maps.planting import ENOUGH, Marked, follows, held_out, planted
from .metrics import Figure, bootstrap_mean

SCENES = 24
SKIPPED = 100
"""The first held-out scenes told whether tuning was enough; those measured come after."""


@studies.add
class Shortcut:
    """Maps against a planted mark."""

    slug: ClassVar[str] = "shortcut"
    title: ClassVar[str] = "Planted shortcut"
    question: ClassVar[str] = "does a map show the mark that decides an answer, where a mark was planted to decide it?"
    options: ClassVar[tuple[str, ...]] = ("scenes",)

    def measure(self, checkpoints: Sequence[Checkpoint], tell: Tell, scenes: int = SCENES) -> Report:
        """Measure the first checkpoint, tiny-llava by default, in a minute or two.

        Raises CheckpointError; Unsupported for a checkpoint too large to be tuned here, or that does not learn the shortcut.
        """
        checkpoint = checkpoints[0] if checkpoints else parse_spec("tiny-llava")
        core = Core()
        for _ in core.load(checkpoint):
            pass
        vlm = core.vlm(checkpoint)
        if vlm.parameters >= SMALL_PARAMETERS or not vlm.fast.features:
            raise Unsupported(
                f"{checkpoint.name} has {vlm.parameters / 1e6:,.0f} M parameters. A shortcut is planted by tuning a copy, "
                f"which is done for checkpoints of less than {SMALL_PARAMETERS / 1e6:.0f} M that take picture features."
            )
        able = core.capabilities(checkpoint)
        slugs = [slug for slug in heat_methods if heat_methods[slug].needs <= able and slug not in slow_methods()]
        return core.worker.call(lambda: vlm.sparing(lambda: _measured(vlm, slugs, scenes, tell)))


def _measured(vlm: VisionLanguageModel, slugs: Sequence[str], scenes: int, tell: Tell) -> Report:
    twin, share = planted(vlm, tell)
    if share < ENOUGH:
        raise Unsupported(f"A copy of {vlm.checkpoint.name} did not learn the shortcut: the mark decides {share:.0%} of answers.")
    tuned, plain = defaultdict(list), defaultdict(list)
    for number, scene in enumerate(_fresh(twin, vlm, scenes)):
        for name, place in on_mark(twin, scene, scene.leak, slugs, number).items():
            tuned[name].append(place)
        for name, place in on_mark(vlm, scene, scene.truth, slugs, number).items():
            plain[name].append(place)
    rows: dict[str, dict[str, Any]] = {
        name: {
            "title": titles()[name],
            "hit": _plain(bootstrap_mean([hit for hit, _ in tuned[name]])),
            "share": _plain(bootstrap_mean([share for _, share in tuned[name]])),
            "share_untuned": _plain(bootstrap_mean([share for _, share in plain[name]])),
            "n": len(tuned[name]),
        }
        for name in tuned
    }
    return _report(vlm, dict(sorted(rows.items(), key=lambda row: -row[1]["share"]["value"])), share)


def _fresh(twin: VisionLanguageModel, vlm: VisionLanguageModel, count: int) -> list[Marked]:
    """Scenes on which the mark decides what the tuned copy says, and not what the checkpoint says."""
    found: list[Marked] = []
    for number, scene in enumerate(held_out()):
        if len(found) == count or number > SKIPPED + 10 * count:
            break
        if number >= SKIPPED and follows(twin, scene) and not follows(vlm, scene):
            found.append(scene)
    return found


def on_mark(
    vlm: VisionLanguageModel, scene: Marked, colour: str, slugs: Sequence[str], seed: int
) -> dict[str, tuple[float, float]]:
    """Of every map of that answer: whether its peak is on the mark, and the mark's share of what lies on mark and thing."""
    prompt = scene.prompt(marked=True)
    ids = answer_ids(vlm, prompt, colour)
    subject = Subject(vlm, prompt, ids)
    grid = subject.inputs.grid
    assert grid is not None, "a checkpoint without a grid has no methods to measure"
    maps = {**maps_of(subject, tuple(range(len(ids))), slugs).scores, **baselines(grid, prompt.images[0], seed)}
    mark, thing = target(grid, scene.mark), target(grid, scene.thing)
    found = {}
    for name, scores in maps.items():
        here, there = located(scores, mark), located(scores, thing)
        both = here.lift + there.lift  # per area, so that a large thing does not win by its size
        found[name] = (here.hit, here.lift / both if both > 0 else 0.5)
    return found


def _plain(figure: Figure) -> dict[str, float]:
    return {"value": round(figure.value, 4), "low": round(figure.low, 4), "high": round(figure.high, 4)}


def _report(vlm: VisionLanguageModel, rows: dict[str, dict[str, Any]], share: float) -> Report:
    def cell(figure: dict[str, float]) -> str:
        return f"{figure['value']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]"

    lines = ["| map | n | peak on the mark | share on the mark | share, not tuned |", "|---|---:|---:|---:|---:|"]
    lines += [
        f"| {row['title']} | {row['n']} | {cell(row['hit'])} | {cell(row['share'])} | {cell(row['share_untuned'])} |"
        for row in rows.values()
    ]
    name = vlm.checkpoint.name
    return Report(
        f"A shortcut planted in {name}",
        [("answers the mark decides after tuning", f"{share:.0%}", "of 16 held-out scenes")],
        {"methods": rows, "decided": share, "checkpoint": name, "weights": vlm.weights},
        [
            "\n".join(lines),
            "Share on the mark: its mass per area, of that on the mark and on the thing asked about. 1 shows the mark alone, 0.5 "
            "is a map that prefers neither. Tuned, the mark decides the answer; not tuned, the thing does.",
        ],
        name,
    )
