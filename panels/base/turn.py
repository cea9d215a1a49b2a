"""One turn: what the user gave is checked, the core answers, and the page hears of it ten times a second."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from model import (
    Checkpoint,
    Encoded,
    Finished,
    Loading,
    Message,
    Options,
    Prefilled,
    Prompt,
    Queued,
    Token,
    Waiting,
    open_picture,
)
from model.errors import PictureError, PromptError
from model.events import Event
from model.prompt import ImagePart
from model.recorder import new_id

from .bench import Bench, SessionState, explained
from .settings import is_number
from .turn_views import conversation, milliseconds, whole

UPDATE_S = 0.1
STILL_S = 0.5
"""How soon a page hears of a turn of which there is nothing new: so late is it noticed that it was closed."""
MAX_PICTURES = 8
MAX_TIME_S = 1e9
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
class TurnProgress:
    """What is known of a running turn. `error` is a sentence; `done` when nothing more will come."""

    run_id: str
    answer: str = ""
    stage: str = ""
    error: str = ""
    done: bool = False
    ahead: int = 0
    tokens: tuple[Token, ...] = ()
    finished: Finished | None = None
    encoded: Encoded | None = None
    prefilled: Prefilled | None = None


def read_pictures(files: Sequence[object]) -> tuple[list[ImagePart], list[str]]:
    """Uploaded files as pictures, and what had to be said about them. Raises PictureError, PromptError."""
    if len(files) > MAX_PICTURES:
        raise PromptError(f"{len(files)} pictures were attached; a turn takes at most {MAX_PICTURES}. Remove some.")
    parts: list[ImagePart] = []
    notes: list[str] = []
    for file in files:
        path = Path(str(file))
        try:
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            raise PictureError(f"{path.name[:60]!r} is no longer on the server. Attach it again.") from error
        picture = open_picture(data, path.name)
        parts.append(picture.part)
        notes += picture.notes
    return parts, notes


def timed(parts: Sequence[ImagePart], times: object) -> list[ImagePart]:
    """Pictures as frames of a video: `times` are seconds from its start, one for each, null for one that is no frame.

    Raises PromptError where they do not fit. None is no times at all.
    """
    if times is None:
        return list(parts)
    if not isinstance(times, list) or any(not _is_time(value) for value in times):
        raise PromptError(f"times is {str(times)[:40]!r}. Give a list of seconds from 0, null for a picture that is no frame.")
    if len(times) != len(parts):
        raise PromptError(f"There are {len(times)} times for {len(parts)} pictures. Give one for each.")
    return [replace(part, time_s=None if at is None else float(at)) for part, at in zip(parts, times, strict=True)]


def _is_time(value: object) -> bool:
    return value is None or (is_number(value) and 0 <= value <= MAX_TIME_S)


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
    if not question.strip():  # before anything is logged
        raise PromptError("The question is empty. Type what you want to know" + (" about the picture." if pictures else "."))
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise PromptError(
            f"The question has {len(question):,} characters; at most {MAX_QUESTION_CHARACTERS:,} are read. Shorten it."
        )
    record = bench.history.run(parent) if parent else None
    while record is not None and record.row.status in ("failed", "running"):  # it said nothing to go on from
        parent = record.row.parent_run_id
        record = bench.history.run(parent) if parent else None
    said = conversation(record, system)
    began = next((message.text for message in said if message.role == "system"), "")
    notes = ("This chat keeps the system prompt it began with; the changed one holds from the next new chat.",)
    messages = (*said, Message("user", (*pictures, question)))
    kept = notes if system.strip() != began.strip() else ()
    return Asked(Prompt(messages), bench.spec(state.checkpoint), options, state.session, parent, kept)


def again(bench: Bench, run_id: str, state: SessionState, system: str, options: Options) -> Asked:
    """The same question once more, with these settings; sampling takes the next seed. A first one takes this system prompt."""
    record = bench.history.run(run_id)
    prompt = Prompt(whole(record).messages)
    if record.row.parent_run_id is None:
        asked = tuple(message for message in prompt.messages if message.role != "system")
        prompt = Prompt((*conversation(None, system), *asked))
    seed = (record.options.seed + 1) % 2**31 if options.decoder.sampled else options.seed
    return Asked(prompt, bench.spec(state.checkpoint), replace(options, seed=seed), record.row.session, record.row.parent_run_id)


def branch(bench: Bench, run_id: str, index: int, token_id: int) -> Asked:
    """The answer of a run made to go on from an alternative to its token `index`. Raises PromptError."""
    record = bench.history.run(run_id)
    if not 0 <= index < len(record.tokens):
        raise PromptError("That token is not part of the answer any more. Reload the page.")
    known = {a.id for a in record.tokens[index].alternatives}
    if token_id not in known:
        raise PromptError("That alternative was not recorded for this token. Choose one of those shown.")
    kept = tuple(t.id for t in record.tokens[:index])
    prompt = Prompt(whole(record).messages, answer_tokens=(*kept, token_id))
    return Asked(prompt, record.checkpoint, record.options, record.row.session, record.row.parent_run_id)


def run(bench: Bench, asked: Asked, panel: str = "chat", group: str = "") -> Iterator[TurnProgress]:
    """Take the turn. Yields at most about ten times a second, and once at the end; what goes wrong is in `error`."""
    progress = TurnProgress(asked.run_id, stage="Starting")
    yield progress
    begun = at = time.monotonic()
    shown = progress
    try:
        checkpoint = bench.allowed(asked.checkpoint)
        events = bench.core.generate(
            checkpoint, asked.prompt, asked.options, panel=panel, session=asked.session, group=group, run_id=asked.run_id
        )
        with closing(events):
            for event in events:
                progress = heard(progress, event, time.monotonic() - begun)
                since = time.monotonic() - at
                if since >= STILL_S or (since >= UPDATE_S and progress != shown):
                    at, shown = time.monotonic(), progress
                    yield progress
        yield replace(progress, stage="", done=True)
    except Exception as error:  # told to the user, and logged where it was not expected
        yield replace(progress, stage="", error=explained(error), done=True)


def heard(progress: TurnProgress, event: Event, elapsed_s: float) -> TurnProgress:
    """What is known of a turn after one more event."""
    match event:
        case Queued(ahead):
            return replace(progress, ahead=ahead, stage=_in_line(ahead, elapsed_s))
        case Loading(text, share):
            return replace(progress, stage=f"{text}, {100 * share:.0f} %" if share is not None else text)
        case Waiting() if progress.ahead and not progress.encoded:
            return replace(progress, stage=_in_line(progress.ahead, elapsed_s))
        case Waiting():
            doing = "Writing" if progress.tokens else "Reading the question" if progress.encoded else "Reading the pictures"
            return replace(progress, stage=f"{doing}, {elapsed_s:.0f} s")
        case Encoded():
            cached = ", from the cache" if event.cached else ""
            what = f"{event.visual_tokens:,} image tokens{cached}" if event.images else "No picture"
            return replace(progress, stage=f"{what}; reading the question", encoded=event)
        case Prefilled():
            return replace(progress, stage=f"First token after {milliseconds(event.ms)}", prefilled=event)
        case Token():
            tokens = (*progress.tokens, event)
            stage = f"{len(tokens)} {'token' if len(tokens) == 1 else 'tokens'}, {elapsed_s:.1f} s"
            return replace(progress, answer=progress.answer + event.text, tokens=tokens, stage=stage)
        case Finished():
            return replace(progress, answer=event.text, finished=event)
    return progress


def _in_line(ahead: int, elapsed_s: float) -> str:
    return f"In line behind {ahead} {'call' if ahead == 1 else 'calls'}, {elapsed_s:.0f} s"
