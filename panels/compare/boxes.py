"""Boxes that an answer writes, in pixels of the picture asked about. Only syntaxes that name themselves are read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from model.geometry.boxes import Box

_LOC = re.compile(r"<loc(\d{4})><loc(\d{4})><loc(\d{4})><loc(\d{4})>([^<\n;]*)")
_QWEN = re.compile(
    r"(?:<\|object_ref_start\|>(?P<name>[^<]*)<\|object_ref_end\|>)?"
    r"<\|box_start\|>\((\d{1,4}),\s*(\d{1,4})\),\s*\((\d{1,4}),\s*(\d{1,4})\)<\|box_end\|>"
)
MOST = 64
_LABEL = 60


@dataclass(frozen=True)
class NamedBox:
    """A box with what the answer calls it; empty where it does not say."""

    box: Box
    name: str


def boxes_in(text: str, width: int, height: int) -> list[NamedBox]:
    """Every box of an answer about a picture of this size in pixels, in order of appearance, corners put in order.

    Read are `<locYYYY>` four times, y0 x0 y1 x1 of 1,024 (PaliGemma's, and the built-in checkpoints'), and
    `<|box_start|>(x0,y0),(x1,y1)<|box_end|>` of 1,000 (Qwen2-VL's). Both count from 0 to 1 over the whole picture.
    """
    found = []
    for match in _LOC.finditer(text):
        y0, x0, y1, x1 = (int(v) / 1024 for v in match.groups()[:4])
        found.append((match.start(), _named(x0, y0, x1, y1, width, height, match[5])))
    for match in _QWEN.finditer(text):
        x0, y0, x1, y1 = (int(match[i]) / 1000 for i in (2, 3, 4, 5))
        found.append((match.start(), _named(x0, y0, x1, y1, width, height, match["name"] or "")))
    return [named for _, named in sorted(found, key=lambda one: one[0])][:MOST]


def _named(x0: float, y0: float, x1: float, y1: float, width: int, height: int, name: str) -> NamedBox:
    box = Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)).scale(width, height).clip(width, height)
    return NamedBox(box, " ".join(name.split()).strip(" ,.")[:_LABEL])
