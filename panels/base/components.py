"""Components of our own: one `gr.HTML` each, which holds a custom element of `assets/js`.

Nothing a person or a model wrote is ever put into a template: Gradio evaluates `{{...}}` and `${...}`
there. Values travel as JSON and reach the page through `textContent`. Factories, never subclasses: a
subclass would write files beside the source and fail inside chats.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import gradio as gr
from gradio.processing_utils import save_pil_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from model.prompt import ImagePart

from .card import Element
from .registry import panels
from .scripts import address

SHARED = {
    "header": Element(
        '<fv-header><div class="fv-chipline"><div class="fv-chipbar" role="group" aria-label="Checkpoints"></div>'
        '<button type="button" class="fv-mini fv-keys" aria-label="Keys of this page" title="Keys of this page">?</button></div>'
        '<div class="fv-status"></div></fv-header>',
        ("choose", "release", "halt", "look"),
    ),
    "specimen": Element('<fv-specimen class="fv-specimen" role="region" aria-label="On the bench"></fv-specimen>', ("act",)),
    "message": Element('<fv-message><div class="fv-error" role="alert"></div></fv-message>'),
    "note": Element('<fv-message><p class="fv-note" role="status"></p></fv-message>'),
}
"""Elements of no tab."""
CONNECT = (
    "import(new URL('{script}', document.baseURI)).then(() => "
    "element.firstElementChild.connect({{ props, watch, trigger, server }}))"
)
"""Waits until the element's class is there. The address is relative: it holds under whatever path a proxy serves the page."""
MAX_SIDE_PX = 1024
MAX_ADDRESSES = 4096


def elements() -> dict[str, Element]:
    """Every element of the page by its name: those that tabs share, and those on the cards of tabs."""
    return SHARED | {name: element for panel in panels.values() for name, element in panel.elements.items()}


def component(name: str, value: object = None, **settings: Any) -> gr.HTML:
    """One of our components. Its value is JSON. Gradio finds its events by their quoted names in `js_on_load`."""
    element = elements()[name]
    return gr.HTML(
        value,
        html_template=element.markup,
        js_on_load=f"/* {' '.join(map(repr, element.events))} */ {CONNECT.format(script=address(element.script))}",
        apply_default_css=False,
        elem_classes="fv",
        **settings,
    )


def picture_url(image: Image.Image, *, exact: bool = False) -> str:
    """An address, relative to the page, that a picture can be loaded from, the same for the same picture.

    Scaled down to fit and compressed, or exact: pixel for pixel.
    """
    if max(image.size) > MAX_SIDE_PX and not exact:
        image = image.copy()
        image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    kind = "webp" if max(image.size) > 200 and not exact else "png"
    return "gradio_api/file=" + save_pil_to_cache(image, cache_dir=get_upload_folder(), format=kind)


class PictureUrls:
    """Addresses of pictures, remembered by their id. No pixels are held."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, str] = OrderedDict()

    def of(self, part: ImagePart) -> str:
        """The address of a prompt's picture."""
        url = self._known.pop(part.id, None) or picture_url(part.image)
        self._known[part.id] = url
        while len(self._known) > MAX_ADDRESSES:
            self._known.popitem(last=False)
        return url
