"""What is minimised: answer tokens, location tokens with neighbours, and words at image positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..world import locations
from ..world.scene import BACKGROUNDS, COLOURS, SHAPES, SIZES, TEXTURES, WORDS
from .packing import IGNORED, PackedText
from .patches import FIELDS, TEXT_SHAPE
from .tokenizer import token_id

NEIGHBOUR_BINS = 0.8
"""Standard deviation, in bins, of the smoothing over location tokens: nearly right is nearly as good."""


class AnswerLoss:
    """Cross-entropy of answers in packed rows. Location tokens are smoothed over neighbouring bins."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, device: torch.device) -> None:
        self.first = token_id(tokenizer, locations.TOKENS[0])
        gap = torch.arange(locations.BINS)[:, None] - torch.arange(locations.BINS)[None]
        smooth = torch.exp(-(gap.float() ** 2) / (2 * NEIGHBOUR_BINS**2))
        self.smooth = (smooth / smooth.sum(-1, keepdim=True)).to(device)  # [bins, bins]

    def __call__(self, model: PreTrainedModel, hidden: torch.Tensor, text: PackedText) -> tuple[torch.Tensor, float]:
        """Weighted mean loss and the share of answer tokens predicted right. `hidden` [B, T, H]."""
        labels, weights = text.labels[:, 1:], text.weights[:, 1:]
        where = labels != IGNORED
        truth, weight = labels[where], weights[where]
        scores = F.log_softmax(model.lm_head(hidden[:, :-1][where]).float(), -1)  # [N, V]
        loss = -scores.gather(1, truth[:, None])[:, 0]
        bins = truth - self.first
        place = (bins >= 0) & (bins < locations.BINS)
        if place.any():
            near = scores[place][:, self.first : self.first + locations.BINS]
            loss = loss.masked_scatter(place, -(self.smooth[bins[place]] * near).sum(-1))
        right = (scores.argmax(-1) == truth).float().mean().item()
        return (loss * weight).sum() / weight.sum(), right


class LensLoss:
    """Names of what a patch shows, as next-token targets at its image position.

    A decoder trained on answers alone never learns to speak at image positions, and a logit lens or a
    token activation map read there is noise. Colour and shape share most of the target; written text
    is its word or digits; an empty patch is the background's colour.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, device: torch.device) -> None:
        def word(text: str) -> int:
            ids = tokenizer(text, add_special_tokens=False).input_ids
            return ids[-1]

        self.device = device
        self.words = {
            "shape": torch.tensor([0, *(word(s) for s in SHAPES), 0], device=device),
            "colour": torch.tensor([0, *(word(c) for c in COLOURS)], device=device),
            "size": torch.tensor([0, *(word(s) for s in SIZES)], device=device),
            "texture": torch.tensor([0, *(word(t) for t in TEXTURES)], device=device),
            "word": torch.tensor([0, *(word(w) for w in WORDS)], device=device),
            "tens": torch.tensor([0, *(word(str(d)) for d in range(10)), 0], device=device),
            "ones": torch.tensor([0, *(word(str(d)) for d in range(10))], device=device),
        }
        self.background = torch.tensor([word(b) for b in BACKGROUNDS], device=device)
        self.shares = {"shape": 0.4, "colour": 0.4, "size": 0.1, "texture": 0.1, "word": 1.0, "tens": 0.5, "ones": 0.5}

    def __call__(
        self, model: PreTrainedModel, spoken: torch.Tensor, classes: torch.Tensor, background: torch.Tensor
    ) -> torch.Tensor:
        """Mean loss over image tokens. `spoken` [pictures * P, H], `classes` [pictures, P, facts], `background` [pictures]."""
        pictures, patches = classes.shape[:2]
        spoken = spoken.reshape(pictures, patches, -1)
        scores = F.log_softmax(model.lm_head(spoken).float(), -1)  # [pictures, P, V]
        shape = classes[..., 0]
        loss = torch.zeros(shape.shape, device=scores.device)
        for column, name in enumerate(FIELDS):
            truth = classes[..., column]
            here = (truth > 0) & (shape != TEXT_SHAPE) if name in ("shape", "colour", "size", "texture") else truth > 0
            said = scores.gather(-1, self.words[name][truth][..., None])[..., 0]
            loss = loss - torch.where(here & (self.words[name][truth] > 0), self.shares[name] * said, 0.0)
        empty = shape == 0
        ground = scores.gather(-1, self.background[background][:, None, None].expand(-1, patches, 1))[..., 0]
        loss = loss - torch.where(empty, 0.15 * ground, 0.0)
        weight = torch.where(empty, 0.15, 1.0)
        return loss.sum() / weight.sum()
