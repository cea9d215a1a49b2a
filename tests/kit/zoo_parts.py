"""What the tiny checkpoints of zoo.py share: tokenizers, chat templates, towers, decoders, and how a repository is written."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

WORDS = (
    "yes no Yes No what where how many is are there the a an of in on left right above below this picture image object "
    "red green blue yellow orange purple black white circle square triangle star ring cross one two three four five"
).split()
"""Words that are one token, with and without a space before them."""

PICTURE = {"do_convert_rgb": True, "do_resize": True, "do_rescale": True, "do_normalize": True, "resample": 3}
CLIP_COLOURS = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
HALF_COLOURS = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


LLAVA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
"""LLaVA-1.5's. Content given as a plain string is dropped without a word, as by the real one."""

NEXT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ '<<SYS>>\n' + message['content'][0]['text'] + '\n<</SYS>>\n\n' }}"
    "{% elif message['role'] == 'user' %}{{ '[INST] ' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] }}{% endfor %}{{ ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'][0]['text'] + '</s> ' }}{% endif %}{% endfor %}"
)

ONEVISION_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ '\n' + part['text'] }}{% endfor %}"
    "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

SMOLVLM_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)

QWEN_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
)


def turns(start: str, end: str, picture: str, ask: str, role: str = "message['role']") -> str:
    """The template most families share: start of a turn, its parts in order, end of a turn."""
    return (
        "{% for message in messages %}" + start.replace("ROLE", "{{ " + role + " }}")
        + "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}{{ '" + picture + "' }}{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
        "{% endfor %}{% endif %}{{ '" + end + "' }}{% endfor %}{% if add_generation_prompt %}{{ '" + ask + "' }}{% endif %}"
    )  # fmt: skip


def byte_level(kind: type, control: str, **named: str) -> PreTrainedTokenizerBase:
    """A GPT-2-like tokenizer of class `kind`: bytes, words, then the `control` tokens, separated by spaces.

    `named` are tokens that have a name (bos_token, image_token, ...). No vocabulary is trained: the library's
    trainers do not all give the same result twice.
    """
    vocab, merges = _words(sorted(pre_tokenizers.ByteLevel.alphabet()), "\u0120")
    tokenizer = kind(vocab=vocab, merges=merges, **named)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in control.split()])
    return tokenizer


def bare_byte_level(kind: type, control: str, start: str, **named: str) -> PreTrainedTokenizerBase:
    """The same for a class without a recipe of its own, as Llama 3's; `start` is put before every text."""
    core = Tokenizer(models.BPE(*_words(sorted(pre_tokenizers.ByteLevel.alphabet()), "\u0120")))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control.split()])
    core.post_processor = processors.TemplateProcessing(
        single=f"{start} $A", pair=f"{start} $A {start} $B", special_tokens=[(start, core.token_to_id(start))]
    )
    return kind(tokenizer_object=core, clean_up_tokenization_spaces=False, **named)


def sentencepiece(kind: type, first: str, control: str, **named: str) -> PreTrainedTokenizerBase:
    """A Llama- or Gemma-like tokenizer of class `kind`: the `first` tokens, bytes, printable ASCII, words, `control` tokens."""
    letters = [chr(code) for code in range(33, 127)]
    vocab, merges = _words([*first.split(), *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *letters], "\u2581")
    tokenizer = kind(vocab=vocab, merges=merges, **named)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in control.split()])
    return tokenizer


def _words(alphabet: list[str], space: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges that make each of WORDS one piece, with and without a space before it: BPE, ties by alphabet."""
    merges: list[tuple[str, str]] = []
    pieces = [list(word) for word in WORDS] + [[space, *word] for word in WORDS]
    while counts := Counter(pair for word in pieces for pair in pairwise(word)):
        merges.append(min(counts, key=lambda pair: (-counts[pair], pair)))
        for word in pieces:
            for start in reversed([at for at, pair in enumerate(pairwise(word)) if pair == merges[-1]]):
                word[start : start + 2] = ["".join(merges[-1])]
    vocabulary = dict.fromkeys([*alphabet, *("".join(pair) for pair in merges)])
    return {piece: index for index, piece in enumerate(vocabulary)}, merges


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The id of a token that must be there."""
    index = tokenizer.convert_tokens_to_ids(token)
    assert index is not None, f"{token!r} is not in the vocabulary of {len(tokenizer)}"
    return index


def text(tokenizer: PreTrainedTokenizerBase, model_type: str, **changes: Any) -> dict[str, Any]:
    """Config of a three-layer decoder with two key-value heads for four query heads."""
    return {
        "model_type": model_type, "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
        "initializer_range": 0.2, **_ends(tokenizer), **changes,
    }  # fmt: skip


def _ends(tokenizer: PreTrainedTokenizerBase) -> dict[str, int | None]:
    return {
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip


def tower(model_type: str, **changes: Any) -> dict[str, Any]:
    """Config of a three-layer vision tower: 56 pixels in patches of 14, so 4 x 4 patches."""
    return {
        "model_type": model_type, "image_size": 56, "patch_size": 14, "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 3, "num_attention_heads": 4, "initializer_range": 0.2, **changes,
    }  # fmt: skip


def save(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    config: dict[str, Any],
    pictures: dict[str, Any],
    processor: dict[str, Any],
    *,
    template: str | None = None,
    video: str | None = None,
) -> None:
    """Write weights, configs and tokenizer as a Hub repository has them.

    `config` are the arguments of AutoConfig.for_model. `pictures` becomes preprocessor_config.json, `processor`
    processor_config.json, `template` chat_template.jinja, and `video` is the class in video_preprocessor_config.json.
    """
    owner = {"processor_class": processor["processor_class"]}
    files = {"preprocessor_config.json": {**PICTURE, **pictures, **owner}, "processor_config.json": processor}
    if video:
        files["video_preprocessor_config.json"] = {**PICTURE, "video_processor_type": video, **owner}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    model = random_model(config)
    model.generation_config = GenerationConfig(**_ends(tokenizer))
    model.save_pretrained(folder)


def random_model(config: dict[str, Any]) -> PreTrainedModel:
    """The architecture with weights that depend on nothing but the config. The caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = AutoModelForImageTextToText.from_config(AutoConfig.for_model(**config), dtype=torch.float32)
        for name, weight in model.named_parameters():
            # Gates and projectors that start at zero would hide the picture, norms that are all one a missing norm.
            if weight.numel() == 1:
                weight.fill_(0.7)
            elif weight.min() == weight.max() and not name.endswith("bias"):
                weight.add_(0.2 * torch.randn(weight.shape))
    return model.eval()
