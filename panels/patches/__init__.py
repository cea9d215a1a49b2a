"""Patches: from a place in the picture to the words that used it, the patches like it, and the answer without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from model.families.base import Capability

from .. import panels
from ..base.bench import Bench
from ..base.card import Action, Element, Kept
from ..base.maps.instrument import Instrument
from .answers import ANSWERS
from .endpoints import add_patches_api
from .files import KIND
from .requests import stored


@panels.add
class Patches:
    """A place in the picture, and what became of it."""

    slug: ClassVar[str] = "patches"
    title: ClassVar[str] = "Patches"
    order: ClassVar[int] = 30
    purpose: ClassVar[str] = "Click a patch or drag a region: what is like it, which words used it, what is said without it."
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.GENERATE, Capability.ATTENTION, Capability.GRID})
    actions: ClassVar[tuple[Action, ...]] = ()
    keeps: ClassVar[Mapping[str, Kept]] = {KIND: Kept("A map of patches", stored)}
    addresses: ClassVar[tuple[str, ...]] = ()
    elements: ClassVar[Mapping[str, Element]] = {
        "patches": Element('<fv-patches class="fv-patches"></fv-patches>'),
    }

    def build(self, bench: Bench) -> None:
        Instrument(bench, self, ANSWERS, by="kind").place("patches")
        add_patches_api(bench)
