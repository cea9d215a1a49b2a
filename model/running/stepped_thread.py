"""A thread that runs one step at a time, so that several answers take turns on one model.

`generate` cannot be suspended between two tokens, but a thread inside it can wait. Each answer has a thread, and exactly
one of them, or the model thread, runs at any moment. Grad mode, autocast and the context belong to each thread; what the
modules store about a prompt is saved and restored at every switch.
"""

from __future__ import annotations

import contextvars
import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..generation.prefix_cache import cache_argument
from ..late import nn, torch, transformers
from ..memory import size_bytes

ModuleState = list[tuple[dict[str, Any], dict[str, Any], "dict[str, torch.Tensor | None]"]]
"""For each module its namespace, its own attributes and its buffers."""


class SteppedThread:
    """Work done one step at a time. `step` is called on the model thread.

    `work` receives a function to call at the end of each step; the call returns when the next step begins. `model` is given
    where other threads run the same model: its state is then saved and restored for each of them.
    """

    def __init__(self, work: Callable[[Callable[[], None]], None], model: nn.Module | None = None) -> None:
        self.over = False
        self._work, self._model = work, model
        self._state = module_state(model) if model is not None else []
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        self._busy_s, self._since = 0.0, 0.0
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="column", daemon=True)

    def step(self) -> None:
        """Run to the end of the next step, or of the work. An error of the work is raised here."""
        assert not self.over, "the work has ended"
        if self._model is not None:
            restore(self._state)
        if self._thread.ident is None:
            self._thread.start()
        self._since = time.perf_counter()
        self._turn.release()
        self._back.acquire()
        self._busy_s += time.perf_counter() - self._since
        if self._model is not None and not self.over:
            self._state = module_state(self._model)
        if self._error is not None:
            raise self._error

    @property
    def busy_ms(self) -> float:
        """Time spent in steps so far, the running one included. For the work itself to read."""
        return (self._busy_s + time.perf_counter() - self._since) * 1e3

    def _pause(self) -> None:
        self._back.release()
        self._turn.acquire()

    def _run(self) -> None:
        self._turn.acquire()
        try:
            self._work(self._pause)
        except BaseException as error:  # raised in `step`
            self._error = error
        finally:
            self.over = True
            self._back.release()


@functools.cache
def _module_attributes() -> frozenset[str]:
    """What every module has."""
    return frozenset(vars(nn.Module()))


def module_state(model: nn.Module) -> ModuleState:
    """State of modules outside their parameters: position shifts of a prompt, rotary frequencies that grew with its length.

    Attributes and buffers, by reference: models replace them and do not write into them. Layers of torch itself have none.
    """
    always = _module_attributes()
    return [
        (vars(m), {k: v for k, v in vars(m).items() if k not in always}, dict(m._buffers))
        for m in model.modules()
        if not type(m).__module__.startswith("torch.nn.")
    ]


def restore(state: ModuleState) -> None:
    """Set modules back to a saved state."""
    always = _module_attributes()
    for space, own, buffers in state:
        for name in space.keys() - own.keys() - always:
            del space[name]
        space.update(own)
        space["_buffers"].clear()
        space["_buffers"].update(buffers)


@contextmanager
def cache_of(model: nn.Module) -> Iterator[Callable[[], int]]:
    """While open, gives the bytes of keys and values that `generate` on this thread holds; 0 where it uses no cache."""
    here = threading.get_ident()
    held: list[transformers.Cache] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        cache = kwargs.get(cache_argument(type(module)))
        if isinstance(cache, transformers.Cache) and threading.get_ident() == here:
            held[:] = [cache]

    writers = [m for m in model.modules() if isinstance(m, transformers.GenerationMixin)]
    hooks = [m.register_forward_pre_hook(note, with_kwargs=True) for m in writers]
    try:
        yield lambda: sum(map(_cache_bytes, held))
    finally:
        for hook in hooks:
            hook.remove()


def _cache_bytes(cache: transformers.Cache) -> int:
    if isinstance(cache, transformers.EncoderDecoderCache):
        return _cache_bytes(cache.self_attention_cache) + _cache_bytes(cache.cross_attention_cache)
    return sum(size_bytes(vars(layer)) for layer in cache.layers)
