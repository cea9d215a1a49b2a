"""The record of one model call: its events, and what a recorder is told when it starts and when it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from ..errors import WorkbenchError
from ..events import Encoded, Event, Finished, Prefilled, Token
from ..recorder import CallEnd, CallStart, Recorder, Status
from .tasks import AnswerTask, Slot, load_on
from .worker import Emit


class CallRecord:
    """Events of one call. Filled on the model thread, read when the call is over."""

    def __init__(self, recorder: Recorder, call: CallStart) -> None:
        self.call = call
        self.events: list[Event] = []
        self._recorder, self._ended = recorder, False
        self._asked_at = time.perf_counter()
        self._dequeued_at: float | None = None

    @property
    def run_id(self) -> str:
        return self.call.run_id

    @contextmanager
    def open(self) -> Iterator[None]:
        """Tell the recorder of the start now and of the end on leaving: done, stopped by whoever iterates, or failed."""
        self._recorder.start(self.call)
        try:
            yield
        except GeneratorExit:
            self.end("stopped")
            raise
        except WorkbenchError as known:
            self.end("failed", str(known))
            raise
        except BaseException as unknown:
            self.end("failed", f"{type(unknown).__name__}: {unknown}")
            raise
        self.end("done")

    def answered(self, slot: Slot, conversation: str, stop: threading.Event) -> Generator[Event, None, None]:
        """Answer the prompt in a slot, loading its checkpoint if need be; the last event is a Finished, stopped or not.

        `conversation` names the chat whose earlier keys and values may be reused; empty for none.
        """
        call = self.call
        task = AnswerTask(call.checkpoint, call.run_id, call.prompt, call.options, conversation)

        def job(emit: Emit, stop: threading.Event) -> None:
            def relay(event: Event) -> None:
                self.events.append(event)
                emit(event)

            self.dequeued()
            slot.run(task, relay, stop)

        yield from load_on(slot, call.checkpoint, stop)
        over = False
        with closing(slot.worker.stream(job, stop)) as events:
            for event in events:
                if not over:  # a slot may take a while to be given back after the answer
                    yield event
                over = over or isinstance(event, Finished)
        if self.finished is None:  # stopped before its turn
            self.events.append(Finished(call.run_id, "", "stopped", 0, 0.0))
            yield self.events[-1]

    def dequeued(self) -> None:
        """The call has left the queue."""
        self._dequeued_at = time.perf_counter()

    @property
    def finished(self) -> Finished | None:
        return next((event for event in self.events if isinstance(event, Finished)), None)

    def end(self, status: Status, error: str | None = None) -> None:
        """Tell the recorder of the end, once. `status` and `error` hold where no Finished came."""
        if not self._ended:
            self._ended = True
            self._recorder.finish(self._ending(status, error))

    def _ending(self, status: Status, error: str | None) -> CallEnd:
        tokens = tuple(event for event in self.events if isinstance(event, Token))
        queued_ms = (self._dequeued_at - self._asked_at) * 1e3 if self._dequeued_at is not None else None
        end = CallEnd(self.run_id, status, "".join(token.text for token in tokens), None, error, tokens, queued_ms=queued_ms)
        for event in self.events:
            match event:
                case Encoded():
                    end = replace(end, visual_tokens=event.visual_tokens, cached_images=event.cached_images)
                case Prefilled():
                    end = replace(end, prompt_tokens=event.prompt_tokens, reused_tokens=event.reused_tokens, prefill_ms=event.ms)
                case Finished():
                    said: Status = "stopped" if event.reason == "stopped" else "done"
                    end = replace(
                        end,
                        status=said,
                        text=event.text,
                        reason=event.reason,
                        decode_ms=event.decode_ms,
                        error=None,
                        warnings=event.warnings,
                    )
        return end
