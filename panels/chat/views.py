"""What the chat tab shows for a turn: transcript, specimen, questions to go on with, what the encoder got."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TypedDict

from PIL import Image

from model import Checkpoint
from model.families.base import SeenPicture
from model.prompt import ImagePart, picture_names

from ..base.actions import buttons
from ..base.bench import Bench, explained
from ..base.components import PictureUrls, picture_url
from ..base.records import Reply, RunRecord, RunRow
from ..base.requests import plain
from ..base.scenes import scene_of, suggestions
from ..base.turn_views import size_of, specimen_view, title, token_views, turn_view, whole

EMPTY = "Ask about a picture: attach, drop or paste one below, or take a drawn scene."
PHOTO_NOTE = (
    "{name} is trained on drawn scenes alone; on this picture its answer means little. "
    "For photographs add a Hub checkpoint in the header, for example HuggingFaceTB/SmolVLM-256M-Instruct."
)
MOST_PICTURES = 2
SEVERAL_NOTE = "{name} is trained on one or two pictures a chat; with {count} it may mix them up."
MAX_VIEWS = 1000


class Offered(TypedDict):
    """Questions to go on with."""

    items: list[str]


class ChatView:
    """Views of logged turns. Reads the log; changes nothing."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.urls = PictureUrls()
        self._views: OrderedDict[tuple[str, str], Reply] = OrderedDict()

    def transcript(self, run_id: str | None, scroll: str = "end") -> Reply:
        """The conversation up to a turn, as `transcript.js` takes it."""
        thread = self.bench.history.thread(run_id) if run_id else []
        return {"turns": [self._turn(row) for row in thread], "empty": EMPTY, "scroll": scroll, "actions": buttons("chat")}

    def _turn(self, row: RunRow) -> Reply:
        """One turn with what may have changed since it was first shown. The rest is kept, so that long chats stay quick."""
        key = (row.id, row.status)
        view = self._views.pop(key, None) or turn_view(self.bench.history.run(row.id), self.urls)
        self._views[key] = view
        while len(self._views) > MAX_VIEWS:
            self._views.popitem(last=False)
        versions = [other.id for other in self.bench.history.children(row.session, row.parent_run_id, row.panel)]
        return view | {"rating": row.rating, "siblings": versions or [row.id]}

    def tokens(self, run_id: object) -> Reply:
        """The tokens of a turn with their alternatives, or the sentence why not. Asked for when they are to be seen."""
        try:
            return {"tokens": plain(token_views(self.bench.history.run(str(run_id)[:100]).tokens)), "error": ""}
        except Exception as error:  # told to the user
            return {"tokens": [], "error": explained(error)}

    def specimen(self, record: RunRecord | None, notes: Sequence[str] = ()) -> Reply | None:
        """The turn on the bench, with what to know about it."""
        caution = self.caution(record.checkpoint, record.prompt.images) if record else ""
        return specimen_view(record, self.urls, " ".join(note for note in (*notes, caution) if note))

    def questions(self, record: RunRecord | None) -> Offered | None:
        """Three questions that suit the drawn scene at hand and were not asked yet; None where there is none."""
        if record is None or not record.prompt.images:
            return None
        return self.questions_for(record.prompt.images[-1], {m.text for m in record.prompt.messages})

    def questions_for(self, part: ImagePart, asked: set[str] | None = None) -> Offered | None:
        """Three questions for one picture; None where it is no drawn scene."""
        scene = scene_of(part)
        return {"items": [q.text for q in suggestions(scene) if q.text not in (asked or ())][:3]} if scene else None

    def caution(self, checkpoint: Checkpoint, images: Sequence[ImagePart]) -> str:
        """What to know about a built-in checkpoint's answer on these pictures; empty where nothing."""
        if checkpoint not in self.bench.builtin:
            return ""
        if any(scene_of(part) is None for part in images):
            return PHOTO_NOTE.format(name=checkpoint.name)
        count = len(set(images))
        return SEVERAL_NOTE.format(name=checkpoint.name, count=count) if count > MOST_PICTURES else ""

    def look(self, record: RunRecord) -> Reply:
        """The file and every picture as it entered the encoder, with what was never seen, as `saw.js` takes it."""
        prompt = whole(record)
        if not prompt.images:
            return {"text": "This turn has no picture.", "rows": [], "run": record.row.id}
        sight = self.bench.core.look(self.bench.allowed(record.checkpoint), prompt)
        rows = []
        for i, (part, name) in enumerate(zip(prompt.images, picture_names(prompt.images), strict=True)):
            seen = [picture for picture in sight.pictures if picture.image == i]
            boxes = [list(picture.box) for picture in seen if picture.box is not None]
            shown = f"{title(part, name) or 'The file'}, {size_of(part)}"
            file = {"url": self.urls.of(part), "title": shown, "size": list(part.image.size), "seen": boxes}
            rows.append({"file": file, "views": [_encoded(picture) for picture in seen]})
        known = any(picture.box is not None for picture in sight.pictures)
        hidden = "Dashed: what was seen. Dark: never seen." if known else "How they lie on the file is not known for this family."
        text = f"{record.row.checkpoint}: {sight.visual_tokens:,} image tokens of {sight.prompt_tokens:,} in the prompt. {hidden}"
        return {"text": text, "rows": rows, "run": record.row.id}


def _encoded(picture: SeenPicture) -> Reply:
    """A picture as it entered the encoder, pixel for pixel."""
    height, width = picture.pixels.shape[:2]
    return {"url": picture_url(Image.fromarray(picture.pixels), exact=True), "title": f"{picture.name}, {width} x {height} px"}
