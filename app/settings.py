"""How the program was started: flags first, then environment. Read once, in `main`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_CHECKPOINTS = ("tiny-llava", "tiny-qwen2-vl", "tiny-llava-stage1")
DEFAULT_PORT = 7860
ENVIRONMENT = {
    "FOVEA_HOST, FOVEA_PORT, FOVEA_DATA": "what --host, --port and --data give",
    "FOVEA_CHECKPOINTS": "what --checkpoint gives, separated by spaces",
    "FOVEA_JOURNAL": "SQLite's journal: WAL (default), or DELETE on a disk without locks",
    "FOVEA_LOG": "off keeps nothing after the program ends",
    "FOVEA_PUBLIC": "1 keeps visitors apart, limits them, and offers the listed checkpoints alone; the default on a Space",
    "FOVEA_AUTH": "user:password that open the page",
    "FOVEA_ROOT_PATH": "the path a proxy serves the page under, such as /fovea",
    "FOVEA_MCP": "1 offers the named endpoints as MCP tools; the default where gradio[mcp] is there and the page is not public",
}
_ON, _OFF = ("1", "on", "yes", "true"), ("0", "off", "no", "false")


@dataclass(frozen=True)
class Settings:
    """Where to serve, where to keep the log, what to load.

    `journal` is SQLite's journal mode: "WAL" on a disk, "DELETE" on a mounted bucket, which has no
    reliable locks. `log` False keeps nothing. `public` is True on a Space that anybody can open. `root_path` is where a
    proxy serves the page. `auth` is the user and the password that open it. `mcp` offers the named endpoints as MCP tools.
    """

    host: str
    port: int
    data: Path
    checkpoints: tuple[str, ...]
    journal: str
    log: bool
    public: bool
    root_path: str = ""
    auth: tuple[str, str] | None = field(default=None, repr=False)
    mcp: bool = False


def from_environment(
    host: str | None = None,
    port: int | None = None,
    data: str | None = None,
    checkpoints: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from flags, else the variables of ENVIRONMENT. Raises WorkbenchError where one makes no sense."""
    env = os.environ if environment is None else environment
    space = bool(env.get("SPACE_ID"))
    return Settings(
        host=host or env.get("FOVEA_HOST") or ("0.0.0.0" if space else "127.0.0.1"),
        port=_port("--port", port) if port is not None else _port("FOVEA_PORT", env.get("FOVEA_PORT") or DEFAULT_PORT),
        data=_data(data, env, space),
        checkpoints=checkpoints or tuple(env.get("FOVEA_CHECKPOINTS", "").split()) or DEFAULT_CHECKPOINTS,
        journal=(env.get("FOVEA_JOURNAL") or ("DELETE" if space else "WAL")).upper(),
        log=_switch("FOVEA_LOG", env.get("FOVEA_LOG"), True),
        public=(public := _switch("FOVEA_PUBLIC", env.get("FOVEA_PUBLIC"), space)),
        root_path=(env.get("FOVEA_ROOT_PATH") or "").rstrip("/"),
        auth=_auth(env.get("FOVEA_AUTH")),
        mcp=_mcp(env.get("FOVEA_MCP"), public),
    )


def _auth(value: str | None) -> tuple[str, str] | None:
    """What is wrong with it is said without saying it: it is a secret."""
    if not value:
        return None
    user, _, password = value.partition(":")
    if not user or not password:
        raise _wrong("FOVEA_AUTH is not of the form user:password. Set it so, or leave it out.")
    return user, password


def _mcp(value: str | None, public: bool) -> bool:
    """On where `gradio[mcp]` is installed and the page is not public, unless something else is said."""
    installed = importlib.util.find_spec("mcp") is not None
    wanted = _switch("FOVEA_MCP", value, installed and not public)
    if wanted and not installed:
        raise _wrong('FOVEA_MCP is on, and MCP is not installed. Run pip install "gradio[mcp]", or set it to off.')
    return wanted


def _data(given: str | None, env: Mapping[str, str], space: bool) -> Path:
    """The folder of the log: what is said, else a Space's bucket where one is mounted, else ./data."""
    named = given or env.get("FOVEA_DATA") or ("/data" if space and os.access("/data", os.W_OK) else "data")
    return Path(named).expanduser().resolve()


def _port(name: str, value: int | str) -> int:
    if (isinstance(value, str) and not value.isdecimal()) or not 1 <= int(value) <= 65535:
        raise _wrong(f"{name} is {value!r}. Choose a whole number from 1 to 65535.")
    return int(value)


def _switch(name: str, value: str | None, otherwise: bool) -> bool:
    """A switch that is misspelt is refused: FOVEA_LOG=of must not keep a log."""
    if not value:
        return otherwise
    if value.lower() not in (*_ON, *_OFF):
        raise _wrong(f"{name} is {value!r}. Choose on or off.")
    return value.lower() in _ON


def _wrong(sentence: str) -> Exception:
    from model.errors import WorkbenchError  # the whole core, which --help need not wait for

    return WorkbenchError(sentence)
