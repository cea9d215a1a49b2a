"""One teacher-forced pass over a long prompt, measured in a process of its own: its CPU time, and its peak memory.

Variants: plain SDPA; the trace, which is SDPA with the answer's rows kept; eager with `output_attentions=True`, as
peers do it; relevancy on one row vector; relevancy on L x L matrices. `trace_cost` starts these and compares.
"""

from __future__ import annotations

import gc
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from model import Core, ask, from_image, parse_spec
from model.families.base import Capability
from model.generation.vlm import VisionLanguageModel
from model.heat import heat_methods
from model.heat.base import Choice
from model.internals.subject import Subject
from model.internals.trace import take_trace
from model.late import torch
from model.progress import Run
from model.prompt import Prompt

from .world.draw import draw
from .world.scene import make_scene
from .world.splits import held_out_seed

VISUAL_TOKENS, TEXT, ANSWER_TOKENS = 1728, "Describe the image. " * 40, 32
REPEATS = 5
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measure(what: str, spec: str, out: str) -> None:
    """Measure "times" or one variant's memory on a checkpoint; figures go to `out`, arrays beside it."""
    torch.set_num_threads(1)
    core, checkpoint = Core(), parse_spec(spec)
    for _ in core.load(checkpoint):
        pass
    vlm = core.vlm(checkpoint)
    found = core.worker.call(lambda: _times(vlm) if what == "times" else _memory(vlm, what, Path(out)))
    Path(out).write_text(json.dumps(found), encoding="utf-8")


def long_subject(vlm: VisionLanguageModel) -> Subject:
    """A prompt of about 2,000 tokens and an answer of 32, its pictures encoded. The same each time."""
    one = len(vlm.prepare(_prompt(1)).visual)
    count = max(1, round(VISUAL_TOKENS / one)) if Capability.MULTI_IMAGE in vlm.family.capabilities else 1
    words = vlm.parts.tokenizer(TEXT, add_special_tokens=False).input_ids
    ids = (words * ANSWER_TOKENS)[:ANSWER_TOKENS]
    subject = Subject(vlm, _prompt(count), ids)
    _ = subject.features
    return subject


def _prompt(count: int) -> Prompt:
    return ask(TEXT, *(from_image(draw(make_scene(held_out_seed(i)), 512)) for i in range(count)))


def passes(subject: Subject) -> dict[str, Callable[[], Any]]:
    """The variants that give attention rows, or none: the same tokens and features in all."""
    model, taken = subject.vlm.parts.model, subject.arguments(subject.features[None])

    def plain(**more: Any) -> Any:
        subject.vlm.family.forget_prompt(subject.vlm.parts)
        with torch.inference_mode():
            return model(**taken, **more)

    def eager() -> Any:
        model.set_attn_implementation("eager")
        try:
            return plain(output_attentions=True)
        finally:
            model.set_attn_implementation("sdpa")

    return {"sdpa": plain, "tap": lambda: take_trace(subject.vlm, subject.prompt, subject.answer_ids), "eager": eager}


def _times(vlm: VisionLanguageModel) -> dict[str, Any]:
    """CPU seconds of each variant, taken in turns so that whatever else the machine does falls on all alike."""
    subject = long_subject(vlm)
    variants = passes(subject)
    spent: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(REPEATS + 1):
        for name, work in variants.items():
            started = time.process_time()
            work()
            if number:  # the first of each warms up
                spent[name].append(time.process_time() - started)
    return {"cpu_s": spent, "length": len(subject.inputs.ids), "median_s": {n: statistics.median(v) for n, v in spent.items()}}


def _memory(vlm: VisionLanguageModel, variant: str, out: Path) -> dict[str, Any]:
    """Peak memory of one pass above what stood before, in bytes, and what the pass gave."""
    subject = long_subject(vlm)
    _ = subject.inputs
    work = {
        **passes(subject),
        "relevancy": lambda: heat_methods["relevancy"](subject, (ANSWER_TOKENS - 1,), Choice(), Run()).scores,
        "relevancy_full": lambda: full_relevancy(subject, ANSWER_TOKENS - 1),
    }[variant]
    given, extra = peak_of(work)
    np.save(out.with_suffix(".npy"), _rows(subject, variant, given))
    return {"extra_bytes": extra, "length": len(subject.inputs.ids)}


def peak_of(work: Callable[[], Any]) -> tuple[Any, int]:
    """What some work gives, and how far memory rose above where it stood, in bytes.

    Exact on Linux, where the high-water mark can be set back. Elsewhere it is what the mark of the whole process rose by.
    """
    gc.collect()
    if CLEAR.exists():
        CLEAR.write_text("5", encoding="ascii")
        before = _resident("VmRSS")
        given = work()
        return given, _resident("VmHWM") - before
    unit = 1 if sys.platform == "darwin" else 1024  # what ru_maxrss counts in
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    given = work()
    return given, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit


def _resident(name: str) -> int:
    line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024


def _rows(subject: Subject, variant: str, given: Any) -> np.ndarray:
    """What is compared: attention rows [L, H, K, T], relevancy [T], or the answer's logits [K, V]."""
    if variant == "sdpa":
        return given.logits[0].float().numpy()
    if variant == "tap":
        return given.attention
    if variant == "eager":
        rows, columns = subject.predicting, subject.visual_columns()
        return np.stack([layer[0][:, rows][..., columns].float().numpy() for layer in given.attentions])
    return np.asarray(given)


def full_relevancy(subject: Subject, word: int) -> np.ndarray:
    """Relevancy with every layer's L x L weights and gradients held, and L x L products (Chefer et al. 2103.15679). [T]."""
    model, ids = subject.vlm.parts.model, subject.answer_ids
    hook = model.get_input_embeddings().register_forward_hook(lambda m, args, out: out.detach().clone().requires_grad_(True))
    model.set_attn_implementation("eager")
    try:
        with torch.enable_grad():
            out = model(**subject.arguments(subject.features[None]), output_attentions=True)
            said = torch.log_softmax(out.logits[0].float(), -1)[word, ids[word]]
            grads = torch.autograd.grad(said, out.attentions)
    finally:
        hook.remove()
        model.set_attn_implementation("sdpa")
    found = torch.eye(len(subject.inputs.ids))
    with torch.no_grad():
        for weights, grad in zip(out.attentions, grads, strict=True):
            found = found + (weights[0] * grad[0]).clamp(min=0).mean(0) @ found
    return found[subject.start + word - 1, subject.visual_columns()].numpy()
