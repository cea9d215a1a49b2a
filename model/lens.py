"""The logit lens: what the decoder would say at a picture's patches, layer by layer.

States of visual tokens go through the final norm and the output matrix, as 2410.07149 and 2410.02762 do.
A decoder says something there only where training made it: see the study `lens` before believing a lens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .errors import Unsupported
from .roles import decoder_layers, prefixes
from .subject import Subject
from .trace import Want

CHUNK_ROWS = 64


@dataclass(frozen=True)
class Spoken:
    """What a patch says at each depth: `words` [depths][top] (text, probability). Depth 0 is what enters the first layer."""

    depths: tuple[int, ...]
    words: tuple[tuple[tuple[str, float], ...], ...]


def depths(subject: Subject) -> tuple[int, ...]:
    """All depths of the decoder: 0 before the first layer, L after the last."""
    return tuple(range(len(decoder_layers(subject.vlm.parts.model, prefixes(subject.vlm.family, subject.vlm.parts))) + 1))


@torch.no_grad()
def word_probabilities(subject: Subject, ids: Sequence[int], at: Sequence[int]) -> np.ndarray:
    """Lens probability of vocabulary entries at every visual token. float32 [depths, T, ids]."""
    held = subject.trace(Want(hidden=depths(subject))).hidden
    wanted = torch.tensor(list(ids), device=subject.vlm.parts.device)
    return np.stack([
        torch.cat([torch.softmax(part, -1)[:, wanted].cpu() for part in _logits(subject, held[depth])]).numpy() for depth in at
    ])  # fmt: skip


@torch.no_grad()
def spoken_at(subject: Subject, token: int, top: int = 5) -> Spoken:
    """The likeliest words at one visual token, at every depth."""
    where = depths(subject)
    held = subject.trace(Want(hidden=where)).hidden
    found = []
    for depth in where:
        logits = next(_logits(subject, held[depth][token : token + 1]))
        best = torch.topk(torch.softmax(logits[0], -1), top)
        tokenizer = subject.vlm.parts.tokenizer
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        found.append(tuple((tokenizer.decode([i]), float(p)) for i, p in pairs))
    return Spoken(where, tuple(found))


def _logits(subject: Subject, states: np.ndarray) -> Any:
    """Logits of states [T, D] in blocks of rows, float32 [rows, V], final norm applied."""
    norm, head = _norm(subject), subject.vlm.parts.model.get_output_embeddings()
    held = torch.from_numpy(states).to(subject.vlm.parts.device, subject.vlm.parts.dtype)
    for part in held.split(CHUNK_ROWS):
        yield head(norm(part)).float()


def output_matrix(subject: Subject) -> tuple[torch.nn.Module, torch.Tensor]:
    """The final norm and the output matrix [V, D]. Raises Unsupported where the checkpoint's are not known."""
    return _norm(subject), subject.vlm.parts.model.get_output_embeddings().weight


def _norm(subject: Subject) -> torch.nn.Module:
    path = subject.vlm.family.paths.get("norm")
    if path is None:
        raise Unsupported(
            f"It is not known where {subject.vlm.checkpoint.name} has its final norm, which the lens needs. "
            "Choose another method."
        )
    return subject.vlm.parts.model.get_submodule(path)
