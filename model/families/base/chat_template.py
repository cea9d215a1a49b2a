"""A prompt as the text a checkpoint's chat template makes of it, with the user's words kept words.

Text that a user or a model wrote may spell a control token ("<image>", "<|im_end|>"). Such a spelling
is broken with a zero-width space before templating, so that it is read as characters. Tokens that name
places, boxes, phrases or tasks are left alone: people may well want to type those.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import jinja2

from ...errors import PromptError
from ...prompt import ImagePart, Message, Prompt
from . import Parts

MAX_CHARACTERS = 400_000
_GUARD = "\u200b"
_TYPED = re.compile(
    r"loc|seg|patch_index|box|ref|quad|point|coord|poly|phrase|object|chunk|ground|delimiter|ocr|region|cap|doc>|line>"
)
_PICTURE = re.compile(r"image|video|vision|img", re.IGNORECASE)
_UNENCODABLE = re.compile("[\x00\ud800-\udfff]")


def check(prompt: Prompt) -> None:
    """Raise PromptError for a prompt with nothing to answer, or absurdly long."""
    if not prompt.messages or prompt.messages[-1].role != "user":
        raise PromptError("There is no question. Type one.")
    last = prompt.messages[-1]
    if not last.text.strip():
        raise PromptError("The question is empty. Type what you want to know" + (" about the picture." if last.images else "."))
    length = sum(len(message.text) for message in prompt.messages)
    if length > MAX_CHARACTERS:
        raise PromptError(
            f"The conversation has {length:,} characters; at most {MAX_CHARACTERS:,} are read. Shorten it or start a new one."
        )


def render(parts: Parts, prompt: Prompt, *, plain: str = "USER: {images}{text} ASSISTANT:") -> str:
    """The prompt as text, image placeholders in place, ready for the processor.

    Where a checkpoint has no chat template, turns are written in `plain`. Raises PromptError where the
    template refuses the conversation, as some do with a system turn.
    """
    check(prompt)
    if parts.chat_template is None:
        text = _plain(parts, prompt, plain)
    else:
        try:
            text = _template(parts, [_typed(parts, message) for message in prompt.messages])
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            told = " It may have no place for a system prompt; clear it." if prompt.messages[0].role == "system" else ""
            if not isinstance(error, jinja2.TemplateError):  # it adds texts to what is a list of texts and pictures
                told += " It may be a text model's: put the chat_template.jinja of the original beside the checkpoint."
            raise PromptError(f"This checkpoint's chat template refuses the conversation: {error}.{told}") from error
    return text + words(parts, prompt.answer_prefix)


def words(parts: Parts, text: str) -> str:
    """Text that someone wrote, fit for the tokenizer: it can be encoded, and spells no control token."""
    text = clean(text)
    while parts.control and parts.control.search(text):  # once is not enough where two spellings overlap
        text = parts.control.sub(lambda m: m.group()[0] + _GUARD + m.group()[1:], text)
    return text


def clean(text: str) -> str:
    """Text that can be encoded as UTF-8: lone surrogates and NUL become the replacement character."""
    return _UNENCODABLE.sub("\ufffd", text)


def _typed(parts: Parts, message: Message) -> dict[str, Any]:
    # Typed blocks always: the real templates of several families drop plain-string content silently.
    blocks = [
        {"type": "image"} if isinstance(p, ImagePart) else {"type": "text", "text": words(parts, p)} for p in _joined(message)
    ]
    return {"role": message.role, "content": blocks}


def _joined(message: Message) -> Iterator[str | ImagePart]:
    """The parts, texts that touch made one: a token could be spelled across two."""
    for is_text, group in itertools.groupby(message.parts, lambda part: isinstance(part, str)):
        parts = list(group)
        if is_text:
            yield "\n".join(part for part in parts if isinstance(part, str))
        else:
            yield from parts


def _template(parts: Parts, messages: list[dict[str, Any]]) -> str:
    return parts.tokenizer.apply_chat_template(
        messages, chat_template=parts.chat_template, tokenize=False, add_generation_prompt=True
    )


def _plain(parts: Parts, prompt: Prompt, plain: str) -> str:
    token = image_token(parts) or ""
    written = []
    for message in prompt.messages:
        text = words(parts, message.text)
        if message.role == "user":
            written.append(
                plain.format(images=token * len(message.images) + ("\n" if message.images and token else ""), text=text)
            )
        else:
            written.append(text)
    return " ".join(written)


def image_token(parts: Parts) -> str | None:
    """The placeholder text of one picture, or None where the vocabulary has none."""
    for holder in (parts.processor, parts.tokenizer):
        token = vars(holder).get("image_token") if holder is not None else None
        if token:
            return str(token)
    if parts.image_token_id is not None:
        return parts.tokenizer.convert_ids_to_tokens(parts.image_token_id)
    return None


def control_tokens(parts: Parts) -> re.Pattern[str] | None:
    """Every special token but those that people type: ends, placeholders, what the template writes, what is reserved."""
    tokenizer = parts.tokenizer
    special = {str(t) for t in tokenizer.all_special_tokens} | {
        t.content for t in tokenizer.added_tokens_decoder.values() if t.special
    }
    written = _sample(parts)
    control = {token for token in special if token in written or _PICTURE.search(token) or not _TYPED.search(token)}
    control |= {token for token in (image_token(parts),) if token}
    spelled = sorted((token for token in control if len(token) > 1 and _GUARD not in token), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, spelled))) if spelled else None


def _sample(parts: Parts) -> str:
    """What the chat template writes of a short conversation, with a system turn and without."""
    if parts.chat_template is None:
        return ""
    turn, written = [{"type": "image"}, {"type": "text", "text": "a"}], ""
    asked, said = {"role": "user", "content": turn}, {"role": "assistant", "content": turn[1:]}
    for start in ([{"role": "system", "content": turn[1:]}], []):
        try:
            written += _template(parts, [*start, asked, said, asked])
        except (jinja2.TemplateError, TypeError, ValueError):  # no place for a system turn: the other sample tells the rest
            continue
    return written
