"""`patches_similar`: which patches are like a patch or a region, over the API, with keyword parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import gradio as gr
import numpy as np
from gradio.blocks import Block

from model import Prompt, ask
from model.errors import InputError
from model.geometry.boxes import Box
from model.internals.features import STAGES, Stage, features_at, similarity
from model.internals.subject import Subject
from model.progress import Run

from ..base.bench import MODEL_LIMIT, MODEL_QUEUE, Bench
from ..base.endpoints import INTEGERS, NUMBERS, errors_as_sentences, images_parameter, json_parameter
from ..base.maps.looks import Look
from ..base.maps.overlay import pictures_json
from ..base.records import Json
from ..base.turn import read_pictures
from .requests import placed, turn_of

BEST = 10
QUESTION = "Describe the picture."


def add_patches_api(bench: Bench) -> None:
    """Lay out hidden components whose labels become the endpoint's parameters, and the endpoint itself."""
    with gr.Column(visible=False):
        inputs: dict[str, Block] = {
            "run_id": gr.Textbox("", label="run_id"),
            "question": gr.Textbox("", label="question"),
            "images": images_parameter(),
            "checkpoint": gr.Textbox("", label="checkpoint"),
            "patch": json_parameter("patch", INTEGERS),
            "box": json_parameter("box", NUMBERS),
            "image": gr.Number(0, label="image", precision=0),
            "stage": gr.Textbox("decoder", label="stage"),
            "layer": gr.Number(-1, label="layer", precision=0),
        }
        out = gr.JSON(label="similar")
        button = gr.Button("similar")

    button.click(
        endpoint(bench),
        inputs_kwargs=inputs,
        outputs=out,
        api_name="patches_similar",
        concurrency_id=MODEL_QUEUE,
        concurrency_limit=MODEL_LIMIT,
    )


def endpoint(bench: Bench) -> Callable[..., Json]:
    """The function behind the endpoint."""

    def patches_similar(
        run_id: str = "",
        question: str = "",
        images: list[str] | None = None,
        checkpoint: str = "",
        patch: list[int] | None = None,
        box: list[float] | None = None,
        image: float = 0,
        stage: str = "decoder",
        layer: float = -1,
    ) -> Json:
        """Cosines of all patches with one `patch` [row, column], or with those under a `box` [x0, y0, x1, y1] in pixels.

        Of a logged turn `run_id`, or of `images` with a `question`. `stage` is tower, connector or decoder; `layer`
        counts from 0, -1 is the last. Gives per view the grid of cosines (null where no token looks), and the best patches;
        what shows a frame of a video has its `time_s` in seconds.
        """
        with errors_as_sentences():
            turn = _turn(bench, run_id or "", question or "", images or [], checkpoint or "")
            place = (_numbers("patch", patch, 2), _numbers("box", box, 4), int(image or 0))
            if stage not in STAGES:
                raise InputError(f"There is no stage {str(stage)[:40]!r}. Choose one of {', '.join(STAGES)}.")
            found = bench.core.examined(
                turn.checkpoint, turn.prompt, turn.answer, partial(similar, place=place, stage=stage, layer=int(layer))
            )
        return {"run_id": turn.run_id, "checkpoint": turn.checkpoint.name, **found}

    return patches_similar


def _turn(bench: Bench, run_id: str, question: str, images: list[str], checkpoint: str) -> Look:
    """The logged turn, with another checkpoint where one is named; or a question that was never asked."""
    spec = bench.spec(checkpoint) if checkpoint.strip() else None
    if run_id.strip():
        turn = turn_of(bench, run_id.strip())
        return Look(turn.run_id, spec, turn.prompt, ()) if spec else turn
    pictures, _ = read_pictures(images)
    if not pictures:
        raise InputError("Give the run_id of a logged turn, or images.")
    prompt: Prompt = ask(question.strip() or QUESTION, *pictures)
    return Look("", spec or bench.builtin[0], prompt, ())


def _numbers(name: str, value: object, count: int) -> list[float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != count or any(type(v) not in (int, float) for v in value):
        raise InputError(f"{name} is {str(value)[:40]!r}. Give {count} numbers.")
    return value


Place = tuple[list[float] | None, list[float] | None, int]
"""A patch (row, column), or a box in pixels, of the picture of this number."""


def similar(subject: Subject, run: Run, place: Place, stage: Stage, layer: int) -> Json:
    """Grids of cosines per view, and the best patches other than those asked for."""
    tokens = _tokens(subject, *place)
    features, grid = features_at(subject, stage, layer), placed(subject)
    scores = similarity(features, tokens)
    views, start = [], 0
    shown = grid.per_cell(scores)
    for view in grid.views:
        values = shown[start : start + view.rows * view.cols].reshape(view.rows, view.cols)
        rows = [[None if np.isnan(v) else round(float(v), 5) for v in line] for line in values]
        views.append(
            {
                "image": view.image,
                "time_s": subject.prompt.images[view.image].time_s,
                "name": view.name,
                "box": [float(v) for v in view.box],
                "similarity": rows,
            }
        )
        start += view.rows * view.cols
    order = [int(t) for t in np.argsort(-scores, kind="stable") if t not in set(tokens) and grid.homes()[t] >= 0]
    best = [{**where(subject, t), "similarity": round(float(scores[t]), 5)} for t in order[:BEST]]
    chosen = [where(subject, t) for t in tokens]
    about = {"stage": features.stage, "layer": features.layer, "pictures": pictures_json(subject.prompt.images)}
    return about | {"chosen": chosen, "views": views, "best": best}


def _tokens(subject: Subject, patch: list[float] | None, box: list[float] | None, image: int) -> list[int]:
    grid = placed(subject)
    if not 0 <= image < len(grid.sizes):
        raise InputError(f"There is no picture {image}; the prompt has {len(grid.sizes)}, counted from 0.")
    if box is not None:
        tokens = grid.tokens_in(Box(*box), image).tolist()
    elif patch is not None:
        tokens = [
            t for t in range(grid.tokens) if (w := where(subject, t))["image"] == image and [w["row"], w["column"]] == patch
        ]
    else:
        raise InputError("Give a patch [row, column] or a box [x0, y0, x1, y1].")
    if not tokens:
        raise InputError("No visual token looks there. Rows and columns count from 0; boxes are in pixels of the picture.")
    return tokens


def where(subject: Subject, token: int) -> Json:
    """The place of a visual token: picture, time of a frame, view, row, column, box in pixels; -1 where it has none."""
    grid, cell, start = placed(subject), int(placed(subject).homes()[token]), 0
    for i, view in enumerate(grid.views):
        at, start = cell - start, start + view.rows * view.cols
        if 0 <= at < view.rows * view.cols:
            box = [float(v) for v in view.cells()[at]]
            time_s, row, column = subject.prompt.images[view.image].time_s, at // view.cols, at % view.cols
            return {"token": token, "image": view.image, "time_s": time_s, "view": i, "row": row, "column": column, "box": box}
    return {"token": token, "image": -1, "time_s": None, "view": -1, "row": -1, "column": -1, "box": None}
