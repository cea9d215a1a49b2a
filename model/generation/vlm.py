"""One loaded checkpoint: it answers, with what was computed before reused where a self-test allows it.

Everything here runs on the model thread (`worker.Worker`); nothing is guarded against another.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from ..checkpoint import Checkpoint
from ..errors import OutOfMemory, PromptError
from ..families.base import Family, Inputs, Parts
from ..families.base.tokens import Pieces, takes_features
from ..late import transformers
from ..memory import ByteCache, free_unused, human_bytes, is_out_of_memory, model_bytes
from ..options import Options
from ..prompt import Prompt
from .answer import Answering
from .encoder_cache import EncoderCache, joined
from .prefix_cache import KeptPrefix, image_spans

T = TypeVar("T")
PREFIX_BYTES = 512 * 2**20
ScoringMode = Literal["packed", "expanded", "each", "stepped"]
NoteKind = Literal["differs", "failed", "absent"]


@dataclass(frozen=True)
class Note:
    """Why a short cut is not used. `kind`: its results differ, its code failed before there were any, or there is none to take.

    Results that differ are the architecture's. Code that failed may be a library version's, and belongs in a bug report.
    """

    what: str
    kind: NoteKind
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass
class FastPaths:
    """Which short cuts equal the long way on this checkpoint. Found by `selftest`, never by name.

    `features`: encoder outputs stand in for pixels. `extend`: a given beginning of an answer is read at once
    with the prompt. `reuse`: a later turn starts from the keys and values of the one before. `ahead`: so does one
    with a picture after them. `scoring`: how given answers are scored. `reach`: up to how many tokens `reuse` and
    shared scoring were found equal; None where no layer has a window that more tokens would leave. `notes` say why not.
    """

    features: bool = False
    extend: bool = False
    reuse: bool = False
    ahead: bool = False
    scoring: ScoringMode = "stepped"
    reach: int | None = None
    notes: list[Note] = field(default_factory=list)
    ms: float = 0.0
    tested: bool = False

    def reaches(self, tokens: int) -> bool:
        return self.reach is None or tokens <= self.reach


@dataclass(frozen=True)
class Vision:
    """What `forward` takes besides ids and mask, and how many pictures had to be encoded for it now."""

    arguments: dict[str, Any]
    encoded: int


class VisionLanguageModel:
    """A loaded checkpoint that answers prompts and scores answers."""

    def __init__(
        self, checkpoint: Checkpoint, family: Family, parts: Parts, encoder_cache: EncoderCache, weights: str = ""
    ) -> None:
        self.checkpoint, self.family, self.parts = checkpoint, family, parts
        self.weights = weights
        self.encoder_cache = encoder_cache
        self.conversations: ByteCache[KeptPrefix] = ByteCache(PREFIX_BYTES)
        self.fast = FastPaths(features=takes_features(parts.model))
        self.pieces = Pieces(parts.tokenizer)
        self.parameters = sum(p.numel() for p in parts.model.parameters())
        self.size_bytes = model_bytes(parts.model)
        self.context_tokens = context_tokens(parts.config.get_text_config().to_dict())
        """How many tokens fit, prompt and answer together; None where the config does not say."""
        self.subjects: OrderedDict[Hashable, Any] = OrderedDict()
        """Cached subjects, by prompt and answer; `internals.subject.subject_of` fills it."""
        self.used_at = time.monotonic()

    @property
    def owner(self) -> str:
        """Names these weights in shared caches."""
        return f"{self.checkpoint.id}:{self.weights}:{self.parts.dtype}"

    @property
    def cure_of_overflow(self) -> str:
        """What helps where this checkpoint gives numbers that are not finite."""
        if str(self.parts.dtype) == "torch.float16":
            return "float16 is too small for this checkpoint: write :bfloat16 or :float32 behind its name."
        return "Its weights hold such numbers, or it overflows: take another checkpoint, or its files from another place."

    def prepare(self, prompt: Prompt, room: int = 1) -> Inputs:
        """The prompt as tensors. Raises PromptError where it and `room` more tokens do not fit the context."""
        self.used_at = time.monotonic()
        inputs = self.family.inputs(self.parts, prompt)
        limit = self.context_tokens
        if limit is not None and len(inputs.ids) + room > limit:
            pictures = f", {len(inputs.visual):,} of them for {len(prompt.images)} pictures" if prompt.images else ""
            raise PromptError(
                f"The conversation is {len(inputs.ids):,} tokens{pictures}; {self.checkpoint.name} holds {limit:,}. "
                "Remove pictures, shorten the text, or start a new chat."
            )
        return inputs

    def answer(
        self,
        emit: Callable[[Any], None],
        stop: threading.Event,
        run_id: str,
        prompt: Prompt,
        options: Options,
        conversation: str = "",
    ) -> None:
        """Answer a prompt, emitting Encoded, Prefilled, Token... and Finished.

        `conversation` names the chat whose earlier keys and values may be used and will be kept; empty
        for none. Raises PromptError, OutOfMemory.
        """
        self.sparing(Answering(self, prompt, options, emit, stop, run_id=run_id, conversation=conversation).go)

    def vision(self, inputs: Inputs, start: int = 0) -> Vision:
        """The pictures as `forward` takes them, for a sequence whose first `start` tokens are held already.

        Where the rest of the prompt is text, no picture is given.
        """
        rest = {k: v for k, v in inputs.tensors.items() if k not in ("input_ids", "attention_mask")}
        if not any(name in rest for name in inputs.pixel_names):
            return Vision(rest, 0)
        plain = {k: v for k, v in rest.items() if k not in inputs.pixel_names}
        needed = [image for image, (at, _) in zip(inputs.images, image_spans(inputs), strict=True) if at >= start]
        if start and not needed:
            return Vision(plain, 0)
        if not self.fast.features or not inputs.images:
            assert start == 0, "without the feature path a prefix can only be reused whole"
            return Vision(rest, inputs.pictures)
        found = [(image, *self.encoder_cache.features(self.parts.model, self.owner, image.tensors)) for image in needed]
        features = joined([output for _, output, _ in found])
        return Vision(plain | {"mm_encoder_outputs": {"image": features}}, sum(i.pictures for i, _, held in found if not held))

    def new_cache(self) -> transformers.DynamicCache:
        return transformers.DynamicCache(config=self.parts.config.get_text_config(decoder=True))

    def window_tokens(self) -> int | None:
        """The narrowest sliding window of a layer; None where all layers see everything."""
        kind = transformers.cache_utils.DynamicSlidingWindowLayer
        return min((layer.sliding_window for layer in self.new_cache().layers if isinstance(layer, kind)), default=None)

    def forget(self) -> None:
        """Let go of everything cached for this checkpoint."""
        self.conversations.drop_if(lambda key: True)
        self.subjects.clear()
        self.encoder_cache.forget(self.owner)

    def sparing(self, work: Callable[[], T]) -> T:
        """The value of some work. Where memory runs out the caches are let go of; the checkpoint stays. Raises OutOfMemory."""
        try:
            return work()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler, where the failed frames and the tensors in them are gone.
        self.forget()
        free_unused(self.parts.device)
        raise OutOfMemory(
            f"Memory ran out on {self.parts.device}; {self.checkpoint.name} itself takes {human_bytes(self.size_bytes)}. "
            "Use fewer or smaller pictures, shorten the conversation, or unload another checkpoint."
        )


def context_tokens(text_config: Mapping[str, Any]) -> int | None:
    """How many tokens a decoder's config holds, None where it does not say.

    Where positions are scaled (YaRN 2309.00071, or linearly) and the config gives the length it was trained at, the limit is that
    length times the factor, as far as it goes beyond `max_position_embeddings`.
    """
    limit = text_config.get("max_position_embeddings")
    ropes = text_config.get("rope_parameters") or text_config.get("rope_scaling") or {}
    ropes = [ropes] if "factor" in ropes else [one for one in ropes.values() if isinstance(one, Mapping)]
    stretched = [
        int(rope["original_max_position_embeddings"] * rope["factor"])
        for rope in ropes
        if rope.get("original_max_position_embeddings") and rope.get("factor") and rope.get("rope_type", "default") != "default"
    ]
    return max([limit, *stretched]) if isinstance(limit, int) and stretched else limit
