"""What the chat tab shows for a turn: transcript, specimen, questions to go on with, what the encoder got."""

from __future__ import annotations

from typing import Any

from PIL import Image

from studies.world.files import from_png

from ._html import PictureUrls, picture_url
from ._scenes import suggestions
from ._turns import TURN_ACTIONS, is_drawn, specimen_view, turn_view
from .base import Bench

EMPTY = "Ask about a picture: attach, drop or paste one below, or take a drawn scene from the shelf."
PHOTO_NOTE = (
    "{name} is trained on drawn scenes alone; on this picture its answer means little. "
    "For photographs add a Hub checkpoint in the header, for example HuggingFaceTB/SmolVLM-256M-Instruct."
)
SEVERAL_NOTE = "{name} is trained on one picture a question; with several it may mix them up."


class ChatView:
    """Views of logged turns. Reads the log; changes nothing."""

    def __init__(self, bench: Bench, cache: str) -> None:
        self.bench, self.cache = bench, cache
        self.urls = PictureUrls(cache)

    def transcript(self, run_id: str | None, scroll: str = "end") -> dict[str, Any]:
        """The conversation up to a turn, as `transcript.js` takes it."""
        history = self.bench.history
        records = [history.run(row.id) for row in history.thread(run_id)] if run_id else []
        return {"turns": [turn_view(r, self.urls) for r in records], "empty": EMPTY, "scroll": scroll, "actions": TURN_ACTIONS}

    def specimen(self, record: Any | None, note: str = "") -> dict[str, Any] | None:
        """The turn on the bench, with what to know about it."""
        notes = [n for n in (note, self.caution(record)) if n]
        return specimen_view(record, self.urls, " ".join(notes))

    def questions(self, record: Any | None) -> dict[str, Any] | None:
        """Three questions that suit the drawn scene at hand and were not asked yet; None where there is none."""
        parts = record.prompt.images if record else ()
        scene = from_png(parts[-1].data) if parts else None
        if scene is None:
            return None
        asked = {m.text for m in record.prompt.messages}
        return {"items": [q.text for q in suggestions(scene, 8) if q.text not in asked][:3]}

    def caution(self, record: Any | None) -> str:
        """What to know about a built-in checkpoint's answer on this picture; empty where nothing."""
        if record is None or record.checkpoint not in self.bench.builtin:
            return ""
        images = record.prompt.images
        if any(not is_drawn(part) for part in images):
            return PHOTO_NOTE.format(name=record.checkpoint.name)
        return SEVERAL_NOTE.format(name=record.checkpoint.name) if len({part.id for part in images}) > 1 else ""

    def look(self, record: Any) -> dict[str, Any]:
        """The file and every picture as it entered the encoder, with what was never seen, as `saw.js` takes it."""
        if not record.prompt.images:
            return {"text": "This turn has no picture.", "views": []}
        sight = self.bench.core.look(record.checkpoint, record.prompt)
        views = []
        for i, part in enumerate(record.prompt.images):
            seen = [list(p.box) for p in sight.pictures if p.image == i and p.box is not None]
            width, height = part.image.size
            views.append(
                {"url": self.urls.of(part), "title": f"The file, {width} x {height} px", "size": [width, height], "seen": seen}
            )
        for picture in sight.pictures:
            height, width = picture.pixels.shape[:2]
            title = f"As encoded: {picture.name}, {width} x {height} px"
            views.append({"url": picture_url(Image.fromarray(picture.pixels), self.cache), "title": title})
        known = any(p.box is not None for p in sight.pictures)
        hidden = (
            " Dark parts of the file were never seen." if known else " How they lie on the file is not known for this family."
        )
        return {"text": f"{sight.visual_tokens:,} image tokens of {sight.prompt_tokens:,} in the prompt.{hidden}", "views": views}
