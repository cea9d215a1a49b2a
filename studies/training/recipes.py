"""The checkpoints that `python app.py train NAME` can make."""

from __future__ import annotations

from .tiny_llava import TINY_LLAVA
from .tiny_qwen2_vl import TINY_QWEN2_VL

RECIPES = {recipe.name: recipe for recipe in (TINY_LLAVA, TINY_QWEN2_VL)}
