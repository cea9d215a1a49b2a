"""Components of our own: one `gr.HTML` each, from a static template and a script in `assets/js`.

Nothing a person or a model wrote is ever put into a template: Gradio evaluates `{{...}}` and `${...}`
there. Values travel as JSON and reach the page through `textContent`. Factories, never subclasses: a
subclass would write files beside the source and fail inside chats.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_pil_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from model.prompt import ImagePart

ASSETS = Path(__file__).resolve().parents[2] / "assets"
TEMPLATES = {
    "transcript": (
        '<div class="fv-transcript" role="region" aria-label="Conversation"></div><p class="fv-heard" role="status"></p>'
    ),
    "live": '<div class="fv-live"></div>',
    "composer": '<div class="fv-composer" role="status"></div>',
    "specimen": '<section class="fv-specimen" aria-label="On the bench"></section>',
    "header": (
        '<div class="fv-chipline"><div class="fv-chipbar" role="group" aria-label="Checkpoints"></div>'
        '<button type="button" class="fv-mini fv-keys" aria-label="Keys of this page" title="Keys of this page">?</button></div>'
        '<div class="fv-status"></div>'
    ),
    "scenes": '<div class="fv-scenes" role="group" aria-label="Drawn scenes"></div>',
    "questions": '<div class="fv-questions" role="group" aria-label="Questions to go on with"></div>',
    "saw": "<div></div>",
    "runs": '<div class="fv-runs"></div>',
    "detail": '<div class="fv-detail"></div>',
    "patches": '<div class="fv-patches"></div>',
    "attention": '<section class="fv-attention" aria-label="Attention of an answer"></section>',
    "compare_setup": '<section class="fv-versus-setup" aria-label="Columns and question"></section>',
    "compare": '<section class="fv-versus" aria-label="Comparison"></section>',
    "message": '<div class="fv-error" role="alert"></div>',
    "note": '<p class="fv-note" role="status"></p>',
}
ATTENTION = tuple(f"attention/{name}" for name in ("request", "change", "draw", "export", "layout", "attention"))
PATCHES = tuple(f"patches/{name}" for name in ("facts", "maps", "saved", "controls", "patches"))
COMPARE = tuple(f"compare/{name}" for name in ("columns", "pairs", "heat", "vote", "tables", "compare"))
DRAWING = tuple(f"drawing/{name}" for name in ("scales", "paint", "frames", "heatmap"))
MAPS = (*DRAWING, "drawing/figure", "drawing/patching_table", "drawing/lens_health")
SCRIPTS = {
    "transcript": ("drawing/tokens", "chat/transcript"),
    "live": ("chat/live",),
    "composer": ("chat/composer",),
    "specimen": ("header/specimen",),
    "header": ("header/header",),
    "scenes": ("chat/scenes",),
    "questions": ("chat/questions",),
    "saw": ("chat/saw",),
    "runs": ("sessions/runs",),
    "detail": ("sessions/detail",),
    "message": ("header/message",),
    "note": ("header/message",),
    "attention": (*MAPS, "drawing/words", "drawing/overview", "attention/agreement", "dom/progress", *ATTENTION),
    "compare_setup": ("dom/fields", "compare/setup"),
    "compare": (*DRAWING, "dom/progress", "dom/request", "dom/fields", *COMPARE),
    "patches": (*MAPS, "dom/progress", "dom/request", "dom/fields", *PATCHES),
}
"""Files of `assets/js` that a component is made of, after dom/common.js."""
MAX_SIDE_PX = 1024
MAX_ADDRESSES = 4096


def component(name: str, value: Any = None, **settings: Any) -> gr.HTML:
    """One of our components. Its value is JSON; its events are those its script triggers."""
    scripts = ("dom/common", *SCRIPTS[name])
    return gr.HTML(
        value,
        html_template=TEMPLATES[name],
        js_on_load="\n".join((ASSETS / "js" / f"{script}.js").read_text(encoding="utf-8") for script in scripts),
        apply_default_css=False,
        elem_classes="fv",
        **settings,
    )


def picture_url(image: Image.Image, *, exact: bool = False) -> str:
    """An address the page can load a picture from, the same for the same picture.

    Scaled down to fit and compressed, or exact: pixel for pixel.
    """
    if max(image.size) > MAX_SIDE_PX and not exact:
        image = image.copy()
        image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    kind = "webp" if max(image.size) > 200 and not exact else "png"
    return "/gradio_api/file=" + save_pil_to_cache(image, cache_dir=get_upload_folder(), format=kind)


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
