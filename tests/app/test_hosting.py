"""Behind a password, under a path, with tools for MCP: what the environment says reaches the server."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from program import ROOT, environment, free_port

from app.settings import from_environment
from model.errors import WorkbenchError
from panels.base.scripts import SCRIPTS, address

SMALL = """
import sys
from pathlib import Path
from dataclasses import replace
import gradio as gr
from app.serve import launch
from app.settings import from_environment

ports = [int(word) for word in sys.argv[1:]]
kinds = [{"auth": ("ann", "quagga:4711")}, {"root_path": "/fovea"}, {}, {"public": True}]
for port, changes in zip(ports, kinds, strict=True):
    with gr.Blocks(analytics_enabled=False) as demo:
        name, out = gr.Textbox(label="name"), gr.Textbox(label="greeting")
        name.submit(lambda text: f"Hello {text}", name, out, api_name="greet")
    launch(demo, replace(from_environment("127.0.0.1", port, "data", environment={}), **changes))
print("served", flush=True)
demo.block_thread()
"""
"""A small page on the program's own way of serving, once for each of four ways."""


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Their addresses: behind a password, under a path, plain, public."""
    ports = {name: free_port() for name in ("password", "path", "plain", "public")}
    command = [sys.executable, "-c", SMALL, *map(str, ports.values())]
    variables = {**environment(), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path_factory.mktemp("small"), env=variables, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "served\n"
    yield {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    process.terminate()
    process.wait(30)
    process.stdout.close()


def status_of(url: str, body: Any = None) -> tuple[int, str]:
    request = urllib.request.Request(
        url, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_password_opens_it_and_is_told_nowhere(urls: dict[str, str]) -> None:
    settings = from_environment(environment={"FOVEA_AUTH": "ann:quagga:4711"})
    assert settings.auth == ("ann", "quagga:4711")
    assert "quagga" not in repr(settings)
    url = urls["password"]
    for path in ("/config", "/gradio_api/info", "/gradio_api/file=x"):
        assert status_of(url + path)[0] == 401, path
    assert status_of(f"{url}/gradio_api/call/greet", {"data": ["x"]})[0] == 401
    status, text = status_of(url + "/")
    assert status in (200, 401)
    assert "quagga" not in text


@pytest.mark.parametrize("value", ["ann", "ann:", ":word"])
def test_a_password_of_another_form_is_refused_without_saying_it(value: str) -> None:
    with pytest.raises(WorkbenchError, match="not of the form user:password") as refused:
        from_environment(environment={"FOVEA_AUTH": value})
    assert "word" not in str(refused.value).replace("password", "")


def test_under_a_path_the_page_asks_under_that_path(urls: dict[str, str]) -> None:
    assert from_environment(environment={"FOVEA_ROOT_PATH": "/fovea/"}).root_path == "/fovea"
    assert json.loads(status_of(f"{urls['path']}/config")[1])["root"].endswith("/fovea")
    assert json.loads(status_of(f"{urls['plain']}/config")[1])["root"] == urls["plain"]


@pytest.mark.parametrize("kind", ["password", "path", "plain", "public"])
def test_scripts_are_found_however_it_is_hosted(urls: dict[str, str], kind: str) -> None:
    """They hold nothing of anybody, so they are open where a password is asked for, as Gradio's own are."""
    expected = (200, (SCRIPTS / "main.js").read_text(encoding="utf-8"))
    assert status_of(f"{urls[kind]}/{address('main.js')}") == expected
    if kind == "path":  # of a proxy that leaves its path where it is
        assert status_of(f"{urls[kind]}/fovea/{address('main.js')}") == expected
    assert status_of(f"{urls[kind]}/{address('main.js')}", {"data": []})[0] == 405
    assert status_of(f"{urls[kind]}/{address('nothing.js')}")[0] == 404


def test_a_public_server_reads_bodies_at_its_gate_and_still_answers(urls: dict[str, str]) -> None:
    greet = f"{urls['public']}/gradio_api/call/greet"
    status, text = status_of(greet, {"data": ["Ann"]})
    assert status == 200
    assert "Hello Ann" in status_of(f"{greet}/{json.loads(text)['event_id']}")[1]
    assert status_of(greet, {"data": [{"path": "https://example.com/x.png"}]})[0] == 400
    assert status_of(greet, {"data": ["see https://example.com/x.png"]})[0] == 200


@pytest.mark.parametrize(
    ("installed", "public", "said", "on"),
    [
        (True, False, "", True),
        (True, True, "", False),
        (True, True, "1", True),
        (True, False, "off", False),
        (False, False, "", False),
    ],
)
def test_tools_for_mcp(installed: bool, public: bool, said: str, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if installed else None)
    assert from_environment(environment={"FOVEA_PUBLIC": "1" if public else "", "FOVEA_MCP": said}).mcp is on


def test_mcp_without_its_extra_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WorkbenchError, match="pip install"):
        from_environment(environment={"FOVEA_MCP": "on"})
