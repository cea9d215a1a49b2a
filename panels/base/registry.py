"""The registry of tabs, which the rest of `base` asks for buttons and kept maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.registry import Registry

if TYPE_CHECKING:  # the log's records are read without a page
    from .bench import Panel

panels: Registry[Panel] = Registry("panel", "panels")
