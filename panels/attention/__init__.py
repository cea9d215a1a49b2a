"""Attention: which parts of the picture a word of the answer hangs on, by methods that are compared and scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from model.families.base import Capability

from .. import panels
from ..base.bench import Bench
from ..base.card import Action, Element, Kept
from ..base.maps.heat import KIND, described, stored
from ..base.maps.instrument import Instrument
from ..base.maps.looks import NEEDS
from .answers import ANSWERS
from .endpoints import add_attention_api


@panels.add
class Attention:
    """Maps of attention and what is like it, for every word of an answer."""

    slug: ClassVar[str] = "attention"
    title: ClassVar[str] = "Attention"
    order: ClassVar[int] = 20
    purpose: ClassVar[str] = "Which patches a word of the answer drew on, by raw attention and by methods that are scored."
    needs: ClassVar[frozenset[Capability]] = NEEDS
    actions: ClassVar[tuple[Action, ...]] = (
        Action("into", "Look into", "Which parts of the picture each word drew on", order=10),
    )
    keeps: ClassVar[Mapping[str, Kept]] = {KIND: Kept("A map of attention", stored, described)}
    addresses: ClassVar[tuple[str, ...]] = ()
    elements: ClassVar[Mapping[str, Element]] = {
        "attention": Element(
            '<fv-attention class="fv-attention" role="region" aria-label="Attention of an answer"></fv-attention>'
        ),
    }

    def build(self, bench: Bench) -> None:
        tool = Instrument(bench, self, ANSWERS)
        tool.place("attention")
        add_attention_api(bench, tool.looks)
