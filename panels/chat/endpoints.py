"""`chat_ask`: one turn over the API, streamed, with keyword parameters."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.blocks import Block

from model.decoders import numbers
from model.decoders.base import Number
from model.decoders.plain import Plain
from model.options import MAX_NEW_TOKENS

from ..base import settings as _settings
from ..base.bench import MODEL_LIMIT, MODEL_QUEUE, Bench, SessionState
from ..base.endpoints import errors_as_sentences, images_parameter, json_parameter, picture_parameter
from ..base.records import Reply
from ..base.settings import Range
from ..base.turn import Asked, TurnProgress, compose, read_pictures, run, timed

LENGTH = Range(1, MAX_NEW_TOKENS, 256, whole=True)


def add_chat_api(bench: Bench) -> None:
    """Lay out hidden components whose labels become the endpoint's parameters, and the endpoint itself."""
    known = numbers()
    with gr.Column(visible=False):
        inputs: dict[str, Block] = {
            "question": gr.Textbox(label="question"),
            "images": images_parameter(),
            "checkpoint": gr.Textbox("", label="checkpoint"),
            "session": gr.Textbox("", label="session"),
            "system": gr.Textbox("", label="system"),
            "decoder": gr.Textbox(Plain.slug, label="decoder"),
            **{name: gr.Number(one.default, label=name) for name, one in known.items()},
            "max_new_tokens": gr.Number(LENGTH.default, label="max_new_tokens"),
            "seed": gr.Number(0, label="seed"),
            "times": json_parameter("times", {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}}),
            "picture": picture_parameter(),
        }
        out = gr.JSON(label="turn")
        ask = gr.Button("ask")

    def chat_ask(
        question: str,
        images: list[str] | None = None,
        checkpoint: str = "",
        session: str = "",
        system: str = "",
        decoder: str = Plain.slug,
        max_new_tokens: float = 256,
        seed: float = 0,
        times: list[float | None] | None = None,
        picture: str | None = None,
        **decoding: float,
    ) -> Iterator[Reply]:
        """Ask one question. An empty `checkpoint` is the first built in; `session` goes on where an earlier call's ended.
        `times` makes frames of a video out of `images`: seconds from its start, one for each. `picture` is one more of them,
        for MCP clients: an address of it, or a data URL. `decoder` is set with those of its numbers that are given.

        Yields the turn as it grows: run_id, session, checkpoint, text, done, and at the end reason, tokens
        [[id, logprob, text], ...] and figures. What goes wrong is said in a sentence.
        """
        with errors_as_sentences():
            values = {**decoding, "decoder": decoder, "seed": seed}
            length = int(_settings.number("max_new_tokens", max_new_tokens, LENGTH))
            options = replace(_settings.options(values), max_new_tokens=length)
            pictures, notes = read_pictures([*(images or []), *([picture] if picture else [])])
            state = _state(bench, (session or "").strip(), (checkpoint or "").strip())
            asked = compose(bench, state, question or "", timed(pictures, times), system or "", options, state.run_id)
            asked = replace(asked, notes=(*notes, *asked.notes))
            for progress in run(bench, asked):
                yield _view(asked, progress)

    ask.click(
        with_numbers(chat_ask, known),
        inputs_kwargs=inputs,
        outputs=out,
        api_name="chat_ask",
        concurrency_id=MODEL_QUEUE,
        concurrency_limit=MODEL_LIMIT,
    )


def with_numbers(function: Callable[..., Iterator[Reply]], known: Mapping[str, Number]) -> Callable[..., Iterator[Reply]]:
    """The function, which takes numbers of decoders by keyword, with a parameter of its own for each: Gradio gives no others."""
    signature = inspect.signature(function)
    *plain, _ = signature.parameters.values()
    more = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=one.default, annotation="float")
        for name, one in known.items()
    ]
    at = [parameter.name for parameter in plain].index("decoder") + 1
    whole = signature.replace(parameters=[*plain[:at], *more, *plain[at:]])

    @functools.wraps(function)
    def named(*given: Any, **by_name: Any) -> Iterator[Reply]:
        yield from function(**whole.bind(*given, **by_name).arguments)

    named.__signature__ = whole  # type: ignore[attr-defined]
    return named


def _state(bench: Bench, session: str, checkpoint: str) -> SessionState:
    """Where the call goes on, and with which checkpoint. An empty `session` begins one."""
    name = checkpoint or bench.builtin[0].name
    held = session or bench.history.new_session(client="api")
    return SessionState(held, name, bench.history.session(held).current_run_id)


def _view(asked: Asked, progress: TurnProgress) -> Reply:
    if progress.error:
        raise gr.Error(progress.error, print_exception=False)
    found: Reply = {
        "run_id": asked.run_id,
        "session": asked.session,
        "checkpoint": asked.checkpoint.name,
        "text": progress.answer,
        "notes": list(asked.notes),
        "done": progress.done,
    }
    if progress.done and progress.finished:
        found |= {
            "reason": progress.finished.reason,
            "notes": [*asked.notes, *progress.finished.warnings],
            "new_tokens": progress.finished.new_tokens,
            "decode_ms": progress.finished.decode_ms,
            "tokens": [[t.id, t.logprob, t.text] for t in progress.tokens],
        }
    if progress.done and progress.prefilled and progress.encoded:
        found |= {
            "prompt_tokens": progress.prefilled.prompt_tokens,
            "reused_tokens": progress.prefilled.reused_tokens,
            "first_token_ms": progress.prefilled.ms,
            "visual_tokens": progress.encoded.visual_tokens,
        }
    return found
