"""The page: header with the checkpoints, the bench with the specimen, a tab for each panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from model import Core, WorkbenchError, parse_spec
from model.checkpoint import builtin_folders
from panels import panels
from panels.base.bench import QUICK, Bench, Opening, Panel, SessionState, opening, warn
from panels.base.components import component

from .chips import BADGES
from .export.transfer import exporter, importer
from .header import Header
from .log.history import History
from .public.guest_log import GuestLog
from .public.guest_view import GuestStrip
from .public.guests import Guests
from .public.rate_limit import Limits
from .starting import Starting

STYLES = sorted((Path(__file__).resolve().parent.parent / "assets" / "css").glob("*.css"))
MAX_ID, MAX_WHAT = 100, 300
SECRET = "fovea-browser-state"
"""Ciphers a random session id in the visitor's own storage. It protects nothing; the id itself is the key."""


def theme() -> gr.themes.Base:
    """Neutral greys, one accent, fonts that are on every machine."""
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    base = gr.themes.Base(primary_hue="blue", neutral_hue="slate", font=sans, font_mono=mono, radius_size="sm", spacing_size="sm")
    return base.set(
        color_accent="*primary_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        slider_color="*primary_600",
        input_placeholder_color="*neutral_600",
        input_placeholder_color_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
    )


def build_demo(core: Core, history: History, starting: Starting, visitors: Guests | None = None, logs: bool = True) -> gr.Blocks:
    """The whole page. The first checkpoint of `starting` is the one in use. `logs`: what is written down stays.

    The page is public where there are `visitors` to be kept apart.
    """
    builtin = tuple(parse_spec(name) for name in builtin_folders())
    bench = Bench(
        core, history, builtin, visitors is not None, lambda: history.store.trouble, exporter(history), importer(history)
    )
    bench.offered = starting.checkpoints
    if visitors is not None:
        bench.longest = min(bench.longest, Limits().new_tokens)
    guests = _apart(bench, history, visitors) if visitors is not None else None
    with gr.Blocks(title="Fovea", fill_width=True, analytics_enabled=False) as demo:
        bench.state = gr.State(SessionState(checkpoint=starting.first.spec), time_to_live=24 * 3600)
        bench.remembered = gr.BrowserState("", storage_key="fovea-session", secret=SECRET)
        bench.opened = gr.State(None)
        header = Header(bench, starting)
        strip = GuestStrip(bench, guests, logs) if guests is not None else None
        with gr.Row(equal_height=False):
            with gr.Column(scale=1, min_width=220, elem_classes="fv-bench"):
                bench.specimen = component("specimen", elem_id="specimen")
            with gr.Column(scale=4, min_width=340, elem_classes="fv-instrument"):
                with gr.Tabs(elem_id="tabs") as bench.tabs:
                    for panel in sorted(panels.values(), key=lambda p: p.order):
                        _tab(bench, panel)
        header.wire()
        opens = strip.opens(demo) if strip is not None else demo.load
        opens(
            _opener(bench, starting), [bench.remembered, bench.state], [bench.remembered, bench.state, bench.opened, bench.tabs],
            **QUICK,
        )  # fmt: skip
    return demo


def _apart(bench: Bench, history: History, visitors: Guests) -> GuestLog:
    """Give the panels of a public page the log as each visitor may see it."""
    log, out, back = GuestLog(history, visitors), bench.export_zip, bench.import_zip
    bench.history, bench.share = log, log.share
    bench.export_zip = lambda session: out(log.session(session).id if session else "")
    bench.import_zip = lambda path: log.claim(back(path))
    return log


def _tab(bench: Bench, panel: Panel) -> None:
    with gr.Tab(panel.title, id=panel.slug):
        gr.Markdown(panel.purpose, elem_classes="fv-purpose")
        reason = component("note", visible=False)
        with gr.Column() as body:
            panel.build(bench)

    def gate(state: SessionState) -> tuple[gr.HTML, gr.Column]:
        missing = _missing(bench, panel, state)
        return gr.HTML(missing, visible=bool(missing)), gr.Column(visible=not missing)

    if panel.needs:
        bench.state.change(gate, bench.state, [reason, body], **QUICK)


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
    return f"{panel.title} needs {words}, which {state.checkpoint} does not give. Choose {able or 'another'} in the header."


Opened = tuple[str, SessionState, tuple[str, str | None, str], gr.Tabs | dict[str, Any]]
"""What a page opens with: `Bench.remembered`, `state`, `opened` and `tabs`."""


def _opener(bench: Bench, starting: Starting) -> Callable[..., Opened]:
    def open_page(remembered: object, state: SessionState, request: gr.Request) -> Opened:
        """Find the session this browser had, or what the address names, or begin anew."""
        wanted = str(request.query_params.get("run", ""))[:MAX_ID]
        found = _session_of(bench, wanted) if wanted else None
        try:
            session = bench.history.session(found or (remembered if isinstance(remembered, str) else ""))
        except WorkbenchError:
            session = bench.history.session(bench.history.new_session(client="browser"))
        state = bench.state_of(session, starting.first.spec)
        wanted_tab = _addressed(request.query_params, state.run_id)
        tab = gr.Tabs(selected=wanted_tab.panel) if wanted_tab else gr.skip()
        return session.id, replace(state, opening=wanted_tab), opening(session.id, session.current_run_id), tab

    return open_page


def _addressed(query: Mapping[str, str], run_id: str | None) -> Opening | None:
    """What an address asks a tab for, by the parameters on the tabs' cards; None where it names none.

    A kept map is asked for by its kind, beside `?run=`.
    """
    for panel in sorted(panels.values(), key=lambda p: p.order):
        names = (*panel.addresses, *(panel.keeps if run_id else ()))
        what = {name: str(query[name])[:MAX_WHAT] for name in names if query.get(name)}
        if what:
            return Opening(panel.slug, run_id or "", what, run_id)
    return None


def _session_of(bench: Bench, run_id: str) -> str | None:
    """The session of a turn, standing at it. A turn that is gone is told of; one that another visitor shared is copied."""
    try:
        if isinstance(bench.history, GuestLog) and not bench.history.has(run_id):
            return bench.history.open_shared(run_id)
        row = bench.history.run(run_id).row
        if not row.session and row.group:  # a replay belongs to the turn it repeats
            row = bench.history.run(row.group).row
        bench.history.set_current(row.session, row.id)
        return row.session
    except WorkbenchError as error:
        warn(str(error))
        return None
