"""Whether a checkpoint's lens can be believed: as it was measured here, or kept by the study `lens`, or not measured yet."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from model import Checkpoint
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


def lens_health(bench: Bench, checkpoint: Checkpoint, weights: str, folder: Path = RESULTS) -> dict[str, Any]:
    """{usable: True, False or None where these weights were not measured, text: a sentence, scenes: what measuring takes}.

    What was measured on this program's own log comes first.
    """
    name, own = checkpoint.name, logged_health(bench.history.trials, checkpoint, weights)
    if own is not None:
        return health_of(own, name)
    try:
        found = kept("lens", name, folder) or {}
    except (OSError, ValueError):
        found = {}
    usable, measured = found.get("usable"), found.get("weights", weights)
    if not isinstance(usable, bool) or (weights and measured != weights):
        return {"usable": None, "text": UNMEASURED.format(name=name), "scenes": SCENES}
    return {"usable": usable, "text": MEASURED[usable].format(name=name, figures=_figures(found)), "scenes": SCENES}


def health_of(found: LensHealth, name: str) -> dict[str, Any]:
    """A measurement as `lens_health` has it."""
    usable = found.usable("logit_lens")
    figures = _figures(found.to_json()) if found.auroc else " ".join(dict.fromkeys(found.refused.values()))
    return {"usable": usable, "text": MEASURED[usable].format(name=name, figures=figures.rstrip(".")), "scenes": SCENES}


def measuring(bench: Bench, checkpoint: Checkpoint) -> Generator[Any, None, None]:
    """The measurement as it goes on; scene by scene it is written down, so that one that was stopped goes on there."""
    return lens_events(bench.core, bench.allowed(checkpoint), log=bench.history.trials)


def _figures(found: dict[str, Any]) -> str:
    """The lens's AUROC in words, with its interval where it is kept."""
    figure = (found.get("methods") or {}).get("logit_lens")
    if isinstance(figure, dict):
        return "AUROC {value:.2f} against masks, 95 % interval {low:.2f} to {high:.2f}, n = {n}".format(**figure)
    named = found.get("auroc")
    known = [f"{v:.2f} ({k})" for k, v in named.items() if isinstance(v, (int, float))] if isinstance(named, dict) else []
    return f"AUROC {', '.join(known)}" if known else "without a figure that is kept"
