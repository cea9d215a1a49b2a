"""Features and likenesses of an answer's patches as an NPZ file, with what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from gradio.utils import get_upload_folder

from model.patches import similarities
from model.progress import Run
from model.subject import Subject

from ._patches_asked import Question, placed
from ._patches_views import features_of

MOST_TOKENS = 2048
"""Beyond it the similarities of all pairs are left out: they follow from the features."""


def arrays(subject: Subject, run: Run, asked: Question) -> dict[str, Any]:
    """What goes into the file: raw values, un-normalised, and `about`, a JSON text that says what they are."""
    features, grid, trace = features_of(subject, asked), placed(subject), subject.trace()
    about = {
        "checkpoint": subject.vlm.checkpoint.to_json(),
        "weights": subject.vlm.weights,
        "question": subject.prompt.question,
        "answer": [token.text for token in trace.tokens],
        "stage": features.stage,
        "layer": features.layer,
        "features": "float32 [T, D], as they leave the stage",
        "similarity": "float32 [T, T], cosine with the mean over all patches taken off",
        "attention": "float32 [layers, heads, words, T], softmax over all keys, of the rows that predict the words",
        "cells": "float64 [cells, 4], x0 y0 x1 y1 in pixels of the picture `owners` names",
        "cell": "int64 [T], the cell each visual token looks at, -1 for none",
        "chosen": "int64, the patches that were chosen in the panel",
    }
    found = {
        "features": features.values, "cells": grid.cells(), "owners": grid.owners(), "cell": grid.cell,
        "chosen": np.array(asked.tokens(subject)), "about": np.array(json.dumps(about)),
    }  # fmt: skip
    if trace.attention is not None:
        found["attention"] = trace.attention
    if subject.count <= MOST_TOKENS:
        found["similarity"] = similarities(features)
    return found


def saved(found: dict[str, Any], run: str) -> dict[str, Any]:
    """The file's address and name. It lies where Gradio keeps what it offers for download."""
    about = json.loads(str(found["about"]))
    path = Path(get_upload_folder()) / "exports" / f"patches-{run[:16]}-{about['stage']}-{about['layer']}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **found)
    return {"url": f"/gradio_api/file={path}", "name": path.name, "size_bytes": path.stat().st_size}
