"""One loaded checkpoint: it answers, with what was computed before reused where a self-test allows it.

Everything here runs on the model thread (`worker.Worker`); nothing is guarded against another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from transformers import DynamicCache, LogitsProcessorList, StoppingCriteriaList

from .checkpoint import Checkpoint
from .encoder_cache import EncoderCache, joined, takes_features
from .errors import OutOfMemory, PromptError
from .events import Encoded, Finished, Prefilled
from .families.base import Family, Inputs, Parts
from .generation import Chooser, Interrupted, Teller, end_tokens, interruptible
from .memory import ByteCache, human_bytes, model_bytes, size_bytes
from .options import Options
from .prompt import Prompt

PREFIX_BYTES = 512 * 2**20
ScoringMode = Literal["packed", "expanded", "each"]


@dataclass
class FastPaths:
    """Which short cuts equal the long way on this checkpoint. Found by `selftest`, never by name.

    `features`: encoder outputs stand in for pixels. `reuse`: a later turn starts from the keys and
    values of the one before. `scoring`: how many answers are scored at once. `notes` say why not.
    """

    features: bool = False
    reuse: bool = False
    scoring: ScoringMode = "each"
    notes: list[str] = field(default_factory=list)
    ms: float = 0.0


@dataclass
class Kept:
    """A conversation's keys and values: `keys` names each token held in `cache`, in order."""

    keys: list[Any]
    cache: DynamicCache


class VisionLanguageModel:
    """A loaded checkpoint that answers prompts and scores answers."""

    def __init__(self, checkpoint: Checkpoint, family: Family, parts: Parts, encoder_cache: EncoderCache, weights: str = "") -> None:
        self.checkpoint, self.family, self.parts = checkpoint, family, parts
        self.weights = weights
        self.encoder_cache = encoder_cache
        self.conversations: ByteCache[Kept] = ByteCache(PREFIX_BYTES)
        self.fast = FastPaths(features=takes_features(parts.model))
        self.parameters = sum(p.numel() for p in parts.model.parameters())
        self.size_bytes = model_bytes(parts.model)
        self.used_at = time.monotonic()

    @property
    def context_tokens(self) -> int | None:
        """How many tokens fit, prompt and answer together; None where the config does not say."""
        text = self.parts.config.get_text_config()
        return text.to_dict().get("max_position_embeddings")

    def prepare(self, prompt: Prompt, room: int = 1) -> Inputs:
        """The prompt as tensors. Raises PromptError where it and `room` more tokens do not fit the context."""
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
        self.used_at = time.monotonic()
        begun = time.perf_counter()
        inputs = self.prepare(prompt)
        with torch.inference_mode(), interruptible(self.parts.model, stop):
            try:
                _Run(self, inputs, prompt, options, conversation, emit, stop, run_id, begun).go()
            except (torch.OutOfMemoryError, MemoryError) as error:
                self._recover()
                raise self._out_of_memory(inputs) from error
            except RuntimeError as error:
                if "can't allocate memory" not in str(error):
                    raise
                self._recover()
                raise self._out_of_memory(inputs) from error

    def vision(self, inputs: Inputs, start: int = 0) -> tuple[dict[str, Any], int]:
        """What `forward` takes besides ids, for a sequence whose first `start` tokens are held already.

        Also how many of the pictures needed came from the encoder cache. Where the whole prompt is
        held but for text, no picture is given.
        """
        rest = {k: v for k, v in inputs.tensors.items() if k not in ("input_ids", "attention_mask")}
        if not any(name in rest for name in inputs.pixel_names):
            return rest, 0
        plain = {k: v for k, v in rest.items() if k not in inputs.pixel_names}
        needed = [i for i, (at, _) in enumerate(image_spans(inputs)) if at >= start]
        if start and not needed:
            return plain, 0
        if not self.fast.features or not inputs.images:
            assert start == 0, "without the feature path a prefix can only be reused whole"
            return rest, 0
        found = [self.encoder_cache.features(self.parts.model, self.owner, inputs.images[i].tensors) for i in needed]
        return plain | {"mm_encoder_outputs": {"image": joined([f for f, _ in found])}}, sum(hit for _, hit in found)

    @property
    def owner(self) -> str:
        """Names these weights in shared caches."""
        return f"{self.checkpoint.id}:{self.weights}:{self.parts.dtype}"

    def new_cache(self) -> DynamicCache:
        return DynamicCache(config=self.parts.config.get_text_config(decoder=True))

    def forget(self) -> None:
        """Let go of everything cached for this checkpoint."""
        self.conversations.drop_if(lambda key: True)
        self.encoder_cache.forget(self.owner)

    def _recover(self) -> None:
        self.forget()
        if self.parts.device.type == "cuda":
            torch.cuda.empty_cache()

    def _out_of_memory(self, inputs: Inputs) -> OutOfMemory:
        return OutOfMemory(
            f"Memory ran out on {self.parts.device} with a prompt of {len(inputs.ids):,} tokens; {self.checkpoint.name} itself takes "
            f"{human_bytes(self.size_bytes)}. Use fewer or smaller pictures, unload another checkpoint, or load this one with :nf4."
        )


def image_spans(inputs: Inputs) -> list[tuple[int, int]]:
    """Where each picture's visual tokens stand in the prompt: the first, and the one after the last."""
    spans, at = [], 0
    for image in inputs.images:
        spans.append((int(inputs.visual[at]), int(inputs.visual[at + image.tokens - 1]) + 1))
        at += image.tokens
    return spans


def token_names(inputs: Inputs, image_ids: Sequence[str]) -> list[Any]:
    """A name for every prompt token: its id, or for a visual token which picture and which part of it.

    Equal names at equal places mean equal keys and values. SGLang does the same with hashed ids.
    """
    names: list[Any] = list(inputs.ids)
    if inputs.images:
        places = [(image.id, j) for image in inputs.images for j in range(image.tokens)]
    else:
        places = [("|".join(image_ids), j) for j in range(len(inputs.visual))]
    for position, place in zip(inputs.visual.tolist(), places, strict=True):
        names[position] = place
    return names


@dataclass
class _Run:
    """One answer being made."""

    vlm: VisionLanguageModel
    inputs: Inputs
    prompt: Prompt
    options: Options
    conversation: str
    emit: Callable[[Any], None]
    stop: threading.Event
    run_id: str
    begun: float

    def go(self) -> None:
        vlm, inputs = self.vlm, self.inputs
        names = token_names(inputs, [image.id for image in self.prompt.images])
        cache, reused = self._cache(names)
        if self.stop.is_set():
            return self._finish("", "stopped", 0, 0.0)
        try:
            encoding = time.perf_counter()
            more, hits = vlm.vision(inputs, reused)
        except Interrupted:
            return self._finish("", "stopped", 0, 0.0)
        self.emit(
            Encoded(
                len(inputs.visual), len(self.prompt.images), hits if not reused else len(self.prompt.images),
                (time.perf_counter() - encoding) * 1e3, inputs.grid,
            )
        )  # fmt: skip
        chooser = Chooser(self.options, vlm.parts.device, lambda: self._prefilled(reused))
        teller = Teller(chooser, vlm.parts.tokenizer, end_tokens(vlm.parts.model), self.stop, self.emit)
        self.first_at = time.perf_counter()
        stopped = False
        try:
            vlm.parts.model.generate(**self._arguments(more, cache, chooser, teller))
        except Interrupted:
            stopped = True
        if cache is not None and not stopped:
            self._keep(names + teller.ids, cache)
        reason = "end" if teller.ended else "stopped" if stopped or self.stop.is_set() else "length"
        given = self._given()
        text = given + teller.text
        return self._finish(text, reason, len(teller.ids) - teller.ended, (teller.last_at - self.first_at) * 1e3)

    def _arguments(self, more: dict[str, Any], cache: DynamicCache | None, chooser: Chooser, teller: Teller) -> dict[str, Any]:
        inputs, tokenizer = self.inputs, self.vlm.parts.tokenizer
        limit = self.vlm.context_tokens
        room = self.options.max_new_tokens if limit is None else min(self.options.max_new_tokens, limit - len(inputs.ids))
        arguments = {
            "input_ids": inputs.tensors["input_ids"], **more,
            "max_new_tokens": room, "do_sample": False, "temperature": None, "top_p": None, "top_k": None, "num_beams": 1,
            "logits_processor": LogitsProcessorList([chooser]), "stopping_criteria": StoppingCriteriaList([teller]),
            "pad_token_id": tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(end_tokens(self.vlm.parts.model), default=0),
        }  # fmt: skip
        if "attention_mask" in inputs.tensors:
            arguments["attention_mask"] = inputs.tensors["attention_mask"]
        if cache is not None:
            arguments["past_key_values"] = cache
        return arguments

    def _cache(self, names: list[Any]) -> tuple[DynamicCache | None, int]:
        """Keys and values to start from, and how many tokens they hold. None where reuse is not legal."""
        vlm = self.vlm
        if not vlm.fast.reuse or not self.conversation:
            return None, 0
        kept = vlm.conversations.drop(self.conversation)  # taken out: a run that fails must not leave it half written
        if kept is None:
            return vlm.new_cache(), 0
        shared = shared_prefix(kept.keys, names)
        shared = reusable(self.inputs, shared, vlm.fast.features)
        if shared == 0:
            return vlm.new_cache(), 0
        surplus = kept.cache.get_seq_length() - shared
        if surplus > 0:
            kept.cache.crop(-surplus)
        return kept.cache, shared

    def _keep(self, names: list[Any], cache: DynamicCache) -> None:
        held = cache.get_seq_length()
        keys = [(layer.keys, layer.values) for layer in cache.layers if layer.is_initialized]
        self.vlm.conversations.put(self.conversation, Kept(names[:held], cache), size_bytes(keys))

    def _prefilled(self, reused: int) -> None:
        self.first_at = time.perf_counter()
        self.emit(Prefilled(len(self.inputs.ids), reused, (self.first_at - self.begun) * 1e3))

    def _given(self) -> str:
        """The text the answer was made to begin with."""
        if self.prompt.answer_tokens:
            ids = list(self.prompt.answer_tokens)
            return self.vlm.parts.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return self.prompt.answer_prefix

    def _finish(self, text: str, reason: str, count: int, ms: float) -> None:
        self.emit(Finished(self.run_id, text, reason, count, ms))  # type: ignore[arg-type]


def shared_prefix(held: Sequence[Any], wanted: Sequence[Any]) -> int:
    """How many leading names agree, at most all but the last wanted: one token must be left to compute."""
    limit = min(len(held), len(wanted) - 1)
    return next((i for i in range(limit) if held[i] != wanted[i]), limit)


def reusable(inputs: Inputs, shared: int, features: bool) -> int:
    """The largest prefix of at most `shared` tokens that can be continued: never from inside a picture.

    Without the feature path a prefix is usable only if no picture comes after it.
    """
    if len(inputs.visual) == 0:
        return shared
    if not inputs.images or not features:
        return shared if shared > int(inputs.visual[-1]) else 0
    return next((start for start, end in image_spans(inputs) if start < shared < end), shared)
