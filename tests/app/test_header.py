"""What the header tells of the program itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import gradio as gr
import pytest

from app.header import Header
from app.starting import Starting
from model import Core, parse_spec
from model.heat import heat_methods
from panels.base.bench import Bench, SessionState

ROOT = Path(__file__).resolve().parents[2]
BROKEN = "NameError: name 'torhc' is not defined"


def header(public: bool = False) -> Header:
    checkpoint = parse_spec("tiny-llava")

    async def build() -> Header:
        core = Core()
        with gr.Blocks(analytics_enabled=False):
            bench = Bench(core, None, (checkpoint,), public, lambda: None, str, str)  # type: ignore[arg-type]
            return Header(bench, Starting([checkpoint], core.load))

    return asyncio.run(build())


def left_out(public: bool) -> list[str]:
    return list(header(public).view("tiny-llava")["left_out"])


def test_an_entry_that_fails_to_load_is_named_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert left_out(public=False) == []
    monkeypatch.setitem(heat_methods.failures, "model/heat/mine.py", BROKEN)
    assert left_out(public=False) == [f"model/heat/mine.py is left out: {BROKEN}"]


def test_visitors_of_a_public_page_see_the_file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(heat_methods.failures, "model/heat/mine.py", BROKEN)
    assert left_out(public=True) == ["model/heat/mine.py is left out: it failed to load; the log says why."]


def test_entries_are_looked_for_before_torch_is_there() -> None:
    code = "import sys; from app.registries import failures\nassert failures() == {}\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"


def test_the_picker_is_left_alone_while_nothing_of_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever types into it would lose what is typed."""
    found, state = header(), SessionState(checkpoint="tiny-llava")
    _, picker, offer = found.refreshed(state, [])
    assert picker.value == "tiny-llava"
    _, picker, again = found.refreshed(state, offer)
    assert (picker, again) == (gr.skip(), gr.skip())
    monkeypatch.setattr(found, "_choices", lambda: [("tiny-llava", "tiny-llava"), ("tiny-qwen2-vl", "tiny-qwen2-vl")])
    _, picker, other = found.refreshed(state, offer)
    assert [spec for _, spec in picker.choices] == ["tiny-llava", "tiny-qwen2-vl"]
    assert other != offer
