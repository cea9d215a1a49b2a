"""Components of our own: one `gr.HTML` each, from a static template and a script in `assets/js`.

Nothing a person or a model wrote is ever put into a template: Gradio evaluates `{{...}}` and `${...}`
there. Values travel as JSON and reach the page through `textContent`. Factories, never subclasses: a
subclass would write files beside the source and fail inside chats.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_pil_to_cache
from PIL import Image

ASSETS = Path(__file__).resolve().parent.parent / "assets"
TEMPLATES = {
    "transcript": '<div class="fv-transcript" aria-label="Conversation"></div>',
    "live": '<div class="fv-live" aria-live="polite"></div>',
    "specimen": '<section class="fv-specimen" aria-label="On the bench"></section>',
    "header": '<div class="fv-chipbar" aria-label="Loaded checkpoints"></div><div class="fv-status" role="status"></div>',
    "scenes": '<div class="fv-scenes" role="group" aria-label="Drawn scenes"></div>',
    "questions": '<div class="fv-questions" role="group" aria-label="Questions to start with"></div>',
    "saw": '<div class="fv-saw"></div>',
    "runs": '<div class="fv-runs"></div>',
    "detail": '<div class="fv-detail"></div>',
    "message": '<div class="fv-error" role="alert"></div>',
}
MAX_SIDE_PX = 1024


def component(name: str, value: Any = None, **settings: Any) -> gr.HTML:
    """One of our components. Its value is JSON; its events are those its script triggers."""
    scripts = ["common", *(["tokens"] if name == "transcript" else []), name]
    return gr.HTML(
        value,
        html_template=TEMPLATES[name],
        js_on_load="\n".join((ASSETS / "js" / f"{script}.js").read_text(encoding="utf-8") for script in scripts),
        apply_default_css=False,
        **settings,
    )


def picture_url(image: Image.Image, cache: str, max_side_px: int = MAX_SIDE_PX) -> str:
    """An address the page can load a picture from, scaled down to fit. The same picture gives the same address."""
    if max(image.size) > max_side_px:
        image = image.copy()
        image.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS)
    return "/gradio_api/file=" + save_pil_to_cache(image, cache_dir=cache, format="webp" if max(image.size) > 200 else "png")


class PictureUrls:
    """Addresses of logged pictures, remembered by id."""

    def __init__(self, cache: str) -> None:
        self._cache = cache
        self._find = lru_cache(maxsize=512)(self._make)

    def of(self, part) -> str:
        """The address of a prompt's picture."""
        return self._find(_ById(part))

    def _make(self, by_id: _ById) -> str:
        return picture_url(by_id.part.image, self._cache)


class _ById:
    """A picture that hashes by its id, so that a cache of addresses need not hold pixels apart."""

    __slots__ = ("part",)

    def __init__(self, part) -> None:
        self.part = part

    def __hash__(self) -> int:
        return hash(self.part.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.part.id == self.part.id
