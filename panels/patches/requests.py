"""What a page may ask about the patches of a logged turn, and which turn it is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, model_validator

from model import Prompt
from model.errors import InputError, Unsupported
from model.geometry.grid import ImageGrid
from model.internals.features import Stage
from model.internals.subject import Subject

from ..base.bench import Bench
from ..base.maps.looks import Look
from ..base.records import Json
from ..base.requests import Request, Text, Whole, Wholes, read, says
from ..base.turn_views import whole

Hiding = Literal["mean", "cut"]
Way = Literal["to", "from"]
Tokens = Annotated[Wholes, says("No patch is chosen that this answer has. Click one.")]
"""Visual tokens by their indices, ascending. Whether there are so many is known when the answer is looked at: see `chosen`."""


class Likeness(Request):
    """Cosines between patches; `tokens` are those whose rows are sent where all pairs are too many."""

    stage: Stage
    layer: Whole
    tokens: Tokens = ()


class TowerLook(Request):
    layer: Whole
    head: Whole | None = None
    tokens: Tokens = ()
    way: Way = "to"


class WordLook(Request):
    """Attention of words; of one `word`, or on `tokens`, where the whole is too much to be sent."""

    layer: Whole | None = None
    head: Whole | None = None
    word: Whole | None = None
    tokens: Tokens = ()


class OfTokens(Request):
    tokens: Tokens = ()


class Without(OfTokens):
    how: Hiding


class WordLikeness(Request):
    word: Text = ""


class Colours(Request):
    stage: Stage
    layer: Whole
    partner: Text = ""


class Between(OfTokens):
    partner: Text = ""


# --- single maps, as they are stored and taken along ---------------------------------------------


class AlikeMap(OfTokens):
    map: Literal["alike"]
    stage: Stage
    layer: Whole


class WordMap(Request):
    map: Literal["like_word"]
    typed: Text = ""


class ColourMap(Request):
    map: Literal["coloured"]
    stage: Stage
    layer: Whole
    partner: Text = ""


class TowerMap(OfTokens):
    map: Literal["seen"]
    layer: Whole
    head: Whole | None = None
    way: Way
    aside: StrictBool = False


class UsedMap(Request):
    map: Literal["used"]
    word: Whole
    layer: Whole | None = None
    head: Whole | None = None
    aside: StrictBool = False


class BetweenMap(OfTokens):
    map: Literal["between"]
    partner: Text = ""
    depth: Whole


class LensMap(OfTokens):
    map: Literal["says"]


MapOf = AlikeMap | WordMap | ColourMap | TowerMap | UsedMap | BetweenMap | LensMap
"""What a single map is of: enough to make it again."""


class OfMap(Request):
    """A request about a single map, whose fields stand beside its own."""

    of: Annotated[MapOf, Field(discriminator="map")]

    @model_validator(mode="before")
    @classmethod
    def _beside(cls, given: object) -> object:
        return {**given, "of": given} if isinstance(given, dict) else given


class Export(OfMap):
    """One file of a map, or its name alone. Of the numbers: `features` at which stage and layer, and the patches chosen."""

    part: Literal["name", "numbers", "page"]
    features: Stage = "decoder"
    features_layer: Annotated[StrictInt, Field(ge=-1)] = -1
    tokens: Tokens = ()


def what_of(of: MapOf) -> dict[str, object]:
    """A map's request as JSON, less whose it is: what is stored, and what its name is made of."""
    return of.model_dump(mode="json", exclude={"key", "run"})


def stored(meta: Json) -> Json | None:
    """The request in what was written of a map, None where there is none that can be read."""
    try:
        return what_of(read(OfMap, dict(meta)).of)
    except InputError:
        return None


# --- of which turn -------------------------------------------------------------------------------


def turn_of(bench: Bench, run_id: str) -> Look:
    """The turn of this id with its own tokens. Raises InputError where it has no picture or is not answered, PictureError."""
    record = bench.history.run(run_id)
    prompt = whole(record)
    if not prompt.images:
        raise InputError("This turn has no picture, so there are no patches to look at. Attach one in Chat and ask again.")
    if record.row.status == "running":
        raise InputError("This answer is still being written. Its patches can be looked at when it is done.")
    answer = tuple(token.id for token in record.tokens)
    return Look(run_id, bench.allowed(record.checkpoint), Prompt(prompt.messages, prompt.answer_prefix), answer)


def placed(subject: Subject) -> ImageGrid:
    """Where the visual tokens look. Raises Unsupported where that is not known."""
    if subject.inputs.grid is None:
        raise Unsupported(
            f"It is not known where the visual tokens of {subject.vlm.checkpoint.name} look. Choose another checkpoint."
        )
    return subject.inputs.grid


def chosen(tokens: Sequence[int], subject: Subject) -> list[int]:
    """The tokens themselves. Raises InputError where there are none, or some that the answer does not have."""
    if not tokens or max(tokens) >= subject.count:
        raise InputError(f"No patch is chosen that this answer has; there are {subject.count}. Click one.")
    return list(tokens)
