"""What Gradio does at start-up and this program does without stays away, in whatever version of it is here."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from program import ROOT, environment, free_port

CODE = """
import ast, json, sys, urllib.request

parsed, parse = [], ast.parse
ast.parse = lambda *given, **named: parsed.append(1) or parse(*given, **named)
if sys.argv[1] == "quick":
    from app.quick_start import import_gradio
    import_gradio()
import gradio as gr
parses = len(parsed)
from gradio.routes import App
from app.quick_start import no_server_yet
from app.serve import launch
from app.settings import from_environment

built, begin = [], App.__init__
App.__init__ = lambda self, *given, **named: built.append(1) or begin(self, *given, **named)
with no_server_yet(), gr.Blocks(analytics_enabled=False) as demo:
    name, out = gr.Textbox(label="name"), gr.Textbox(label="greeting")
    name.submit(lambda text: f"Hello {text}", name, out, api_name="greet")
launch(demo, from_environment("127.0.0.1", int(sys.argv[2]), "data", environment={}))
url = demo.local_url + "gradio_api/call/greet"
asked = urllib.request.Request(url, json.dumps({"data": ["Ann"]}).encode(), {"Content-Type": "application/json"})
id = json.load(urllib.request.urlopen(asked))["event_id"]
said = urllib.request.urlopen(f"{url}/{id}").read().decode()
print(json.dumps({"parsed": parses, "servers": len(built), "said": "Hello Ann" in said, "drawing": "matplotlib" in sys.modules}))
demo.close(verbose=False)
"""


def found(tmp_path: Any, way: str) -> dict[str, Any]:
    command = [sys.executable, "-c", CODE, way, str(free_port())]
    variables = {**environment(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=180, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_no_stub_is_written_one_server_built_and_nothing_drawn_with_matplotlib(tmp_path: Any) -> None:
    quick = found(tmp_path, "quick")
    assert quick.pop("parsed") < 20, "others read a few sources, too"
    assert quick == {"servers": 1, "said": True, "drawing": False}


def test_it_is_still_what_gradio_does_by_itself(tmp_path: Any) -> None:
    """Where this fails, `app/quick_start.py` leaves out what is no longer there."""
    plain = found(tmp_path, "plain")
    assert plain["parsed"] > 50
    assert plain["drawing"]
