"""The stages of training, in order, and what one step of each computes.

Two stages come before the two of the literature, because nothing here starts from a downloaded
weight: the tower learns to see (dense facts per patch), the decoder learns the language. Then
(1) alignment trains the connector alone on captions, and (2) instruction tuning trains everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from .batches import Batch, Batches
from .losses import AnswerLoss, LensLoss
from .patches import PatchHeads
from .recipe import Recipe, decode

PATCH_WEIGHT, LENS_WEIGHT, PLACE_WEIGHT = 0.3, 0.15, 0.3


@dataclass(frozen=True)
class Stage:
    """One stage. `trains` are the recipe's parts that learn; `cost` is the relative time of a step."""

    name: str
    steps: int
    rate: float
    warm_steps: int
    decay_share: float
    trains: tuple[str, ...]
    cost: float
    batch: Callable[[Batches, int, list[int], int], Batch]

    def scale(self, step: int) -> float:
        """Learning-rate factor at a step: linear warm-up, flat, then linear decay to 2 % over the last share."""
        warm = min(1.0, (step + 1) / self.warm_steps)
        left = (1 - step / self.steps) / self.decay_share
        return warm * min(1.0, max(0.02, left))


STAGES = (
    Stage("tower", 1200, 2e-3, 60, 0.5, ("tower", "heads"), 0.3, lambda b, n, i, step: b.tower(n, i, step)),
    Stage("language", 250, 2e-3, 40, 0.4, ("decoder",), 0.6, lambda b, n, i, _: b.language(n, i)),
    Stage("align", 120, 2e-3, 20, 0.5, ("connector",), 0.8, lambda b, n, i, step: b.align(n, i, step)),
    Stage(
        "instruct",
        1250,
        2e-3,
        60,
        0.7,
        ("tower", "connector", "decoder", "heads"),
        1.0,
        lambda b, n, i, step: b.instruct(n, i, step),
    ),
)
"""Stage n draws its scenes from seeds of its own: `splits.trained_seed(n, index)`."""

TOWER_RATE = 0.4
"""The tower's learning rate in instruction tuning, as a share of the rest's: it is trained already."""


class Step:
    """Computes the loss of a batch for each kind of stage."""

    def __init__(
        self, recipe: Recipe, model: PreTrainedModel, heads: PatchHeads, tokenizer: PreTrainedTokenizerFast, device: torch.device
    ) -> None:
        self.recipe, self.model, self.heads = recipe, model, heads
        self.answers, self.lens = AnswerLoss(tokenizer, device), LensLoss(tokenizer, device)

    def loss(self, stage: Stage, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss to differentiate, and figures for the curve."""
        model = self.model
        figures: dict[str, float] = {}
        seen = self.recipe.see(model, batch.pixels) if batch.pixels is not None else None
        terms: list[torch.Tensor] = []
        if seen is not None and "heads" in stage.trains:
            cols = _there(batch.pixels).shape[3] // self.recipe.picture.patch_px
            loss, found = self.heads.loss(
                seen.last, _there(batch.classes), _there(batch.boxes), _there(batch.background), cols
            )  # fmt: skip
            figures |= {f"patch {name}": value for name, value in found.items()} | {"patch loss": loss.item()}
            terms.append(loss * (1.0 if stage.name == "tower" else PATCH_WEIGHT))
        if batch.text is not None:
            text = batch.text
            layers = decode(model, text, seen.embeds if seen else None)
            hidden = layers[-1]
            loss, right = self.answers(model, hidden, text)
            figures |= {"answer loss": loss.item(), "answer tokens right": right}
            terms.append(loss)
            if stage.name == "instruct":
                at_images, classes = text.ids == model.config.image_token_id, _there(batch.token_classes)
                lens = self.lens(model, hidden[at_images], classes, _there(batch.background))
                figures["lens loss"] = lens.item()
                terms.append(LENS_WEIGHT * lens)
                if self.recipe.place_layer is not None:
                    there = layers[self.recipe.place_layer][at_images].unflatten(0, classes.shape[:2])
                    place = self.heads.placing(there, classes, _there(batch.token_boxes))
                    figures["place loss"] = place.item()
                    terms.append(PLACE_WEIGHT * place)
        return reduce(torch.add, terms), figures


def _there(tensor: torch.Tensor | None) -> torch.Tensor:
    assert tensor is not None, "a batch with pictures has the facts that its stage learns"
    return tensor


def optimizers(recipe: Recipe, stage: Stage, model: PreTrainedModel, heads: PatchHeads) -> list[torch.optim.Optimizer]:
    """Muon on hidden matrices, AdamW on the rest (embeddings, norms, biases, heads), for the parts the stage trains.

    Muon: Jordan et al. 2024; here it reaches AdamW's loss in two thirds of the steps. Parameters of
    other parts have `requires_grad` switched off.
    """
    if not hasattr(torch.optim, "Muon"):
        raise RuntimeError(
            f"Training needs torch 2.9 or newer for its Muon optimizer; this is {torch.__version__}. Run pip install -U torch."
        )
    modules: dict[str, nn.Module] = {**recipe.modules(model), "heads": heads}
    model.requires_grad_(False)
    heads.requires_grad_(False)
    made: list[torch.optim.Optimizer] = []
    for part in stage.trains:
        modules[part].requires_grad_(True)
        rate = stage.rate * (TOWER_RATE if part == "tower" and stage.name == "instruct" else 1.0)
        named = list(modules[part].named_parameters())
        hidden = [p for n, p in named if p.ndim == 2 and "embed" not in n and part != "heads"]
        rest = [p for _, p in named if not any(p is h for h in hidden)]
        if hidden:
            made.append(torch.optim.Muon(hidden, lr=rate * 10, weight_decay=0.01))
        if rest:
            made.append(torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.01))
    return made
