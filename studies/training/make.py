"""Make a built-in checkpoint: train, or go on training, then write its folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from model.errors import InputError

from .export import export
from .recipes import RECIPES
from .trainer import train

ROOT = Path(__file__).resolve().parent.parent.parent


def make(
    name: str, folder: Path | None, out: Path | None, *, scale: float, seed: int | None, say: Callable[[str], None]
) -> list[Path]:
    """Train `name` in `folder` and write its checkpoints below `out`. Returns their folders.

    Raises InputError for a name without a recipe.
    """
    if name not in RECIPES:
        raise InputError(f"There is no recipe {name!r}. Known: {', '.join(RECIPES)}.")
    run = folder or ROOT / "training" / name
    out = out or ROOT / "assets" / "checkpoints"
    train(name, run, scale=scale, seed=seed)
    made = [export(run, name, "final", out / name)]
    if RECIPES[name].with_stage1:
        made.append(export(run, name, "stage1", out / f"{name}-stage1"))
    for path in made:
        say(f"wrote {path}")
    say(f"now measure it: python app.py evaluate {name}")
    return made
