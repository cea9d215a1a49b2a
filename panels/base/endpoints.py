"""What named endpoints share: parameters that are more than a text or a number, and errors as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from .bench import explained
from .records import Json

TEXTS = {"type": "array", "items": {"type": "string"}}
NUMBERS = {"type": "array", "items": {"type": "number"}}
INTEGERS = {"type": "array", "items": {"type": "integer"}}
FILES = {"type": "array", "items": {"type": "object", "properties": {"path": {"type": "string"}}}}


def json_parameter(label: str, schema: Json) -> gr.JSON:
    """A hidden component whose label becomes a parameter of an endpoint. `schema` is its JSON schema, null aside.

    By itself Gradio says that the type is {}, which is no JSON schema: MCP clients then refuse to call the endpoint at all.
    """
    field = gr.JSON(None, label=label)
    field.api_info_as_input = lambda: dict(schema)  # type: ignore[method-assign]
    return field


def images_parameter() -> gr.File:
    """`images`: files, as `gradio_client.handle_file` sends them. Of MCP clients Gradio takes single files alone."""
    field = gr.File(label="images", file_count="multiple", type="filepath")
    # Its own refers to definitions that are not where it says.
    field.api_info_as_input = lambda: dict(FILES)  # type: ignore[method-assign]
    return field


def picture_parameter() -> gr.File:
    """`picture`: one more of them by itself, which an MCP client gives by its address or as a data URL."""
    return gr.File(label="picture", type="filepath")


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """What goes wrong within is a sentence to the caller."""
    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        raise gr.Error(explained(error), print_exception=False) from error
