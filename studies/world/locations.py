"""Boxes as location tokens: PaliGemma's syntax, `<locYYYY>` four times in the order y0 x0 y1 x1.

PaliGemma has 1,024 tokens; the built-in checkpoints know the `BINS` of them at the middle of each
bin, so text of theirs reads with any PaliGemma parser. One bin is 1/64 of the canvas side.
"""

from __future__ import annotations

import re

from .scene import SIDE, Box

BINS = 64
STEP = 1024 // BINS
TOKENS = tuple(f"<loc{i * STEP + STEP // 2:04d}>" for i in range(BINS))
_FOUR = re.compile(r"<loc(\d{4})><loc(\d{4})><loc(\d{4})><loc(\d{4})>")


def to_tokens(box: Box) -> str:
    """A box in scene units as four tokens."""
    x0, y0, x1, y1 = box
    return "".join(TOKENS[min(BINS - 1, max(0, int(v * BINS / SIDE)))] for v in (y0, x0, y1 - 1e-3, x1 - 1e-3))


def from_text(text: str) -> list[Box]:
    """Every box written in `text`, in scene units, in order of appearance. Corners are put in order."""
    boxes = []
    for match in _FOUR.finditer(text):
        y0, x0, y1, x1 = (int(v) / 1024 * SIDE for v in match.groups())
        boxes.append((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
    return boxes


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1; 0 for an empty box."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
