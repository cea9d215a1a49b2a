"""Experiments on checkpoints: the drawn world, training, evaluation and measurements."""

from __future__ import annotations

from model.registry import Registry

from .base import Study

studies: Registry[Study] = Registry("study", "studies")
