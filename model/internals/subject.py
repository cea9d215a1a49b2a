"""A prompt and its answer, to be explained: traces, visual features, and log-probabilities under changed features.

Changing features instead of pixels reuses the tower and stays near what the decoder knows. The
replacement for a hidden token is the mean visual token of the same pictures: in distribution, and free
of what any single patch shows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from ..errors import Unsupported
from ..families.base import Inputs
from ..generation.vlm import VisionLanguageModel
from ..geometry.grid import ImageGrid
from ..late import torch
from ..memory import size_bytes
from ..prompt import Prompt
from ..tap import Cut, Tap, tapped
from .shared_rows import SharedRows
from .trace import Trace, Want, take_trace

T = TypeVar("T")
SUBJECT_BYTES = 256 * 2**20
"""How much the cached subjects of one checkpoint may hold together. The newest stays, whatever its size."""
HELD_BYTES = 16 * 2**20
"""Attention calls of one pass are held for the next method if they take no more: a small model's."""
BATCH_ELEMENTS, GPU_ELEMENTS = 5 * 2**17, 2**26
"""How many hidden-state elements a batch of changed features may hold at once in one layer. On a CPU what leaves its
caches costs more than a batch saves: 8 rows of the built-in checkpoint are a third cheaper than 24."""


@dataclass(frozen=True)
class _Held:
    """Something computed of a subject, and what it was computed for."""

    key: Hashable
    value: Any
    size_bytes: int


class Subject:
    """A prompt and an answer on one loaded checkpoint. Lives on the model thread; holds tensors of its device."""

    def __init__(self, vlm: VisionLanguageModel, prompt: Prompt, answer_ids: Sequence[int]) -> None:
        self.vlm, self.prompt, self.answer_ids = vlm, prompt, tuple(answer_ids)
        self._traces: dict[Want, Trace] = {}
        self._shared = SharedRows(vlm)
        self._held: dict[str, _Held] = {}

    @cached_property
    def inputs(self) -> Inputs:
        """Prompt and answer as tensors."""
        prompt = Prompt(self.prompt.messages, self.prompt.answer_prefix, (*self.prompt.answer_tokens, *self.answer_ids))
        return self.vlm.prepare(prompt)

    @property
    def start(self) -> int:
        """How many tokens stand before the answer."""
        return len(self.inputs.ids) - len(self.answer_ids)

    @property
    def count(self) -> int:
        """How many visual tokens there are."""
        return len(self.inputs.visual)

    def trace(self, want: Want | None = None, stop: threading.Event | None = None) -> Trace:
        """A trace with these extras at least, taken once."""
        want = want or Want()
        found = next((trace for known, trace in self._traces.items() if known.covers(want)), None)
        if found is None:
            found = self._traces[want] = take_trace(self.vlm, self.prompt, self.answer_ids, want, stop)
        return found

    @property
    def size_bytes(self) -> int:
        """What is held for it: traces, inputs, features."""
        held = [self.__dict__[name] for name in ("features", "outputs") if name in self.__dict__]
        inputs = [self.inputs.tensors] if "inputs" in self.__dict__ else []
        kept: list[Trace | _Held | SharedRows] = [*self._traces.values(), *self._held.values(), self._shared]
        return sum(one.size_bytes for one in kept) + size_bytes([*held, *inputs])

    def once(self, kind: str, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """What `make` gives. The newest of each kind is held for who asks with the same key, unless it is large."""
        if kind not in self._held or self._held[kind].key != key:
            made = make()
            self._held.pop(kind, None)
            if size(made) > HELD_BYTES:
                return made
            self._held[kind] = _Held(key, made, size(made))
        value: T = self._held[kind].value
        return value

    # --- visual features -----------------------------------------------------------------------

    @cached_property
    def outputs(self) -> Any:
        """The encoder's output as the decoder takes it. Raises Unsupported where features cannot stand in for pixels."""
        if not self.vlm.fast.features or not self.inputs.images:
            raise Unsupported(
                f"{self.vlm.checkpoint.name} does not take picture features in place of pixels, which this method changes. "
                "Choose raw attention, or another checkpoint."
            )
        with torch.no_grad():
            return self.vlm.vision(self.inputs).arguments["mm_encoder_outputs"]["image"]

    @cached_property
    def features(self) -> torch.Tensor:
        """What the decoder is given at the visual tokens, in their order. [T, D] in the model's dtype, without a graph.

        The first `width` of them stand among the words' embeddings. Qwen3-VL adds others to the states of its first
        layers; they follow, so that whatever is hidden or changed is hidden or changed in all of them.
        """
        return torch.cat([_flat(part) for part in (self.outputs.pooler_output, *self._deep)], -1).detach().clone()

    @property
    def width(self) -> int:
        """How many of the features stand among the words' embeddings."""
        return int(_flat(self.outputs.pooler_output).shape[-1])

    @property
    def _deep(self) -> Sequence[Any]:
        return self.outputs.get("deepstack_features") or ()

    @cached_property
    def nothing(self) -> torch.Tensor:
        """The mean visual token, [D]: what a hidden token is replaced by."""
        return self.features.mean(0)

    def hidden(self, keep: torch.Tensor) -> torch.Tensor:
        """Features with tokens hidden: `keep` bool [B, T] -> [B, T, D]."""
        return torch.where(keep[..., None].to(self.features.device), self.features, self.nothing)

    @property
    def batch_rows(self) -> int:
        """How many samples of this prompt go through the decoder at once."""
        width = int(self.vlm.parts.config.get_text_config(decoder=True).hidden_size)
        elements = BATCH_ELEMENTS if self.vlm.parts.device.type == "cpu" else GPU_ELEMENTS
        return max(1, elements // (len(self.inputs.ids) * width * 4))

    @property
    def graph_rows(self) -> int:
        """How many samples go through it at once with gradients: an accelerator has to hold the states of all layers."""
        if self.vlm.parts.device.type == "cpu":  # there a batch is small for the sake of caches, not of memory
            return self.batch_rows
        return max(1, self.batch_rows // int(self.vlm.parts.config.get_text_config(decoder=True).num_hidden_layers))

    def logprobs(self, features: torch.Tensor | None = None, cuts: Sequence[Cut] = (), *, whole: bool = False) -> torch.Tensor:
        """Log-probabilities of the answer's tokens, float32 [B, K], given these features [B, T, D], or the picture's own.

        Differentiable in `features` where they want gradients. `cuts` are attention edges taken away; they
        name samples of `features`, which then have to fit one batch. Without gradients what the rows of a batch begin with
        is read once; `whole` has every row read all of it, for who changes states on the way.
        """
        if features is None and not cuts:
            return torch.tensor([[token.logprob for token in self.trace().tokens]])
        if features is None:
            features = self.features[None]
        if cuts:
            with tapped(self.vlm.parts.model, Tap(cuts=cuts)):
                return self._forward(features, 0 if whole else self._begin_alike(features, cuts))
        parts = features.split(self.batch_rows)
        return torch.cat([self._forward(part, 0 if whole else self._begin_alike(part)) for part in parts])

    def said(
        self, words: Sequence[int], features: torch.Tensor | None = None, cuts: Sequence[Cut] = (), *, whole: bool = False
    ) -> torch.Tensor:
        """Joint log-probability of the answer's words at these indices, float32 [B]."""
        return self.logprobs(features, cuts, whole=whole)[:, list(words)].sum(-1)

    @property
    def predicting(self) -> torch.Tensor:
        """Positions whose logits predict the answer's tokens, int64 [K] on the model's device."""
        return torch.arange(self.start - 1, len(self.inputs.ids) - 1, device=self.vlm.parts.device)

    def arguments(self, features: torch.Tensor) -> dict[str, Any]:
        """What `forward` takes for a batch of this prompt and answer with these features [B, T, D]."""
        tensors = {k: v for k, v in self.inputs.tensors.items() if k not in self.inputs.pixel_names}
        repeated = {k: v.repeat(len(features), *[1] * (v.ndim - 1)) for k, v in tensors.items()}
        kept = {"use_cache": False, "logits_to_keep": self.predicting}
        return {**repeated, **kept, "mm_encoder_outputs": {"image": self._as_outputs(features)}}

    def _begin_alike(self, features: torch.Tensor, cuts: Sequence[Cut] = ()) -> int:
        """How many positions stand before the first at which rows differ, or at which a cut takes something away."""
        if len(features) == 1 or torch.is_grad_enabled():
            return 0
        changed = (features != features[:1]).any(-1).any(0)
        ends = [self.start - 1, *self.inputs.visual[changed.cpu().numpy()][:1].tolist()]
        ends += [int(cut.queries[cut.queries >= cut.keys.min()].min()) for cut in cuts if (cut.queries >= cut.keys.min()).any()]
        return min(ends)

    def _forward(self, features: torch.Tensor, shared: int) -> torch.Tensor:
        self.vlm.family.forget_prompt(self.vlm.parts)
        with self._shared.reading(shared) if shared else nullcontext():
            out = self.vlm.parts.model(**self.arguments(features))
        logprobs = torch.log_softmax(out.logits.float(), -1)  # [B, K, V]
        ids = torch.tensor(self.answer_ids, device=logprobs.device)
        return logprobs.gather(-1, ids[None, :, None].expand(len(features), -1, 1))[..., 0].cpu()

    def _as_outputs(self, features: torch.Tensor) -> Any:
        """Changed features in the shape the encoder gives them, for a batch of the same prompt."""
        fields = {k: _repeat(v, len(features)) for k, v in self.outputs.items()}
        likes = (self.outputs.pooler_output, *self._deep)
        widths = [_flat(like).shape[-1] for like in likes]
        fields["pooler_output"], *deep = (_like(part, like) for part, like in zip(features.split(widths, -1), likes, strict=True))
        if deep:
            fields["deepstack_features"] = deep
        return type(self.outputs)(**fields)

    def visual_columns(self) -> torch.Tensor:
        """Positions of the visual tokens, int64 [T] on the model's device."""
        return torch.from_numpy(self.inputs.visual).to(self.vlm.parts.device)


def subject_of(vlm: VisionLanguageModel, prompt: Prompt, answer_ids: Sequence[int]) -> Subject:
    """The subject of a prompt and an answer, cached with the model. On the model thread."""
    key = (prompt, tuple(answer_ids))
    cached: Subject = vlm.subjects.pop(key, None) or Subject(vlm, prompt, answer_ids)
    vlm.subjects[key] = cached
    while len(vlm.subjects) > 1 and sum(subject.size_bytes for subject in vlm.subjects.values()) > SUBJECT_BYTES:
        vlm.subjects.popitem(last=False)
    return cached


def grid_of(subject: Subject) -> ImageGrid:
    """Where the visual tokens look. Raises Unsupported where there are none, or it is not known."""
    grid = subject.inputs.grid
    if grid is None or not subject.count:
        raise Unsupported(
            "There is no picture to draw on: the question has none, or it is not known where this checkpoint's visual tokens "
            "look."
        )
    return grid


def _flat(like: Any) -> torch.Tensor:
    """Features of all pictures as one [T, D]."""
    found = torch.cat([p.reshape(-1, p.shape[-1]) for p in like]) if isinstance(like, (list, tuple)) else like
    return found.reshape(-1, found.shape[-1])


def _like(features: torch.Tensor, like: Any) -> Any:
    """Features [B, T, D] in the shape of an encoder's output, B times over."""
    if not isinstance(like, (list, tuple)):
        return features.reshape(len(features) * like.shape[0], *like.shape[1:])
    sizes = [p.reshape(-1, p.shape[-1]).shape[0] for p in like]
    return [piece.reshape(p.shape) for row in features for piece, p in zip(row.split(sizes), like, strict=True)]


def _repeat(value: Any, batch: int) -> Any:
    if isinstance(value, torch.Tensor):
        return value.repeat(batch, *[1] * (value.ndim - 1))
    if isinstance(value, (list, tuple)):
        return type(value)(_repeat(v, batch) for v in value)
    return value
