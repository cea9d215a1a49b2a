"""Every field of transformers' GenerationConfig: tokens are those of plain `generate`, or a sentence says what is set aside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import finished, picture, tokens
from transformers import GenerationConfig

from model.checkpoint import parse_spec
from model.core import Core
from model.errors import BrokenCheckpoint
from model.loading.wishes import SET_ASIDE, SILENT
from model.options import Options
from model.prompt import ask

FIELDS: dict[str, Any] = {
    "max_length": 200, "min_length": 90, "min_new_tokens": 6, "early_stopping": True, "max_time": 0.0001, "stop_strings": ["a"],
    "do_sample": True, "num_beams": 3, "use_cache": False, "cache_implementation": "static", "prefill_chunk_size": 16,
    "temperature": 0.5, "top_k": 3, "top_p": 0.5, "min_p": 0.2, "top_h": 0.4, "typical_p": 0.5, "epsilon_cutoff": 3e-4,
    "eta_cutoff": 3e-4, "repetition_penalty": 1.8, "encoder_repetition_penalty": 1.5, "length_penalty": 2.0,
    "no_repeat_ngram_size": 2, "bad_words_ids": [[5]], "renormalize_logits": True, "forced_bos_token_id": 7,
    "forced_eos_token_id": 2, "remove_invalid_values": True, "exponential_decay_length_penalty": [2, 1.5],
    "suppress_tokens": [10, 11], "begin_suppress_tokens": [12], "sequence_bias": [[[9], 5.0]], "token_healing": True,
    "guidance_scale": 2.0, "watermarking_config": {"greenlist_ratio": 0.5, "bias": 3.0}, "num_return_sequences": 2,
    "output_scores": True, "output_logits": True, "output_attentions": True, "output_hidden_states": True,
    "return_dict_in_generate": True, "encoder_no_repeat_ngram_size": 2, "decoder_start_token_id": 4, "is_assistant": True,
    "num_assistant_tokens": 4, "num_assistant_tokens_schedule": "constant", "assistant_confidence_threshold": 0.3,
    "prompt_lookup_num_tokens": 3, "max_matching_ngram_size": 2, "assistant_early_exit": 1, "assistant_lookbehind": 4,
    "target_lookbehind": 4, "low_memory": True, "penalty_alpha": 0.6, "dola_layers": "low", "diversity_penalty": 1.0,
    "num_beam_groups": 2, "disable_compile": True, "assistant_ensemble_weight": 0.5, "use_mtp": True, "max_cache_len": 300,
}  # fmt: skip
"""Each with a value that is not its usual one."""
OF_THE_MODEL = {
    "bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "max_new_tokens", "cache_config", "compile_config",
    "continuous_batching_config", "constraints", "force_words_ids", "speculation_type",
}  # fmt: skip
"""Tokens and versions that every file has, the length that Options say, and objects no file holds."""
QUESTION = ask("What is there?", picture(0))


def wishing(folder_of: Callable[[str], Path], tmp_path: Path, **wishes: Any) -> Path:
    folder = shutil.copytree(folder_of("llava_clip"), tmp_path / "mine")
    path = folder / "generation_config.json"
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | wishes))
    return folder


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.filterwarnings("ignore")
def test_a_wish_is_obeyed_or_set_aside_in_words(field: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    spec = parse_spec(str(wishing(folder_of, tmp_path, **{field: FIELDS[field]})))
    core = Core()
    ours = tokens(list(core.generate(spec, QUESTION, Options(8))))
    told = [note for note in core.loaded()[0].notes if "set aside" in note]
    assert told == (
        [f"Its generation_config.json asks for {field}, which is set aside: {SET_ASIDE[field]}."]
        if SET_ASIDE.get(field, SILENT) != SILENT
        else []
    )
    vlm = core.vlm(spec)
    model: Any = vlm.parts.model
    tensors = vlm.prepare(QUESTION).tensors
    made = model.generate(
        **tensors, max_new_tokens=8, do_sample=False, temperature=None, top_p=None, top_k=None, num_beams=1,
        tokenizer=vlm.parts.tokenizer,
    )  # fmt: skip
    plain = made[0, tensors["input_ids"].shape[1] :].tolist()
    ends = model.generation_config.eos_token_id
    assert [token.id for token in ours] == [
        token for token in plain if token not in torch.atleast_1d(torch.tensor(ends)).tolist()
    ]


def test_the_table_knows_every_field() -> None:
    known = {name for name in vars(GenerationConfig()) if not name.startswith("_")}
    assert known - set(FIELDS) - OF_THE_MODEL == set()
    assert set(SET_ASIDE) <= set(FIELDS)


def test_an_answer_that_a_stop_string_ends_has_ended(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    plain = finished(list(Core().generate(parse_spec(str(folder_of("llava_clip"))), QUESTION, Options(8))))
    stop = plain.text.strip()[3]
    end = finished(
        list(Core().generate(parse_spec(str(wishing(folder_of, tmp_path, stop_strings=[stop]))), QUESTION, Options(8)))
    )
    assert (plain.reason, end.reason) == ("length", "end")
    assert plain.text.startswith(end.text)
    assert stop in end.text


@pytest.mark.parametrize("content", ["{", ""])
def test_a_damaged_file_is_passed_over(content: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = wishing(folder_of, tmp_path)
    (folder / "generation_config.json").write_text(content)
    assert tokens(list(Core().generate(parse_spec(str(folder)), QUESTION, Options(4))))


def test_a_file_of_something_else_is_refused(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = wishing(folder_of, tmp_path)
    (folder / "generation_config.json").write_text("[1]")
    with pytest.raises(BrokenCheckpoint, match=r"generation_config\.json of mine holds no settings"):
        list(Core().load(parse_spec(str(folder))))
