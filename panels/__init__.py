"""The tabs of the workbench: one package each, found by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.registry import Registry

if TYPE_CHECKING:  # the log's records are read without a page
    from .base.bench import Panel

panels: Registry[Panel] = Registry("panel", "panels")
