"""Which part of a source image a fixed-size image processor shows: pad, resize, centre crop, in that order.

The arithmetic follows transformers' PIL processors (`image_transforms.get_resize_output_image_size`,
`center_crop`, LLaVA's `pad_to_square`) to the pixel; a coordinate image through the real processor
checks it in tests.
"""

from __future__ import annotations

from typing import Any

from .grid import View


def shown_view(processor: Any, size: tuple[int, int], rows: int, cols: int, image: int = 0) -> View:
    """The view of one picture: what of a (width, height) source enters the encoder as rows x cols cells.

    Raises ValueError for a resize rule it does not know.
    """
    width, height = size
    left = top = 0.0
    if processor.to_dict().get("do_pad"):
        side = max(width, height)
        left, top = -((side - width) // 2), -((side - height) // 2)
        width = height = side
    new_width, new_height = _resized(processor, width, height)
    x_scale, y_scale = new_width / width, new_height / height
    x0, y0, x1, y1 = 0.0, 0.0, float(new_width), float(new_height)
    if processor.to_dict().get("do_center_crop"):
        crop_height, crop_width = _field(processor.crop_size, "height"), _field(processor.crop_size, "width")
        x0, y0 = _crop_start(new_width, crop_width), _crop_start(new_height, crop_height)
        x1, y1 = x0 + crop_width, y0 + crop_height
    return View((left + x0 / x_scale, top + y0 / y_scale, left + x1 / x_scale, top + y1 / y_scale), rows, cols, image)


def _resized(processor: Any, width: int, height: int) -> tuple[int, int]:
    if not processor.to_dict().get("do_resize", True):
        return width, height
    shortest, longest = _field(processor.size, "shortest_edge"), _field(processor.size, "longest_edge")
    if shortest and not longest:
        short, long = sorted((width, height))
        scaled = int(shortest * long / short)
        return (shortest, scaled) if width <= height else (scaled, shortest)
    if _field(processor.size, "height") and _field(processor.size, "width"):
        return _field(processor.size, "width"), _field(processor.size, "height")
    raise ValueError(f"{type(processor).__name__} resizes by {processor.size}, which is not known here.")


def _crop_start(length: int, crop: int) -> int:
    """Where a centre crop begins; negative where the picture is smaller and is padded."""
    return (length - crop) // 2 if length >= crop else -((crop - length + 1) // 2)


def _field(size: Any, name: str) -> int | None:
    value = size.get(name) if isinstance(size, dict) else getattr(size, name, None)
    return int(value) if value is not None else None
