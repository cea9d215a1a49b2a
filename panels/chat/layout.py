"""The components of the chat tab, laid out. What they do is wired in `chat`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..base.components import component
from ..base.settings import MAX_SYSTEM_CHARACTERS, RANGES

EXPLAINED = (
    "Temperature 0 is greedy. Top-p: the share of probability sampled from. Length: most tokens of an answer. "
    "The same seed samples the same tokens. A system prompt holds from a chat's first question on."
)


@dataclass(frozen=True)
class ChatParts:
    """Everything of the tab that an event reads or writes. `settings` are by name: "system", and those of `RANGES`."""

    transcript: gr.HTML
    live: gr.HTML
    error: gr.HTML
    questions: gr.HTML
    composer: gr.HTML
    box: gr.MultimodalTextbox
    fresh: gr.Button
    stop: gr.Button
    shelf: gr.HTML
    another: gr.Button
    saw: gr.HTML
    running: gr.State
    settings: dict[str, Any]


def chat_layout(tokens_of: Callable[[str], dict[str, Any]], longest: int) -> ChatParts:
    """Conversation and question box, with scenes and settings beside them. `tokens_of` gives the page a turn's tokens.

    `longest` is the most tokens an answer may have here.
    """
    with gr.Row(equal_height=False, elem_classes="fv-chat"):
        with gr.Column(scale=3, min_width=320, elem_classes="fv-main"):
            with gr.Column(elem_classes="fv-scroll"):
                transcript = component("transcript", elem_id="transcript", server_functions=[tokens_of])
                live = component("live", elem_id="live")
            error = component("message", visible=False, elem_id="chat-error")
            questions = component("questions", elem_id="questions")
            composer = component("composer", elem_id="composer")
            box = _question_box()
            with gr.Row(elem_classes="fv-tools"):
                fresh = gr.Button("New chat", size="sm", min_width=90, elem_id="new-chat")
                stop = gr.Button("Stop (Esc)", size="sm", min_width=90, elem_id="stop", visible=False, variant="stop")
        with gr.Column(scale=1, min_width=200, elem_classes="fv-side"):
            gr.Markdown("Drawn scenes to start from", elem_classes="fv-purpose")
            shelf = component("scenes", elem_id="shelf")
            another = gr.Button("Draw another scene", size="sm", elem_id="another")
            settings = _settings(longest)
    saw = component("saw", elem_id="saw")
    return ChatParts(transcript, live, error, questions, composer, box, fresh, stop, shelf, another, saw, gr.State(""), settings)


def _question_box() -> gr.MultimodalTextbox:
    """Takes files of any type: Gradio would refuse one in a note that reads its name as HTML. `composer` says what is wrong."""
    return gr.MultimodalTextbox(
        show_label=False,
        label="Question",
        placeholder="Ask about the picture",
        file_count="multiple",
        max_plain_text_length=200_000,
        max_lines=8,
        elem_id="ask",
    )


def _settings(longest: int) -> dict[str, Any]:
    def slider(name: str, step: float, label: str, high: float | None = None) -> gr.Slider:
        known = RANGES[name]
        most = known.high if high is None else min(high, known.high)
        told = f"At most {most:,.0f} tokens on this public page." if most < known.high else None
        return gr.Slider(known.low, most, min(known.default, most), step=step, label=label, info=told, elem_id=f"set-{name}")

    with gr.Accordion("Settings", open=True, elem_id="settings"):
        seed = RANGES["seed"]
        settings = {
            "temperature": slider("temperature", 0.05, "Temperature"),
            "top_p": slider("top_p", 0.05, "Top-p"),
            "length": slider("length", 1, "Length", longest),
            "seed": gr.Number(seed.default, label="Seed", precision=0, minimum=seed.low, maximum=seed.high, elem_id="set-seed"),
            "system": gr.Textbox(
                label="System prompt",
                lines=2,
                max_lines=6,
                max_length=MAX_SYSTEM_CHARACTERS,
                elem_id="set-system",
            ),
        }
        gr.Markdown(EXPLAINED, elem_classes="fv-purpose")
    return settings
