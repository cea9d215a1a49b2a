"""Scenes as PNG files that carry their own truth, and back."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from typing import Any

from PIL import Image, PngImagePlugin

from .draw import draw
from .scene import BACKGROUNDS, COLOURS, SHAPES, SIDE, SIZES, TEXTURES, Label, Scene, Thing

KEY = "fovea-scene"
MAX_CHARACTERS = 20_000


def to_png(scene: Scene, size: int = 512) -> bytes:
    """The drawing as a PNG file with the scene written into its text chunk."""
    info = PngImagePlugin.PngInfo()
    info.add_text(KEY, json.dumps(asdict(scene), separators=(",", ":")))
    buffer = io.BytesIO()
    draw(scene, size).save(buffer, "PNG", pnginfo=info, optimize=True)
    return buffer.getvalue()


def from_png(data: bytes) -> Scene | None:
    """The scene a PNG file carries; None where it carries none, or one that does not make sense."""
    if not data.startswith(b"\x89PNG") or KEY.encode() not in data[:100_000]:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            text = str(image.info.get(KEY, ""))
        return from_json(json.loads(text)) if 0 < len(text) <= MAX_CHARACTERS else None
    except (OSError, SyntaxError, ValueError, TypeError, KeyError):
        return None


def from_json(facts: dict[str, Any]) -> Scene:
    """A scene from its JSON. Raises ValueError, TypeError or KeyError where a value is not one of the world's."""
    things = tuple(_thing(fact) for fact in facts["things"])
    label = Label(**facts["label"]) if facts["label"] else None
    if label is not None and not (isinstance(label.text, str) and len(label.text) <= 12):
        raise ValueError("label")
    _check(facts["background"] in BACKGROUNDS and facts["backdrop"] in ("flat", "down", "across"))
    return Scene(things, label, facts["background"], facts["backdrop"], _triple(facts["tint"]), int(facts["seed"]))


def _thing(fact: dict[str, Any]) -> Thing:
    thing = Thing(**{**fact, "tint": _triple(fact["tint"])})
    _check(thing.shape in SHAPES and thing.colour in COLOURS and thing.size in SIZES and thing.texture in TEXTURES)
    _check(all(isinstance(v, int) and -SIDE <= v <= 2 * SIDE for v in (thing.x, thing.y, thing.radius, thing.rotation, thing.phase)))
    return thing


def _triple(values: Any) -> tuple[int, int, int]:
    a, b, c = (int(v) for v in values)
    return a, b, c


def _check(holds: bool) -> None:
    if not holds:
        raise ValueError("not a scene of the drawn world")
