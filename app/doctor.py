"""What a bug report is asked for: versions, checkpoints, short cuts, video, browser, disk and memory, in plain sentences.

What keeps the program from starting is among what it tells, so nothing of ours that needs a package is imported before
it is looked at. Nothing is changed, and the log is not opened.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .quiet import hide_deprecations
from .settings import from_environment

if TYPE_CHECKING:
    from model import Core
    from model.generation.vlm import FastPaths

OLDEST = (3, 10)
INSTALL, EXACT = "pip install -r requirements.txt", "pip install -c constraints.txt -r requirements.txt"
REPORT = f"{EXACT} brings the versions of the last full green run. If it stays, report it with this output."
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ENOUGH_BYTES = 10**9
"""The program takes that with the built-in checkpoints; a log of as much is a year's."""
WIDTH, ABOUT = 110, 12


@dataclass(frozen=True)
class Finding:
    """One thing looked at: a sentence, and what to do about it where it is wrong. `facts` are its numbers."""

    about: str
    says: str
    cure: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def doctor(checkpoints: tuple[str, ...], data: str | None, as_json: bool, say: Callable[[str], None]) -> int:
    """Look at everything and say it, each as soon as it is known. 0 where all is well, 1 where something is wrong.

    `checkpoints` are opened besides the built-in ones, `data` is the folder of the log; without them the environment's.
    """
    hide_deprecations()
    found: list[Finding] = []
    for finding in examine(checkpoints, data):
        if not as_json:
            same = bool(found) and found[-1].about == finding.about
            say(_block(finding, "" if same else finding.about))
        found.append(finding)
    wrong = [finding for finding in found if finding.cure]
    if as_json:
        say(json.dumps({"well": not wrong, "findings": [asdict(finding) for finding in found]}))
    else:
        things = "1 thing is" if len(wrong) == 1 else f"{len(wrong)} things are"
        say(f"\n{things} wrong; the cure stands below each." if wrong else "\nAll is well.")
    return 1 if wrong else 0


def examine(checkpoints: tuple[str, ...], data: str | None) -> Iterator[Finding]:
    """Everything, the cheapest first. What cannot be looked at because of an earlier finding is left out."""
    yield _machine()
    yield from _packages()
    yield (program := _program())
    if program.cure:
        return
    from model import WorkbenchError

    try:
        settings = from_environment(data=data, checkpoints=checkpoints)
    except WorkbenchError as error:
        yield Finding("settings", "A variable of the environment makes no sense.", str(error))
    else:
        yield _disk(settings.data)
        yield _memory()
        yield from _checkpoints(settings.checkpoints)
    yield _video()
    yield _browser()


def _machine() -> Finding:
    here = f"Python {platform.python_version()} on {platform.system()} {platform.release()}, {platform.machine()}"
    facts = {"python": platform.python_version(), "system": platform.platform(), "processors": os.cpu_count()}
    old = sys.version_info[:2] < OLDEST
    return Finding("machine", f"{here}, {os.cpu_count()} processors.", "Install Python 3.12." if old else "", facts)


def _packages() -> Iterator[Finding]:
    """Versions found against versions tested; one finding for each that is wrong."""
    try:
        from .versions import packages
    except ImportError as error:
        yield Finding("packages", f"{error}: what running needs is not installed.", INSTALL)
        return
    here = packages()
    whole = {one.name: asdict(one) for one in here}
    if all(one.as_tested for one in here):
        yield Finding("packages", f"As in the last full green run: {', '.join(map(str, here))}.", facts=whole)
    else:
        yield Finding("packages", f"{', '.join(str(one) for one in here if one.found) or 'None is installed'}.", facts=whole)
    for one in here:
        if one.trouble:
            yield Finding("packages", one.trouble, INSTALL)


def _program() -> Finding:
    """Whether all code of the program loads, every entry of a registry with it."""
    try:
        for name in ("torch", "transformers", f"{__package__}.serve"):  # the page alone would import the first two later
            importlib.import_module(name)
        from .registries import failures, registries

        counts = ", ".join(f"{len(registry)} {words}" for words, registry in registries().items())
        broken = ", ".join(f"{file} ({error})" for file, error in failures().items())
    except Exception as error:  # whatever a package that does not fit raises
        return Finding("program", f"It does not load: {_named(error)}", REPORT)
    hide_deprecations()
    if broken:
        return Finding("program", f"It loads without {broken}.", REPORT)
    return Finding("program", f"It loads, with {counts}.")


def _checkpoints(specs: tuple[str, ...]) -> Iterator[Finding]:
    """Each built-in checkpoint, then those named: whether it opens, and which short cuts it is left with."""
    from model import Core
    from model.checkpoint import builtin_folders

    core = Core()
    for spec in dict.fromkeys((*builtin_folders(), *specs)):
        yield _checkpoint(core, spec, spec in builtin_folders())


def _checkpoint(core: Core, spec: str, builtin: bool) -> Finding:
    from model import WorkbenchError, parse_spec

    facts: dict[str, Any] = {"checkpoint": spec, "opens": False}
    begun = time.perf_counter()
    try:
        checkpoint = parse_spec(spec)
        for _ in core.load(checkpoint):
            pass
    except WorkbenchError as error:
        return Finding("checkpoints", f"{spec} does not open.", str(error), facts)
    except Exception as error:  # told by its name; the others are still looked at
        return Finding("checkpoints", f"{spec} does not open: {_named(error)}", REPORT, facts)
    seconds, vlm = time.perf_counter() - begun, core.vlm(checkpoint)
    used, notes = _short_cuts(vlm.fast), [*vlm.parts.warnings, *map(str, vlm.fast.notes)]
    short = "all short cuts in use" if all(used.values()) else f"in use {', '.join(n for n in used if used[n]) or 'no short cut'}"
    dtype = str(vlm.parts.dtype).removeprefix("torch.")
    facts |= {
        "opens": True, "seconds": round(seconds, 2), "family": vlm.family.title, "parameters": vlm.parameters, "dtype": dtype,
        "device": str(vlm.parts.device), "short_cuts": used, "notes": [asdict(note) for note in vlm.fast.notes],
        "warnings": list(vlm.parts.warnings),
    }  # fmt: skip
    kind = f"{vlm.family.title}, {vlm.parameters / 1e6:,.1f} M parameters, {dtype} on {vlm.parts.device}"
    says = [f"{spec} opens in {seconds:.1f} s: {kind}, {short}.", *notes]
    return Finding("checkpoints", " ".join(says), REPORT if builtin and notes else "", facts)


def _short_cuts(fast: FastPaths) -> dict[str, bool]:
    """Short cut -> whether the self-test found it to give the numbers of the long way."""
    return {
        "encoder cache": fast.features, "reuse across turns": fast.reuse, "reuse before a picture": fast.ahead,
        "given answers read at once": fast.extend, f"{fast.scoring} scoring": fast.scoring == "packed",
    }  # fmt: skip


def _video() -> Finding:
    """PyAV by writing a film, decord by importing it: both bring libraries of their own."""
    from studies.world.film import Film, write_film
    from studies.world.scene import make_scene

    from .versions import installed

    try:
        with tempfile.TemporaryDirectory() as folder:
            write_film(Film(make_scene(0), (), 0.2, 10), Path(folder) / "film.mp4", 64)
    except Exception as error:  # FFmpeg's errors are of many kinds
        return Finding("video", f"PyAV {installed('av')} cannot write a film: {_named(error)}", INSTALL)
    if not installed("decord"):
        return Finding("video", f"PyAV {installed('av')} writes films. decord is not there; it has no wheels for all machines.")
    try:
        importlib.import_module("decord")
    except (ImportError, OSError) as error:
        return Finding("video", f"decord {installed('decord')} does not load: {_named(error)}", INSTALL)
    return Finding("video", f"PyAV {installed('av')} writes films, decord {installed('decord')} loads.")


def _browser() -> Finding:
    """The Chromium of the tests. The program itself needs none here, so that none is nothing wrong."""
    named = os.environ.get("FOVEA_CHROMIUM")
    path = next((found for name in ([named] if named else BROWSERS) if (found := shutil.which(name))), None)
    if path:
        return Finding("browser", f"{path} drives the page in tests.", facts={"chromium": path})
    if named:
        return Finding("browser", f"FOVEA_CHROMIUM is {named}, which is no program.", "Set it to a Chromium, or unset it.")
    return Finding("browser", f"No Chromium for tests ({', '.join(BROWSERS)}): those of the page are skipped.")


def _disk(data: Path) -> Finding:
    """Room where the log is, and whether it can be written."""
    place = next(path for path in (data, *data.parents) if path.exists())
    free = shutil.disk_usage(place).free
    facts = {"data": str(data), "free_bytes": free}
    says = f"{free / 1e9:,.1f} GB free for the log in {data}."
    if not os.access(place, os.W_OK) or not place.is_dir():
        return Finding("disk", f"The log cannot be written in {data}.", "Choose another folder with --data DIR.", facts)
    return Finding("disk", says, "Free some, or choose another with --data DIR." if free < ENOUGH_BYTES else "", facts)


def _memory() -> Finding:
    import torch

    from model.memory import free_bytes

    free = free_bytes(torch.device("cpu"))
    says = [f"{free / 1e9:,.1f} GB can be taken"]
    facts: dict[str, Any] = {"free_bytes": free, "gpus": []}
    for index in range(torch.cuda.device_count()):
        name, left = torch.cuda.get_device_name(index), free_bytes(torch.device("cuda", index))
        facts["gpus"].append({"name": name, "free_bytes": left})
        says.append(f"cuda:{index} is {name} with {left / 1e9:,.1f} GB")
    if torch.backends.mps.is_available():
        says.append("mps is there")
    if len(says) == 1:
        says.append("there is no GPU")
    return Finding("memory", f"{'; '.join(says)}.", "End other programs." if free < ENOUGH_BYTES else "", facts)


def _named(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200].rstrip('.') if lines else 'no message'}."


def _block(finding: Finding, about: str) -> str:
    """A finding as lines: what it is about, what is so, and what to do."""
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
    wrap = textwrap.TextWrapper(width, break_on_hyphens=False, break_long_words=False, subsequent_indent=" " * ABOUT)
    wrap.initial_indent = f"{about:{ABOUT}}"
    lines = wrap.wrap(finding.says)
    wrap.initial_indent, wrap.subsequent_indent = " " * ABOUT + "-> ", " " * (ABOUT + 3)
    return "\n".join([*lines, *wrap.wrap(finding.cure)])
