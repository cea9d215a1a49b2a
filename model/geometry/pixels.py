"""What a processor made of a picture, back as something to look at."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..late import torch


def to_uint8(pixels: torch.Tensor, processor: Any) -> np.ndarray:
    """Normalised [N, 3, H, W] as uint8 [N, H, W, 3], with the processor's own mean and deviation undone."""
    settings = processor.to_dict()
    values = pixels.detach().float().cpu()
    if settings.get("do_normalize", True) and settings.get("image_mean") is not None:
        mean = torch.tensor(settings["image_mean"]).reshape(1, -1, 1, 1)
        std = torch.tensor(settings["image_std"]).reshape(1, -1, 1, 1)
        values = values * std + mean
    scale = 255.0 if settings.get("do_rescale", True) else 1.0
    return np.clip(np.round(values.permute(0, 2, 3, 1).numpy() * scale), 0, 255).astype(np.uint8)
