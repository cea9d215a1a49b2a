"""What each module of a model is for: seeing, connecting, speaking; self- or cross-attention. From names and accessors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ..families.base import Family, Parts
from ..late import torch

CROSS = re.compile(r"cross_?attn|cross_?attention|encoder_attn|EncDecAttention|x_attn", re.IGNORECASE)
_LAYER = re.compile(r"\.(\d+)(?=\.|$)")


class Role(str, Enum):
    """Where an attention module stands."""

    VISION = "vision"
    CONNECTOR = "connector"
    CONNECTOR_CROSS = "connector cross"
    DECODER = "decoder"
    DECODER_CROSS = "decoder cross"


@dataclass(frozen=True)
class Place:
    """An attention module's role and the number of its layer, counted from 0 within the role's stack."""

    role: Role
    layer: int


@dataclass(frozen=True)
class Prefixes:
    """Dotted paths of the parts that see and speak; what is neither connects. Empty where a model has no such part."""

    vision: str
    decoder: str


def prefixes(family: Family, parts: Parts) -> Prefixes:
    """Where the vision tower and the decoder are: the family's paths, else the model's own accessors."""
    if family.paths:
        return Prefixes(family.paths["vision"], family.paths["layers"].rsplit(".", 1)[0])
    names = {id(module): name for name, module in parts.model.named_modules()}
    return Prefixes(_accessor(parts.model, "get_encoder", names, modality="image"), _accessor(parts.model, "get_decoder", names))


def _accessor(model: torch.nn.Module, method: str, names: dict[int, str], **arguments: str) -> str:
    try:
        found = getattr(model, method)(**arguments)
    except (AttributeError, TypeError, ValueError):  # older models lack the accessor or its argument
        return ""
    return names.get(id(found), "")


def place(name: str, where: Prefixes) -> Place:
    """The place of an attention module with this dotted name."""
    layers = _LAYER.findall(name)
    layer = int(layers[-1]) if layers else 0
    cross = bool(CROSS.search(name))
    if where.vision and name.startswith(where.vision + "."):
        return Place(Role.VISION, layer)
    if where.decoder and name.startswith(where.decoder + "."):
        return Place(Role.DECODER_CROSS if cross else Role.DECODER, layer)
    return Place(Role.CONNECTOR_CROSS if cross else Role.CONNECTOR, layer)


def decoder_layers(model: torch.nn.Module, where: Prefixes) -> list[str]:
    """Dotted names of the decoder's layers, from the first: the longest list of modules nearest to its top."""
    inside = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) and name.startswith(f"{where.decoder}." * bool(where.decoder))
    ]
    if not inside:
        return []
    depth = min(name.count(".") for name, _ in inside)
    name, layers = max(((n, m) for n, m in inside if n.count(".") == depth), key=lambda found: len(found[1]))
    return [f"{name}.{i}" for i in range(len(layers))]
