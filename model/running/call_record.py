"""One model call as it is remembered: what was heard of it, and what that amounts to when it ends."""

from __future__ import annotations

import time
from dataclasses import replace

from ..events import Encoded, Event, Finished, Prefilled, Token
from ..recorder import CallEnd, Status


class Heard:
    """What a call has said so far. Filled on the model thread, read when the call is over."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.events: list[Event] = []
        self._asked_at = time.perf_counter()
        self._started_at: float | None = None

    def start(self) -> None:
        """The call has left the queue."""
        self._started_at = time.perf_counter()

    @property
    def finished(self) -> Finished | None:
        return next((event for event in self.events if isinstance(event, Finished)), None)

    def ending(self, status: Status, error: str | None = None) -> CallEnd:
        """How the call ended. `status` and `error` say why where the call itself did not come to say Finished."""
        tokens = tuple(event for event in self.events if isinstance(event, Token))
        queued_ms = (self._started_at - self._asked_at) * 1e3 if self._started_at is not None else None
        end = CallEnd(self.run_id, status, "".join(token.text for token in tokens), None, error, tokens, queued_ms=queued_ms)
        for event in self.events:
            match event:
                case Encoded():
                    end = replace(end, visual_tokens=event.visual_tokens, cached_images=event.cached_images)
                case Prefilled():
                    end = replace(end, prompt_tokens=event.prompt_tokens, reused_tokens=event.reused_tokens, prefill_ms=event.ms)
                case Finished():
                    said: Status = "stopped" if event.reason == "stopped" else "done"
                    end = replace(end, status=said, text=event.text, reason=event.reason, decode_ms=event.decode_ms, error=None)
        return end
