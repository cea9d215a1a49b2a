"""Attention: which parts of the picture a word of the answer hangs on, by methods that are compared and scored."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar

import gradio as gr

from model.errors import WorkbenchError
from model.families.base import Capability

from .. import panels
from ..base.bench import QUICK, Bench, SessionState
from ..base.components import component
from ..base.maps.looks import NEEDS
from .endpoints import add_attention_api
from .saved import map_to_open
from .workshop import Workshop

MAX_KEY = 64


@panels.add("attention")
class Attention:
    """Maps of attention and what is like it, for every word of an answer."""

    slug: ClassVar[str] = "attention"
    title: ClassVar[str] = "Attention"
    order: ClassVar[int] = 20
    purpose: ClassVar[str] = "Which patches a word of the answer drew on, by raw attention and by methods that are scored."
    needs: ClassVar[frozenset[Capability]] = NEEDS

    def build(self, bench: Bench) -> None:
        shop = Workshop(bench)

        def ask(given: Any) -> dict[str, Any]:
            return shop.answer(given)

        def progress(key: Any) -> dict[str, Any]:
            return shop.desk.seen(str(key)[:MAX_KEY])

        def halt(key: Any) -> None:
            shop.desk.halt(str(key)[:MAX_KEY])

        view = component("attention", elem_id="attention", server_functions=[ask, progress, halt])

        def stand(state: SessionState) -> dict[str, Any]:
            run = state.at_hand or ""
            asked, opening = state.looking[2:] if state.looking and state.looking[0] == run else ("", "")
            with suppress(WorkbenchError):  # then the turn opens as it would without
                return {"run": run, "map": map_to_open(bench.history, run, asked) if asked else None, "opening": opening}
            return {"run": run, "map": None, "opening": ""}

        gr.on([bench.state.change, bench.opened.change], stand, bench.state, view, **QUICK)
        add_attention_api(bench, shop.looks)
