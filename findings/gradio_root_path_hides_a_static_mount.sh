#!/usr/bin/env bash
# gradio 6.31.0 with starlette 1.10.0: what `launch(app_kwargs={"routes": [...]})` adds is served with and without a `root_path`
# where it is a Route, but a Mount of StaticFiles answers 404 as soon as a `root_path` is set, at the path a proxy that strips the
# prefix asks for. Gradio writes root_path into each request's scope and the Mount appends its own prefix to it; StaticFiles takes
# "/fovea/mounted" off the path, which begins with "/mounted" alone, so nothing is taken off and the file is not found. A Route
# with a path parameter looks at the path as it came: serve files from one instead.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "gradio==6.31.0" "starlette==1.10.0"
cd "$folder"
GRADIO_ANALYTICS_ENABLED=False HF_HUB_OFFLINE=1 venv/bin/python - <<'PY'
import urllib.error
import urllib.request
from pathlib import Path

import gradio as gr
import starlette
from starlette.responses import FileResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

files = Path("files")
files.mkdir()
(files / "a.txt").write_text("hello")
routes = [
    Mount("/mounted", StaticFiles(directory=files)),
    Route("/routed/{name}", lambda request: FileResponse(files / Path(request.path_params["name"]).name)),
]


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


found = {}
for root in ("", "/fovea"):
    with gr.Blocks() as demo:
        gr.Textbox()
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, root_path=root, app_kwargs={"routes": routes})
    for path in ("mounted/a.txt", "routed/a.txt"):
        found[root, path] = status(f"http://127.0.0.1:{demo.server_port}/{path}")
        print(f"gradio {gr.__version__}, starlette {starlette.__version__}, root_path {root!r}: /{path} answers {found[root, path]}")
    demo.close(verbose=False)
assert found == {
    ("", "mounted/a.txt"): 200, ("", "routed/a.txt"): 200,
    ("/fovea", "mounted/a.txt"): 404, ("/fovea", "routed/a.txt"): 200,
}
PY
