"""What one column of a comparison came to: as it was heard, or as the log has it."""

from __future__ import annotations

from dataclasses import dataclass, field

from model import Prompt, Token, WorkbenchError
from model.events import Spent
from studies.comparison import LETTERS, Side

from ..base.bench import Bench
from .run import Heard, kept_spent

NO_RUN = "This answer is no longer in the log."


@dataclass(frozen=True)
class Answer:
    """One column that has ended. `error` is why it failed, or was never asked."""

    letter: str
    label: str
    run: str
    text: str = ""
    tokens: tuple[Token, ...] = field(default=(), repr=False)
    reason: str | None = None
    error: str = ""
    visual_tokens: int | None = None
    prompt_tokens: int | None = None
    first_token_ms: float | None = None
    tokens_per_s: float | None = None
    spent: Spent | None = None
    warnings: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return not self.error


def answer_of(i: int, one: Heard) -> Answer:
    """What a column came to, as it was heard."""
    progress, spent = one.progress, one.spent
    return Answer(
        LETTERS[i], one.entrant.label, one.entrant.run, progress.answer, progress.tokens,
        progress.finished.reason if progress.finished else None, progress.error,
        progress.encoded.visual_tokens if progress.encoded else None,
        progress.prefilled.prompt_tokens if progress.prefilled else None,
        spent.first_token_ms if spent else None, spent.tokens_per_s if spent else None, spent,
        progress.finished.warnings if progress.finished else (),
    )  # fmt: skip


def logged_answer(bench: Bench, i: int, side: Side) -> tuple[Answer, Prompt | None]:
    """What a column came to, from the log, and what it was asked."""
    refused = side.setup.get("error", "")
    if refused:
        return Answer(LETTERS[i], side.label, side.run, error=refused), None
    try:
        record, spent = bench.history.run(side.run), kept_spent(bench, side.run)
    except WorkbenchError:
        return Answer(LETTERS[i], side.label, side.run, error=NO_RUN), None
    row = record.row
    rate = None
    if row.new_tokens and row.new_tokens > 1 and record.decode_ms:
        rate = (row.new_tokens - 1) / record.decode_ms * 1e3
    found = Answer(
        LETTERS[i], side.label, side.run, row.answer, record.tokens, record.reason, row.error if row.status == "failed" else "",
        row.visual_tokens, row.prompt_tokens, spent.first_token_ms if spent else record.prefill_ms,
        spent.tokens_per_s if spent else rate, spent, record.warnings,
    )  # fmt: skip
    return found, record.prompt
