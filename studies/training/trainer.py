"""The training run: seeded, resumable after kill -9, on a GPU where there is one, else one process per core.

Progress is a bar with the time left over all stages. Every figure of the curve goes to
`curves.jsonl`. The state is written beside the old one and renamed, so a kill leaves a whole state.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from model.errors import InputError

from .batches import Batch, Batches
from .packing import Packer
from .patches import PatchHeads
from .quick import quick_accuracy
from .recipes import RECIPES
from .stages import STAGES, Stage, Step, optimizers
from .tokenizer import make_tokenizer

log = logging.getLogger(__name__)
BATCH = 64
SAVE_EVERY, LOG_EVERY, CHECK_EVERY = 50, 10, 200
SEED = 7
MEMORY = {
    "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "8000000000", "MALLOC_TOP_PAD_": "268435456",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32",
}  # fmt: skip
"""glibc keeps freed memory instead of handing it back: a step's tensors are the next step's. 1.7 x faster.

oneDNN keeps the workspace of each shape it met, and packed rows come in ever new ones: 32 shapes take as long as its 1,024 and
keep a process from growing past about 6 GB.
"""


@dataclass(frozen=True)
class Plan:
    """What one run is: recipe and seed, where its state lies, over how many processes, what share of the full length."""

    recipe: str
    folder: Path
    processes: int
    scale: float = 1.0
    parent: int = 0
    seed: int = SEED

    def stages(self) -> list[Stage]:
        from dataclasses import replace

        return [replace(stage, steps=max(2, round(stage.steps * self.scale))) for stage in STAGES]


def train(name: str, folder: Path, *, scale: float = 1.0, processes: int | None = None, seed: int | None = None) -> Path:
    """Train a built-in checkpoint, or go on where a run in `folder` stopped. Returns the folder.

    `scale` shortens every stage (tests use it). `seed` sets the weights a run begins with (default:
    `SEED`, which made the checkpoints that come with Fovea); a run goes on with the seed it began with.
    Raises KeyError for an unknown name, InputError where `folder` holds a run with another seed.
    """
    recipe = RECIPES[name]
    folder.mkdir(parents=True, exist_ok=True)
    begun = seed_of(folder)
    if seed is not None and seed != begun and (folder / "tokenizer").exists():
        raise InputError(f"The run in {folder} began with seed {begun}. Give another --folder for seed {seed}.")
    seed = begun if seed is None else seed
    (folder / "seed.json").write_text(json.dumps({"seed": seed}) + "\n")
    if not (folder / "tokenizer").exists():
        make_tokenizer(recipe.dialect).save_pretrained(folder / "tokenizer.partial")
        os.replace(folder / "tokenizer.partial", folder / "tokenizer")
    count = 1 if torch.cuda.is_available() else processes or min(4, os.cpu_count() or 1)
    plan = Plan(recipe.name, folder, count, scale, os.getpid(), seed)
    if count == 1:
        _run(0, plan, 0)
    else:
        before = {key: os.environ.get(key) for key in MEMORY}
        os.environ.update(MEMORY)
        try:
            spawn(_run, (plan, _free_port()), nprocs=count, join=True)
        finally:
            for key, value in before.items():
                os.environ.pop(key) if value is None else os.environ.update({key: value})
    return folder


def seed_of(folder: Path) -> int:
    """The seed of the run in a folder; `SEED` where there is none yet."""
    path = folder / "seed.json"
    return json.loads(path.read_text())["seed"] if path.exists() else SEED


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _run(rank: int, plan: Plan, port: int) -> None:
    if plan.processes > 1:
        torch.set_num_threads(1)
        dist.init_process_group(
            "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=plan.processes, timeout=timedelta(hours=1)
        )
    try:
        _Training(rank, plan).go()
    finally:
        if plan.processes > 1:
            dist.destroy_process_group()


class _Training:
    """One process's part of a run."""

    def __init__(self, rank: int, plan: Plan) -> None:
        self.rank, self.plan, self.recipe = rank, plan, RECIPES[plan.recipe]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(plan.folder / "tokenizer")
        torch.manual_seed(plan.seed)
        self.model = self.recipe.build(self.recipe, self.tokenizer).to(self.device).train()  # type: ignore[arg-type]
        # On a CPU, bf16 matrix products with eager attention beat SDPA, whose bf16 backward is slow there.
        self.model.set_attn_implementation("eager" if self.device.type == "cpu" else "sdpa")
        self.heads = PatchHeads(self.recipe.width, relative=self.recipe.place_layer is not None).to(self.device)
        self.half = self.device.type == "cuda" or _bf16_is_fast()
        packer = Packer(self.tokenizer, self.recipe.dialect, self.recipe.text_tokens)
        self.batches = Batches(packer, self.recipe.sizes)
        self.step = Step(self.recipe, self.model, self.heads, self.tokenizer, self.device)
        self.curve = plan.folder / "curves.jsonl"

    def go(self) -> None:
        stages = self.plan.stages()
        done_stage, done_step, saved = self._resume()
        total = sum(stage.steps * stage.cost for stage in stages)
        past = sum(s.steps * s.cost for s in stages[:done_stage]) + (
            stages[done_stage].cost * done_step if done_stage < len(stages) else 0
        )
        with tqdm(total=round(total), initial=round(past), disable=self.rank > 0, unit="step", bar_format=BAR) as bar:
            for number, stage in enumerate(stages):
                if number < done_stage:
                    continue
                first = done_step if number == done_stage else 0
                self._stage(number, stage, first, saved if number == done_stage else None, bar)
                if stage.name == "align" and self.rank == 0:
                    self._save_weights("stage1")
        if self.rank == 0:
            self._save_weights("final")

    def _stage(self, number: int, stage: Stage, first: int, saved: dict[str, Any] | None, bar: tqdm) -> None:
        opts = optimizers(self.recipe, stage, self.model, self.heads)
        for opt, state in zip(opts, saved["optimizers"] if saved else [], strict=False):
            opt.load_state_dict(state)
        rates = [[group["lr"] for group in opt.param_groups] for opt in optimizers(self.recipe, stage, self.model, self.heads)]
        learned = [p for p in (*self.model.parameters(), *self.heads.parameters()) if p.requires_grad]
        share = BATCH // self.plan.processes
        for step in range(first, stage.steps):
            if self.plan.processes > 1 and os.getppid() != self.plan.parent:
                raise SystemExit("The training run was killed; this process of it ends too.")
            start = step * BATCH + self.rank * share
            batch = self._to_device(stage.batch(self.batches, number, list(range(start, start + share)), step))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                loss, figures = self.step.loss(stage, batch)
            loss.backward()
            self._average(learned)
            torch.nn.utils.clip_grad_norm_(learned, 1.0)
            for opt, base in zip(opts, rates, strict=True):
                for group, rate in zip(opt.param_groups, base, strict=True):
                    group["lr"] = rate * stage.scale(step)
                opt.step()
                opt.zero_grad(set_to_none=True)
            if self.rank == 0:
                bar.set_description(f"{stage.name} {step + 1}/{stage.steps}")
                bar.update(min(stage.cost, max(0, bar.total - bar.n)))
                if step % LOG_EVERY == 0:
                    self._note(stage.name, step, figures)
                if stage.name == "instruct" and (step + 1) % CHECK_EVERY == 0:
                    self._note(stage.name, step, {f"held-out {k}": v for k, v in self._check().items()})
                if (step + 1) % SAVE_EVERY == 0 or step + 1 == stage.steps:
                    last = step + 1 == stage.steps
                    self._save(number + last, 0 if last else step + 1, [] if last else opts)

    def _check(self) -> dict[str, float]:
        self.model.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            found = quick_accuracy(self.recipe, self.model, self.tokenizer, scenes=128)
        self.model.train()
        return found

    def _average(self, parameters: list[torch.nn.Parameter]) -> None:
        if self.plan.processes == 1:
            return
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters])
        dist.all_reduce(flat)
        flat /= self.plan.processes
        at = 0
        for p in parameters:
            p.grad = flat[at : at + p.numel()].view_as(p)
            at += p.numel()

    def _to_device(self, batch: Batch) -> Batch:
        if self.device.type == "cpu":
            return batch
        for holder in (batch, batch.text):
            for name, value in vars(holder).items() if holder is not None else ():
                if isinstance(value, torch.Tensor):
                    setattr(holder, name, value.to(self.device, non_blocking=True))
        return batch

    def _note(self, stage: str, step: int, figures: dict[str, float]) -> None:
        with self.curve.open("a") as lines:
            lines.write(json.dumps({"stage": stage, "step": step, **{k: round(v, 5) for k, v in figures.items()}}) + "\n")

    def _save(self, stage: int, step: int, opts: list[torch.optim.Optimizer]) -> None:
        state = {
            "stage": stage,
            "step": step,
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "optimizers": [opt.state_dict() for opt in opts],
        }
        torch.save(state, self.plan.folder / "state.partial")
        os.replace(self.plan.folder / "state.partial", self.plan.folder / "state.pt")

    def _save_weights(self, name: str) -> None:
        torch.save(self.model.state_dict(), self.plan.folder / f"{name}.partial")
        os.replace(self.plan.folder / f"{name}.partial", self.plan.folder / f"{name}.pt")

    def _resume(self) -> tuple[int, int, dict[str, Any] | None]:
        path = self.plan.folder / "state.pt"
        if not path.exists():
            return 0, 0, None
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        if self.rank == 0:
            self._trim_curve(state["stage"], state["step"])
        return state["stage"], state["step"], state if state["optimizers"] else None

    def _trim_curve(self, stage: int, step: int) -> None:
        """Drop figures of steps that will be taken again."""
        if not self.curve.exists():
            return
        order = [s.name for s in STAGES]
        whole = [line for line in self.curve.read_text().splitlines() if line.endswith("}")]
        kept = [line for line in whole if (order.index(json.loads(line)["stage"]), json.loads(line)["step"]) < (stage, step)]
        self.curve.write_text("".join(line + "\n" for line in kept))


BAR = "{desc:22} {percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left"


def _bf16_is_fast() -> bool:
    """Whether this processor multiplies bf16 matrices faster than fp32 ones. Measured, 20 ms."""
    import time

    took = []
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(512, 512, dtype=dtype)
        a @ a
        start = time.perf_counter()
        for _ in range(5):
            a @ a
        took.append(time.perf_counter() - start)
    return took[1] < took[0]
