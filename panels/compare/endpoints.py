"""`compare_ask`, `compare_vote` and `compare_results`: comparisons over the API, with keyword parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr
from gradio.blocks import Block

from model import ask
from model.errors import InputError
from model.recorder import new_id
from studies.comparison import LETTERS
from studies.ranking import rank, rank_by_kind

from ..base.bench import MODEL_LIMIT, MODEL_QUEUE, Bench
from ..base.endpoints import TEXTS, errors_as_sentences, images_parameter, json_parameter, picture_parameter
from ..base.records import Reply
from ..base.turn import read_pictures
from .answers import Answer, answer_of
from .requests import LEAST, Asking, kind_of, settings_of, shuffled, whole_question
from .run import Heard, run, veiled
from .votes import FREE, cast_vote, results, votes_of


def add_compare_api(bench: Bench) -> None:
    """Lay out hidden components whose labels become the endpoints' parameters, and the endpoints themselves."""
    with gr.Column(visible=False):
        asked: dict[str, Block] = {
            "question": gr.Textbox(label="question"),
            "columns": json_parameter("columns", {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object"}]}}),
            "images": images_parameter(),
            "blind": gr.Checkbox(False, label="blind"),
            "session": gr.Textbox("", label="session"),
            "picture": picture_parameter(),
        }
        voted: dict[str, Block] = {
            "group": gr.Textbox(label="group"),
            "outcome": gr.Textbox(label="outcome"),
            "reasons": json_parameter("reasons", TEXTS),
            "session": asked["session"],
        }
        wanted: dict[str, Block] = {
            "kind": gr.Textbox("", label="kind"),
            "blind": asked["blind"],
            "session": asked["session"],
        }
        out = gr.JSON(label="comparison")
        buttons = [gr.Button(name) for name in ("ask", "vote", "results")]
    endpoints = _Endpoints(bench)
    buttons[0].click(
        endpoints.compare_ask, inputs_kwargs=asked, outputs=out, api_name="compare_ask",
        concurrency_id=MODEL_QUEUE, concurrency_limit=MODEL_LIMIT,
    )  # fmt: skip
    buttons[1].click(endpoints.compare_vote, inputs_kwargs=voted, outputs=out, api_name="compare_vote")
    buttons[2].click(endpoints.compare_results, inputs_kwargs=wanted, outputs=out, api_name="compare_results")


class _Endpoints:
    """The functions behind the endpoints."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def compare_ask(
        self,
        question: str,
        columns: list[Any] | None = None,
        images: list[str] | None = None,
        blind: bool = False,
        session: str = "",
        picture: str | None = None,
    ) -> Iterator[Reply]:
        """Ask two to four columns the same question side by side. A column is a checkpoint, or {spec, decoder, its numbers,
        seed, length, system, side_px, quantization}; none given are the first two built in.
        `picture` is one more of `images`, for MCP clients: an address of it, or a data URL.

        Yields {group, session, done, columns: [{letter, text, done, ...}]} as the answers grow. With `blind` their order
        is random and nothing says which is which until `compare_vote`. A column that fails has an `error`.
        """
        bench = self.bench
        with errors_as_sentences():
            settings = settings_of(columns if columns else [c.spec for c in bench.builtin[:LEAST]])
            text = whole_question(str(question or ""))
            pictures, notes = read_pictures([*(images or []), *([picture] if picture else [])])
            held = str(session or "").strip() or bench.history.new_session(client="api")
            bench.history.session(held)
            prompt, kind = ask(text, *pictures), kind_of(pictures, text)
            order = shuffled(settings) if blind is True else settings
            asked = Asking(new_id(), held, prompt, order, blind is True, kind, tuple(notes))
            heard: tuple[Heard, ...] = ()
            for heard in run(bench, asked):
                yield _growing(asked, heard)
            yield self._ended(asked, heard)

    def _ended(self, asked: Asking, heard: Sequence[Heard]) -> Reply:
        sealed = asked.blind
        if sealed and any(one.failed for one in heard):
            self.bench.history.reveal(asked.group)
            sealed = False
        columns = [answer_of(i, one) for i, one in enumerate(heard)]
        columns_shown = [{"letter": c.letter, "text": c.text, "done": True} if sealed else _whole(c) for c in columns]
        return _about(asked) | {"done": True, "columns": columns_shown}

    def compare_vote(self, group: str, outcome: str, reasons: list[str] | None = None, session: str = "") -> Reply:
        """Vote on a comparison: a letter, "tie" or "bad", with reasons as tags. Tells which column was which.

        A blind vote is final; on an open comparison the last vote counts. `session` is the one `compare_ask` gave; on a
        public page it must be.
        """
        with errors_as_sentences():
            named = self._named(session)
            if reasons is not None and not isinstance(reasons, list):
                raise InputError(f"reasons is {str(reasons)[:40]!r}. Give a list of their names.")
            voted = cast_vote(self.bench, named, str(group or "")[:100], str(outcome or ""), reasons or [], None)
            sides = [{"letter": LETTERS[i], "label": s.label, "run_id": s.run} for i, s in enumerate(voted.columns)]
            return {"group": voted.id, "outcome": voted.outcome, "reasons": list(voted.reasons), "columns": sides}

    def _named(self, session: object) -> str:
        """The session a caller names, which on a public page is its key. Raises InputError where there is none."""
        named = str(session or "").strip()
        return self.bench.history.session(named).id if named else ""

    def compare_results(self, kind: str = "", blind: bool = False, session: str = "") -> Reply:
        """Win rates with 95 % intervals, and strengths from three columns on; of one kind of question, or of blind votes only.

        On a public page the votes are those of `session` alone.
        """
        with errors_as_sentences():
            votes = votes_of(self.bench, self._named(session), str(kind or ""), blind is True)
            by_kind = {name or FREE: results(ranking) for name, ranking in rank_by_kind(votes).items()}
            return results(rank(votes)) | {"by_kind": by_kind}


def _about(asked: Asking) -> Reply:
    return {"group": asked.group, "session": asked.session, "blind": asked.blind, "notes": list(asked.notes)}


def _growing(asked: Asking, heard: Sequence[Heard]) -> Reply:
    texts = veiled(heard) if asked.blind else [one.progress.answer for one in heard]
    columns: list[Reply] = []
    for i, (one, text) in enumerate(zip(heard, texts, strict=True)):
        column = {"letter": LETTERS[i], "text": text, "done": one.progress.done and not asked.blind}
        columns.append(column if asked.blind else column | {"label": one.entrant.label, "error": one.progress.error})
    return _about(asked) | {"done": False, "columns": columns}


def _whole(one: Answer) -> Reply:
    spent = one.spent
    return {
        "letter": one.letter, "label": one.label, "run_id": one.run, "text": one.text, "done": True, "error": one.error,
        "reason": one.reason, "tokens": [[t.id, t.logprob, t.text] for t in one.tokens], "visual_tokens": one.visual_tokens,
        "prompt_tokens": one.prompt_tokens, "first_token_ms": one.first_token_ms, "tokens_per_s": one.tokens_per_s,
        "memory_bytes": spent.weights_bytes + spent.cache_bytes if spent else None,
    }  # fmt: skip
