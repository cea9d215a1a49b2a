"""The components of the Sessions tab, laid out. What they do is wired in `sessions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..base.actions import buttons
from ..base.components import component

ANY = "any"
RATINGS = {ANY: None, "good": 1, "bad": -1, "not rated": 0}


@dataclass(frozen=True)
class TurnList:
    """The list of turns and what narrows it. `filters` are query, checkpoint, panel, rating, since, until."""

    filters: list[gr.Textbox | gr.Dropdown]
    list: gr.HTML
    upload: gr.File


@dataclass(frozen=True)
class Turn:
    """One turn in full, and what can be done with it. `actions` open it in other tabs."""

    box: gr.Column
    open: gr.Button
    actions: dict[str, gr.Button]
    replay: gr.Button
    halt: gr.Button
    detail: gr.HTML
    value: gr.Radio
    note: gr.Textbox
    keep: gr.Button
    export: gr.Button
    file: gr.File
    delete_run: gr.Button
    delete_session: gr.Button
    sure: gr.Column
    warning: gr.HTML
    yes: gr.Button
    no: gr.Button


def sessions_layout() -> tuple[gr.HTML, TurnList, Turn]:
    """A line for what went wrong, then the list with a turn beside it."""
    message = component("message", visible=False, elem_id="sessions-error")
    filters = _filters()
    with gr.Row(equal_height=False, elem_classes="fv-sessions"):
        with gr.Column(scale=5, min_width=320):
            runs = component("runs", elem_id="runs")
            with gr.Accordion("Import a session", open=False):
                upload = gr.File(label="A zip that Export made", height=110, elem_id="import")
        with gr.Column(scale=4, min_width=320, visible=False, elem_classes="fv-turnbox") as box:
            turn = _turn(box)
    return message, TurnList(filters, runs, upload), turn


def _filters() -> list[gr.Textbox | gr.Dropdown]:
    def text(label: str, placeholder: str, scale: int, name: str, most: int = 30) -> gr.Textbox:
        return gr.Textbox(
            label=label, placeholder=placeholder, scale=scale, min_width=110, max_lines=1, max_length=most, elem_id=name
        )

    def choice(label: str, scale: int, name: str) -> gr.Dropdown:
        return gr.Dropdown([ANY], value=ANY, label=label, allow_custom_value=True, scale=scale, min_width=110, elem_id=name)

    with gr.Row(elem_classes="fv-filters"):
        return [
            text("Search", "Words of question or answer", 3, "search", 500),
            choice("Checkpoint", 2, "by-checkpoint"),
            choice("Panel", 1, "by-panel"),
            gr.Dropdown(list(RATINGS), value=ANY, label="Rating", scale=1, min_width=110, elem_id="by-rating"),
            text("From", "2026-01-31", 1, "since"),
            text("To", "2026-12-31", 1, "until"),
        ]


def _turn(box: gr.Column) -> Turn:
    def small(text: str, name: str, **settings: Any) -> gr.Button:
        return gr.Button(text, size="sm", min_width=80, elem_id=name, **settings)

    with gr.Row(elem_classes="fv-tools"):
        open_ = small("Open in Chat", "open-run", variant="primary")
        actions = {name: small(text, f"{name}-run") for name, text, _ in buttons("sessions")}
        replay = small("Replay", "replay")
        halt = small("Stop replay", "stop-replay", variant="stop", visible=False)
        export = small("Export session", "export")
    file = gr.File(label="Exported session", visible=False, interactive=False, height=70, elem_id="exported")
    detail = component("detail", elem_id="detail")
    value = gr.Radio([("good", 1), ("not rated", 0), ("bad", -1)], label="Rating", value=0, elem_id="rating")
    note = gr.Textbox(label="Note", lines=1, max_lines=6, max_length=4000, elem_id="note")
    with gr.Row(elem_classes="fv-tools"):
        keep = small("Save rating and note", "save-note")
        delete_run = small("Delete turn", "delete-run")
        delete_session = small("Delete session", "delete-session")
    with gr.Column(visible=False, elem_classes="fv-sure") as sure:
        warning = component("message")
        with gr.Row(elem_classes="fv-tools"):
            yes = small("Delete", "delete-yes", variant="stop")
            no = small("Keep", "delete-no")
    return Turn(
        box, open_, actions, replay, halt, detail, value, note, keep, export, file, delete_run, delete_session, sure,
        warning, yes, no,
    )  # fmt: skip
