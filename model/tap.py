"""Attention without eager: SDPA computes the output, and only the wanted rows are computed again.

A function is registered with transformers' attention interface, and SDPA's mask function with it
(without one no mask would be made at all). Within `tapped`, a model's attention goes through it: the
output is SDPA's to the bit, and for the rows asked for the weights softmax(q k + mask) are recomputed
in float32 and kept. Rows equal eager's to 1e-5 in float32, at a thousandth of its memory.

The same function can cut edges (attention knockout, Geva et al. 2304.14767) and keep queries, keys,
values and outputs for methods that need gradients of the weights: see `gradients`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from .late import Pretrained, torch, transformers

NAME = "fovea_tap"
_ACTIVE: ContextVar[Tap | None] = ContextVar("fovea_tap", default=None)


@dataclass(frozen=True)
class Rows:
    """Which part of an attention module's weights to keep. `queries` and `keys` are absolute positions, int64; None keeps all.

    With `cross` queries and keys are of different sequences, and neither says where the other begins.
    """

    queries: torch.Tensor | None = None
    keys: torch.Tensor | None = None
    cross: bool = False


@dataclass(frozen=True)
class Captured:
    """Kept rows of one call, on the CPU.

    `weights` float32 [B, heads, R, C] are of a softmax over all keys, so a row of C sums to `mass` <= 1.
    `mass` float32 [B, heads, R] is what falls on the kept columns; `queries` int64 [R] says which rows.
    """

    weights: torch.Tensor
    mass: torch.Tensor
    queries: torch.Tensor


@dataclass(frozen=True)
class Cut:
    """Edges to cut: in modules that `where` accepts, `queries` may not attend to `keys` (absolute positions, int64).

    `heads` None cuts all heads; `sample` None cuts in every sample of a batch.
    """

    where: Callable[[str], bool]
    queries: torch.Tensor
    keys: torch.Tensor
    heads: tuple[int, ...] | None = None
    sample: int | None = None


@dataclass
class Call:
    """One attention call, with what gradients need. `q` [B, H, Q, D], `k` and `v` [B, Hkv, K, D].

    `out` [B, Q, H, D] hangs in the graph where there is one.
    """

    name: str
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    mask: torch.Tensor | None
    scaling: float
    causal: bool
    out: torch.Tensor


@dataclass
class Tap:
    """What one pass records. `wants` gives for a module's name the rows to keep, or None."""

    wants: Callable[[str], Rows | None] = lambda name: None
    keeps: Callable[[str], bool] = lambda name: False
    cuts: Sequence[Cut] = ()
    rows: dict[str, list[Captured]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)


@contextmanager
def tapped(model: Pretrained, tap: Tap) -> Iterator[Tap]:
    """Run `model` with its attention going through `tap`; afterwards all is as it was.

    Raises ValueError for a model whose attention cannot be replaced (it has its own code for it).
    """
    if not model._can_set_attn_implementation():
        raise ValueError(f"{type(model).__name__} computes attention in code of its own, which cannot be listened to.")
    tap.names = {id(module): name for name, module in model.named_modules()}
    configs = {id(c): c for module in model.modules() if (c := vars(module).get("config")) is not None}
    before = {key: config._attn_implementation for key, config in configs.items()}
    model.set_attn_implementation(_registered())
    token = _ACTIVE.set(tap)
    try:
        yield tap
    finally:
        _ACTIVE.reset(token)
        for key, config in configs.items():
            config._attn_implementation = before[key]


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    tap, sdpa = _ACTIVE.get(), transformers.integrations.sdpa_attention.sdpa_attention_forward
    if tap is None:
        return sdpa(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal, **kwargs)
    name = tap.names.get(id(module), type(module).__name__)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    causal = _is_causal(module, is_causal, attention_mask, query.shape[2])
    mask = _with_bias(attention_mask, kwargs.get("position_bias"), causal, query, key)
    cuts = [cut for cut in tap.cuts if cut.where(name)]
    if cuts:
        mask = _cut(mask, cuts, causal, query, key)
        kwargs = {k: v for k, v in kwargs.items() if k != "position_bias"}
        attention_mask, causal = mask, False
    out, _ = sdpa(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal, **kwargs)
    wanted = tap.wants(name)
    if wanted is not None:
        found = _rows(query, key, mask, scale, causal, wanted)
        if found is not None:
            tap.rows.setdefault(name, []).append(found)
    if tap.keeps(name):
        tap.calls.append(Call(name, query.detach(), key.detach(), value.detach(), mask, scale, causal, out))
    return out, None


@functools.cache
def _registered() -> str:
    """The name under which transformers knows `_attention` from the first call on."""
    transformers.AttentionInterface.register(NAME, _attention)
    masks = transformers.masking_utils
    masks.AttentionMaskInterface.register(NAME, masks.sdpa_mask)
    return NAME


def _is_causal(module: torch.nn.Module, given: bool | None, mask: torch.Tensor | None, queries: int) -> bool:
    """Whether SDPA masks the future by itself, as it does without a mask for more than one query."""
    wanted = vars(module).get("is_causal", True) if given is None else given
    return bool(wanted) and mask is None and queries > 1


def _with_bias(
    mask: torch.Tensor | None, bias: torch.Tensor | None, causal: bool, query: torch.Tensor, key: torch.Tensor
) -> torch.Tensor | None:
    """The mask with a learned position bias (T5) added, as SDPA's wrapper adds it."""
    if bias is None:
        return mask
    if mask is None:
        mask = causal_mask(query.shape[2], key.shape[2], query.device)[None, None] if causal else None
    if mask is None:
        return bias
    return torch.where(mask, bias, -torch.inf) if mask.dtype == torch.bool else bias + mask


def causal_mask(queries: int, keys: int, device: torch.device) -> torch.Tensor:
    """Which key each query may attend to when both end at the same token. bool [Q, K]."""
    return torch.arange(keys, device=device)[None] <= (torch.arange(queries, device=device) + keys - queries)[:, None]


def scores(q: torch.Tensor, k: torch.Tensor, scaling: float) -> torch.Tensor:
    """Scaled products of grouped queries with their keys, float32: q [B, H, R, D], k [B, Hkv, K, D] -> [B, H, R, K].

    Keys are not repeated for each group: queries of a group are rows against one key head.
    """
    batch, heads, rows, width = q.shape
    groups = heads // k.shape[1]
    grouped = q.reshape(batch, k.shape[1], groups * rows, width)
    return (grouped.float() @ k.float().transpose(2, 3) * scaling).reshape(batch, heads, rows, k.shape[2])


def weights(
    q: torch.Tensor, k: torch.Tensor, mask: torch.Tensor | None, scaling: float, causal: bool, index: torch.Tensor
) -> torch.Tensor:
    """Attention weights of the queries at `index` (positions within q), over all keys. float32 [B, H, R, K]."""
    found = scores(q[:, :, index], k, scaling)
    if mask is not None:
        part = mask[:, :, index] if mask.shape[2] > 1 else mask
        part = part[..., : k.shape[2]]
        found = found.masked_fill(~part, -torch.inf) if part.dtype == torch.bool else found + part.float()
    elif causal:
        found = found.masked_fill(~causal_mask(q.shape[2], k.shape[2], q.device)[index], -torch.inf)
    return torch.softmax(found, -1)


def _rows(
    q: torch.Tensor, k: torch.Tensor, mask: torch.Tensor | None, scaling: float, causal: bool, wanted: Rows
) -> Captured | None:
    offset = 0 if wanted.cross else max(0, k.shape[2] - q.shape[2])
    queries = torch.arange(q.shape[2], device=q.device) + offset if wanted.queries is None else wanted.queries.to(q.device)
    index = queries - offset
    index = index[(index >= 0) & (index < q.shape[2])]
    if not len(index):
        return None
    with torch.no_grad():
        found = weights(q, k, mask, scaling, causal, index)
        if wanted.keys is not None:
            found = found.index_select(-1, wanted.keys.to(q.device))
        return Captured(found.cpu(), found.sum(-1).cpu(), (index + offset).cpu())


def _cut(mask: torch.Tensor | None, cuts: Sequence[Cut], causal: bool, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """The mask with edges cut, float [B, H, Q, K]."""
    offset = k.shape[2] - q.shape[2]
    if mask is None:
        mask = (
            causal_mask(q.shape[2], k.shape[2], q.device)[None, None]
            if causal
            else torch.ones(1, 1, q.shape[2], k.shape[2], dtype=torch.bool, device=q.device)
        )
    lowest = torch.finfo(q.dtype).min
    additive = (
        torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill_(~mask, lowest)
        if mask.dtype == torch.bool
        else mask.clone()
    )
    additive = additive[..., : k.shape[2]].expand(q.shape[0], q.shape[1], q.shape[2], -1).clone()
    for cut in cuts:
        rows = cut.queries.to(q.device) - offset
        rows = rows[(rows >= 0) & (rows < q.shape[2])]
        keys = cut.keys.to(q.device)[cut.keys.to(q.device) < k.shape[2]]
        if not len(rows) or not len(keys) or (cut.sample is not None and cut.sample >= len(q)):
            continue  # a part of the sequence or of the batch is read, to which nothing of this edge belongs
        heads = torch.tensor(cut.heads if cut.heads is not None else range(q.shape[1]), device=q.device)
        samples = torch.tensor([cut.sample] if cut.sample is not None else range(len(q)), device=q.device)
        at = samples[:, None, None, None], heads[None, :, None, None], rows[None, None, :, None]
        additive[(*at, keys[None, None, None])] = lowest
    return additive
