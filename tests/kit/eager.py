"""The long way to attention: eager, all of it kept, with gradients where wanted. An oracle for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from model.generation.vlm import VisionLanguageModel


@contextmanager
def eager(model: Any) -> Iterator[None]:
    """While open, every part of the model computes attention in plain steps and can give it away."""
    configs = {id(c): c for module in model.modules() if (c := vars(module).get("config")) is not None}
    before = {key: config._attn_implementation for key, config in configs.items()}
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        for key, config in configs.items():
            config._attn_implementation = before[key]


def attentions(vlm: VisionLanguageModel, tensors: dict[str, torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Self-attention of the decoder's layers over the whole sequence, [1, H, L, L] each, and the logits [L, V]."""
    length = tensors["input_ids"].shape[1]
    with eager(vlm.parts.model):
        vlm.family.forget_prompt(vlm.parts)
        out = vlm.parts.model(**tensors, use_cache=False, output_attentions=True)
    found = getattr(out, "attentions", None)
    found = out.language_model_outputs.attentions if found is None else found
    return [weights for weights in found if weights.shape[-2:] == (length, length)], out.logits[0]


def kept_attentions(vlm: VisionLanguageModel, arguments: dict[str, Any]) -> tuple[list[torch.Tensor], torch.Tensor]:
    """As `attentions`, in a graph: a gradient can be taken with respect to each layer's weights."""
    with torch.enable_grad():
        embedding = vlm.parts.model.get_input_embeddings()
        hook = embedding.register_forward_hook(lambda m, a, out: out.detach().clone().requires_grad_(True))
        try:
            return attentions(vlm, {k: v for k, v in arguments.items() if k not in ("use_cache", "logits_to_keep")})
        finally:
            hook.remove()
