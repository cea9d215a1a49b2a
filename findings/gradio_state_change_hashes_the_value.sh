#!/usr/bin/env bash
# gradio 6.31.0: a State that something listens to by `change` must hold a value whose `__hash__` works all the way down.
# `deep_hash` walks into dicts, lists and tuples, but asks any other object for its own hash. A frozen dataclass answers with
# the hash of its fields, so one with a dict among them fails every event that writes the State: TypeError in the server's log,
# an error without words on the page. The same State without a listener takes the value.
# A dataclass with eq=False, or no `change` listener, avoids it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "gradio==6.31.0"
cd "$folder"
GRADIO_ANALYTICS_ENABLED=False HF_HUB_OFFLINE=1 venv/bin/python - 2> words <<'PY'
from dataclasses import dataclass, field

import gradio as gr
from gradio_client import Client
from gradio_client.exceptions import AppError


@dataclass(frozen=True)
class Frozen:
    settings: dict = field(default_factory=dict)


@dataclass(eq=False)
class ByIdentity:
    settings: dict = field(default_factory=dict)


def written(kind, listen):
    """What an event says that writes a State of this kind."""
    with gr.Blocks() as demo:
        state, box, seen = gr.State(kind()), gr.Textbox(), gr.Textbox()
        box.submit(lambda text: (kind({"text": text}), "written"), box, [state, box], api_name="write")
        if listen:
            state.change(lambda: "changed", None, seen)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    try:
        return Client(url, verbose=False).predict("x", api_name="/write")
    except AppError:
        return "failed"
    finally:
        demo.close(verbose=False)


found = {(kind.__name__, listen): written(kind, listen) for kind in (Frozen, ByIdentity) for listen in (False, True)}
for (kind, listen), outcome in found.items():
    print(f"gradio {gr.__version__}, State of {kind}, {'a' if listen else 'no'} change listener: {outcome}")
assert found == {
    ("Frozen", False): "written", ("Frozen", True): "failed",
    ("ByIdentity", False): "written", ("ByIdentity", True): "written",
}
PY
grep -c "TypeError: unhashable type: 'dict'" words
