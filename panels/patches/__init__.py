"""Patches: from a place in the picture to the words that used it, the patches like it, and the answer without it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

import gradio as gr

from model import Prompt
from model.errors import InputError, WorkbenchError
from model.families.base import Capability
from model.geometry.grid import ImageGrid
from model.internals.subject import Subject
from model.progress import Run

from .. import panels
from ..base.bench import QUICK, Bench, SessionState, explained
from ..base.components import PictureUrls, component
from ..base.jobs import Desk
from ..base.maps.lens_health import health_of, lens_health, measuring
from ..base.maps.overlay import pictures_view
from ..base.maps.saved_maps import name_of
from ..base.maps.source_picture import other_picture, partner_view, partners, swapped
from .endpoints import add_patches_api
from .maps import Made, made
from .requests import Question, Turn, events_of, placed, turn_of
from .saved import arrays, keep_made, numbers_file, page_file, patch_map_to_open
from .views import VIEWS, between, joint_colours

MAX_KEY = 64
MAX_BROUGHT = 16
"""Patched pairs of pictures that are held, so that another depth of one is logged and saved without patching again."""


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
            run = state.at_hand or ""
            asked, opening = state.looking[2:] if state.looking and state.looking[0] == run else ("", "")
            with suppress(WorkbenchError):  # then the turn opens as it would without
                return {"run": run, "map": patch_map_to_open(bench.history, run, asked) if asked else None, "opening": opening}
            return {"run": run, "map": None, "opening": ""}

        gr.on([bench.state.change, bench.opened.change], stand, bench.state, view, **QUICK)
        add_patches_api(bench)


class _Asking:
    """Answers the questions of pages. Each stands for itself: the page says which turn it is about."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.desk, self.urls = bench, Desk(), PictureUrls()
        self._brought: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

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
                return {"partners": [[partner.id, partner.label] for partner in partners(bench, turn.run, turn.prompt)]}
            case "coloured" if asked.text("partner"):
                return self._coloured(asked, turn)
            case "between":
                return self._between(asked, turn)
            case "keep":
                return {"kept": keep_made(bench, turn, self._made(asked, turn))}
            case "export":
                return self._exported(asked, turn)
            case "measure":
                events = measuring(bench, turn.checkpoint)
                return {"lens": health_of(self.desk.done(_key(asked), events), turn.checkpoint.name)}
            case kind if kind in VIEWS:
                return self._worked(asked, turn, partial(VIEWS[kind], asked=asked))
        raise InputError(f"The page asked for {asked.text('kind')[:40]!r}, which is not known here. Reload it and try again.")

    def _opened(self, asked: Question, turn: Turn) -> dict[str, Any]:
        found, grid = self._worked(asked, turn, partial(_opened, asked=asked))
        about = {"checkpoint": turn.checkpoint.name, "question": turn.prompt.question}
        found |= {"pictures": pictures_view(grid, turn.prompt.images, self.urls), "about": about}
        return found | {"lens": lens_health(self.bench, turn.checkpoint, found.pop("weights"))}

    def _coloured(self, asked: Question, turn: Turn) -> dict[str, Any]:
        other = self._other(asked, turn)
        found, grid = self._worked(asked, turn, partial(joint_colours, asked=asked, other=other))
        found["other"]["pictures"] = pictures_view(grid, other.images, self.urls)
        return found

    def _between(self, asked: Question, turn: Turn) -> dict[str, Any]:
        other = self._other(asked, turn)
        found = self._worked(asked, turn, partial(between, asked=asked, other=other))
        with self._lock:
            self._brought[_pair(asked, turn)] = found
            while len(self._brought) > MAX_BROUGHT:
                self._brought.popitem(last=False)
        return found | {"picture": partner_view(other, self.urls)}

    def _made(self, asked: Question, turn: Turn) -> Made:
        """The map a question is about, as a thing of its own."""
        return self._worked(asked, turn, partial(made, **self._about(asked, turn)))

    def _about(self, asked: Question, turn: Turn) -> dict[str, Any]:
        """What making a map takes beside the subject: the question, another picture, and what is held of the two."""
        wanted = asked.text("map") in ("coloured", "between") and (asked.text("partner") or asked.text("map") == "between")
        back = self._brought.get(_pair(asked, turn)) if asked.text("map") == "between" else None
        return {"asked": asked, "other": self._other(asked, turn) if wanted else None, "back": back}

    def _exported(self, asked: Question, turn: Turn) -> dict[str, Any]:
        """A map's name for files, and one of its files: `numbers` in base64, or a `page` of text."""
        part, about = asked.one_of("part", ("name", "numbers", "page")), self._about(asked, turn)
        if part == "numbers":
            what, found = self._worked(asked, turn, partial(_with_arrays, **about))
            return {"name": name_of(what, "map"), "numbers": numbers_file(found)}
        found = self._worked(asked, turn, partial(_with_page if part == "page" else _with_name, **about))
        return found

    def _other(self, asked: Question, turn: Turn) -> Prompt:
        return swapped(turn.prompt, other_picture(self.bench, turn.prompt, asked.text("partner")))

    def _worked(self, asked: Question, turn: Turn, work: Any) -> Any:
        return self.desk.done(_key(asked), events_of(self.bench, turn, work))


def _key(asked: Question) -> str:
    return asked.text("key")[:MAX_KEY]


def _pair(asked: Question, turn: Turn) -> tuple[Any, ...]:
    """What a patching depends on, as the page names it."""
    return turn.run, asked.text("partner"), str(asked.given.get("tokens"))


# Work that goes to the model thread: functions of modules, which pickle (see `model.running.tasks`).


def _opened(subject: Subject, run: Run, asked: Question) -> tuple[dict[str, Any], ImageGrid]:
    return {"weights": subject.vlm.weights, **VIEWS["open"](subject, run, asked)}, placed(subject)


def _with_name(subject: Subject, run: Run, **about: Any) -> dict[str, Any]:
    return {"name": name_of(made(subject, run, **about).what, "map")}


def _with_page(subject: Subject, run: Run, **about: Any) -> dict[str, Any]:
    one = made(subject, run, **about)
    name = name_of(one.what, "map")
    return {"name": name, "page": page_file(subject, run, one, f"{name}.png")}


def _with_arrays(subject: Subject, run: Run, **about: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    one = made(subject, run, **about)
    return one.what, arrays(subject, run, about["asked"], one)
