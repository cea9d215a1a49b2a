"""Activation patching: states of one picture put into a run on another, and how much of the answer comes back.

After Meng et al. 2202.05262. The clean run knows the answer, the corrupted one has another picture; states
at a group of visual tokens leaving one layer are copied from clean to corrupted. Recovered is
(y_patched - y_corrupted) / (y_clean - y_corrupted), of the answer's joint log-probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .errors import InputError
from .progress import Run
from .roles import decoder_layers, prefixes
from .subject import Subject


@dataclass(frozen=True)
class Recovered:
    """Shares of the answer that come back. `share` float32 [layers, groups]; 0 is corrupted, 1 is clean.

    `clean` and `corrupted` are the answer's log-probabilities in nats. `layers` are depths: 0 is what enters the first layer.
    """

    share: np.ndarray = field(repr=False)
    layers: tuple[int, ...]
    clean: float
    corrupted: float


@torch.no_grad()
def patch_states(
    clean: Subject, corrupted: Subject, layers: Sequence[int], groups: torch.Tensor, run: Run | None = None
) -> Recovered:
    """Patch every group of visual tokens, bool [groups, T], at every depth of `layers`.

    Raises InputError where the two prompts do not align token by token.
    """
    run = run or Run()
    if clean.inputs.ids != corrupted.inputs.ids or clean.count != corrupted.count:
        raise InputError(
            f"The two pictures give {clean.count} and {corrupted.count} visual tokens in prompts that differ. "
            "Patching needs the same question and pictures of one size."
        )
    names = decoder_layers(clean.vlm.parts.model, prefixes(clean.vlm.family, clean.vlm.parts))
    held = _states(clean, names, layers)
    best, worst = float(clean.logprobs()[0].sum()), float(corrupted.logprobs()[0].sum())
    visual = clean.visual_columns()
    shares = np.zeros((len(layers), len(groups)), np.float32)
    work = [(i, g) for i in range(len(layers)) for g in range(len(groups))]
    for done, (i, group) in enumerate(work):
        run.step(done, len(work))
        at = visual[groups[group].to(visual.device)]
        patched = _with_states(corrupted, names, layers[i], at, held[layers[i]][0, at])
        shares[i, group] = (patched - worst) / (best - worst) if abs(best - worst) > 1e-9 else 0.0
    run.step(1, 1)
    return Recovered(shares, tuple(layers), best, worst)


def _module(subject: Subject, names: Sequence[str], depth: int) -> torch.nn.Module:
    return subject.vlm.parts.model.get_submodule(names[max(depth - 1, 0)])


def _states(subject: Subject, names: Sequence[str], layers: Sequence[int]) -> dict[int, torch.Tensor]:
    """Depth -> states [1, L, D] of the plain run."""
    found: dict[int, torch.Tensor] = {}

    def leaving(depth: int) -> Any:
        return lambda module, args, out: found.__setitem__(depth, (out[0] if isinstance(out, tuple) else out).clone())

    def entering(module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        found[0] = (args[0] if args else kwargs["hidden_states"]).clone()

    hooks = [
        _module(subject, names, depth).register_forward_hook(leaving(depth))
        if depth
        else _module(subject, names, 0).register_forward_pre_hook(entering, with_kwargs=True)
        for depth in set(layers)
    ]
    try:
        subject.logprobs(subject.features[None])
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _with_states(subject: Subject, names: Sequence[str], depth: int, at: torch.Tensor, states: torch.Tensor) -> float:
    """The answer's log-probability with states put in at these positions."""

    def put(held: torch.Tensor) -> torch.Tensor:
        held = held.clone()
        held[0, at] = states
        return held

    def entering(module: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        if args:
            return (put(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": put(kwargs["hidden_states"])}

    def leaving(module: torch.nn.Module, args: tuple, out: Any) -> Any:
        return (put(out[0]), *out[1:]) if isinstance(out, tuple) else put(out)

    module = _module(subject, names, depth)
    hook = module.register_forward_hook(leaving) if depth else module.register_forward_pre_hook(entering, with_kwargs=True)
    try:
        return float(subject.logprobs(subject.features[None])[0].sum())
    finally:
        hook.remove()
