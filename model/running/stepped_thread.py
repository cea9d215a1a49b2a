"""One answer among several on the model thread: it runs on a thread of its own, and only while it holds the baton.

`generate` cannot be left in the middle of a step and taken up again, but a thread can wait in it. So each
answer has a thread, and exactly one of them, or the model thread, runs at any moment. Grad mode, autocast and
the context are each thread's own; what a model itself remembers of a prompt is put back at every turn.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import Cache, EncoderDecoderCache, GenerationMixin

from ..generation.prefix_cache import cache_argument
from ..memory import size_bytes

_EVERY_MODULES = frozenset(vars(nn.Module()))
Left = list[tuple[dict[str, Any], dict[str, Any], dict[str, torch.Tensor | None]]]


class Lane:
    """Some work that is done a step at a time. `step` is called on the model thread.

    `work` is given a function to call where a step ends; it returns when the next turn begins. `model` is named where
    other lanes run the same one: what it remembers of a prompt is then each lane's own.
    """

    def __init__(self, work: Callable[[Callable[[], None]], None], model: nn.Module | None = None) -> None:
        self.over = False
        self._work, self._model = work, model
        self._left = left_on(model) if model is not None else []
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        self._busy_s, self._since = 0.0, 0.0
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="column", daemon=True)

    def step(self) -> None:
        """Let it run to the end of a step, or to its own. An error of the work is raised here."""
        assert not self.over, "it has ended"
        if self._model is not None:
            put_back(self._left)
        if self._thread.ident is None:
            self._thread.start()
        self._since = time.perf_counter()
        self._turn.release()
        self._back.acquire()
        self._busy_s += time.perf_counter() - self._since
        if self._model is not None and not self.over:
            self._left = left_on(self._model)
        if self._error is not None:
            raise self._error

    @property
    def busy_ms(self) -> float:
        """How long it has held the baton, the turn that goes on included. To be asked by the work itself."""
        return (self._busy_s + time.perf_counter() - self._since) * 1e3

    def _pause(self) -> None:
        self._back.release()
        self._turn.acquire()

    def _run(self) -> None:
        self._turn.acquire()
        try:
            self._work(self._pause)
        except BaseException as error:  # raised where the step was asked for
            self._error = error
        finally:
            self.over = True
            self._back.release()


def left_on(model: nn.Module) -> Left:
    """What modules remember outside their parameters: position shifts of a prompt, frequencies that grew with its length.

    Attributes and buffers, by reference: models replace them, they do not write into them. Layers of torch itself
    remember nothing.
    """
    return [
        (vars(m), {k: v for k, v in vars(m).items() if k not in _EVERY_MODULES}, dict(m._buffers))
        for m in model.modules()
        if not type(m).__module__.startswith("torch.nn.")
    ]


def put_back(left: Left) -> None:
    """Make modules remember what they did."""
    for space, own, buffers in left:
        for name in space.keys() - own.keys() - _EVERY_MODULES:
            del space[name]
        space.update(own)
        space["_buffers"].clear()
        space["_buffers"].update(buffers)


@contextmanager
def cache_of(model: nn.Module) -> Iterator[Callable[[], int]]:
    """Within this, how many bytes of keys and values the answer made on this thread holds. 0 where it keeps none."""
    here, held = threading.get_ident(), []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        cache = kwargs.get(cache_argument(type(module)))
        if isinstance(cache, Cache) and threading.get_ident() == here:
            held[:] = [cache]

    writers = [m for m in model.modules() if isinstance(m, GenerationMixin)]
    hooks = [m.register_forward_pre_hook(note, with_kwargs=True) for m in writers]
    try:
        yield lambda: sum(map(_cache_bytes, held))
    finally:
        for hook in hooks:
            hook.remove()


def _cache_bytes(cache: Cache) -> int:
    if isinstance(cache, EncoderDecoderCache):
        return _cache_bytes(cache.self_attention_cache) + _cache_bytes(cache.cross_attention_cache)
    return sum(size_bytes(vars(layer)) for layer in cache.layers)
