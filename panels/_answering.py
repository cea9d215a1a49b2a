"""One turn: what the user gave is checked, the core answers, and the page hears of it ten times a second."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model import (
    Checkpoint,
    Encoded,
    Finished,
    Message,
    Options,
    Prefilled,
    Prompt,
    Queued,
    Token,
    Waiting,
    WorkbenchError,
    open_picture,
    parse_spec,
)
from model.errors import PromptError
from model.prompt import ImagePart
from model.recorder import new_id

from ._turns import conversation, milliseconds
from .base import Bench, SessionState

UPDATE_S = 0.1
MAX_PICTURES = 8
MAX_QUESTION_CHARACTERS = 100_000


@dataclass(frozen=True)
class Asked:
    """A turn about to be taken: where it follows on, what is asked, how it is decoded."""

    prompt: Prompt
    checkpoint: Checkpoint
    options: Options
    session: str
    parent: str | None
    notes: tuple[str, ...] = ()
    run_id: str = field(default_factory=new_id)


@dataclass(frozen=True)
class Progress:
    """What is known of a running turn. `error` is a sentence; `done` when nothing more will come."""

    run_id: str
    answer: str = ""
    stage: str = ""
    error: str = ""
    done: bool = False
    tokens: tuple[Token, ...] = ()
    finished: Finished | None = None
    encoded: Encoded | None = None
    prefilled: Prefilled | None = None


def read_pictures(files: Sequence[Any]) -> tuple[list[ImagePart], list[str]]:
    """Uploaded files as pictures, and what had to be said about them. Raises PictureError, PromptError."""
    if len(files) > MAX_PICTURES:
        raise PromptError(f"{len(files)} pictures were attached; a turn takes at most {MAX_PICTURES}. Remove some.")
    parts, notes = [], []
    for file in files:
        path = Path(str(file))
        picture = open_picture(path.read_bytes(), path.name)
        parts.append(picture.part)
        notes += picture.notes
    return parts, notes


def compose(
    bench: Bench,
    state: SessionState,
    question: str,
    pictures: Sequence[ImagePart],
    system: str,
    options: Options,
    parent: str | None,
) -> Asked:
    """The turn that asks `question` after the turn `parent`. Raises WorkbenchError, nothing being lost."""
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise PromptError(
            f"The question has {len(question):,} characters; at most {MAX_QUESTION_CHARACTERS:,} are read. Shorten it."
        )
    records = [bench.history.run(row.id) for row in bench.history.thread(parent)] if parent else []
    messages = (*conversation(records, system), Message("user", (*pictures, question)))
    return Asked(Prompt(messages), parse_spec(state.checkpoint), options, state.session, parent)


def again(bench: Bench, run_id: str, checkpoint: str, options: Options) -> Asked:
    """The same question once more, with these settings; sampling takes the next seed."""
    record = bench.history.run(run_id)
    seed = (record.options.seed + 1) if options.temperature > 0 else options.seed
    prompt = Prompt(record.prompt.messages)
    return Asked(prompt, parse_spec(checkpoint), replace(options, seed=seed), record.row.session, record.row.parent_run_id)


def branch(bench: Bench, run_id: str, index: int, token_id: int) -> Asked:
    """The answer of a run made to go on from an alternative to its token `index`. Raises PromptError."""
    record = bench.history.run(run_id)
    if not 0 <= index < len(record.tokens):
        raise PromptError("That token is not part of the answer any more. Reload the page.")
    known = {a.id for a in record.tokens[index].alternatives}
    if token_id not in known:
        raise PromptError("That alternative was not recorded for this token. Choose one of those shown.")
    kept = tuple(t.id for t in record.tokens[:index])
    prompt = Prompt(record.prompt.messages, answer_tokens=(*kept, token_id))
    return Asked(prompt, record.checkpoint, record.options, record.row.session, record.row.parent_run_id)


def run(bench: Bench, asked: Asked, panel: str = "chat") -> Iterator[Progress]:
    """Take the turn. Yields at most about ten times a second, and once at the end; never raises a WorkbenchError."""
    progress = Progress(asked.run_id, stage="Starting")
    yield progress
    begun = shown = time.monotonic()
    try:
        for event in bench.core.generate(
            asked.checkpoint, asked.prompt, asked.options, panel=panel, session=asked.session, run_id=asked.run_id
        ):
            progress = _heard(progress, event, time.monotonic() - begun)
            if time.monotonic() - shown >= UPDATE_S or isinstance(event, (Queued, Encoded, Prefilled)):
                shown = time.monotonic()
                yield progress
        yield replace(progress, stage="", done=True)
    except WorkbenchError as error:
        yield replace(progress, stage="", error=str(error), done=True)


def _heard(progress: Progress, event: Any, elapsed_s: float) -> Progress:
    match event:
        case Queued(ahead):
            return replace(progress, stage=f"Waiting: {ahead} {'call' if ahead == 1 else 'calls'} before this one")
        case Waiting():
            doing = "Writing" if progress.tokens else "Reading the question" if progress.encoded else "Reading the pictures"
            return replace(progress, stage=f"{doing}, {elapsed_s:.0f} s")
        case Encoded():
            what = (
                f"{event.visual_tokens:,} image tokens{', from the cache' if event.cached else ''}"
                if event.images
                else "No picture"
            )
            return replace(progress, stage=f"{what}; reading the question", encoded=event)
        case Prefilled():
            return replace(progress, stage=f"First token after {milliseconds(event.ms)}", prefilled=event)
        case Token():
            count = len(progress.tokens) + 1
            return replace(
                progress,
                answer=progress.answer + event.text,
                tokens=(*progress.tokens, event),
                stage=f"{count} tokens, {elapsed_s:.1f} s",
            )
        case Finished():
            return replace(progress, answer=event.text, finished=event)
    return progress
