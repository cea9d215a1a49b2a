"""The components of the chat tab, laid out. What they do is wired in `chat`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr
from gradio.blocks import Block

from model.decoders import decoders, numbers
from model.decoders.base import Number, settings_of
from model.decoders.plain import Plain

from ..base.bench import QUICK
from ..base.components import component
from ..base.records import Reply
from ..base.settings import MAX_SYSTEM_CHARACTERS, RANGES, slid

EXPLAINED = (
    "Length: most tokens of an answer. The same seed samples the same tokens. "
    "A system prompt holds from a chat's first question on."
)


@dataclass(frozen=True)
class ChatParts:
    """Everything of the tab that an event reads or writes. `settings` are by name: "system", "decoder", numbers."""

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
    settings: dict[str, Block]


def chat_layout(tokens_of: Callable[[str], Reply], longest: int) -> ChatParts:
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


def _settings(longest: int) -> dict[str, Block]:
    """What decoders are set with, each number that several share once, and the settings of any of them."""
    with gr.Accordion("Settings", open=True, elem_id="settings"):
        seed, length, known = RANGES["seed"], RANGES["length"], numbers()
        told = f"At most {longest:,.0f} tokens on this public page." if longest < length.high else None
        most = min(longest, length.high)
        choices = [(one.title, one.slug) for one in decoders.values()]
        decoder = gr.Dropdown(choices, value=Plain.slug, label="Decoder", visible=len(choices) > 1, elem_id="set-decoder")
        sliders = {name: _slider(name, one) for name, one in known.items()}
        settings: dict[str, Block] = {
            "decoder": decoder,
            **sliders,
            "length": gr.Slider(
                length.low, most, min(length.default, most), step=1, label="Length", info=told, elem_id="set-length"
            ),
            "seed": gr.Number(seed.default, label="Seed", precision=0, minimum=seed.low, maximum=seed.high, elem_id="set-seed"),
            "system": gr.Textbox(
                label="System prompt",
                lines=2,
                max_lines=6,
                max_length=MAX_SYSTEM_CHARACTERS,
                elem_id="set-system",
            ),
        }
        gr.Markdown(" ".join([*(one.why for one in known.values()), EXPLAINED]), elem_classes="fv-purpose")

    def choose(slug: str) -> list[gr.Slider]:
        own = settings_of(decoders[slug if slug in decoders else Plain.slug])
        return [gr.Slider(visible=name in own) for name in known]

    decoder.change(choose, decoder, list(sliders.values()), **QUICK)
    return settings


def _slider(name: str, number: Number) -> gr.Slider:
    """The slider of a decoder's number. Of the plain decoder it is there from the beginning."""
    wanted, shown = slid(number), name in settings_of(Plain)
    return gr.Slider(
        wanted.low, wanted.high, number.default, step=number.step, label=number.label, visible=shown, elem_id=f"set-{name}"
    )
