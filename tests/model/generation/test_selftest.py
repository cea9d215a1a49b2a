"""The self-test: what is exact is used, what is not is let be, whatever the architecture is called."""

from __future__ import annotations

import copy
import functools
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from bed import Bed
from fakes import picture, tokens
from packaging.version import Version
from transformers import LlamaTokenizer
from transformers.cache_utils import DynamicLayer
from zoo import BUILDERS, SQUARE
from zoo_parts import CLIP_COLOURS, save, sentencepiece, token_id, tower

from model.checkpoint import parse_spec
from model.core import Core
from model.errors import Unsupported
from model.families.base import Inputs
from model.families.qwen2_vl import Qwen2VL
from model.generation import answer as answering
from model.generation import scoring, selftest
from model.generation.vlm import Note, VisionLanguageModel
from model.options import Options
from model.prompt import ask

EXPECTED = {
    # features, reuse, scoring
    "blip2": (False, False, "each"),
    "gemma3": (True, True, "expanded"),
    "kosmos2": (False, Version(transformers.__version__) >= Version("5.24"), "each"),  # before, it asked for a picture again
    "mllama": (False, True, "each"),
    "paligemma": (True, False, "each"),
}
"""The architectures of the zoo that are left with less than everything."""
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("name", [*sorted(BUILDERS), "tiny-llava", "tiny-llava-stage1"])
def test_which_short_cuts_an_architecture_is_left_with(name: str, bed: Bed) -> None:
    fast = bed.vlm(name).fast
    assert (fast.features, fast.reuse, fast.scoring) == EXPECTED.get(name, (True, True, "packed")), fast.notes
    assert fast.extend
    assert fast.reach is None
    assert bool(fast.notes) == (name in EXPECTED)
    assert {note.kind for note in fast.notes if "results differ" in note.why} <= {"differs"}
    for word, used in (("encoder cache", fast.features), ("reuse", fast.reuse), ("packed", fast.scoring == "packed")):
        assert any(word in str(note) for note in fast.notes) != used
    assert all(str(note).endswith(".") for note in fast.notes)


def encoder_decoder(folder: Path) -> Path:
    """BLIP-2 with T5: the prompt is encoded, and the answer decoded from a start token of its own."""
    ends = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    tokenizer = sentencepiece(LlamaTokenizer, "<pad> </s> <unk> <s>", "<image>", **ends)
    decoder = {
        "model_type": "t5", "vocab_size": len(tokenizer), "d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 3, "num_heads": 4,
        "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1, "is_encoder_decoder": True, "initializer_factor": 3.0,
    }  # fmt: skip
    queries = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "encoder_hidden_size": 32,
        "cross_attention_frequency": 1, "initializer_range": 0.2, "vocab_size": 4, "max_position_embeddings": 4,
    }  # fmt: skip
    config = {
        "model_type": "blip-2", "text_config": decoder, "vision_config": tower("blip_2_vision_model"), "qformer_config": queries,
        "num_query_tokens": 8, "image_token_index": token_id(tokenizer, "<image>"), "image_text_hidden_size": 16,
        "initializer_range": 0.2,
    }  # fmt: skip
    pictures = {"image_processor_type": "BlipImageProcessor", "size": SQUARE, **CLIP_COLOURS}
    save(folder, tokenizer, config, pictures, {"processor_class": "Blip2Processor", "num_query_tokens": 8})
    return folder


def test_an_encoder_decoder_is_left_with_the_long_way_and_answers(tmp_path: Path) -> None:
    core, spec = Core(), parse_spec(str(encoder_decoder(tmp_path)))
    list(core.load(spec))
    vlm, prompt = core.vlm(spec), ask("Is there a red circle?", picture(0))
    fast = vlm.fast
    assert (fast.features, fast.reuse, fast.extend, fast.scoring) == (False, False, False, "stepped"), fast.notes
    made = vlm.parts.model.generate(**vlm.prepare(prompt).tensors, max_new_tokens=6, do_sample=False)[0, 1:].tolist()
    said = tokens(list(core.generate(spec, prompt, Options(max_new_tokens=6))))
    assert [token.id for token in said] == made
    begun = replace(prompt, answer_tokens=tuple(made[:2]))
    assert [token.id for token in tokens(list(core.generate(spec, begun, Options(max_new_tokens=4))))] == made
    scores = core.score(spec, prompt, [vlm.parts.tokenizer.decode(made[:1]), "yes there are two"])
    assert scores.mode == "stepped"
    assert len(scores.tokens[1]) == 4
    assert np.isfinite(scores.total).all()


def test_the_self_test_leaves_nothing_behind(own_bed: Bed) -> None:
    vlm = own_bed.vlm("llava_clip")
    assert own_bed.core.encoder_cache.used_bytes == 0
    assert vlm.conversations.used_bytes == 0
    assert vlm.fast.ms > 0


def again(bed: Bed, vlm: VisionLanguageModel) -> VisionLanguageModel:
    vlm.fast.features = True
    bed.core.worker.call(lambda: selftest.run(vlm))
    return vlm


def test_features_that_are_wrong_are_not_used(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = own_bed.vlm("llava_clip")
    right = vlm.encoder_cache.features

    def off(*args: Any) -> Any:
        made, held = right(*args)
        made = copy.copy(made)
        made["pooler_output"] = [part * 1.05 for part in made.pooler_output]
        return made, held

    monkeypatch.setattr(vlm.encoder_cache, "features", off)
    again(own_bed, vlm)
    assert not vlm.fast.features
    assert [note for note in vlm.fast.notes if str(note).startswith("No encoder cache: results differ by")]
    assert vlm.fast.scoring == "packed", "what does not hang on it stays"


def test_code_that_fails_is_told_apart_from_results_that_differ(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = own_bed.vlm("llava_clip")

    def broken(*args: Any) -> None:
        raise AttributeError("no such tower.")

    monkeypatch.setattr(vlm.encoder_cache, "features", broken)
    again(own_bed, vlm)
    assert vlm.fast.notes == [Note("No encoder cache", "failed", "its code failed, AttributeError: no such tower.")]
    assert (vlm.fast.features, vlm.fast.reuse, vlm.fast.scoring) == (False, True, "packed")


class TestADeprecation:
    """A library of tomorrow warns of what this program calls, in the midst of every forward pass."""

    @pytest.fixture
    def warning_bed(self, own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Bed:
        vlm = own_bed.vlm("llava_clip")
        right = vlm.parts.model.forward

        @functools.wraps(right)
        def forward(*args: Any, **kwargs: Any) -> Any:
            warnings.warn("`input_ids` is deprecated and will be removed in version 9.0", FutureWarning, stacklevel=2)
            return right(*args, **kwargs)

        monkeypatch.setattr(vlm.parts.model, "forward", forward)
        return own_bed

    def test_it_costs_no_short_cut(self, warning_bed: Bed) -> None:
        vlm, before = warning_bed.vlm("llava_clip"), warning_bed.vlm("llava_clip").fast
        used = (before.features, before.reuse, before.ahead, before.extend, before.scoring)
        with pytest.warns(FutureWarning, match=r"removed in version 9\.0"):
            again(warning_bed, vlm)
        assert (vlm.fast.features, vlm.fast.reuse, vlm.fast.ahead, vlm.fast.extend, vlm.fast.scoring) == used
        assert vlm.fast.notes == []

    @pytest.mark.filterwarnings("error::FutureWarning")
    def test_made_an_error_it_is_raised_and_no_note(self, warning_bed: Bed) -> None:
        vlm = warning_bed.vlm("llava_clip")
        with pytest.raises(FutureWarning, match=r"removed in version 9\.0"):
            again(warning_bed, vlm)
        assert vlm.fast.notes == []


def test_reuse_that_is_wrong_after_a_cut_is_not_used(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that goes on well and takes back badly, as a recurrent state would."""
    vlm = own_bed.vlm("llava_clip")
    right = DynamicLayer.crop

    def forgetful(layer: DynamicLayer, tokens: int) -> None:
        right(layer, tokens)
        layer.keys = torch.roll(layer.keys, 1, -2)

    monkeypatch.setattr(DynamicLayer, "crop", forgetful)
    again(own_bed, vlm)
    assert not vlm.fast.reuse
    assert any("No reuse across turns: results differ" in str(note) for note in vlm.fast.notes)
    assert vlm.fast.features


def test_a_picture_after_reused_words_that_is_read_wrong_is_read_with_them(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gemma 3 in transformers before 5.21: a chunk that begins after the first words masks its picture as if it were text."""
    vlm = own_bed.vlm("llava_clip")
    right = answering.Answering._read

    def wrong(self: answering.Answering, inputs: Inputs, reused: int) -> dict[str, Any]:
        arguments = right(self, inputs, reused)
        if 0 < reused <= int(inputs.visual[0]):
            seen = copy.copy(arguments["mm_encoder_outputs"]["image"])
            seen["pooler_output"] = [part * 1.1 for part in seen.pooler_output]
            arguments["mm_encoder_outputs"] = {"image": seen}
        return arguments

    monkeypatch.setattr(answering.Answering, "_read", wrong)
    again(own_bed, vlm)
    assert vlm.fast.reuse
    assert not vlm.fast.ahead
    assert any(
        str(note).startswith("What stands before a picture is read anew each time: results differ") for note in vlm.fast.notes
    )


def test_a_model_that_remembers_another_prompt_is_not_reused(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Qwen2-VL without the line that makes it forget: positions of the prompt in between leak into the conversation."""
    monkeypatch.setattr(Qwen2VL, "forget_prompt", lambda self, parts: None)
    vlm = own_bed.vlm("qwen2_vl")
    assert not vlm.fast.reuse
    assert any("No reuse across turns: results differ" in str(note) for note in vlm.fast.notes)


def test_packing_that_is_wrong_is_not_used(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = own_bed.vlm("llava_clip")
    right = scoring._tree_mask
    monkeypatch.setattr(scoring, "_tree_mask", lambda *args: right(*args) * 0)
    again(own_bed, vlm)
    assert vlm.fast.scoring == "expanded"
    assert any("Scoring is not packed: results differ" in str(note) for note in vlm.fast.notes)


def test_reading_that_is_wrong_makes_it_go_step_by_step(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = own_bed.vlm("llava_clip")
    right = scoring.extend
    monkeypatch.setattr(scoring, "extend", lambda model, tensors, ids: right(model, tensors, [i ^ 1 for i in ids]))
    again(own_bed, vlm)
    assert not vlm.fast.extend
    assert vlm.fast.scoring == "stepped"
    assert any("token by token" in str(note) for note in vlm.fast.notes)


def test_numbers_that_are_no_numbers_do_not_agree(own_bed: Bed) -> None:
    test = selftest._Test(own_bed.vlm("llava_clip"))
    ten = {i: float(i) for i in range(10)}
    assert test._agree("a", ten, dict(ten))
    assert test._agree("b", {i: float(i) for i in range(4, 12)}, ten), "the rarest may differ"
    for found in ({}, {3: float("nan")}, {**ten, 3: float("nan")}, {i: float(i) for i in range(7, 20)}, {**ten, 0: 0.002}):
        assert not test._agree("c", found, ten)


def test_what_was_tested_within_a_window_only_is_used_within_it(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = own_bed.vlm("llava_clip")
    assert vlm.window_tokens() is None
    for window, reach in ((20, None), (4096, 4096)):
        monkeypatch.setattr(vlm, "window_tokens", lambda window=window: window)
        again(own_bed, vlm)
        assert vlm.fast.reach == reach, "a prompt of more than 20 tokens was tested, none of more than 4096"


def test_a_checkpoint_that_cannot_answer_is_refused_with_the_reason(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = own_bed.vlm("llava_clip")

    def broken(*args: Any, **kwargs: Any) -> None:
        raise AttributeError("no such tower")

    monkeypatch.setattr(vlm.parts.model, "generate", broken)
    with pytest.raises(Unsupported, match=r"cannot answer a question about a picture: AttributeError: no such tower\. Choose"):
        again(own_bed, vlm)


def test_memory_that_runs_out_in_a_self_test_is_no_note(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = own_bed.vlm("llava_clip")

    def full(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(vlm.encoder_cache, "features", full)
    with pytest.raises(torch.OutOfMemoryError):
        again(own_bed, vlm)
