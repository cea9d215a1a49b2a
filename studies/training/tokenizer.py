"""The built-in checkpoints' tokenizer: byte-level BPE over the drawn world's own English.

Every word of a trained wording is one token; any other text still encodes, byte by byte. Digits stay
single, so that reading "57" is reading 5 and 7. A space is put before every piece of text, so that
"red" is the same token at the start of an answer and in the middle of one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ..world import locations, several, smalltalk
from ..world.questions import MAKERS, ask
from ..world.scene import make_scene

PAD, BOS, EOS, SYSTEM, USER, ASSISTANT = "<pad>", "<bos>", "<eos>", "<system>", "<user>", "<assistant>"
VOCABULARY = 1100

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "Answer briefly.",
    "You are a careful vision model.",
    "Be concise and truthful.",
    "You answer questions about pictures.",
    "Say only what you see.",
)
"""System prompts met in training. They change nothing in the answers; the model must bear one."""


@dataclass(frozen=True)
class Dialect:
    """How pictures stand in the text: the token repeated once per image token, what comes before and after, and
    whether its positions are in two dimensions (M-RoPE). `unused` tokens are only named by the configuration."""

    image: str = "<image>"
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    two_dimensional: bool = False

    @property
    def special(self) -> list[str]:
        return [self.image, *self.before, *self.after, *self.unused]


LLAVA = Dialect()
QWEN = Dialect("<|image_pad|>", ("<|vision_start|>",), ("<|vision_end|>",), ("<|video_pad|>",), two_dimensional=True)

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<' + message['role'] + '>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}PICTURE{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def corpus(scenes: int = 3000) -> list[str]:
    """Text the tokenizer is trained on: questions, answers and small talk of the training world."""
    rng = random.Random(20)
    lines = []
    for seed in range(scenes):
        scene = make_scene(seed)
        for kind in MAKERS:
            if question := ask(rng, scene, kind, typed=True):
                lines += [question.text, question.answer]
        if seed % 2:
            talk = smalltalk.chat(rng, typed=True)
            lines += [talk.text, talk.answer]
            one = ask(rng, scene, "count")
            assert one is not None, "counting can be asked of any scene"
            lines.append(several.about(rng, one, seed % 4 // 2, typed=True).text)
            if two := several.which(rng, (scene, make_scene(seed + scenes)), typed=True):
                lines += [two.text, two.answer]
    lines += [smalltalk.NO_PICTURE, "It has that one, and its, does it have", *SYSTEM_PROMPTS] * 20
    return [re.sub(r"<loc\d{4}>", " ", line) for line in lines]


def token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """The id of one token."""
    return token_ids(tokenizer, [token])[0]


def token_ids(tokenizer: PreTrainedTokenizerFast, tokens: Sequence[str]) -> list[int]:
    """The ids of tokens, in order."""
    ids = tokenizer.convert_tokens_to_ids(list(tokens))
    assert isinstance(ids, list), "a list of tokens has a list of ids"
    return ids


def make_tokenizer(dialect: Dialect = LLAVA) -> PreTrainedTokenizerFast:
    """The tokenizer, with the chat template that `apply_chat_template` uses. The same on every machine."""
    core = Tokenizer(models.BPE())
    # A leading space on every piece, never two: Prepend alone would double the one after a location token.
    core.normalizer = normalizers.Sequence([normalizers.Prepend(" "), normalizers.Replace(Regex(" {2,}"), " ")])
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY + len(dialect.special) - 1,
        min_frequency=8,
        special_tokens=[PAD, BOS, EOS, SYSTEM, USER, ASSISTANT, *dialect.special],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(corpus(), trainer)
    core.add_tokens([AddedToken(token, special=False, normalized=False) for token in locations.TOKENS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT, *dialect.special],
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )
    picture = "".join((*dialect.before, dialect.image, *dialect.after))
    tokenizer.chat_template = CHAT_TEMPLATE.replace("PICTURE", picture)
    return tokenizer
