"""The header: which checkpoint is in use, what is loaded and what it can do, how a load goes, the session's name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import gradio as gr

from model import WorkbenchError, parse_spec
from model.errors import CheckpointError
from panels.base.bench import QUICK, Bench, SessionState, explained, sent, warn
from panels.base.components import component

from .chips import BADGES, absent, badge, chip, coming, lower, step_view
from .registries import failures
from .starting import Starting

BUILTIN_LIMITS = "Knows drawn scenes, no photographs."
SUGGESTED = {
    "HuggingFaceTB/SmolVLM-256M-Instruct": "0.5 GB",
    "Qwen/Qwen2-VL-2B-Instruct": "4.4 GB",
    "llava-hf/llava-1.5-7b-hf": "14 GB",
}
"""Hub ids to begin with, and about how much each downloads."""
LOGGED = "it failed to load; the log says why."
"""In place of an error, which may hold paths of this machine, on a public page."""
BRAND = '<div class="fv-brand"><h1>Fovea</h1><p>look into vision-language models</p></div>'
MAX_SPEC = 300
MAX_NAME = 120


class Header:
    """Name, the checkpoint picker with its chips and badges, the name of the session."""

    def __init__(self, bench: Bench, starting: Starting) -> None:
        self.bench, self.starting = bench, starting
        with gr.Row(elem_classes="fv-head", equal_height=False):
            gr.HTML(
                html_template=BRAND, js_on_load=None, apply_default_css=False, elem_classes="fv fv-name", scale=0, min_width=110
            )
            with gr.Column(scale=5, min_width=260):
                self.chips = component("header", elem_id="header")
            bench.checkpoint = gr.Dropdown(
                self._choices(),
                value=starting.first.spec,
                allow_custom_value=not bench.public,
                label="Checkpoint" if bench.public else "Checkpoint: choose one, or type a folder or a Hub id",
                show_label=False,
                container=False,
                scale=2,
                min_width=180,
                elem_id="checkpoint",
            )
            self.offered = gr.State(self._offer(starting.first.spec))
            self.name = gr.Textbox(
                label="Name of this session",
                placeholder="Session name",
                max_lines=1,
                show_label=False,
                container=False,
                max_length=MAX_NAME,
                scale=1,
                min_width=120,
                elem_id="session-name",
            )

    def wire(self) -> None:
        bench = self.bench
        slow: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 4}
        outputs = [self.chips, bench.state, bench.checkpoint]
        loads = [
            bench.checkpoint.input(self.choose, [bench.checkpoint, bench.state], outputs, **slow),
            self.chips.choose(self.choose_chip, bench.state, outputs, **slow),
        ]
        self.chips.halt(self.redrawn, bench.state, outputs, cancels=loads, **QUICK)
        self.chips.release(self.unload, bench.state, outputs, **slow)
        self.chips.look(lambda state: self.view(state.checkpoint), bench.state, self.chips, **QUICK)
        gr.on(
            [bench.opened.change, bench.specimen.change], self.refreshed, [bench.state, self.offered],
            [self.chips, bench.checkpoint, self.offered], **QUICK,
        )  # fmt: skip
        gr.on([bench.opened.change, bench.remembered.change], self.named, bench.state, self.name, **QUICK)
        gr.on([self.name.submit, self.name.blur], self.rename, [self.name, bench.state], self.name, **QUICK)
        gr.events.api(self.checkpoints_list, api_name="checkpoints_list")

    def choose(self, spec: str, state: SessionState) -> Iterator[tuple[Any, Any, Any]]:
        """Use a checkpoint, loading it first if need be. Where that fails the one in use stays."""
        spec = str(spec or "").strip()[:MAX_SPEC]
        try:
            checkpoint = self.bench.spec(spec)
            begun = time.monotonic()
            for step in self.bench.core.load(checkpoint):
                shown = step_view(step, checkpoint.name, time.monotonic() - begun)
                yield self.view(state.checkpoint, progress=shown), gr.skip(), gr.skip()
        except Exception as error:  # told where the checkpoint was asked for
            yield self.view(state.checkpoint, error=explained(error)), gr.skip(), self._picker(state.checkpoint)
            return
        with suppress(WorkbenchError):  # where the log cannot be written the checkpoint serves all the same
            settings = dict(self.bench.history.session(state.session).settings)
            self.bench.history.keep_settings(state.session, settings | {"checkpoint": spec})
        yield self.view(spec), replace(state, checkpoint=spec), self._picker(spec)

    def choose_chip(self, state: SessionState, event: gr.EventData) -> Iterator[tuple[Any, Any, Any]]:
        try:
            spec = sent(event, "spec", str)
        except WorkbenchError as error:
            yield self.view(state.checkpoint, error=str(error)), gr.skip(), gr.skip()
            return
        yield from self.choose(spec, state)

    def unload(self, state: SessionState, event: gr.EventData) -> Iterator[tuple[Any, Any, Any]]:
        """Free a checkpoint. The one in use can be freed too; it is loaded again when it is asked."""
        try:
            if self.bench.public:
                raise CheckpointError("Others use this checkpoint too: on a public page nobody unloads one.")
            checkpoint = parse_spec(sent(event, "spec", str))
            if self.bench.core.worker.busy:
                waiting = {"text": "Unloading when the running answer has ended", "share": None}
                yield self.view(state.checkpoint, progress=waiting), gr.skip(), gr.skip()
            self.bench.core.unload(checkpoint)
        except Exception as error:  # told where it was asked for
            yield self.view(state.checkpoint, error=explained(error)), gr.skip(), gr.skip()
            return
        yield self.redrawn(state)

    def redrawn(self, state: SessionState) -> tuple[Any, Any, Any]:
        """What is loaded may have changed, or the session with its checkpoint."""
        return self.view(state.checkpoint), gr.skip(), self._picker(state.checkpoint)

    def refreshed(self, state: SessionState, offered: list[Any]) -> tuple[Any, Any, Any]:
        """As `redrawn`, but the picker is left alone where nothing of it has changed: somebody may be typing into it."""
        offer = self._offer(state.checkpoint)
        if offered == offer:
            return self.view(state.checkpoint), gr.skip(), gr.skip()
        return self.view(state.checkpoint), self._picker(state.checkpoint), offer

    def named(self, state: SessionState) -> Any:
        """The name of the session the page is in."""
        try:
            return self.bench.history.session(state.session).name
        except WorkbenchError:
            return ""

    def rename(self, name: str, state: SessionState) -> Any:
        """The session's name as it is now kept."""
        name = " ".join(str(name or "").split())[:MAX_NAME]
        try:
            if name != self.bench.history.session(state.session).name:
                self.bench.history.rename(state.session, name)
        except WorkbenchError as error:
            warn(str(error))
            return gr.skip()
        return name

    def _offer(self, spec: str) -> list[Any]:
        return [spec, *map(list, self._choices())]

    def _picker(self, spec: str) -> Any:
        return gr.Dropdown(self._choices(), value=spec)

    def _choices(self) -> list[tuple[str, str]]:
        """What can be chosen: (words, spec). The words tell what is loaded and what would be downloaded."""
        loaded = [status.checkpoint.spec for status in self.bench.core.loaded()]
        loaded += [checkpoint.spec for checkpoint in self.starting.loading if checkpoint.spec not in loaded]
        idle = [c.name for c in self.bench.builtin if c.name not in loaded]
        hub = {spec: size for spec, size in SUGGESTED.items() if spec not in loaded and not self.bench.public}
        return [
            *((spec, spec) for spec in loaded),
            *((f"{spec} (built in, not loaded)", spec) for spec in idle),
            *((f"{spec} (on the Hub, {size})", spec) for spec, size in hub.items()),
        ]

    def view(self, chosen: str, *, progress: dict[str, Any] | None = None, error: str = "") -> dict[str, Any]:
        """What the header shows, as `header.js` takes it."""
        try:
            wanted = parse_spec(chosen)
        except WorkbenchError:
            wanted = None
        loaded = self.bench.core.loaded()
        status = next((s for s in loaded if s.checkpoint == wanted), None)
        items = [chip(s, s is status) for s in loaded]
        memory = {s.checkpoint for s in loaded}
        loading = {c: step for c, step in self.starting.loading.items() if c not in memory}
        items += [coming(c, step, c == wanted) for c, step in loading.items()]
        if wanted is not None and status is None and wanted not in loading:
            items.append(absent(wanted))
        step = loading.get(wanted) if wanted is not None else None
        return {
            "items": items,
            "badges": [badge(need, status) for need in BADGES] if status else [],
            "place": f"on {status.device}" if status else "",
            "limits": " ".join(
                filter(
                    None,
                    (
                        BUILTIN_LIMITS if wanted in self.bench.builtin else status.limits if status else "",
                        *(status.warnings if status else ()),
                    ),
                )
            ),
            "progress": progress,
            "starting": {"text": f"Loading {chosen}: {lower(step.text)}", "share": step.share} if step is not None else None,
            "error": error,
            "failed": [
                f"{c.name}: {LOGGED}" if self.bench.public else why for c, why in self.starting.errors.items() if c not in memory
            ],
            "shared": self.bench.public,
            "trouble": self.bench.trouble() or "",
            "left_out": [f"{file} is left out: {LOGGED if self.bench.public else error}" for file, error in failures().items()],
        }

    def checkpoints_list(self) -> list[dict[str, Any]]:
        """Every checkpoint on offer: built in or loaded, with what it can do and what it takes."""
        loaded = {s.checkpoint: s for s in self.bench.core.loaded()}
        found = []
        for checkpoint in dict.fromkeys([*loaded, *self.bench.builtin]):
            status = loaded.get(checkpoint)
            found.append(
                {
                    "spec": checkpoint.spec,
                    "name": checkpoint.name,
                    "loaded": status is not None,
                    "built_in": checkpoint in self.bench.builtin,
                    "capabilities": sorted(c.value for c in self.bench.core.capabilities(checkpoint)),
                    "parameters": status.parameters if status else None,
                    "size_bytes": status.size_bytes if status else None,
                    "device": status.device if status else None,
                    "dtype": status.dtype if status else None,
                    "context_tokens": status.context_tokens if status else None,
                    "warnings": list(status.warnings) if status else [],
                }
            )
        return found
