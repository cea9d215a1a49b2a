"""The tabs of the workbench: one file each, found by themselves."""

from __future__ import annotations

from model.registry import Registry

from .base import Panel

panels: Registry[Panel] = Registry("panel", "panels")
