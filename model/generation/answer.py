"""One answer being made: the prompt read with what is held of it, tokens told as they come, a stop at any point."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import PictureError
from ..events import Encoded, Finished, Prefilled, Reason
from ..families.base import Inputs
from ..families.base.tokens import named
from ..late import torch, transformers
from ..memory import is_out_of_memory
from ..options import Options
from ..prompt import Prompt
from .hooks import Chooser, Interrupted, NotFinite, Teller, TokenChoice, end_tokens, interruptible
from .prefix_cache import KeptPrefix, cut, held, reusable, shared_prefix, token_names, whole_tokens

if TYPE_CHECKING:
    from .vlm import VisionLanguageModel


class Answering:
    """The answer to one prompt. Runs on the model thread; `go` is called once.

    `stepwise` writes the tokens the answer is to begin with one by one, as if the model had chosen each,
    and ends there.
    """

    def __init__(
        self,
        vlm: VisionLanguageModel,
        prompt: Prompt,
        options: Options,
        emit: Callable[[Any], None],
        stop: threading.Event,
        *,
        run_id: str = "",
        conversation: str = "",
        stepwise: bool = False,
    ) -> None:
        self.vlm, self.prompt, self.options, self.stepwise = vlm, prompt, options, stepwise
        self.emit, self.stop, self.run_id, self.conversation = emit, stop, run_id, conversation
        self.begun = self.first_at = time.perf_counter()
        self.prompt_tokens = 0
        self.first: TokenChoice | None = None
        """The choice of the first token, an end of the answer included, once it is made."""
        self.finite = True
        """Whether all scores were numbers."""

    def go(self) -> None:
        """Emit Encoded, Prefilled, Token... and Finished. A stop before the first of these leaves Finished alone."""
        if self.stop.is_set():
            return self._finish("", "stopped", 0, self.begun)
        given = self.prompt.answer_tokens
        forced = given if self.stepwise or not self.vlm.fast.extend else ()
        # Outside inference mode: preprocessed pictures are kept, and gradients may be wanted of them later.
        inputs = self.vlm.prepare(Prompt(self.prompt.messages, self.prompt.answer_prefix) if forced else self.prompt)
        with torch.inference_mode(), interruptible(self.vlm.parts.model, self.stop):
            self._answer(inputs, given, forced)

    def _answer(self, inputs: Inputs, given: Sequence[int], forced: Sequence[int]) -> None:
        vlm = self.vlm
        self.prompt_tokens = len(inputs.ids)
        names = token_names(inputs, [image.id for image in self.prompt.images])
        cache, reused = self._start(inputs, names)
        step = self.options.decoder.begin(vlm.parts, inputs)
        chooser = Chooser(
            self.options, step, vlm.parts.device, lambda: self._prefilled(reused, teller, () if forced else given), forced
        )
        teller = Teller(chooser, vlm.pieces, end_tokens(vlm.parts.model), self.stop, self.emit)
        settings = self._settings(inputs, cache, chooser, teller)
        interrupted = finite = False
        try:
            vlm.parts.model.generate(**self._read(inputs, reused), **settings)
            finite = True
        except Interrupted:
            interrupted = finite = True
        except NotFinite:
            self.vlm.conversations.drop(self.conversation)  # keys and values are no numbers either
        self.first, self.finite = chooser.first, finite
        if cache is not None and finite:
            self._keep(names + teller.ids[len(given) - len(forced) :], cache, interrupted)
        stopped = interrupted or (self.stop.is_set() and not teller.ended)
        ended = teller.ended or len(teller.ids) - len(given) + len(forced) < settings["max_new_tokens"]  # by a stop string
        reason: Reason = "not_finite" if not finite else "stopped" if stopped else "end" if ended else "length"
        self._finish(self.prompt.answer_prefix + teller.text, reason, teller.chosen, teller.last_at)

    def _start(self, inputs: Inputs, names: list[Any]) -> tuple[transformers.DynamicCache | None, int]:
        """Keys and values to start from, and how many tokens they hold. None where reuse is not legal."""
        vlm = self.vlm
        vlm.family.forget_prompt(vlm.parts)
        if not vlm.fast.reuse or not self.conversation or not vlm.fast.reaches(len(names) + self.options.max_new_tokens):
            return None, 0
        kept = vlm.conversations.drop(self.conversation)  # taken out: a run that fails must not leave it half written
        if kept is None:
            return vlm.new_cache(), 0
        shared = reusable(inputs, shared_prefix(kept.names, names), vlm.fast.features and vlm.fast.ahead)
        if shared == 0 or not cut(kept.cache, shared):
            return vlm.new_cache(), 0
        return kept.cache, shared

    def _read(self, inputs: Inputs, reused: int) -> dict[str, Any]:
        """What `generate` takes for the pictures, encoded now or before."""
        begun = time.perf_counter()
        count = len(self.prompt.images)
        try:
            seen = self.vlm.vision(inputs, reused)
        except (ValueError, RuntimeError) as error:
            if not count or is_out_of_memory(error):
                raise
            pictures = " and ".join(map(named, self.prompt.images))
            raise PictureError(
                f"The vision tower of {self.vlm.checkpoint.name} cannot take {pictures}: {str(error).rstrip('.')}. "
                "Crop it to a square, or look at preprocessor_config.json, which should bring pictures to its size."
            ) from error
        ms = (time.perf_counter() - begun) * 1e3
        self.emit(Encoded(len(inputs.visual), count, count - seen.encoded, ms, inputs.grid))
        return seen.arguments

    def _settings(
        self, inputs: Inputs, cache: transformers.DynamicCache | None, chooser: Chooser, teller: Teller
    ) -> dict[str, Any]:
        tokenizer, ends = self.vlm.parts.tokenizer, end_tokens(self.vlm.parts.model)
        limit = self.vlm.context_tokens
        wanted = len(chooser.forced) + (0 if self.stepwise else self.options.max_new_tokens)
        settings = {
            "input_ids": inputs.tensors["input_ids"],
            "max_new_tokens": wanted if limit is None else min(wanted, limit - len(inputs.ids)),
            "do_sample": False, "temperature": None, "top_p": None, "top_k": None, "num_beams": 1,
            "logits_processor": transformers.LogitsProcessorList([chooser]),
            "stopping_criteria": transformers.StoppingCriteriaList([teller]),
            "tokenizer": tokenizer,  # for stop strings of the checkpoint
            "pad_token_id": tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(ends, default=0),
        }  # fmt: skip
        if "attention_mask" in inputs.tensors:
            settings["attention_mask"] = inputs.tensors["attention_mask"]
        if cache is not None:
            settings |= held(self.vlm.parts.model, cache)
        return settings

    def _keep(self, names: list[Any], cache: transformers.DynamicCache, interrupted: bool) -> None:
        count = whole_tokens(cache) if interrupted else cache.get_seq_length()
        if count:
            kept = KeptPrefix(names[:count], cache)
            self.vlm.conversations.put(self.conversation, kept, kept.size_bytes)

    def _prefilled(self, reused: int, teller: Teller, given: Sequence[int]) -> None:
        self.first_at = time.perf_counter()
        self.emit(Prefilled(self.prompt_tokens, reused, (self.first_at - self.begun) * 1e3))
        teller.give(given)

    def _finish(self, text: str, reason: Reason, count: int, last_at: float) -> None:
        warnings = self.vlm.parts.warnings
        if reason == "not_finite":
            warnings = (
                *warnings,
                f"The answer ends where the scores of the next token are not finite. {self.vlm.cure_of_overflow}",
            )
        decode_ms = (last_at - self.first_at) * 1e3 if count else 0.0
        self.emit(Finished(self.run_id, text, reason, count, decode_ms, warnings))
