"""TAM, token activation maps: where patches' last states point at the word, less what earlier words explain."""

from __future__ import annotations

import numpy as np

from ..families.base import Capability
from ..geometry.grid import ImageGrid
from ..geometry.regions import centres, windows
from ..internals.lens import depths, output_matrix
from ..internals.subject import Subject, grid_of
from ..internals.trace import Want
from ..late import torch, without_gradients
from . import heat_methods
from .base import Choice, Heat, Run
from .base.scores import heat


@heat_methods.add
class Tam:
    slug = "tam"
    title = "TAM"
    measures = "How strongly each patch's last state points at the word, less what earlier words of the answer explain."
    paper = (
        "Li et al. 2506.23270: positive logits at visual tokens, interference of earlier words removed by least squares, "
        "then the rank-Gaussian filter over 3 x 3 patches. Only columns of words at hand are computed."
    )
    cost = "trace"
    depends_on = "occurrence"
    layered = False
    needs = frozenset({Capability.GRID, Capability.ATTENTION})

    @without_gradients
    def __call__(self, subject: Subject, words: tuple[int, ...], choice: Choice, run: Run) -> Heat:
        grid = grid_of(subject)
        maps = np.stack([self._map(subject, word, choice) for word in words]).mean(0)
        return heat(subject, rank_gaussian(maps, grid), "activation", choice)

    def _map(self, subject: Subject, word: int, choice: Choice) -> np.ndarray:
        """float32 [T] of one word; words behind it play no part."""
        depth = depths(subject)[-1]
        trace = subject.trace(Want(attention=False, hidden=(depth,)))
        norm, matrix = output_matrix(subject)
        dtype, device = subject.vlm.parts.dtype, subject.vlm.parts.device
        states = norm(torch.from_numpy(trace.hidden[depth]).to(device, dtype)).float()  # [T, D]
        row = norm(torch.from_numpy(trace.row_hidden[depth][word]).to(device, dtype)).float()  # predicts the word
        own = subject.answer_ids[word]
        earlier = [i for i in dict.fromkeys(subject.answer_ids[:word]) if i != own]
        activation = (states @ matrix[[own, *earlier]].float().T).clamp(min=0)  # [T, 1 + earlier]
        found = activation[:, 0]
        if earlier:
            weight = (row @ matrix[earlier].float().T).clamp(min=0)
            if float(weight.sum()) > 0:
                noise = activation[:, 1:] @ (weight / weight.sum())
                scale = float(found @ noise / noise.square().sum().clamp(min=1e-12))
                found = (found - scale * noise).clamp(min=0)
        return found.cpu().numpy()


def rank_gaussian(scores: np.ndarray, grid: ImageGrid) -> np.ndarray:
    """TAM's filter: of each 3 x 3 neighbourhood the ranked values are averaged with a Gaussian about the median rank.

    Its width is the neighbourhood's deviation over its mean; a constant neighbourhood keeps its value. float32 [T].
    """
    near = windows(grid).numpy()
    found = np.array(scores, np.float32)
    for token, held in zip(centres(grid), near, strict=True):
        values = np.sort(scores[held])
        mean = values.mean()
        sigma = values.std() / mean if mean > 0 else 0.0
        if sigma <= 0:
            found[token] = mean
            continue
        ranks = np.arange(len(values)) - (len(values) - 1) / 2
        squares = ranks**2
        kernel = np.exp((squares.min() - squares) / (2 * sigma**2))  # relative to the nearest rank: never all zero
        found[token] = float((values * kernel).sum() / kernel.sum())
    return found
