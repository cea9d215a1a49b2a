"""A checkpoint in the header: its chip, its badges, a step of its loading, as `header.js` takes them."""

from __future__ import annotations

from typing import Any

from model import Checkpoint, Loading
from model.families.base import Capability
from panels.base.turn_views import size_text

BADGES = {
    Capability.GENERATE: ("answers", "It answers questions"),
    Capability.MULTI_IMAGE: ("several pictures", "A prompt may hold several pictures"),
    Capability.GRID: ("patch grid", "Each visual token is tied to the pixels it came from"),
    Capability.ATTENTION: ("attention", "Attention can be captured, layer by layer"),
    Capability.GRADIENTS: ("gradients", "Gradients reach the picture"),
}


def step_view(step: Any, name: str, elapsed_s: float) -> dict[str, Any]:
    """A step of loading, with how long the rest may take where its share is known."""
    if not isinstance(step, Loading):
        return {"text": f"{name} waits for a running answer, {elapsed_s:.0f} s", "share": None}
    left = elapsed_s * (1 - step.share) / step.share if step.share and elapsed_s > 2 else 0
    return {"text": f"{step.text}, about {left:.0f} s left" if left > 1 else step.text, "share": step.share}


def chip(status: Any, chosen: bool) -> dict[str, Any]:
    return {
        "spec": status.checkpoint.spec,
        "name": status.checkpoint.name,
        "memory": size_text(status),
        "chosen": chosen,
        "state": "ready",
        "details": details(status),
    }


def coming(checkpoint: Checkpoint, step: Loading, chosen: bool) -> dict[str, Any]:
    """The chip of a checkpoint the program is still loading."""
    return {
        "spec": checkpoint.spec,
        "name": checkpoint.name,
        "memory": "loading" if step.share is None else f"loading, {100 * step.share:.0f} %",
        "chosen": chosen,
        "state": "loading",
        "details": f"{step.text}. What is asked meanwhile is answered when it is loaded.",
    }


def lower(text: str) -> str:
    return text[0].lower() + text[1:]


def absent(checkpoint: Checkpoint) -> dict[str, Any]:
    """The chip of a checkpoint that is in use but not in memory."""
    return {
        "spec": checkpoint.spec,
        "name": checkpoint.name,
        "memory": "not loaded",
        "chosen": True,
        "state": "away",
        "details": "Not in memory. It is loaded when it is asked, or now.",
    }


def badge(need: Capability, status: Any) -> dict[str, Any]:
    text, why = BADGES[need]
    can = need in status.capabilities
    return {"text": text if can else f"no {text}", "can": can, "why": why if can else f"Not on this checkpoint. {status.limits}"}


def details(status: Any) -> str:
    """A checkpoint in words; capabilities in words, too."""
    can = ", ".join(words for need, (words, _) in BADGES.items() if need in status.capabilities)
    lines = [
        f"{status.family}, {status.parameters / 1e6:,.1f} M parameters, {status.dtype} on {status.device}",
        f"{size_text(status)} with its caches; {status.context_tokens or 'unknown'} tokens of context",
        f"Gives {can}" if can else "",
        *status.warnings,
        *status.notes,
    ]
    return "\n".join(line for line in lines if line)
