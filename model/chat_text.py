"""A prompt as the text a checkpoint's chat template makes of it, with the user's words kept words.

Text that a user or a model wrote may spell a control token ("<image>", "<|im_end|>"). Such a spelling
is broken with a zero-width space before templating, so that it is read as characters. Tokens that a
template never writes (boxes, locations) are left alone: people may well want to type those.
"""

from __future__ import annotations

import re
from typing import Any

import jinja2

from .errors import PromptError
from .families.base import Parts
from .prompt import ImagePart, Message, Prompt

MAX_CHARACTERS = 400_000
_GUARD = "\u200b"


def check(prompt: Prompt) -> None:
    """Raise PromptError for a prompt with nothing to answer, or absurdly long."""
    if not prompt.messages or prompt.messages[-1].role != "user":
        raise PromptError("There is no question. Type one.")
    last = prompt.messages[-1]
    if not last.text.strip():
        raise PromptError("The question is empty. Type what you want to know" + (" about the picture." if last.images else "."))
    length = sum(len(message.text) for message in prompt.messages)
    if length > MAX_CHARACTERS:
        raise PromptError(f"The conversation has {length:,} characters; at most {MAX_CHARACTERS:,} are read. Shorten it or start a new one.")


def render(parts: Parts, prompt: Prompt, *, plain: str = "USER: {images}{text} ASSISTANT:") -> str:
    """The prompt as text, image placeholders in place, ready for the processor.

    Where a checkpoint has no chat template, turns are written in `plain`. Raises PromptError where the
    template refuses the conversation, as some do with a system turn.
    """
    check(prompt)
    guard = _control_tokens(parts)
    if parts.chat_template is None:
        text = _plain(parts, prompt, plain, guard)
    else:
        try:
            text = _template(parts, [_typed(message, guard) for message in prompt.messages])
        except jinja2.TemplateError as error:
            told = " It has no place for a system prompt; clear it." if prompt.messages[0].role == "system" else ""
            raise PromptError(f"This checkpoint's chat template refuses the conversation: {error}.{told}") from error
    return text + clean(prompt.answer_prefix)


def clean(text: str) -> str:
    """Text that can be encoded as UTF-8: lone surrogates and NUL become the replacement character."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def _typed(message: Message, guard: re.Pattern[str] | None) -> dict[str, Any]:
    # Typed blocks always: the real templates of several families drop plain-string content silently.
    blocks = [{"type": "image"} if isinstance(p, ImagePart) else {"type": "text", "text": _words(p, guard)} for p in message.parts]
    return {"role": message.role, "content": blocks}


def _words(text: str, guard: re.Pattern[str] | None) -> str:
    text = clean(text)
    return guard.sub(lambda m: m.group()[0] + _GUARD + m.group()[1:], text) if guard else text


def _template(parts: Parts, messages: list[dict[str, Any]]) -> str:
    return parts.tokenizer.apply_chat_template(messages, chat_template=parts.chat_template, tokenize=False, add_generation_prompt=True)


def _plain(parts: Parts, prompt: Prompt, plain: str, guard: re.Pattern[str] | None) -> str:
    token = image_token(parts) or ""
    written = []
    for message in prompt.messages:
        text = _words(message.text, guard)
        if message.role == "user":
            written.append(plain.format(images=token * len(message.images) + ("\n" if message.images and token else ""), text=text))
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


def _control_tokens(parts: Parts) -> re.Pattern[str] | None:
    """Every special token that structures a conversation: ends, placeholders, and what the template writes."""
    tokenizer = parts.tokenizer
    special = {str(t) for t in tokenizer.all_special_tokens} | {t.content for t in tokenizer.added_tokens_decoder.values() if t.special}
    sample = ""
    if parts.chat_template is not None:
        turn = [{"type": "image"}, {"type": "text", "text": "a"}]
        asked, said = {"role": "user", "content": turn}, {"role": "assistant", "content": turn[1:]}
        for start in ([{"role": "system", "content": turn[1:]}], []):
            try:
                sample += _template(parts, [*start, asked, said, asked])
            except jinja2.TemplateError:  # no place for a system turn: the sample without one tells the rest
                continue
    names = ("bos_token", "eos_token", "pad_token", "sep_token", "cls_token", "mask_token")
    control = {token for token in special if token in sample}
    control |= {str(value) for name in names if (value := tokenizer.special_tokens_map.get(name))}
    control |= {token for token in special if re.search(r"image|video|vision|img", token, re.IGNORECASE)}
    control |= {token for token in (image_token(parts),) if token}
    words = sorted((token for token in control if len(token) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words))) if words else None
