"""The header: which checkpoint is in use, what is loaded and what it can do, how a load goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from model import Checkpoint, WorkbenchError, parse_spec
from model.families.base import Capability
from panels._html import component
from panels._turns import size_text
from panels.base import Bench, SessionState, explained

BADGES = {
    Capability.GENERATE: ("answers", "It answers questions"),
    Capability.MULTI_IMAGE: ("several pictures", "A prompt may hold several pictures"),
    Capability.GRID: ("patch grid", "Each visual token is tied to the pixels it came from"),
    Capability.ATTENTION: ("attention", "Attention can be captured, layer by layer"),
    Capability.GRADIENTS: ("gradients", "Gradients reach the picture"),
}
BUILTIN_LIMITS = (
    "Built in: small, trained on drawn scenes, one picture a question. On photographs it knows nothing; "
    "type a Hub id to add a checkpoint."
)
SUGGESTED = ("HuggingFaceTB/SmolVLM-256M-Instruct", "Qwen/Qwen2-VL-2B-Instruct", "llava-hf/llava-1.5-7b-hf")
BRAND = '<div class="fv-brand"><h1>Fovea</h1><p>look into vision-language models</p></div>'


def spec_text(checkpoint: Checkpoint) -> str:
    """What a person would type for a checkpoint."""
    options = [checkpoint.dtype, checkpoint.device, checkpoint.quantization, checkpoint.attention]
    words = [w for w in options if w not in ("auto", "none")]
    revision = f"@{checkpoint.revision}" if checkpoint.revision else ""
    return f"{checkpoint.source}{revision}" + (f":{','.join(words)}" if words else "")


class Header:
    """Name, the checkpoint picker with its chips and badges."""

    def __init__(self, bench: Bench, checkpoints: Sequence[Checkpoint]) -> None:
        self.bench = bench
        specs = list(dict.fromkeys([*(spec_text(c) for c in checkpoints), *(c.name for c in bench.builtin)]))
        with gr.Row(elem_classes="fv-head"):
            gr.HTML(
                html_template=BRAND, js_on_load=None, apply_default_css=False, elem_classes="fv-brand", scale=0, min_width=150
            )
            bench.checkpoint = gr.Dropdown(
                [*specs, *SUGGESTED],
                value=spec_text(checkpoints[0]),
                allow_custom_value=True,
                label="Checkpoint: a built-in name, a folder, or a Hub id",
                scale=2,
                min_width=240,
                elem_id="checkpoint",
            )
            with gr.Column(scale=4, min_width=260):
                self.chips = component("header", elem_id="header")

    def wire(self) -> None:
        bench = self.bench
        shared = {"show_progress": "hidden", "api_visibility": "private"}
        outputs = [self.chips, bench.state, bench.checkpoint]
        bench.checkpoint.input(self.choose, [bench.checkpoint, bench.state], outputs, concurrency_limit=4, **shared)
        self.chips.choose(self.choose_chip, [bench.state], outputs, concurrency_limit=4, **shared)
        self.chips.release(self.unload, [bench.state], outputs, concurrency_limit=4, **shared)
        bench.opened.change(self.choose, [bench.checkpoint, bench.state], outputs, concurrency_limit=4, **shared)
        bench.specimen.change(
            lambda state: self.view(state.checkpoint), bench.state, self.chips, concurrency_limit=None, **shared
        )
        gr.api(self.checkpoints_list, api_name="checkpoints_list")

    def choose(self, spec: str, state: SessionState) -> Iterator[tuple[Any, Any, Any]]:
        """Use a checkpoint, loading it first if need be. Where that fails the one in use stays."""
        spec = (spec or "").strip()[:300]
        try:
            self._allowed(spec)
            checkpoint = parse_spec(spec)
            if not self.bench.core.is_loaded(checkpoint):
                for step in self.bench.core.load(checkpoint):
                    progress = {
                        "text": step.text if hasattr(step, "text") else "Waiting for a running answer",
                        "share": getattr(step, "share", None),
                    }
                    yield self.view(state.checkpoint, progress=progress), gr.skip(), gr.skip()
        except Exception as error:
            yield self.view(state.checkpoint, error=explained(error)), gr.skip(), state.checkpoint
            return
        yield self.view(spec), replace(state, checkpoint=spec), spec

    def choose_chip(self, state: SessionState, event: gr.EventData) -> Iterator[tuple[Any, Any, Any]]:
        yield from self.choose(str(event.spec), state)

    def unload(self, state: SessionState, event: gr.EventData) -> tuple[Any, Any, Any]:
        """Free a checkpoint. The one in use can be freed too; it is loaded again when it is asked."""
        try:
            self.bench.core.unload(parse_spec(str(event.spec)))
        except WorkbenchError as error:
            return self.view(state.checkpoint, error=str(error)), gr.skip(), gr.skip()
        return self.view(state.checkpoint), gr.skip(), gr.skip()

    def _allowed(self, spec: str) -> None:
        if self.bench.public and parse_spec(spec) not in self.bench.builtin and not self.bench.core.is_loaded(parse_spec(spec)):
            raise WorkbenchError("On a public page only the checkpoints listed can be used. Run Fovea yourself to load others.")

    def view(self, chosen: str, *, progress: dict[str, Any] | None = None, error: str = "") -> dict[str, Any]:
        """What the header shows, as `header.js` takes it."""
        try:
            wanted = parse_spec(chosen)
        except WorkbenchError:
            wanted = None
        loaded = self.bench.core.loaded()
        status = next((s for s in loaded if s.checkpoint == wanted), None)
        badges = [_badge(need, status) for need in BADGES] if status else []
        limits = BUILTIN_LIMITS if wanted in self.bench.builtin else status.limits if status else ""
        return {
            "items": [_chip(s, s is status) for s in loaded],
            "badges": badges,
            "limits": limits,
            "progress": progress,
            "error": error,
            "trouble": self.bench.trouble() or "",
        }

    def checkpoints_list(self) -> list[dict[str, Any]]:
        """Every checkpoint on offer: built in or loaded, with what it can do and what it takes."""
        loaded = {s.checkpoint: s for s in self.bench.core.loaded()}
        found = []
        for checkpoint in dict.fromkeys([*loaded, *self.bench.builtin]):
            status = loaded.get(checkpoint)
            found.append(
                {
                    "spec": spec_text(checkpoint),
                    "name": checkpoint.name,
                    "loaded": status is not None,
                    "built_in": checkpoint in self.bench.builtin,
                    "capabilities": sorted(c.value for c in self.bench.core.capabilities(checkpoint)),
                    "parameters": status.parameters if status else None,
                    "size_bytes": status.size_bytes if status else None,
                    "device": status.device if status else None,
                    "dtype": status.dtype if status else None,
                    "context_tokens": status.context_tokens if status else None,
                }
            )
        return found


def _chip(status: Any, chosen: bool) -> dict[str, Any]:
    return {
        "spec": spec_text(status.checkpoint),
        "name": status.checkpoint.name,
        "memory": size_text(status),
        "chosen": chosen,
        "state": "ready",
        "details": _details(status),
    }


def _badge(need: Capability, status: Any) -> dict[str, Any]:
    text, why = BADGES[need]
    can = need in status.capabilities
    return {"text": text, "can": can, "why": why if can else f"Not on this checkpoint. {status.limits}"}


def _details(status: Any) -> str:
    lines = [
        f"{status.family}, {status.parameters / 1e6:,.1f} M parameters, {status.dtype} on {status.device}",
        f"{size_text(status)} with its caches; {status.context_tokens or 'unknown'} tokens of context",
        *status.notes,
    ]
    return "\n".join(lines)
