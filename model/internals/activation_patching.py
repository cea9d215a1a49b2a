"""Activation patching: states of one picture put into a run on another, and how much of the answer comes back.

After Meng et al. 2202.05262. The clean run knows the answer, the corrupted one has another picture; states
at a group of visual tokens at one depth are copied from clean to corrupted. Recovered is
(y_patched - y_corrupted) / (y_clean - y_corrupted), of the answer's joint log-probability.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InputError
from ..geometry.regions import blocks
from ..late import torch, without_gradients
from ..progress import Run
from .roles import decoder_layers, prefixes
from .subject import Subject, grid_of

Arguments = tuple[Any, ...]
Named = dict[str, Any]
"""What a layer is given, by place and by name."""
SAME_NATS = 1e-6
"""Below this difference of the two runs there is nothing to recover."""


@dataclass(frozen=True)
class Recovered:
    """Shares of the answer that come back. `share` float32 [depths, groups]; 0 is corrupted, 1 is clean.

    `clean` and `corrupted` are the answer's log-probabilities in nats. `layers` are depths: 0 is what enters the first
    layer. Shares are nan where both runs find the answer equally likely.
    """

    share: np.ndarray = field(repr=False)
    layers: tuple[int, ...]
    clean: float
    corrupted: float


@without_gradients
def patch_states(
    clean: Subject,
    corrupted: Subject,
    layers: Sequence[int],
    groups: torch.Tensor,
    run: Run | None = None,
    words: Sequence[int] | None = None,
) -> Recovered:
    """Patch every group of visual tokens, bool [groups, T], at every depth of `layers`. `words` None is the whole answer.

    Raises InputError where the two prompts do not align token by token, Interrupted.
    """
    run = run or Run()
    _aligned(clean, corrupted)
    chosen = range(len(clean.answer_ids)) if words is None else words
    names = decoder_layers(clean.vlm.parts.model, prefixes(clean.vlm.family, clean.vlm.parts))
    held = _states(clean, names, layers)
    best, worst = (float(subject.said(chosen, subject.features[None])[0]) for subject in (clean, corrupted))
    found = np.zeros((len(layers), len(groups)), np.float32)
    step, total = corrupted.batch_rows, len(layers) * len(groups)
    for i, depth in enumerate(layers):
        for start in range(0, len(groups), step):
            run.step(i * len(groups) + start, total)
            part = groups[start : start + step]
            with _put(corrupted, names, depth, part, held[depth]):
                many = corrupted.features[None].expand(len(part), -1, -1)
                found[i, start : start + step] = corrupted.said(chosen, many, whole=True).numpy()
    run.step(total, total)
    apart = best - worst
    share = (found - worst) / apart if abs(apart) > SAME_NATS else np.full_like(found, np.nan)
    return Recovered(share.astype(np.float32), tuple(layers), best, worst)


@contextmanager
def carried(source: Subject, into: Subject, tokens: torch.Tensor, depth: int) -> Iterator[None]:
    """While open, runs on the prompt of `into` have at these visual tokens, bool [T], the states of `source` at one depth.

    Also where the answer is written token by token behind the prompt. Raises InputError where the two do not align, or
    for a depth that there is not.
    """
    _aligned(source, into)
    names = decoder_layers(into.vlm.parts.model, prefixes(into.vlm.family, into.vlm.parts))
    if not 0 <= depth <= len(names):
        raise InputError(f"There is no depth {depth}. Choose one from 0, what enters, to {len(names)}, what leaves.")
    states = _states(source, names, (depth,))[depth]
    with _put(into, names, depth, tokens[None], states):
        yield


def blocks_of(subject: Subject, side: int) -> torch.Tensor:
    """Groups of side x side neighbouring tokens that cover every view once. bool [groups, T]. Raises Unsupported."""
    return blocks(grid_of(subject), side)


def _aligned(clean: Subject, corrupted: Subject) -> None:
    """Raises InputError unless the same tokens look at the same places in both prompts."""
    layouts = [[(v.rows, v.cols, v.image) for v in s.inputs.grid.views] if s.inputs.grid else [] for s in (clean, corrupted)]
    if clean.inputs.ids != corrupted.inputs.ids or layouts[0] != layouts[1]:
        raise InputError(
            f"The two pictures give {clean.count} and {corrupted.count} visual tokens in prompts that do not align. "
            "Patching needs the same question and pictures of one size."
        )


def _states(subject: Subject, names: Sequence[str], layers: Sequence[int]) -> dict[int, torch.Tensor]:
    """Depth -> states of the visual tokens [T, D] in the plain run."""
    found: dict[int, torch.Tensor] = {}
    visual = subject.visual_columns()

    def leaving(depth: int) -> Any:
        return lambda module, args, out: found.__setitem__(depth, (out[0] if isinstance(out, tuple) else out)[0, visual].clone())

    def entering(module: torch.nn.Module, args: Arguments, kwargs: Named) -> None:
        found[0] = (args[0] if args else kwargs["hidden_states"])[0, visual].clone()

    model = subject.vlm.parts.model
    hooks = [
        model.get_submodule(names[depth - 1]).register_forward_hook(leaving(depth))
        if depth
        else model.get_submodule(names[0]).register_forward_pre_hook(entering, with_kwargs=True)
        for depth in set(layers)
    ]
    try:
        subject.logprobs(subject.features[None])
    finally:
        for hook in hooks:
            hook.remove()
    return found


@contextmanager
def _put(subject: Subject, names: Sequence[str], depth: int, groups: torch.Tensor, states: torch.Tensor) -> Iterator[None]:
    """While open, sample b of a batch has these states [T, D] at the visual tokens of group b, bool [B, T]."""
    visual = subject.visual_columns()
    sample, token = (index.to(visual.device) for index in torch.nonzero(groups, as_tuple=True))

    def put(held: torch.Tensor) -> torch.Tensor:
        if not len(sample) or held.shape[1] <= int(visual.max()):  # a single token behind what is cached
            return held
        held = held.clone()
        held[sample, visual[token]] = states[token]
        return held

    def entering(module: torch.nn.Module, args: Arguments, kwargs: Named) -> tuple[Arguments, Named]:
        if args:
            return (put(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": put(kwargs["hidden_states"])}

    def leaving(module: torch.nn.Module, args: Arguments, out: Any) -> Any:
        return (put(out[0]), *out[1:]) if isinstance(out, tuple) else put(out)

    module = subject.vlm.parts.model.get_submodule(names[max(depth - 1, 0)])
    hook = module.register_forward_hook(leaving) if depth else module.register_forward_pre_hook(entering, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
