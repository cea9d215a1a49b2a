"""`attention_trace` and `attention_map`: what the tab shows, as numbers, over the API, with keyword parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import gradio as gr
import numpy as np
from gradio.blocks import Block

from model import ask
from model.errors import InputError, PromptError
from model.heat.base import Choice, Heat
from model.prompt import ImagePart

from ..base.bench import MODEL_LIMIT, MODEL_QUEUE, Bench
from ..base.endpoints import INTEGERS, errors_as_sentences, images_parameter, json_parameter
from ..base.maps.heat import Chosen, heat_by, method_of
from ..base.maps.looks import Look, Looks, Seen, checked, look_at
from ..base.maps.overlay import pictures_json, sums_of_pictures
from ..base.maps.scores import scores_of
from ..base.records import Json
from ..base.requests import read
from ..base.turn import read_pictures
from .views import token_facts


def add_attention_api(bench: Bench, looks: Looks) -> None:
    """Lay out hidden components whose labels become the endpoints' parameters, and the endpoints themselves."""
    with gr.Column(visible=False):
        whose: dict[str, Block] = {
            "run_id": gr.Textbox("", label="run_id"),
            "question": gr.Textbox("", label="question"),
            "images": images_parameter(),
            "answer": gr.Textbox("", label="answer"),
            "checkpoint": gr.Textbox("", label="checkpoint"),
        }
        which: dict[str, Block] = {
            "method": gr.Textbox("", label="method"),
            "words": json_parameter("words", {"anyOf": [INTEGERS, {"type": "string"}]}),
            "layer": gr.Number(None, label="layer", precision=0),
            "head": gr.Number(None, label="head", precision=0),
            "rows": gr.Textbox("predicting", label="rows"),
            "reduce": gr.Textbox("mean", label="reduce"),
        }
        out, trace, map_ = gr.JSON(label="found"), gr.Button("trace"), gr.Button("map")
    for button, endpoint, inputs, name in (
        (trace, trace_endpoint(bench, looks), whose, "attention_trace"),
        (map_, map_endpoint(bench, looks), whose | which, "attention_map"),
    ):
        button.click(
            endpoint,
            inputs_kwargs=inputs,
            outputs=out,
            api_name=name,
            concurrency_id=MODEL_QUEUE,
            concurrency_limit=MODEL_LIMIT,
        )


def trace_endpoint(bench: Bench, looks: Looks) -> Callable[..., Json]:
    """The function behind `attention_trace`."""

    def attention_trace(
        run_id: str = "", question: str = "", images: list[str] | None = None, answer: str = "", checkpoint: str = ""
    ) -> Json:
        """The tokens of an answer: probability, entropy in nats, share of attention on the pictures, visual dependence in nats.

        Of a logged turn `run_id`, or of `images` with a `question`; `answer` is the text to trace in place of the logged one.
        """
        with errors_as_sentences():
            look = _look(bench, run_id, question, images, answer, checkpoint)
            seen = looks.seen(look)
            tokens = [
                {
                    "index": k,
                    "id": token.id,
                    "text": token.text,
                    "probability": float(np.exp(token.logprob)),
                    "entropy": facts.e,
                    "image_attention": facts.m,
                    "visual_dependence": facts.d,
                }
                for k, (token, facts) in enumerate(zip(seen.trace.tokens, token_facts(seen), strict=True))
            ]
            about = {"layers": seen.layers, "heads": seen.heads, "visual_tokens": len(seen.trace.visual)}
            pictures = pictures_json(look.prompt.images)
            return {**_about(look), **about, "pictures": pictures, "note": seen.why_not, "tokens": tokens}

    return attention_trace


def map_endpoint(bench: Bench, looks: Looks) -> Callable[..., Json]:
    """The function behind `attention_map`."""

    def attention_map(
        run_id: str = "",
        question: str = "",
        images: list[str] | None = None,
        answer: str = "",
        checkpoint: str = "",
        method: str = "",
        words: list[int] | str | None = None,
        layer: float | None = None,
        head: float | None = None,
        rows: str = "predicting",
        reduce: str = "mean",
    ) -> Json:
        """How a heat method scores the patches for words of an answer: raw values, one grid [row][column] per view.

        `method` is a name as the tab's list has it, empty for the best measured. `words` are indices of tokens or a text
        of the answer; none means all of it. `layer` and `head` count from 0; none means all. Where no token looks is null.
        `pictures` names each picture and gives the map's sum on it; frames of a video have their `time_s` in seconds.
        """
        with errors_as_sentences():
            look = _look(bench, run_id, question, images, answer, checkpoint)
            slug = method_of(method.strip() or scores_of(look.checkpoint).default)
            given = {"layer": _whole(layer), "head": _whole(head), "rows": rows, "reduce": reduce}
            choice = read(Chosen, given).choice
            seen = looks.seen(look, choice.rows)
            chosen = indices(seen, words)
            heat = heat_of(bench, look, slug, chosen, choice, seen)
            return {**_about(look), "method": slug, "words": list(chosen), **heat_json(heat, look.prompt.images)}

    return attention_map


def heat_of(bench: Bench, look: Look, slug: str, words: tuple[int, ...], choice: Choice, seen: Seen) -> Heat:
    """A method's map, computed now. Raises InputError for a layer or head that there is not."""
    for name, value, many in (("layer", choice.layer, seen.layers), ("head", choice.head, seen.heads)):
        if value is not None and value >= many:
            raise InputError(f"There is no {name} {value}: this checkpoint has {many}, counted from 0.")
    work = partial(heat_by, slug=slug, words=words, choice=choice)
    return bench.core.examined(look.checkpoint, look.prompt, look.answer, work)


def heat_json(heat: Heat, parts: Sequence[ImagePart]) -> Json:
    """A map as plain JSON, view by view, and its sum on each picture. A view of a frame has the frame's time in seconds."""
    views, start, cells = [], 0, heat.grid.per_cell(heat.scores)
    for view in heat.grid.views:
        values = cells[start : start + view.rows * view.cols].reshape(view.rows, view.cols)
        start += view.rows * view.cols
        grid = [[None if np.isnan(v) else float(v) for v in row] for row in values]
        box, time_s = [float(v) for v in view.box], parts[view.image].time_s
        views.append({"image": view.image, "time_s": time_s, "name": view.name, "box": box, "values": grid})
    pictures = pictures_json(parts, sums_of_pictures(heat.grid, heat.scores))
    about = {"unit": heat.unit, "signed": heat.signed, "note": heat.note, "image_attention": heat.mass}
    return {**about, "pictures": pictures, "views": views}


def indices(seen: Seen, words: list[int] | str | None) -> tuple[int, ...]:
    """Tokens named by their index or by the text they make. Raises InputError where there are none."""
    tokens = seen.trace.tokens
    if words is None or words == []:
        return tuple(range(len(tokens)))
    if isinstance(words, str):
        ends = np.cumsum([len(token.text) for token in tokens])
        found = re.search(re.escape(words.strip()), "".join(token.text for token in tokens)) if words.strip() else None
        if found is None:
            raise InputError(f"The answer does not say {words[:40]!r}. Name a part of it, or indices of its tokens.")
        starts = ends - [len(token.text) for token in tokens]
        return tuple(int(k) for k in np.flatnonzero((starts < found.end()) & (ends > found.start())))
    if not isinstance(words, list) or any(type(k) is not int or not 0 <= k < len(tokens) for k in words):
        raise InputError(
            f"words is {str(words)[:40]!r}. Give indices of tokens from 0 to {len(tokens) - 1}, or a text of the answer."
        )
    return tuple(sorted(set(words)))


def _look(
    bench: Bench, run_id: object, question: object, images: Sequence[str] | None, answer: object, checkpoint: object
) -> Look:
    """The turn of the log, with another checkpoint or answer where they are named; or an answer that nobody gave."""
    run_id, question, answer, checkpoint = (str(text or "").strip() for text in (run_id, question, answer, checkpoint))
    spec = bench.spec(checkpoint) if checkpoint else None
    if run_id:
        look = look_at(bench, run_id, answer)
        if spec is None or spec == look.checkpoint:
            return look
        said = answer or bench.history.run(run_id).row.answer
        return checked(bench, Look("", spec, look.prompt, said))
    pictures, _ = read_pictures(images or [])
    if not pictures or not question or not answer:
        raise PromptError("Give the run_id of a logged turn; or images, a question and the answer to trace.")
    return checked(bench, Look("", spec or bench.builtin[0], ask(question, *pictures), answer))


def _about(look: Look) -> Json:
    return {"run_id": look.run_id, "checkpoint": look.checkpoint.name, "question": look.prompt.question}


def _whole(value: object) -> object:
    """A number of JSON as an integer where it is whole; anything else as it is, to be refused."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
