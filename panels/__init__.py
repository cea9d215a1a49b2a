"""The tabs of the workbench: one package each, found by themselves."""

from .base.registry import panels as panels
