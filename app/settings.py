"""How the program was started: flags first, then environment. Read once, in `main`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_CHECKPOINTS = ("tiny-llava", "tiny-llava-stage1")


@dataclass(frozen=True)
class Settings:
    """Where to serve, where to keep the log, what to load.

    `journal` is SQLite's journal mode: "WAL" on a disk, "DELETE" on a mounted bucket, which has no
    reliable locks. `log` False keeps nothing. `public` is True on a Space that anybody can open.
    """

    host: str
    port: int
    data: Path
    checkpoints: tuple[str, ...]
    journal: str
    log: bool
    public: bool


def from_environment(
    host: str | None = None,
    port: int | None = None,
    data: str | None = None,
    checkpoints: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from flags, else FOVEA_HOST, FOVEA_PORT, FOVEA_DATA, FOVEA_CHECKPOINTS (by spaces), FOVEA_JOURNAL, FOVEA_LOG."""
    env = os.environ if environment is None else environment
    space = bool(env.get("SPACE_ID"))
    named = tuple(env.get("FOVEA_CHECKPOINTS", "").split())
    return Settings(
        host=host or env.get("FOVEA_HOST") or ("0.0.0.0" if space else "127.0.0.1"),
        port=port if port is not None else int(env.get("FOVEA_PORT") or 7860),
        data=Path(data or env.get("FOVEA_DATA") or "data").expanduser().resolve(),
        checkpoints=checkpoints or named or DEFAULT_CHECKPOINTS,
        journal=(env.get("FOVEA_JOURNAL") or ("DELETE" if space else "WAL")).upper(),
        log=env.get("FOVEA_LOG", "on").lower() not in ("off", "0", "no"),
        public=env.get("FOVEA_PUBLIC", "1" if space else "0") == "1",
    )
