"""Start everything and serve: log, core, checkpoints, page."""

from __future__ import annotations

import atexit
import logging
import sys
import tempfile
from pathlib import Path

import gradio as gr

from model import Core, WorkbenchError, parse_spec

from .history import History
from .settings import Settings
from .shell import CSS, build_demo, theme
from .store import Store

log = logging.getLogger(__name__)
MAX_WAITING = 64


def serve(settings: Settings) -> None:
    """Load the checkpoints, print the address, serve until interrupted. Raises WorkbenchError where nothing can be loaded."""
    demo, _ = open_demo(settings)
    kept = f"log in {settings.data}" if settings.log else "nothing is logged"
    print(f"Fovea is at http://{settings.host}:{settings.port} ({kept}; Ctrl+C ends it)", flush=True)
    launch(demo, settings)


def open_demo(settings: Settings) -> tuple[gr.Blocks, Core]:
    """The page and its core, checkpoints loaded. One that cannot be loaded is told of and left out, if another can."""
    history = History(Store(settings.data if settings.log else _forgotten(), settings.journal))
    core = Core(history.store)
    wanted = [parse_spec(text) for text in settings.checkpoints]
    loaded = []
    trouble: WorkbenchError | None = None
    for checkpoint in wanted:
        try:
            for step in core.load(checkpoint):
                log.info("%s", step)
            loaded.append(checkpoint)
        except WorkbenchError as error:
            trouble = error
            print(f"fovea: {error}", file=sys.stderr)
    if not loaded:
        raise trouble or WorkbenchError("No checkpoint was named. Give one with --checkpoint.")
    return build_demo(core, history, loaded, settings.public), core


def _forgotten() -> Path:
    """A folder for the log that goes when the program ends: with FOVEA_LOG=off nothing is kept."""
    folder = tempfile.TemporaryDirectory(prefix="fovea-log-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def launch(demo: gr.Blocks, settings: Settings, *, block: bool = True) -> None:
    """Serve the page with limits that are safe to leave on."""
    demo.queue(max_size=MAX_WAITING, default_concurrency_limit=8, api_open=True)
    demo.launch(
        server_name=settings.host,
        server_port=settings.port,
        theme=theme(),
        css_paths=[CSS],
        quiet=True,
        show_error=False,
        share=False,
        max_file_size="25mb",
        blocked_paths=[str(settings.data)],
        enable_monitoring=False,
        run_history=False,
        footer_links=["api", "settings"],
        prevent_thread_lock=not block,
        ssr_mode=False,
        inbrowser=False,
    )
