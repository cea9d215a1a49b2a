"""Heat maps of logged answers: how one is asked for, computed, stored with its turn, and told of in Sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictStr

from model.errors import InputError
from model.heat import heat_methods
from model.heat.base import Choice, Heat
from model.internals.subject import Subject
from model.progress import Run

from ..records import Json
from ..requests import Request, Wholes, checked_by, read, says, shown
from .instrument import Instrument
from .looks import Look, Seen

KIND = "heat"
MAX_WORDS, MAX_CELLS, MAX_SAID, MAX_HEATS = 256, 100_000, 200, 512

_LISTED = BeforeValidator(lambda value: () if value is None else value)
_NO_WORDS = f"words is no list of at most {MAX_WORDS} whole numbers from 0."
Words = Annotated[Wholes, Field(max_length=MAX_WORDS), _LISTED, says(_NO_WORDS)]
Patches = Annotated[Wholes, Field(max_length=MAX_CELLS), _LISTED, says("That is no list of patches by their numbers, from 0.")]
Layer = Annotated[int, Field(strict=True, ge=0)] | None
_FROM_0 = "is {value}. Give a whole number from 0, or none for all."
_REDUCED = "Layers and heads are put together by 'mean' or 'max', not {value}."
_ROW = "The row is 'predicting' or 'reading', not {value}."


def method_of(value: object) -> str:
    """The slug of a heat method. Raises InputError for one that there is not."""
    if not isinstance(value, str) or value not in heat_methods:
        raise InputError(f"There is no method {shown(value)}. Known: {', '.join(heat_methods)}.")
    return value


Method = Annotated[str, checked_by(method_of)]


class Chosen(Request):
    """Words of an answer, layers and heads. `typed` is an answer that somebody typed in place of the logged one."""

    typed: StrictStr = ""
    words: Words = (0,)
    layer: Annotated[Layer, says(f"layer {_FROM_0}")] = None
    head: Annotated[Layer, says(f"head {_FROM_0}")] = None
    reduce: Annotated[Literal["mean", "max"], says(_REDUCED)] = "mean"
    rows: Annotated[Literal["predicting", "reading"], says(_ROW)] = "predicting"
    without: Patches = ()

    @property
    def choice(self) -> Choice:
        return Choice(self.layer, self.head, self.reduce, self.rows, self.without)

    def fitting(self, seen: Seen) -> Seen:
        """The trace itself. Raises InputError where the request names words, layers or heads that there are not."""
        tokens = len(seen.trace.tokens)
        if any(word >= tokens for word in self.words):
            raise InputError(f"The answer has {tokens} tokens; token {max(self.words) + 1} was asked for. Choose one of them.")
        for name, value, many in (("layer", self.layer, seen.layers), ("head", self.head, seen.heads)):
            if value is not None and value >= many:
                raise InputError(f"There is no {name} {value + 1}: this checkpoint has {many}. Choose a lower one.")
        if any(token >= len(seen.trace.visual) for token in self.without):
            raise InputError("The page set picture tokens aside that this picture does not have. Open the turn again.")
        return seen


class OfMethod(Chosen):
    """One map: words of an answer by a method."""

    method: Method = "attention"


def heat_by(subject: Subject, run: Run, slug: str, words: tuple[int, ...], choice: Choice) -> Heat:
    """A method's map. On the model thread."""
    found = heat_methods[slug](subject, words, choice, run)
    return replace(found, note=marked(subject, found.note))


def marked(subject: Subject, note: str) -> str:
    """A map's note, and why nothing of its checkpoint is to be believed, where that is so."""
    return ", ".join(filter(None, (note, *subject.vlm.parts.warnings)))


def heat_of(
    tool: Instrument,
    request: Request,
    look: Look,
    slug: str,
    words: tuple[int, ...],
    choice: Choice,
    keep: Callable[[Heat], object] = lambda heat: None,
) -> Heat:
    """A method's map of words of an answer, which the page may watch and end. `keep` gets one that was made anew."""
    key = (look, slug, words, choice if heat_methods[slug].layered else choice.rows, choice.without)

    def make() -> Heat:
        found = tool.work(request, look, partial(heat_by, slug=slug, words=words, choice=choice))
        keep(found)
        return found

    return tool.once(Heat, key, make, MAX_HEATS)


def what_of(look: Look, slug: str, words: tuple[int, ...], choice: Choice) -> dict[str, object]:
    """What a map is of, as plain JSON: enough to compute it again, and what its name is made of."""
    layered = heat_methods[slug].layered
    return {
        "method": slug,
        "words": list(words),
        "typed": look.typed,
        "layer": choice.layer if layered else None,
        "head": choice.head if layered else None,
        "reduce": choice.reduce,
        "rows": choice.rows,
        "without": list(choice.without),
    }


def keep_heat(tool: Instrument, look: Look, heat: Heat, what: Mapping[str, object], name: str, said: str, note: str = "") -> bool:
    """Store a map with its turn. `said` are the words it is of; `note` stands beside the method's own."""
    meta = {
        **what,
        "said": said.strip()[:MAX_SAID],
        "unit": heat.unit,
        "signed": heat.signed,
        "note": ", ".join(filter(None, (heat.note, note))),
        "mass": heat.mass,
        "checkpoint": look.checkpoint.to_json(),
        "scores": f"float32 [{len(heat.scores)}], one for each picture token, little endian",
    }
    return tool.keep(look.run_id, KIND, name, heat.scores.astype("<f4").tobytes(), meta)


def stored(meta: Json) -> Json | None:
    """The request in what was written of a map, None where there is none that can be read: an import may have brought it."""
    try:
        found = read(OfMethod, {name: value for name, value in meta.items() if value is not None})
    except InputError:
        return None
    return found.model_dump(mode="json", exclude={"key", "run"})


def described(meta: Json) -> tuple[str, str]:
    """Title and note of a stored map that can be read."""
    title = f"{heat_methods[method_of(meta.get('method', 'attention'))].title} of \u201c{meta.get('said', '')}\u201d"
    note = [str(meta.get("note") or ""), "another answer" if meta.get("typed") else ""]
    return title, ", ".join(filter(None, note))
