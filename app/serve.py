"""Start everything and serve: log, core, checkpoints, page."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.exceptions import ServerFailedToStartError
from starlette.middleware import Middleware

from model import Checkpoint, Core, WorkbenchError, parse_spec
from model.late import nothing_collected
from model.running.tasks import Here, Slot

from . import zerogpu as zero
from .log.history import History
from .log.store import Store
from .page_files import Compressed, PageFiles
from .public.guests import Guests
from .public.rate_limit import Limits, RateLimiter, TimedSlot, address_here
from .public.request_filter import Gate
from .quick_start import no_server_yet
from .settings import Settings
from .shell import STYLES, build_demo, theme
from .starting import Starting, named

log = logging.getLogger(__name__)
MAX_WAITING, MAX_PUBLIC_WAITING = 64, 32
SWEEP_S = 5
MAX_UPLOAD, MAX_PUBLIC_UPLOAD = "500mb", "25mb"
"""Pictures have a limit of their own, and a sentence; a session with many of them is larger."""


def serve(settings: Settings) -> None:
    """Serve, print the address, load the checkpoints meanwhile, go on until interrupted.

    Raises WorkbenchError where no checkpoint is there to be loaded, or nothing can be served.
    """
    signal.signal(signal.SIGTERM, _end)  # so that what is to be forgotten is, also when a service manager ends the program
    demo, starting = open_demo(settings)
    with nothing_collected():
        launch(demo, settings)
    kept = f"log in {settings.data}" if settings.log else "nothing is logged"
    print(f"Fovea is at http://{settings.host}:{settings.port} ({kept}; Ctrl+C ends it)", flush=True)
    starting.begin()
    demo.block_thread()


def open_demo(settings: Settings) -> tuple[gr.Blocks, Starting]:
    """The page, and the loading of its checkpoints, which is still to begin.

    One that is not there is told of and left out, if another is. On ZeroGPU they are loaded now: what is lent a GPU is a fork of
    this process, and only what lies in it by then.
    """
    history = History(Store(settings.data if settings.log else _forgotten(), settings.journal))
    core, lender = Core(history.store), zero.prepare()
    core.pool.tests_later = lender is not None
    found, troubles = named(settings.checkpoints, partial(_looked_at, core))
    if not found:
        raise WorkbenchError("\nfovea: ".join(map(str, troubles)) or "No checkpoint was named. Give one with --checkpoint.")
    for trouble in troubles:
        print(f"fovea: {trouble}", file=sys.stderr)
    starting = Starting(found, core.pool.load)
    slot: Slot = Here(core.pool)
    if lender is not None:  # every fork inherits what is placed now
        starting.run()
        if not core.loaded():
            raise WorkbenchError("No checkpoint could be loaded. Choose others with --checkpoint or FOVEA_CHECKPOINTS.")
        slot, core.pool.fixed = zero.LentSlot(core.pool, lender), zero.FIXED
    if settings.public:
        limits = Limits()
        slot, core.admission = TimedSlot(slot, limits.seconds), RateLimiter(limits, address_here).admit
    core.slot_of = lambda checkpoint: slot
    guests = _swept(Guests(history.store)) if settings.public else None
    with nothing_collected(), no_server_yet():
        return build_demo(core, history, starting, guests, settings.log), starting


def _looked_at(core: Core, spec: str) -> Checkpoint:
    """The checkpoint a spec names, its config.json read and of a kind that is known, its weights not. Raises CheckpointError."""
    checkpoint = parse_spec(spec)
    core.family(checkpoint)
    return checkpoint


def _forgotten() -> Path:
    """A folder for log and uploads that goes when the program ends: with FOVEA_LOG=off nothing is kept."""
    folder = tempfile.TemporaryDirectory(prefix="fovea-log-")
    atexit.register(folder.cleanup)
    os.environ["GRADIO_TEMP_DIR"] = str(Path(folder.name) / "uploads")
    return Path(folder.name)


def _swept(guests: Guests) -> Guests:
    """Delete what visitors do not want kept: now what an earlier program left, later what is due, at the end all of it."""

    def later() -> None:
        while True:
            time.sleep(SWEEP_S)
            with suppress(WorkbenchError):  # the log cannot be written now; it is tried again
                guests.sweep()

    guests.sweep(everything=True)
    atexit.register(guests.sweep, everything=True)
    threading.Thread(target=later, name="sweep", daemon=True).start()
    return guests


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _app(public: bool) -> dict[str, Any]:
    """What the server has beside Gradio's own: the page's scripts, compression, the gate of a public page."""
    middleware = [Middleware(Compressed), *([Middleware(Gate)] if public else [])]
    return {"routes": PageFiles().routes(), "middleware": middleware}


def launch(demo: gr.Blocks, settings: Settings) -> None:
    """Serve the page in the background, with limits that are safe to leave on. Raises WorkbenchError where it cannot be."""
    most = MAX_PUBLIC_WAITING if settings.public else MAX_WAITING
    with no_server_yet():
        demo.queue(max_size=most, default_concurrency_limit=8, api_open=True)
    try:
        demo.launch(
            server_name=settings.host,
            server_port=settings.port,
            theme=theme(),
            css_paths=STYLES,
            quiet=True,
            show_error=False,
            share=False,
            max_file_size=MAX_PUBLIC_UPLOAD if settings.public else MAX_UPLOAD,
            blocked_paths=[str(settings.data)],
            allowed_paths=[],
            app_kwargs=_app(settings.public),
            root_path=settings.root_path or None,
            auth=settings.auth,
            mcp_server=settings.mcp,
            enable_monitoring=False,
            run_history=False,
            footer_links=["api", "settings"],
            prevent_thread_lock=True,
            ssr_mode=False,
            inbrowser=False,
            _frontend=False,  # else a machine that takes more than 3 s for its first page is told to share it with the world
        )
    except (OSError, ServerFailedToStartError) as error:
        raise WorkbenchError(
            f"Nothing can be served at {settings.host}:{settings.port}: the port is taken, or the address is not this machine's. "
            "Choose others with --port and --host."
        ) from error
