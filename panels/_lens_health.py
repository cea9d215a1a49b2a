"""Whether a checkpoint's lens can be believed: what the study `lens` kept of it, or that it was not measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studies.runner import RESULTS, kept

MEASURED = {
    True: "On {name} the lens was measured on drawn scenes: {figures}. What it says at a patch tends to be what is there.",
    False: "On {name} the lens was measured and is not to be believed: {figures}. Its words are states of the decoder, no more.",
}
UNMEASURED = (
    "Not measured on {name}: nothing says yet whether words at a patch name what is there. "
    "Decoders are rarely taught to speak at the picture's tokens. `python app.py study lens` measures it."
)


def lens_health(name: str, weights: str = "", folder: Path = RESULTS) -> dict[str, Any]:
    """{usable: True, False or None where these weights were not measured, text: a sentence}."""
    try:
        found = kept("lens", name, folder) or {}
    except (OSError, ValueError):
        found = {}
    usable, measured = found.get("usable"), found.get("weights", weights)
    if not isinstance(usable, bool) or (weights and measured != weights):
        return {"usable": None, "text": UNMEASURED.format(name=name)}
    return {"usable": usable, "text": MEASURED[usable].format(name=name, figures=_figures(found))}


def _figures(found: dict[str, Any]) -> str:
    """The lens's AUROC in words, with its interval where it is kept."""
    figure = (found.get("methods") or {}).get("logit_lens")
    if isinstance(figure, dict):
        return "AUROC {value:.2f} against masks, 95 % interval {low:.2f} to {high:.2f}, n = {n}".format(**figure)
    named = found.get("auroc")
    known = [f"{v:.2f} ({k})" for k, v in named.items() if isinstance(v, (int, float))] if isinstance(named, dict) else []
    return f"AUROC {', '.join(known)}" if known else "without a figure that is kept"
