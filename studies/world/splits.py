"""Which seeds are trained on and which never are. One place, so that the two cannot meet."""

from __future__ import annotations

TRAINED_BELOW = 2**40
"""Every training scene has a seed below this, every held-out scene one at or above it."""

STAGE_SPAN = 2**34


def trained_seed(stage: int, index: int) -> int:
    """Seed of the index-th scene of a training stage. Stages never share a scene. Raises ValueError out of range."""
    if not (0 <= stage < TRAINED_BELOW // STAGE_SPAN and 0 <= index < STAGE_SPAN):
        raise ValueError(f"No training seed for stage {stage}, index {index}.")
    return stage * STAGE_SPAN + index


def held_out_seed(index: int) -> int:
    """Seed of the index-th scene that no training stage draws."""
    if index < 0:
        raise ValueError(f"Held-out scenes are counted from 0, not {index}.")
    return TRAINED_BELOW + index
