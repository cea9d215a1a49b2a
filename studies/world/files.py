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
MAX_SIDE_PX = 8192
MAX_THINGS = 32


def to_png(scene: Scene, size: int = 512) -> bytes:
    """The drawing as a PNG file with the scene written into its text chunk."""
    info = PngImagePlugin.PngInfo()
    info.add_text(KEY, json.dumps(asdict(scene), separators=(",", ":")))
    buffer = io.BytesIO()
    draw(scene, size).save(buffer, "PNG", pnginfo=info, optimize=True)
    return buffer.getvalue()


def from_png(data: bytes) -> Scene | None:
    """The scene a PNG file carries; None where it carries none, or one that does not make sense."""
    if not data.startswith(b"\x89PNG") or KEY.encode() not in data[:100_000] or _side_px(data) > MAX_SIDE_PX:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            text = str(image.info.get(KEY, ""))
        return from_json(json.loads(text)) if 0 < len(text) <= MAX_CHARACTERS else None
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, RecursionError, Image.DecompressionBombError):
        return None


def _side_px(data: bytes) -> int:
    """The longer side that a PNG file claims in its header."""
    return max(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))


def from_json(facts: dict[str, Any]) -> Scene:
    """A scene from its JSON. Raises ValueError, TypeError or KeyError where a value is not one of the world's."""
    _check(isinstance(facts["things"], list) and len(facts["things"]) <= MAX_THINGS)
    things = tuple(_thing(fact) for fact in facts["things"])
    label = None if facts["label"] is None else _label(facts["label"])
    _check(facts["background"] in BACKGROUNDS and facts["backdrop"] in ("flat", "down", "across"))
    _check(_whole(facts["seed"], 0, 2**63))
    return Scene(things, label, facts["background"], facts["backdrop"], _triple(facts["tint"]), facts["seed"])


def _thing(fact: dict[str, Any]) -> Thing:
    thing = Thing(**{**fact, "tint": _triple(fact["tint"])})
    _check(thing.shape in SHAPES and thing.colour in COLOURS and thing.size in SIZES and thing.texture in TEXTURES)
    _check(all(_whole(value, -SIDE, 2 * SIDE) for value in (thing.x, thing.y, thing.rotation, thing.phase)))
    _check(_whole(thing.radius, 1, SIDE))
    return thing


def _label(fact: dict[str, Any]) -> Label:
    label = Label(**fact)
    _check(isinstance(label.text, str) and len(label.text) <= 12 and label.text.isascii() and label.text.isalnum())
    _check(all(_whole(value, -SIDE, 2 * SIDE) for value in (label.x, label.y)))
    _check(all(_whole(value, 1, SIDE) for value in (label.width, label.height)))
    return label


def _triple(values: Any) -> tuple[int, int, int]:
    a, b, c = values
    _check(all(_whole(value, -255, 255) for value in (a, b, c)))
    return a, b, c


def _whole(value: Any, low: int, high: int) -> bool:
    """Whether a value from JSON is a whole number from `low` to `high`; true and false are none."""
    return type(value) is int and low <= value <= high


def _check(holds: bool) -> None:
    if not holds:
        raise ValueError("not a scene of the drawn world")
