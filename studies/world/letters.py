"""The letters of written labels: one fixed rendering, scaled to any size."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

FONT_PX = 256
STROKE_PX = 7
"""The font Pillow carries has one thin weight; a stroke makes it legible when a processor shrinks it."""


@lru_cache(maxsize=256)
def ink(text: str) -> Image.Image:
    """The letters as a tight coverage mask: mode L, about 200 px tall."""
    font = ImageFont.load_default(FONT_PX)
    x0, y0, x1, y1 = (round(v) for v in font.getbbox(text, stroke_width=STROKE_PX))
    mask = Image.new("L", (x1 - x0 + 8, y1 - y0 + 8), 0)
    ImageDraw.Draw(mask).text((4 - x0, 4 - y0), text, fill=255, font=font, stroke_width=STROKE_PX, stroke_fill=255)
    return mask.crop(mask.getbbox())


def width(text: str, height: int) -> int:
    """How wide `text` is when its ink is `height` tall, in the same unit, rounded."""
    mask = ink(text)
    return round(height * mask.width / mask.height)
