"""Patches: from a place in the picture to the words that used it, the patches like it, and the answer without it."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import gradio as gr

from model.errors import InputError
from model.families.base import Capability
from model.grid import ImageGrid
from model.progress import Run
from model.prompt import ImagePart
from model.subject import Subject

from . import panels
from ._desk import Desk
from ._html import PictureUrls, component
from ._lens_health import lens_health
from ._overlay import pictures_view
from ._patches_api import add_patches_api
from ._patches_asked import Question, Turn, events_of, placed, turn_of
from ._patches_between import between, joint_colours, other_picture, partners
from ._patches_export import arrays, saved
from ._patches_views import VIEWS
from .base import QUICK, Bench, SessionState, explained

MAX_KEY = 64


@panels.add("patches")
class Patches:
    """A place in the picture, and what became of it."""

    slug: ClassVar[str] = "patches"
    title: ClassVar[str] = "Patches"
    order: ClassVar[int] = 30
    purpose: ClassVar[str] = "Click a patch or drag a region: what is like it, which words used it, what is said without it."
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.GENERATE, Capability.ATTENTION, Capability.GRID})

    def build(self, bench: Bench) -> None:
        asking = _Asking(bench)

        def ask(given: Any) -> dict[str, Any]:
            return asking.ask(given)

        def progress(key: Any) -> dict[str, Any]:
            return asking.desk.seen(str(key)[:MAX_KEY])

        def halt(key: Any) -> None:
            asking.desk.halt(str(key)[:MAX_KEY])

        view = component("patches", elem_id="patches", server_functions=[ask, progress, halt])

        def stand(state: SessionState) -> dict[str, Any]:
            return {"run": state.at_hand or ""}

        gr.on([bench.state.change, bench.opened.change], stand, bench.state, view, **QUICK)
        add_patches_api(bench)


class _Asking:
    """Answers the questions of pages. Each stands for itself: the page says which turn it is about."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.desk, self.urls = bench, Desk(), PictureUrls()

    def ask(self, given: Any) -> dict[str, Any]:
        """What was asked for, or {error: a sentence}."""
        try:
            if not isinstance(given, dict):
                raise InputError("The page sent no usable question. Reload it and try again.")
            return self._answered(Question(given))
        except Exception as error:  # told where it was asked
            return {"error": explained(error)}

    def _answered(self, asked: Question) -> dict[str, Any]:
        bench, turn = self.bench, turn_of(self.bench, asked.text("run"))
        match asked.text("kind"):
            case "open":
                return self._opened(asked, turn)
            case "partners":
                return {"partners": [[partner.id, partner.label] for partner in partners(bench, turn)]}
            case "coloured" if asked.text("partner"):
                other = other_picture(bench, turn, asked.text("partner"))
                return self._worked(asked, turn, partial(_joint, other=other, asked=asked, urls=self.urls))
            case "between":
                other = other_picture(bench, turn, asked.text("partner"))
                shown = {"url": self.urls.of(other), "name": other.name}
                return self._worked(asked, turn, partial(_between, other=other, asked=asked)) | {"picture": shown}
            case "export":
                return saved(self._worked(asked, turn, partial(arrays, asked=asked)), turn.run)
            case kind if kind in VIEWS:
                return self._worked(asked, turn, partial(VIEWS[kind], asked=asked))
        raise InputError(f"The page asked for {asked.text('kind')[:40]!r}, which is not known here. Reload it and try again.")

    def _opened(self, asked: Question, turn: Turn) -> dict[str, Any]:
        found, grid = self._worked(asked, turn, partial(_opened, asked=asked))
        found |= {"pictures": pictures_view(grid, turn.prompt.images, self.urls)}
        return found | {"lens": lens_health(turn.checkpoint.name, found.pop("weights"))}

    def _worked(self, asked: Question, turn: Turn, work: Any) -> dict[str, Any]:
        return self.desk.done(asked.text("key")[:MAX_KEY], events_of(self.bench, turn, work))


# Work that goes to the model thread: functions of this module, which pickle (see `model.tasks`).


def _opened(subject: Subject, run: Run, asked: Question) -> tuple[dict[str, Any], ImageGrid]:
    return {"weights": subject.vlm.weights, **VIEWS["open"](subject, run, asked)}, placed(subject)


def _joint(subject: Subject, run: Run, other: ImagePart, asked: Question, urls: PictureUrls) -> dict[str, Any]:
    return joint_colours(subject, other, asked, urls)


def _between(subject: Subject, run: Run, other: ImagePart, asked: Question) -> dict[str, Any]:
    return between(subject, other, asked, run)
