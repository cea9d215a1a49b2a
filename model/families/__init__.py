"""Model families: one file each, found by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..registry import Registry
from .base import Family

families: Registry[Family] = Registry("model family", "model.families")


def family_for(config: Mapping[str, Any]) -> Family:
    """The family whose file answers for a config.json, or the generic one."""
    for family in families.values():
        if family.answers_for(config):
            return family
    return families["generic"]
