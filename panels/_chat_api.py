"""`chat_ask`: one turn over the API, streamed, with keyword parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from model import Options, WorkbenchError, parse_spec

from ._answering import Asked, Progress, compose, read_pictures, run
from .base import MODEL_LIMIT, MODEL_QUEUE, Bench, SessionState, explained


def add_chat_api(bench: Bench) -> None:
    """Lay out hidden components whose labels become the endpoint's parameters, and the endpoint itself."""
    with gr.Column(visible=False):
        inputs: dict[str, Any] = {
            "question": gr.Textbox(label="question"),
            "images": gr.File(label="images", file_count="multiple", type="filepath"),
            "checkpoint": gr.Textbox(label="checkpoint"),
            "session": gr.Textbox(label="session"),
            "system": gr.Textbox(label="system"),
            "temperature": gr.Number(0, label="temperature"),
            "top_p": gr.Number(1, label="top_p"),
            "max_new_tokens": gr.Number(256, label="max_new_tokens"),
            "seed": gr.Number(0, label="seed"),
        }
        out = gr.JSON(label="turn")
        ask = gr.Button("ask")

    def chat_ask(
        question: str,
        images: list[str] | None = None,
        checkpoint: str = "",
        session: str = "",
        system: str = "",
        temperature: float = 0.0,
        top_p: float = 1.0,
        max_new_tokens: float = 256,
        seed: float = 0,
    ) -> Iterator[dict[str, Any]]:
        """Ask one question. An empty `checkpoint` is the first built in; `session` goes on where an earlier call's ended.

        Yields the turn as it grows: run_id, session, checkpoint, text, done, and at the end reason, tokens
        [[id, logprob, text], ...] and figures. What goes wrong is said in a sentence.
        """
        try:
            name = (checkpoint or "").strip() or bench.builtin[0].name
            parse_spec(name)
            held = (session or "").strip() or bench.history.new_session(client="api")
            state = SessionState(held, name, bench.history.session(held).current_run_id)
            pictures, _ = read_pictures(images or [])
            options = Options(int(max_new_tokens), float(temperature), float(top_p), int(seed))
            asked = compose(bench, state, question or "", pictures, system or "", options, state.run_id)
            for progress in run(bench, asked):
                yield _view(asked, progress)
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(explained(error), print_exception=not isinstance(error, WorkbenchError)) from error

    ask.click(
        chat_ask,
        inputs_kwargs=inputs,
        outputs=out,
        api_name="chat_ask",
        concurrency_id=MODEL_QUEUE,
        concurrency_limit=MODEL_LIMIT,
    )


def _view(asked: Asked, progress: Progress) -> dict[str, Any]:
    if progress.error:
        raise gr.Error(progress.error, print_exception=False)
    found: dict[str, Any] = {
        "run_id": asked.run_id,
        "session": asked.session,
        "checkpoint": asked.checkpoint.name,
        "text": progress.answer,
        "done": progress.done,
    }
    if progress.done and progress.finished:
        found |= {
            "reason": progress.finished.reason,
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
