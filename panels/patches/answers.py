"""What the Patches panel is asked, and what answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from model import Prompt
from model.geometry.grid import ImageGrid
from model.internals.subject import Subject
from model.progress import Run

from ..base.maps.instrument import Answer, Instrument, asked
from ..base.maps.lens_health import lens_health
from ..base.maps.overlay import PictureView, pictures_view
from ..base.maps.page import npz
from ..base.maps.saved_maps import name_of
from ..base.maps.source_picture import Brought, OtherPicture, other_picture, partner_view, partners_view, swapped
from ..base.requests import Request
from . import views
from .files import KIND, Arrays, arrays, meta_of, page_file
from .maps import Made, made
from .requests import (
    Between,
    BetweenMap,
    ColourMap,
    Colours,
    Export,
    Likeness,
    MapOf,
    OfMap,
    OfTokens,
    TowerLook,
    Without,
    WordLikeness,
    WordLook,
    placed,
    turn_of,
    what_of,
)
from .views import About, Coloured, Opened

R = TypeVar("R", bound=Request)
MAX_PATCHED = 16
"""Patched pairs of pictures that are held, so that another depth of one is stored without patching again."""


@dataclass(frozen=True)
class Patched(Brought):
    """What patching between two pictures does, with the other picture."""

    picture: OtherPicture


@dataclass(frozen=True)
class Stored:
    """Whether the log took a map."""

    kept: bool


@dataclass(frozen=True)
class MapFile:
    """A map's name for files, and the one that was asked for: `numbers`, an NPZ in base64, or a `page` of Markdown."""

    name: str
    numbers: str | None = None
    page: str | None = None


@dataclass(frozen=True)
class Making:
    """A map about to be made: what it is of, the prompt with another picture, what is held of the two."""

    of: MapOf
    other: Prompt | None
    back: Brought | None

    def __call__(self, subject: Subject, run: Run) -> Made:
        return made(subject, run, self.of, self.other, self.back)


def of_subject(request: type[R], work: Callable[[Subject, Run, R], object]) -> Answer:
    """A request that is answered on the model thread alone."""

    def answer(tool: Instrument, request: R) -> object:
        return tool.work(request, turn_of(tool.bench, request.run), partial(_worked, work=work, request=request))

    return asked(request, answer)


def open_(tool: Instrument, request: Request) -> Opened:
    turn = turn_of(tool.bench, request.run)
    found, grid, weights = tool.work(request, turn, partial(_opened, request=request))
    return replace(
        found,
        pictures=pictures_view(grid, turn.prompt.images, tool.urls),
        about=About(turn.checkpoint.name, turn.prompt.question),
        lens=lens_health(tool.bench, turn.checkpoint, weights),
    )


def partners(tool: Instrument, request: Request) -> object:
    return partners_view(tool.bench, request.run, turn_of(tool.bench, request.run).prompt)


def measure(tool: Instrument, request: Request) -> object:
    return tool.measured(request, turn_of(tool.bench, request.run))


def coloured(tool: Instrument, request: Colours) -> Coloured:
    turn = turn_of(tool.bench, request.run)
    if not request.partner:
        return tool.work(request, turn, partial(views.coloured, request=request))
    other = _other(tool, turn.prompt, request.partner)
    found, grid = tool.work(request, turn, partial(views.joint_colours, request=request, other=other))
    assert found.other is not None, "both were coloured"
    pictures: list[PictureView] = pictures_view(grid, other.images, tool.urls)
    return replace(found, other=replace(found.other, pictures=pictures))


def between(tool: Instrument, request: Between) -> Patched:
    turn = turn_of(tool.bench, request.run)
    other = _other(tool, turn.prompt, request.partner)

    def patch() -> Brought:
        return tool.work(request, turn, partial(views.between, request=request, other=other))

    found = tool.once(Brought, _pair(request.run, request), patch, MAX_PATCHED)
    return Patched(**vars(found), picture=partner_view(other, tool.urls))


def keep(tool: Instrument, request: OfMap) -> Stored:
    turn = turn_of(tool.bench, request.run)
    one = tool.work(request, turn, _making(tool, request))
    return Stored(tool.keep(turn.run_id, KIND, name_of(what_of(one.of), "map"), one.data, meta_of(one, turn.checkpoint)))


def export(tool: Instrument, request: Export) -> MapFile:
    turn, making = turn_of(tool.bench, request.run), _making(tool, request)
    if request.part == "numbers":
        name, found = tool.work(request, turn, partial(_with_arrays, making=making, request=request))
        return MapFile(name, numbers=npz(**found))
    return tool.work(request, turn, partial(_with_page if request.part == "page" else _with_name, making=making))


def _making(tool: Instrument, request: OfMap) -> Making:
    of, other, back = request.of, None, None
    if isinstance(of, BetweenMap) or (isinstance(of, ColourMap) and of.partner):
        other = _other(tool, turn_of(tool.bench, request.run).prompt, of.partner)
    if isinstance(of, BetweenMap):
        back = tool.held(Brought, _pair(request.run, of))
    return Making(of, other, back)


def _other(tool: Instrument, prompt: Prompt, partner: str) -> Prompt:
    return swapped(prompt, other_picture(tool.bench, prompt, partner))


def _pair(run: str, request: Between | BetweenMap) -> tuple[str, str, tuple[int, ...]]:
    """What a patching depends on."""
    return run, request.partner, request.tokens


# Work that goes to the model thread: functions of modules, which pickle (see `model.running.tasks`).


def _worked(subject: Subject, run: Run, work: Callable[[Subject, Run, R], object], request: R) -> object:
    return work(subject, run, request)


def _opened(subject: Subject, run: Run, request: Request) -> tuple[Opened, ImageGrid, str]:
    return views.opened(subject, run, request), placed(subject), subject.vlm.weights


def _with_name(subject: Subject, run: Run, making: Making) -> MapFile:
    return MapFile(name_of(what_of(making(subject, run).of), "map"))


def _with_page(subject: Subject, run: Run, making: Making) -> MapFile:
    one = making(subject, run)
    name = name_of(what_of(one.of), "map")
    return MapFile(name, page=page_file(subject, one, f"{name}.png"))


def _with_arrays(subject: Subject, run: Run, making: Making, request: Export) -> tuple[str, Arrays]:
    one = making(subject, run)
    return name_of(what_of(one.of), "map"), arrays(subject, request, one)


ANSWERS = {
    "open": asked(Request, open_),
    "partners": asked(Request, partners),
    "measure": asked(Request, measure),
    "coloured": asked(Colours, coloured),
    "between": asked(Between, between),
    "keep": asked(OfMap, keep),
    "export": asked(Export, export),
    "alike": of_subject(Likeness, views.alike),
    "seen": of_subject(TowerLook, views.seen),
    "used": of_subject(WordLook, views.used),
    "says": of_subject(OfTokens, views.says),
    "hidden": of_subject(Without, views.hidden),
    "again": of_subject(Without, views.again),
    "like_word": of_subject(WordLikeness, views.like_word),
}
"""By the names the page asks for them."""
