"""Which part of a source image an image processor shows: pad, resize, centre crop, in that order; or tiles of it.

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
        crop_height, crop_width = _length(processor.crop_size, "height"), _length(processor.crop_size, "width")
        x0, y0 = _crop_start(new_width, crop_width), _crop_start(new_height, crop_height)
        x1, y1 = x0 + crop_width, y0 + crop_height
    return View((left + x0 / x_scale, top + y0 / y_scale, left + x1 / x_scale, top + y1 / y_scale), rows, cols, image)


def squashed_view(size: tuple[int, int], rows: int, cols: int, image: int = 0, name: str = "the whole picture") -> View:
    """The view of a (width, height) source that is resized to the encoder's size, whatever its shape."""
    return View((0.0, 0.0, float(size[0]), float(size[1])), rows, cols, image, name)


def tile_views(size: tuple[int, int], down: int, across: int, rows: int, cols: int, image: int = 0) -> tuple[View, ...]:
    """The views of a (width, height) source resized to `down` x `across` tiles of rows x cols cells each, row by row."""
    width, height = size[0] / across, size[1] / down
    return tuple(
        View((c * width, r * height, (c + 1) * width, (r + 1) * height), rows, cols, image, tile_name(r, c))
        for r in range(down)
        for c in range(across)
    )


def trimmed(view: View, side_px: int | tuple[int, int], patch_px: int) -> View:
    """What is seen of a view whose picture of (width, height) pixels, or a square, is cut into patches that may not fill it.

    The tower drops what is left at the right and at the bottom: SigLIP's 384 pixels are 27 patches of 14, and 6 more.
    """
    width, height = (side_px, side_px) if isinstance(side_px, int) else side_px
    x0, y0, x1, y1 = view.box
    right, bottom = width // patch_px * patch_px / width, height // patch_px * patch_px / height
    return View((x0, y0, x0 + (x1 - x0) * right, y0 + (y1 - y0) * bottom), view.rows, view.cols, view.image, view.name)


def tile_name(row: int, col: int) -> str:
    """How a tile is called where it is shown. `row` and `col` count from 0."""
    return f"tile in row {row + 1}, column {col + 1}"


def _resized(processor: Any, width: int, height: int) -> tuple[int, int]:
    if not processor.to_dict().get("do_resize", True):
        return width, height
    shortest, longest = _field(processor.size, "shortest_edge"), _field(processor.size, "longest_edge")
    if shortest and not longest:
        short, long = sorted((width, height))
        scaled = int(shortest * long / short)
        return (shortest, scaled) if width <= height else (scaled, shortest)
    if _field(processor.size, "height") and _field(processor.size, "width"):
        return _length(processor.size, "width"), _length(processor.size, "height")
    raise ValueError(f"{type(processor).__name__} resizes by {processor.size}, which is not known here.")


def _crop_start(length: int, crop: int) -> int:
    """Where a centre crop begins; negative where the picture is smaller and is padded."""
    return (length - crop) // 2 if length >= crop else -((crop - length + 1) // 2)


def _length(size: Any, name: str) -> int:
    value = _field(size, name)
    assert value is not None, f"{size} has no {name}"
    return value


def _field(size: Any, name: str) -> int | None:
    value = size.get(name) if isinstance(size, dict) else getattr(size, name, None)
    return int(value) if value is not None else None
