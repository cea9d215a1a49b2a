"""A user's own pictures with boxes or masks, from a COCO json, as cases.

One question a picture and category: "Is there a dog in the image?", where there is one. The mask is that of all its
dogs: polygons where given, else boxes. Run-length masks are not decoded; their boxes are used.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from model import open_picture
from model.errors import InputError

from ..world.phrases import article
from .cases import Case

LARGEST = 0.5
"""What covers more of its picture than this is not asked about: a map could hardly miss it."""


def coco_cases(annotations: Path, pictures: Path | None, count: int) -> Iterator[Case]:
    """Up to so many cases, in the order of the file. `pictures` is the folder of the files it names.

    Raises InputError where the file is no COCO annotation, PictureError where a picture cannot be opened.
    """
    folder = (pictures or annotations.parent).resolve()
    data = _read(annotations)
    names = {category["id"]: str(category["name"]) for category in data["categories"]}
    by_picture: dict[Any, dict[Any, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for one in data["annotations"]:
        by_picture[one["image_id"]][one["category_id"]].append(one)
    made = 0
    for entry in data["images"]:
        if made < count and by_picture[entry["id"]]:
            for case in _of_picture(entry, by_picture[entry["id"]], names, folder):
                if made < count:
                    made += 1
                    yield case


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        tables = {name: data[name] for name in ("images", "annotations", "categories")}
        wanted = {"images": ("id", "file_name"), "annotations": ("image_id", "category_id", "bbox"), "categories": ("id", "name")}
        for name, keys in wanted.items():
            for row in tables[name]:
                _ = [row[key] for key in keys]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Give the path of a COCO json.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path.name} is no COCO annotation file ({type(error).__name__}: {error}). It needs images (id, file_name), "
            "annotations (image_id, category_id, bbox) and categories (id, name)."
        ) from error
    return tables


def _of_picture(
    entry: Mapping[str, Any], things: Mapping[Any, Sequence[Mapping[str, Any]]], names: Mapping[Any, str], folder: Path
) -> Iterator[Case]:
    path = (folder / str(entry["file_name"])).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        raise InputError(f"There is no picture {entry['file_name']!r} in {folder}. Give their folder with --pictures.")
    part = open_picture(path.read_bytes(), path.name).part
    size = part.image.size
    told = (entry.get("width", size[0]), entry.get("height", size[1]))
    if told != size:
        raise InputError(f"{path.name} is {size[0]} x {size[1]} pixels; its annotation says {told[0]} x {told[1]}.")
    for category, found in things.items():
        mask = union([outline for one in found for outline in outlines(one)], size)
        if category in names and 0 < mask.mean() <= LARGEST:
            yield Case(part, f"Is there {article(names[category])} in the image?", "yes", ("no",), mask, names[category])


def outlines(annotation: Mapping[str, Any]) -> list[list[tuple[float, float]]]:
    """The polygons of an annotation in pixels; its box as one where it has none."""
    shape = annotation.get("segmentation")
    if isinstance(shape, list) and any(len(ring) >= 6 for ring in shape):
        return [list(zip(ring[::2], ring[1::2])) for ring in shape if len(ring) >= 6]
    x, y, width, height = annotation["bbox"]
    return [[(x, y), (x + width, y), (x + width, y + height), (x, y + height)]]


def union(rings: Sequence[Sequence[tuple[float, float]]], size: tuple[int, int]) -> np.ndarray:
    """The pixels whose centres any of the polygons holds. bool [H, W] for a (width, height)."""
    canvas = Image.new("1", size, 0)
    pen = ImageDraw.Draw(canvas)
    for ring in rings:
        pen.polygon([(x - 0.5, y - 0.5) for x, y in ring], fill=1)
    return np.asarray(canvas)
