"""What looking into an answer costs: a trace against plain SDPA, and against keeping all attentions.

At about 2,000 tokens, on a random LLaVA of real proportions or on a checkpoint of the user's. CPU times are of one
process that takes the variants in turns; peak memory is of a fresh process for each.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from model import Checkpoint
from model.memory import human_bytes

from . import studies
from .base import Report, Tell
from .random_llava import random_llava

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ("sdpa", "tap", "eager", "relevancy", "relevancy_full")
CHILD = "import sys; from studies.one_pass import measure; measure(*sys.argv[1:])"


@studies.add
class TraceCost:
    """CPU time and memory of a trace and of relevancy, as ratios."""

    slug: ClassVar[str] = "trace-cost"
    title: ClassVar[str] = "Cost of a trace"
    question: ClassVar[str] = "what does a trace cost beside plain SDPA, and beside keeping all attentions?"
    options: ClassVar[tuple[str, ...]] = ()

    def measure(self, checkpoints: Sequence[Checkpoint], tell: Tell) -> Report:
        """Measure on the given checkpoint, or on the 77 M random LLaVA. Several minutes and up to 8 GB."""
        with tempfile.TemporaryDirectory(prefix="fovea-trace-") as name:
            folder = Path(name)
            spec = checkpoints[0].source if checkpoints else str(random_llava(folder / "llava-77m"))
            times = _child("times", spec, folder)
            tell("CPU seconds of a pass: " + ", ".join(f"{name} {s:.2f}" for name, s in times["median_s"].items()))
            memory = {}
            for variant in MEASURED:
                memory[variant] = _child(variant, spec, folder)
                tell(f"{variant}: {human_bytes(memory[variant]['extra_bytes'])} above where memory stood")
            arrays = {variant: np.load(folder / f"{variant}.npy") for variant in MEASURED}
        return _report(figures(times, memory, arrays), checkpoints[0].name if checkpoints else "")


def _child(what: str, spec: str, folder: Path) -> dict[str, Any]:
    out = folder / f"{what}.json"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", CHILD, what, spec, str(out)], check=True, cwd=ROOT, env=environment)
    return json.loads(out.read_text(encoding="utf-8"))


def figures(
    times: Mapping[str, Any], memory: Mapping[str, Mapping[str, Any]], arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Ratios from what the processes measured. CPU ratios are medians of the ratios of each turn."""
    spent = times["cpu_s"]
    extra = {name: found["extra_bytes"] for name, found in memory.items()}

    def ratio(a: str, b: str) -> float:
        return statistics.median(x / y for x, y in zip(spent[a], spent[b], strict=True))

    scale = max(float(np.abs(arrays["relevancy_full"]).max()), 1e-30)
    return {
        "cpu_vs_sdpa": round(ratio("tap", "sdpa"), 4),
        "cpu_vs_eager": round(ratio("tap", "eager"), 4),
        "memory_vs_eager": round(extra["tap"] / extra["eager"], 4),
        "max_abs_diff": float(np.abs(arrays["tap"] - arrays["eager"]).max()),
        "relevancy_memory_vs_full": round(extra["relevancy"] / extra["relevancy_full"], 4),
        "length": times["length"],
        "relevancy_max_diff": float(np.abs(arrays["relevancy"] - arrays["relevancy_full"]).max()) / scale,
        "largest_weight": float(arrays["eager"].max()),
        "cpu_s": times["median_s"],
        "extra_bytes": extra,
    }


def _report(f: Mapping[str, Any], about: str) -> Report:
    seconds, extra = f["cpu_s"], f["extra_bytes"]
    rows = [
        (
            "a trace against plain SDPA",
            f"{f['cpu_vs_sdpa']:.2f} x",
            f"CPU time, {seconds['tap']:.2f} s against {seconds['sdpa']:.2f} s",
        ),
        (
            "a trace against eager with all attentions",
            f"{f['cpu_vs_eager']:.2f} x",
            f"CPU time; eager takes {seconds['eager']:.2f} s",
        ),
        (
            "peak memory of a trace against eager's",
            f"{f['memory_vs_eager']:.3f} x",
            f"above where it stood: {human_bytes(extra['tap'])} against {human_bytes(extra['eager'])}; "
            f"plain SDPA {human_bytes(extra['sdpa'])}",
        ),
        (
            "largest difference of a weight",
            f"{f['max_abs_diff']:.1e}",
            f"of rows of all layers and heads, up to {f['largest_weight']:.1e}",
        ),
        (
            "peak memory of relevancy against L x L",
            f"{f['relevancy_memory_vs_full']:.3f} x",
            f"{human_bytes(extra['relevancy'])} against {human_bytes(extra['relevancy_full'])}; "
            f"largest difference {f['relevancy_max_diff']:.1e} of the largest score",
        ),
    ]
    notes = [
        f"{f['length']:,} tokens, an answer of 32 among them; the encoder's work is left out in all. One thread. CPU times are "
        "medians of five turns in one process, memory is of a fresh process each."
    ]
    return Report("Cost of a trace", rows, json.loads(json.dumps(f)), notes, about)
