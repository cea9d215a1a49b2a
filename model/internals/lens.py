"""The logit lens: what the decoder would say at a picture's patches, layer by layer.

States of visual tokens go through the final norm and the output matrix, as 2410.07149 and 2410.02762 do.
A decoder says something there only where training made it: see the study `lens` before believing a lens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import Unsupported
from ..late import torch, without_gradients
from .roles import decoder_layers, prefixes
from .subject import Subject
from .trace import Want

CHUNK_ROWS = 64
KEPT_BYTES = 64 * 2**20
"""States of all depths are kept together up to this size; beyond it, each depth asked for is read anew."""


@dataclass(frozen=True)
class Spoken:
    """What patches say at each depth: `words` [depths][top] (text, probability). Depth 0 is what enters the first layer."""

    depths: tuple[int, ...]
    words: tuple[tuple[tuple[str, float], ...], ...]


def depths(subject: Subject) -> tuple[int, ...]:
    """All depths of the decoder: 0 before the first layer, L after the last."""
    return tuple(range(len(decoder_layers(subject.vlm.parts.model, prefixes(subject.vlm.family, subject.vlm.parts))) + 1))


def visual_states(subject: Subject, at: Sequence[int]) -> dict[int, np.ndarray]:
    """States of the visual tokens at these depths, float32 [T, D] each, before any final norm."""
    every = depths(subject)
    width = int(subject.vlm.parts.config.get_text_config(decoder=True).hidden_size)
    small = 4 * subject.count * width * len(every) <= KEPT_BYTES
    held = subject.trace(Want(attention=False, hidden=every if small else tuple(sorted(set(at))))).hidden
    return {depth: held[depth] for depth in at}


@without_gradients
def word_probabilities(subject: Subject, ids: Sequence[int], at: Sequence[int]) -> np.ndarray:
    """Lens probability of vocabulary entries at every visual token. float32 [depths, T, ids]."""
    held, wanted = visual_states(subject, at), list(ids)
    return np.stack([
        torch.cat([torch.softmax(part, -1)[:, wanted].cpu() for part in lens_logits(subject, held[depth])]).numpy()
        for depth in at
    ])  # fmt: skip


@without_gradients
def spoken_at(subject: Subject, tokens: int | Sequence[int], top: int = 5) -> Spoken:
    """The likeliest words at one visual token, or by the mean probability at several, at every depth."""
    where, chosen = depths(subject), [tokens] if isinstance(tokens, int) else list(tokens)
    held, found = visual_states(subject, where), []
    for depth in where:
        parts = [torch.softmax(part, -1).sum(0) for part in lens_logits(subject, held[depth][chosen])]
        best = torch.topk(torch.stack(parts).sum(0) / len(chosen), top)
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        found.append(tuple((subject.vlm.pieces[i], float(p)) for i, p in pairs))
    return Spoken(where, tuple(found))


def lens_logits(subject: Subject, states: np.ndarray) -> Iterator[torch.Tensor]:
    """Logits of states [N, D] in blocks of rows, float32 [rows, V], final norm applied."""
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
