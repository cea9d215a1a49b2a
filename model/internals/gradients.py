"""Attention weights and their gradients without ever holding an L x L matrix.

The gradient of y with respect to a weight needs no weight: dy/dA_ij = dy/dO_i . V_j. So one backward
pass to the outputs of each attention module is enough; weights and their gradients are made again from
queries and keys, a block of rows at a time, and used at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ..late import torch
from ..memory import size_bytes
from ..tap import Call, Tap, tapped, weights
from .roles import Role, place, prefixes
from .subject import Subject

BLOCK_ROWS = 256


@dataclass(frozen=True)
class Layer:
    """One attention call. `grad` [B, Q, H, D] is the gradient at its output; None where none was asked for."""

    call: Call
    grad: torch.Tensor | None
    role: Role
    layer: int

    def blocks(self, rows: torch.Tensor, sample: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
        """(row positions, weights, their gradients) in blocks: float32 [H, R, K] each."""
        one = slice(sample, sample + 1)
        q, k, v = self.call.q[one], self.call.k[one], self.call.v[one]
        mask = self.call.mask
        mask = mask[one] if mask is not None and mask.shape[0] > 1 else mask
        values = v.float().repeat_interleave(q.shape[1] // v.shape[1], 1)
        for part in rows.split(BLOCK_ROWS):
            found = weights(q, k, mask, self.call.scaling, self.call.causal, part)[0]
            if self.grad is None:
                yield part, found, None
                continue
            grad = self.grad[one, part].transpose(1, 2).float()  # [1, H, R, D]
            yield part, found, (grad @ values.transpose(2, 3))[0]


def listened(subject: Subject) -> list[Layer]:
    """The decoder's attention calls of one pass, from the first layer, without gradients."""
    return subject.once("listened", None, lambda: _listened(subject), _size)


def graded(subject: Subject, words: Sequence[int], *, tower: bool = False) -> list[Layer]:
    """Attention calls of one pass with gradients of the words' summed log-probability, in order of the pass.

    With `tower` the pictures go through the tower, and its calls are among them.
    """
    return subject.once("graded", (tuple(words), tower), lambda: _graded(subject, words, tower), _size)


def _size(layers: Sequence[Layer]) -> int:
    held = [(layer.call.q, layer.call.k, layer.call.v, layer.call.mask, layer.call.out, layer.grad) for layer in layers]
    return size_bytes(held)


def _listened(subject: Subject) -> list[Layer]:
    where = prefixes(subject.vlm.family, subject.vlm.parts)
    tap = Tap(keeps=lambda name: place(name, where).role is Role.DECODER)
    subject.vlm.family.forget_prompt(subject.vlm.parts)
    with torch.no_grad(), tapped(subject.vlm.parts.model, tap):
        subject.vlm.parts.model(**subject.arguments(subject.features[None]))
    return [Layer(call, None, Role.DECODER, place(call.name, where).layer) for call in tap.calls]


def _graded(subject: Subject, words: Sequence[int], tower: bool) -> list[Layer]:
    vlm = subject.vlm
    where = prefixes(vlm.family, vlm.parts)
    roles = {Role.DECODER, Role.VISION} if tower else {Role.DECODER}
    tap = Tap(keeps=lambda name: place(name, where).role in roles)
    vlm.family.forget_prompt(vlm.parts)
    if tower:
        arguments = {**subject.inputs.tensors, "use_cache": False, "logits_to_keep": subject.predicting}
    else:
        arguments = subject.arguments(subject.features[None])
    with torch.enable_grad(), _with_graph(subject, tower), tapped(vlm.parts.model, tap):
        out = vlm.parts.model(**arguments)
        logprobs = torch.log_softmax(out.logits[0].float(), -1)
        wanted = torch.stack([logprobs[k, subject.answer_ids[k]] for k in words]).sum()
        grads = torch.autograd.grad(wanted, [call.out for call in tap.calls], allow_unused=True)
    found = []
    for call, grad in zip(tap.calls, grads, strict=True):
        if grad is not None:  # a layer of the tower behind the one whose features are taken has none
            spot = place(call.name, where)
            plain = replace(call, out=call.out.detach())  # not to hold the graph
            found.append(Layer(plain, grad.detach(), spot.role, spot.layer))
    return found


@contextmanager
def _with_graph(subject: Subject, tower: bool) -> Iterator[None]:
    """A graph from the first hidden states on, though no parameter wants gradients: inputs of the layers do."""
    model = subject.vlm.parts.model

    def want(module: torch.nn.Module, args: object, output: torch.Tensor) -> torch.Tensor:
        return output.detach().clone().requires_grad_(True)

    modules = [model.get_input_embeddings()]
    if tower:
        vision = model.get_submodule(prefixes(subject.vlm.family, subject.vlm.parts).vision)
        modules.append(next(m for m in vision.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Conv3d))))
    hooks = [module.register_forward_hook(want) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


Weigh = Callable[["torch.Tensor", "torch.Tensor | None"], "torch.Tensor"]
"""(weights, gradients), float32 [H, R, K] -> how much of a row's relevance goes to each key, [R, K]."""


def spread(layers: Sequence[Layer], relevance: torch.Tensor, weigh: Weigh, *, keep: float = 1.0, sample: int = 0) -> torch.Tensor:
    """Carry a row of relevance down through layers: r <- keep r + r E, E made of `weigh` a block of rows at a time.

    `layers` are in order of the pass; `relevance` float32 [L]. With keep 1 this is rule 6 of Chefer et al.
    2103.15679 on one row vector instead of L x L products.
    """
    for layer in reversed(layers):
        rows = torch.nonzero(relevance)[:, 0]
        passed = torch.zeros_like(relevance)
        for part, found, grads in layer.blocks(rows, sample):
            passed += relevance[part] @ weigh(found, grads)
        relevance = keep * relevance + passed
    return relevance
