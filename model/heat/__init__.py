"""Heat methods: what each visual token has to do with a word. One file each, found by themselves."""

from __future__ import annotations

from ..registry import Registry
from .base import HeatMethod

heat_methods: Registry[HeatMethod] = Registry("heat method", "model.heat")
