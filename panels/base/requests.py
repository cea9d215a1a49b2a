"""What a page's script asks and what it is told: a request is checked on the way in, a reply becomes plain JSON on the way out.

Anybody may send anything. What cannot be used is refused with a sentence; what is used has its type. Whether a number fits the
model at hand (a layer, a patch, a word) is not known here: whoever answers checks it with `within`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    WrapValidator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from model.errors import InputError

R = TypeVar("R", bound=BaseModel)
MAX_NAME, MAX_TEXT = 100, 200
UNUSABLE = "The page sent no usable request. Reload it and try again."

Whole = Annotated[StrictInt, Field(ge=0)]
"""A whole number from 0."""
Name = Annotated[StrictStr, AfterValidator(lambda text: text[:MAX_NAME])]
"""An id, cut at MAX_NAME characters."""
Text = Annotated[StrictStr, AfterValidator(lambda text: text[:MAX_TEXT])]
"""A short text, cut at MAX_TEXT characters."""
Wholes = Annotated[tuple[Whole, ...], AfterValidator(lambda found: tuple(sorted(set(found))))]
"""Whole numbers from 0, ascending, each once."""


class Request(BaseModel):
    """What every request has. `key` is a name of the page's own making, by which it may watch and end the work."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    key: Name = ""
    run: Name = ""


def says(sentence: str) -> WrapValidator:
    """A field whose value is refused with this sentence. `{value}` in it stands for the beginning of what was sent."""

    def checked(value: object, handler: object) -> object:
        assert callable(handler)
        try:
            return handler(value)
        except ValidationError as error:
            problem = error.errors()[0]
            said = problem["ctx"]["said"] if problem["type"] == "says" else sentence.format(value=shown(value))
            raise PydanticCustomError("says", "{said}", {"said": said}) from None

    return WrapValidator(checked)


def checked_by(check: Callable[[object], object]) -> BeforeValidator:
    """A field whose value is what `check` gives back. Its InputError is the sentence."""

    def checked(value: object) -> object:
        try:
            return check(value)
        except InputError as error:
            raise PydanticCustomError("says", "{said}", {"said": str(error)}) from error

    return BeforeValidator(checked)


def read(request: type[R], given: object) -> R:
    """The request in what a page sent. Raises InputError with a sentence on the first thing that cannot be used."""
    try:
        return request.model_validate(given)
    except ValidationError as error:
        raise InputError(_sentence(error.errors()[0])) from error


def _sentence(problem: ErrorDetails) -> str:
    names = [str(part) for part in problem["loc"] if isinstance(part, str)]
    name, context = (names[-1] if names else "request"), problem.get("ctx", {})
    match problem["type"]:
        case "says":
            return str(context["said"])
        case "model_type" | "model_attributes_type" | "dict_type":
            return UNUSABLE
        case "int_type" | "greater_than_equal":
            low = context.get("ge", 0)
            return f"The {name} is {shown(problem['input'])}. Choose a whole number from {low}."
        case "literal_error":
            return f"The {name} is {shown(problem['input'])}. Choose one of {_listed(str(context['expected']))}."
        case "union_tag_invalid":
            tag = str(context["discriminator"]).strip("'")
            return f"The {tag} is {shown(context['tag'])}. Choose one of {_listed(str(context['expected_tags']))}."
        case "union_tag_not_found":
            name = str(context["discriminator"]).strip("'")
        case "too_long":
            return f"{name} has more than the {context['max_length']:,} things it may have."
    return f"The page sent no usable {name!r}. Reload it and try again."


def _listed(expected: str) -> str:
    """Pydantic's "'a', 'b' or 'c'" as "a, b, c"."""
    return expected.replace(" or ", ", ").replace("'", "")


def shown(value: object) -> str:
    """The beginning of anything, in quotation marks."""
    return repr((value if isinstance(value, str) else repr(value))[:40])


def within(name: str, value: int, high: int) -> int:
    """The value itself. Raises InputError where it is not below `high`."""
    if not 0 <= value < high:
        raise InputError(f"The {name} is {value}. Choose a whole number from 0 to {high - 1}.")
    return value


def plain(value: object) -> object:
    """A reply as JSON has it: dataclasses as objects by their fields' names, tuples as lists, everything else as it is."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(one) for one in value]
    return value
