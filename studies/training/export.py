"""A trained state as a standard folder: plain `from_pretrained` opens it without code of this project."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from .recipe import Recipe
from .recipes import RECIPES
from .report import plot_curves
from .stages import LENS_WEIGHT, PATCH_WEIGHT, PLACE_WEIGHT, STAGES, TOWER_RATE
from .trainer import BATCH, seed_of

MAX_FILE_BYTES = 10_000_000
"""What a Space takes in one file without large-file storage."""


def export(run: Path, name: str, weights: str, target: Path) -> Path:
    """Write the weights `run/<weights>.pt` ("final" or "stage1") as a checkpoint folder. Replaces what is there.

    A model card already in the folder is kept; `evaluate` writes it. Raises FileNotFoundError before
    the run got that far, ValueError for a file over 10 MB.
    """
    recipe = RECIPES[name]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(run / "tokenizer")
    model = recipe.build(recipe, tokenizer)
    model.load_state_dict(torch.load(run / f"{weights}.pt", map_location="cpu", weights_only=True))
    fresh = target.with_name(target.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    model.float().eval().save_pretrained(fresh)
    recipe.save_processor(recipe, tokenizer, str(fresh))
    (fresh / "training.json").write_text(json.dumps(_facts(recipe, weights, model, seed_of(run)), indent=2) + "\n")
    shutil.copy(run / "curves.jsonl", fresh / "curves.jsonl")
    plot_curves(run / "curves.jsonl", fresh / "curves.png", until=None if weights == "final" else "align")
    for path in fresh.iterdir():
        path.chmod(0o644)  # save_pretrained leaves weights readable to their writer alone
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes, over {MAX_FILE_BYTES:,}.")
    for kept in ("README.md", "evaluation.json"):
        if (target / kept).exists():
            shutil.copy(target / kept, fresh / kept)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return target


def _facts(recipe: Recipe, weights: str, model: PreTrainedModel, seed: int) -> dict[str, Any]:
    stages = STAGES if weights == "final" else STAGES[: [s.name for s in STAGES].index("align") + 1]
    return {
        "recipe": recipe.name,
        "architecture": type(model).__name__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "parts": {part: sum(p.numel() for p in module.parameters()) for part, module in recipe.modules(model).items()},
        "pictures": recipe.pictures,
        "patch_px": recipe.picture.patch_px,
        "image_tokens": recipe.picture.tokens,
        "seed": seed,
        "batch": BATCH,
        "stages": [
            {
                "name": s.name,
                "steps": s.steps,
                "pictures": s.steps * BATCH if s.name != "language" else 0,
                "trains": s.trains,
                "rate": s.rate,
            }
            for s in stages
        ],
        "patch_weight": PATCH_WEIGHT,
        "lens_weight": LENS_WEIGHT,
        **({} if recipe.place_layer is None else {"place_weight": PLACE_WEIGHT, "place_layer": recipe.place_layer}),
        "tower_rate": TOWER_RATE,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "python": platform.python_version()},
    }
