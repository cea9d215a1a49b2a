"""What a page may ask of the attention tab beside a map: other pictures, changes of a picture, several methods, files."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from model.heat import heat_methods
from model.internals.interventions import INTERVENTION_KINDS, InterventionKind

from ..base.maps.heat import Chosen, Method, Patches, Words
from ..base.requests import Name, Whole, says

_CHANGED = f"Patches are changed by {', '.join(INTERVENTION_KINDS)}, not {{value}}."
_LISTED = BeforeValidator(lambda value: value or ())


class Overview(Chosen):
    """`things` are those of the drawn scene, by their numbers."""

    things: Words = ()


class Agree(Chosen):
    methods: Annotated[tuple[Method, ...], Field(max_length=len(heat_methods)), _LISTED] = ()


class Changed(Chosen):
    """Patches of which `cells` are changed. To patch takes another picture, `partner`, and how deep its states are put in."""

    cells: Patches = ()
    how: Annotated[InterventionKind, says(_CHANGED)] = INTERVENTION_KINDS[0]
    partner: Name = ""
    depth: Annotated[Whole, says("depth is {value}. Give a whole number from 0.")] = 0
