"""The page: header with the checkpoints, the bench with the specimen, a tab for each panel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from model import Checkpoint, Core, WorkbenchError, parse_spec
from model.checkpoint import builtin_folders
from panels import panels
from panels._html import component
from panels.base import Bench, Panel, SessionState

from .header import BADGES, Header, spec_text
from .history import History
from .transfer import exporter, importer

CSS = Path(__file__).resolve().parent.parent / "assets" / "css" / "fovea.css"
SECRET = "fovea-browser-state"
"""Ciphers a random session id in the visitor's own storage. It protects nothing; the id itself is the key."""


def theme() -> gr.themes.Base:
    """Neutral greys, one accent, fonts that are on every machine."""
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    return gr.themes.Base(primary_hue="blue", neutral_hue="slate", font=sans, font_mono=mono, radius_size="sm", spacing_size="sm")


def build_demo(core: Core, history: History, checkpoints: Sequence[Checkpoint], public: bool = False) -> gr.Blocks:
    """The whole page. `checkpoints` are loaded already; the first is the one in use."""
    builtin = tuple(parse_spec(name) for name in builtin_folders())
    bench = Bench(core, history, builtin, public, lambda: history.store.trouble, exporter(history), importer(history))
    with gr.Blocks(title="Fovea", fill_width=True, analytics_enabled=False) as demo:
        bench.state = gr.State(SessionState(checkpoint=spec_text(checkpoints[0])), time_to_live=24 * 3600)
        bench.remembered = gr.BrowserState("", storage_key="fovea-session", secret=SECRET)
        bench.opened = gr.State(0)
        header = Header(bench, checkpoints)
        with gr.Row(equal_height=False):
            with gr.Column(scale=1, min_width=280, elem_classes="fv-bench"):
                bench.specimen = component("specimen", elem_id="specimen")
            with gr.Column(scale=4, min_width=340):
                with gr.Tabs(elem_id="tabs") as bench.tabs:
                    for panel in sorted(panels.values(), key=lambda p: p.order):
                        _tab(bench, panel)
        header.wire()
        demo.load(
            _opener(bench), [bench.remembered, bench.state], [bench.remembered, bench.state, bench.opened, bench.checkpoint],
            api_visibility="private", show_progress="hidden", concurrency_limit=None,
        )  # fmt: skip
    return demo


def _tab(bench: Bench, panel: Panel) -> None:
    with gr.Tab(panel.title, id=panel.slug):
        gr.Markdown(panel.purpose, elem_classes="fv-purpose")
        reason = gr.Markdown(visible=False)
        with gr.Column() as body:
            panel.build(bench)

    def gate(state: SessionState):
        missing = _missing(bench, panel, state)
        return gr.Markdown(missing, visible=bool(missing)), gr.Column(visible=not missing)

    if panel.needs:
        bench.state.change(
            gate, bench.state, [reason, body], api_visibility="private", show_progress="hidden", concurrency_limit=None
        )


def _missing(bench: Bench, panel: Panel, state: SessionState) -> str:
    """Why a checkpoint cannot serve a panel, in a sentence that names one that can; empty where it can."""
    try:
        lacking = panel.needs - bench.core.capabilities(parse_spec(state.checkpoint))
    except WorkbenchError:
        return ""  # the header tells what is wrong with the checkpoint
    if not lacking:
        return ""
    words = ", ".join(BADGES[need][0] for need in sorted(lacking))
    able = " and ".join(c.name for c in bench.builtin if panel.needs <= bench.core.capabilities(c))
    return f"**{panel.title}** needs {words}, which {state.checkpoint} does not give. Choose {able} in the header."


def _opener(bench: Bench):
    def open_page(remembered: str, state: SessionState, request: gr.Request):
        """Find the session this browser had, or the turn the address names, or begin anew."""
        history = bench.history
        wanted = request.query_params.get("run", "")
        if wanted:
            try:
                row = history.run(wanted).row
                history.set_current(row.session, row.id)
                remembered = row.session
            except WorkbenchError as error:
                gr.Warning(str(error))
        try:
            session = history.session(remembered)
        except WorkbenchError:
            session = history.session(history.new_session(client="browser"))
        chosen = str(session.settings.get("checkpoint", "")) or state.checkpoint
        state = SessionState(session.id, chosen, session.current_run_id)
        return session.id, state, (session.id, session.current_run_id), chosen

    return open_page
