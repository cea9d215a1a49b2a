"""A line of an export's runs.jsonl, checked field by field: what `restore` may write down without a second look."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, get_args

from model.checkpoint import Attention, Checkpoint, Dtype, Quantization
from model.errors import InputError
from model.options import Options
from model.prompt import Role

from ..log import rows
from ..log.artifacts import MOST_OF_A_RUN
from .fields import Fields

STATUSES = ("done", "stopped", "failed", "running")
UNFINISHED = "It was still running when the session was exported."
_CHOICES = {"dtype": get_args(Dtype), "quantization": get_args(Quantization), "attention": get_args(Attention)}
_ROLES: tuple[Role, ...] = get_args(Role)
MAX_NAME, MAX_META = 200, 200_000
_COUNTS = ("prompt_tokens", "reused_tokens", "visual_tokens", "cached_images", "new_tokens")
_TIMES = ("queued_ms", "prefill_ms", "decode_ms")


@dataclass(frozen=True)
class Line:
    """One run of an export. Pictures are named by their file in the export; `images` maps these to their own names.

    `artifacts` are kind, name and meta of what was kept with the run, and the name of its `file`.
    """

    run: dict[str, Any]
    checkpoint: dict[str, Any]
    turns: tuple[tuple[Role, tuple[rows.Part, ...]], ...]
    answer: str | None
    rating: int | None
    note: str
    boxes: tuple[dict[str, Any], ...]
    images: dict[str, str]
    artifacts: tuple[dict[str, Any], ...]


def read_line(line: Fields) -> Line:
    """The run in that line. Raises InputError that says which field is wrong."""
    images: dict[str, str] = {}
    turns = tuple(_turn(Fields(turn, f"{line.where}, a message"), images) for turn in line.items("messages"))
    boxes = tuple(_box(Fields(box, f"{line.where}, a box"), images) for box in line.items("boxes"))
    rating = line.count("rating")
    if rating not in (None, -1, 0, 1):
        raise line.wrong("rating", "-1, 0, 1 or null")
    return Line(_run(line), _checkpoint(line), turns, line.text("answer"), rating, line.text("note") or "", boxes, images,
                _artifacts(line))  # fmt: skip


def _run(line: Fields) -> dict[str, Any]:
    """The columns of `runs` that stand in the line itself."""
    status = line.required("status")
    if status not in STATUSES:
        raise line.wrong("status", " or ".join(STATUSES))
    unfinished = {"status": "failed", "error": UNFINISHED} if status == "running" else {}
    return {
        "id": line.required("id"),
        "parent_run_id": line.text("parent_run_id"),
        "group_id": line.text("group"),
        "checkpoint_id": _spec(line).id,
        "panel": line.required("panel"),
        "status": status,
        "error": line.text("error"),
        "options": rows.to_json(_options(line).to_json()),
        "answer_prefix": line.text("answer_prefix") or "",
        "answer_tokens": rows.to_json(_token_ids(line)),
        "finish_reason": line.text("reason"),
        "tokens": rows.to_json(_tokens(line)),
        "started_at": line.time("started_at"),
        "versions": rows.to_json({name: str(value) for name, value in line.object("versions").items()}),
        "warnings": _warnings(line),
        **{name: line.count(name) for name in _COUNTS},
        **{name: line.number(name) for name in _TIMES},
        **unfinished,
    }


def _checkpoint(line: Fields) -> dict[str, Any]:
    loaded = Fields(line.object("loaded"), f"{line.where}, 'loaded'")
    known = {"family": loaded.text("family") or "", "parameters": loaded.count("parameters"), "weights": loaded.text("weights")}
    return rows.checkpoint_row(_spec(line)) | known


def _spec(line: Fields) -> Checkpoint:
    spec = Fields(line.object("checkpoint"), f"{line.where}, 'checkpoint'")
    names = {field.name for field in fields(Checkpoint)}
    if set(spec.data) - names:
        raise line.wrong("checkpoint", f"an object of {', '.join(sorted(names))}")
    for name, known in _CHOICES.items():
        if spec.text(name) not in (None, *known):
            raise spec.wrong(name, " or ".join(known))
    optional: dict[str, Any] = {name: text for name in names if (text := spec.text(name)) is not None}
    return Checkpoint(**{**optional, "name": spec.required("name"), "source": spec.required("source")})


def _options(line: Fields) -> Options:
    try:
        return Options.from_json(line.object("options"))
    except InputError as error:
        raise InputError(f"{line.where}, 'options': {error}") from error


def _turn(turn: Fields, images: dict[str, str]) -> tuple[Role, tuple[rows.Part, ...]]:
    role = next((role for role in _ROLES if role == turn.required("role")), None)
    if role is None:
        raise turn.wrong("role", " or ".join(_ROLES))
    parts = turn.items("parts")
    return role, tuple(part if isinstance(part, str) else _picture(Fields(part, turn.where), images) for part in parts)


def _picture(part: Fields, images: dict[str, str]) -> dict[str, Any]:
    file, time_s = part.required("image"), part.number("time_s")
    images[file] = images.get(file) or part.text("name") or ""
    return {"image": file} if time_s is None else {"image": file, "time_s": float(time_s)}


def _box(box: Fields, images: dict[str, str]) -> dict[str, Any]:
    file = box.text("image_id")
    if file is not None:
        images.setdefault(file, "")
    numbers = {name: box.number(name) for name in ("x0", "y0", "x1", "y1", "score")}
    return {"image_id": file, "label": box.text("label"), "said": box.text("said"), **numbers}


def _artifacts(line: Fields) -> tuple[dict[str, Any], ...]:
    found = []
    for item in line.items("artifacts"):
        one = Fields(item, f"{line.where}, an artifact")
        named = {name: one.required(name) for name in ("kind", "name", "file")}
        meta = rows.to_json(one.object("meta"))
        if max(len(named["kind"]), len(named["name"])) > MAX_NAME or len(meta) > MAX_META:
            raise one.wrong("name", f"a name of at most {MAX_NAME} characters with at most {MAX_META:,} that say what it is")
        found.append({**named, "meta": meta})
    if len(found) > MOST_OF_A_RUN or len({(one["kind"], one["name"]) for one in found}) < len(found):
        raise line.wrong("artifacts", f"at most {MOST_OF_A_RUN} things, each of its own name")
    return tuple(found)


def _warnings(line: Fields) -> str | None:
    """Sentences on why the answer is not to be believed. Exports of older versions have none."""
    found = line.items("warnings")
    if not all(isinstance(one, str) for one in found):
        raise line.wrong("warnings", "a list of sentences")
    return rows.to_json(found) if found else None


def _token_ids(line: Fields) -> list[int]:
    ids = line.items("answer_tokens")
    if not all(_is_id(id) for id in ids):
        raise line.wrong("answer_tokens", "a list of token ids")
    return ids


def _tokens(line: Fields) -> list[list[Any]]:
    """The tokens as they are stored, every value of the type it must have."""
    tokens = line.items("tokens")
    if not all(map(_is_token, tokens)):
        raise line.wrong("tokens", "a list of [id, logprob, text, [[id, text, logprob], ...], given]")
    return tokens


def _is_token(token: Any) -> bool:
    if not isinstance(token, list) or len(token) != 5 or not isinstance(token[3], list) or not isinstance(token[4], bool):
        return False
    good = _is_id(token[0]) and _is_logprob(token[1]) and isinstance(token[2], str)
    return good and all(map(_is_alternative, token[3]))


def _is_alternative(value: Any) -> bool:
    good = isinstance(value, list) and len(value) == 3
    return good and _is_id(value[0]) and isinstance(value[1], str) and _is_logprob(value[2])


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_logprob(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
