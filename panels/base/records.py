"""What the log gives back: a session, a run in a list, a run in full, what is kept with one. Plain data.

`app` reads these from the log; panels see nothing else of it. Times are ISO-8601 in UTC, ids are texts without meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from model.checkpoint import Checkpoint
from model.events import Token
from model.options import Options
from model.prompt import Prompt

Json = Mapping[str, object]
"""A JSON object. It may have been imported from anywhere: what is in it must be looked at before it is used."""
Reply = dict[str, object]
"""A JSON object of our own making, for a script of the page or a caller of the API."""


@dataclass(frozen=True)
class Session:
    """A session. `question` is the first one asked, `last_at` when it was last used, `runs` how many calls it has."""

    id: str
    name: str
    started_at: str
    ended_at: str | None
    app_version: str
    client: str
    current_run_id: str | None
    settings: Json
    runs: int
    last_at: str
    question: str


@dataclass(frozen=True)
class RunRow:
    """A run as a line of a list or a turn of a chat.

    `question` is the text of its last message, `images` the sha256 of that message's pictures. `checkpoint`
    is its name. `rating` is 0 where nobody rated. `model_ms` is reading plus writing, None where the call did not get that far.
    `sealed` runs belong to a blind comparison without a vote: nothing in the row says which checkpoint it was. It began when
    the comparison did, and has no answer until all columns have ended.
    """

    id: str
    session: str
    parent_run_id: str | None
    group: str
    panel: str
    checkpoint_id: str
    checkpoint: str
    question: str
    answer: str
    status: str
    error: str
    started_at: str
    prompt_tokens: int | None
    visual_tokens: int | None
    new_tokens: int | None
    model_ms: float | None
    rating: int
    note: str
    images: tuple[str, ...]
    sealed: bool = False


@dataclass(frozen=True)
class RunRecord:
    """A run with all that is known of it.

    `weights` is the sha256 of the weights it was computed with, empty where unknown. `siblings` are the ids of
    the turns at the same point of the conversation, itself included, in time order. `versions` are the packages
    it ran with. Where `notes` is not empty, `prompt` lacks pictures and is not what was asked. `warnings`
    say why the answer is not to be believed.
    """

    row: RunRow
    prompt: Prompt
    checkpoint: Checkpoint
    weights: str
    options: Options
    tokens: tuple[Token, ...] = field(repr=False)
    reason: str | None
    reused_tokens: int | None
    cached_images: int | None
    queued_ms: float | None
    prefill_ms: float | None
    decode_ms: float | None
    siblings: tuple[str, ...]
    versions: Mapping[str, str]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Artifact:
    """One thing kept with a run. `meta` says what it is; `id` is the sha256 of its bytes."""

    run_id: str
    kind: str
    name: str
    id: str
    media_type: str
    size_bytes: int
    meta: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Deleted:
    """What went. `size_bytes` are the files removed; the database keeps its size and uses the room again."""

    sessions: int
    runs: int
    messages: int
    images: int
    size_bytes: int


@dataclass(frozen=True)
class Usage:
    """How much the log holds: rows, bytes of the database and bytes of the files beside it."""

    sessions: int
    runs: int
    messages: int
    images: int
    trials: int
    database_bytes: int
    blob_bytes: int
