"""Whether a checkpoint's lens can be believed: as it was measured here, or kept by the study `lens`, or not measured yet."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from model import Checkpoint
from model.events import Event, Found, Share
from studies.lens import SCENES, LensHealth, lens_events, logged_health
from studies.runner import RESULTS, kept

from ..bench import Bench

GATED = ("logit_lens", "tam")
"""Heat methods that read what the decoder says at visual tokens."""
MEASURED = {
    True: "On {name} the lens was measured on drawn scenes: {figures}. What it says at a patch tends to be what is there.",
    False: "On {name} the lens was measured and is not to be believed: {figures}. Its words are states of the decoder, no more.",
}
UNMEASURED = (
    "Not measured on {name}: nothing says yet whether words at a patch name what is there. "
    "Decoders are rarely taught to speak at the picture's tokens."
)


@dataclass(frozen=True)
class LensView:
    """Whether a lens can be believed, None where its weights were not measured; why, in a sentence; scenes measuring takes."""

    usable: bool | None
    text: str
    scenes: int = SCENES


def lens_health(bench: Bench, checkpoint: Checkpoint, weights: str, folder: Path = RESULTS) -> LensView:
    """What is known of these weights. What was measured on this program's own log comes first."""
    name, own = checkpoint.name, logged_health(bench.history.trials, checkpoint, weights)
    if own is not None:
        return health_of(own, name)
    try:
        found = kept("lens", name, folder) or {}
    except (OSError, ValueError):
        found = {}
    usable, measured = found.get("usable"), found.get("weights", weights)
    if not isinstance(usable, bool) or (weights and measured != weights):
        return LensView(None, UNMEASURED.format(name=name))
    return LensView(usable, MEASURED[usable].format(name=name, figures=_figures(found)))


def health_of(found: LensHealth, name: str) -> LensView:
    """A measurement as `lens_health` has it."""
    usable = found.usable("logit_lens")
    figures = _figures(found.to_json()) if found.auroc else " ".join(dict.fromkeys(found.refused.values()))
    return LensView(usable, MEASURED[usable].format(name=name, figures=figures.rstrip(".")))


def measuring(bench: Bench, checkpoint: Checkpoint) -> Generator[Event | Share | Found[LensHealth], None, None]:
    """The measurement as it goes on; scene by scene it is written down, so that one that was stopped goes on there."""
    return lens_events(bench.core, bench.allowed(checkpoint), log=bench.history.trials)


def _figures(found: Mapping[str, object]) -> str:
    """The lens's AUROC in words, with its interval where it is kept."""
    methods = found.get("methods")
    figure = methods.get("logit_lens") if isinstance(methods, dict) else None
    if isinstance(figure, dict):
        return "AUROC {value:.2f} against masks, 95 % interval {low:.2f} to {high:.2f}, n = {n}".format(**figure)
    named = found.get("auroc")
    known = [f"{v:.2f} ({k})" for k, v in named.items() if isinstance(v, (int, float))] if isinstance(named, dict) else []
    return f"AUROC {', '.join(known)}" if known else "without a figure that is kept"
