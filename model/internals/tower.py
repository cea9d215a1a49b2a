"""Inside the vision tower: what its layers give, and how its patches attend to each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from ..errors import InputError, Unsupported
from ..families.base import TowerPlaces
from ..late import torch, without_gradients
from ..tap import Call, Tap, tapped, weights
from .roles import Role, place, prefixes
from .subject import Subject


def tower_layers(subject: Subject) -> list[str]:
    """Dotted names of the tower's layers, from the first. Raises Unsupported where there are none to look into."""
    vlm = subject.vlm
    vlm.family.tower_places(vlm.parts, subject.inputs)  # says whether visual tokens can be found in it
    vision = prefixes(vlm.family, vlm.parts).vision
    lists = [
        (name, module)
        for name, module in vlm.parts.model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and name.startswith(vision + ".") and len(module) > 1
    ]
    if not lists:
        raise Unsupported(f"{vlm.checkpoint.name} has no vision tower with layers to look into.")
    name, module = max(lists, key=lambda found: (len(found[1]), -found[0].count(".")))
    return [f"{name}.{i}" for i in range(len(module))]


def read_layer(subject: Subject) -> int:
    """Which of the tower's layers the connector reads, from 0: the last where none is named, the deepest of several."""
    config, count = subject.vlm.parts.config.to_dict(), len(tower_layers(subject))
    named = config.get("vision_feature_layer", config.get("vision_feature_layers", -1))  # as ViP-LLaVA has it

    def place(layer: int) -> int:
        return layer % count if layer < 0 else min(layer, count) - 1  # 0 would be what enters the first

    return max(map(place, named)) if isinstance(named, (list, tuple)) else place(int(named))


@without_gradients
def layer_output(subject: Subject, layer: int) -> np.ndarray:
    """What a layer of the tower gives for each visual token: the mean over the token's patches. float32 [T, D].

    A token no patch stands for has the mean of the others.
    """
    module = subject.vlm.parts.model.get_submodule(tower_layers(subject)[layer])
    states: list[torch.Tensor] = []
    hook = module.register_forward_hook(lambda m, args, out: states.append(out[0] if isinstance(out, tuple) else out))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    try:
        for picture, group in _alone(subject):
            states.clear()
            _see(subject, picture)
            held = states[-1] if states[-1].ndim == 3 else states[-1][None]  # [tiles, patches, D]
            for places in group:
                found.append((places.tokens, held[places.sample].float().cpu().numpy()[places.positions].mean(1)))
    finally:
        hook.remove()
    values = np.zeros((subject.count, found[0][1].shape[1]), np.float32)
    placed = np.zeros(subject.count, bool)
    for tokens, rows in found:
        values[tokens], placed[tokens] = rows, True
    values[~placed] = values[placed].mean(0)
    return values


@without_gradients
def tower_attention(subject: Subject, tokens: Sequence[int], layer: int, head: int | None = None) -> np.ndarray:
    """Attention in the tower from visual tokens' patches to all of their picture or tile. float32 [R, T], rows sum to at most 1.

    Mean over heads unless one is chosen. Patches of one token are put together: mean as they look, sum as they are looked at.
    """
    chosen, found = np.asarray(tokens), np.zeros((len(tokens), subject.count), np.float32)
    for picture, group in _alone(subject):
        wanted = [(places, np.flatnonzero(np.isin(chosen, places.tokens))) for places in group]
        calls = _calls(subject, picture, layer) if any(len(rows) for _, rows in wanted) else []
        for places, rows in wanted:
            if not len(rows):
                continue
            at = places.positions[np.searchsorted(places.tokens, chosen[rows])]  # [r, p]
            looks = _rows(calls, places.sample, at.reshape(-1))
            if head is not None and not 0 <= head < len(looks):
                raise InputError(f"There is no head {head}; a layer of the tower has {len(looks)}. Choose 0 to {len(looks) - 1}.")
            mean = looks.mean(0) if head is None else looks[head]  # [r * p, keys]
            mean = mean.reshape(len(rows), at.shape[1], -1).mean(1)
            found[np.ix_(rows, places.tokens)] = mean[:, places.positions].sum(-1)  # [r, n, p] -> [r, n]
    return found


def tower_heads(subject: Subject) -> int:
    """How many heads the first layer's attention has, heard by running it. Raises Unsupported."""
    tower_layers(subject)
    return int(_calls(subject, 0, 0)[0].q.shape[1])


def _rows(calls: Sequence[Call], sample: int, positions: np.ndarray) -> np.ndarray:
    """Attention rows of these patches, float32 [heads, rows, patches]: 0 outside of the window a row attends in.

    A tower that takes pictures in one sequence calls attention once for each of its windows, in their order.
    """
    at, start = torch.from_numpy(positions), 0
    found = torch.zeros(calls[0].q.shape[1], len(at), sum(call.q.shape[2] for call in calls))
    for call in calls:
        stop = start + call.q.shape[2]
        mine = torch.nonzero((at >= start) & (at < stop))[:, 0]
        if len(mine):
            mask = call.mask[sample : sample + 1] if call.mask is not None and call.mask.shape[0] > 1 else call.mask
            one = slice(sample, sample + 1)
            index = (at[mine] - start).to(call.q.device)
            found[:, mine, start:stop] = weights(call.q[one], call.k[one], mask, call.scaling, call.causal, index)[0].cpu()
        start = stop
    return found.numpy()


def _calls(subject: Subject, picture: int, layer: int) -> list[Call]:
    """The attention calls of a layer while the tower sees one picture. Raises InputError."""
    where = prefixes(subject.vlm.family, subject.vlm.parts)

    def keeps(name: str) -> bool:
        spot = place(name, where)
        return spot.role is Role.VISION and spot.layer == layer

    tap = Tap(keeps=keeps)
    with torch.no_grad(), tapped(subject.vlm.parts.model, tap):
        _see(subject, picture)
    if not tap.calls:
        raise InputError(f"The vision tower has no layer {layer} whose attention could be heard. Choose another.")
    return tap.calls


def _alone(subject: Subject) -> Iterator[tuple[int, list[TowerPlaces]]]:
    """Each picture, and its places counted as they are when the tower sees it alone."""
    for picture, found in groupby(subject.vlm.family.tower_places(subject.vlm.parts, subject.inputs), lambda one: one.picture):
        group = list(found)
        yield picture, [replace(one, sample=one.sample - group[0].sample, offset=0) for one in group]


def _see(subject: Subject, picture: int) -> None:
    """Run the tower on one picture alone."""
    subject.vlm.parts.model.base_model.get_image_features(**subject.inputs.images[picture].tensors)
