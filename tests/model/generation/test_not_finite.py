"""Numbers that are not finite: refused at load where every answer has them, an end of the answer where one runs into them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fakes import Remembering, finished, picture, tokens
from safetensors.torch import load_file, save_file

from model.checkpoint import parse_spec
from model.core import Core
from model.errors import BrokenCheckpoint
from model.generation.hooks import Chooser, NotFinite
from model.options import Options
from model.prompt import ask

Spoil = Callable[[dict[str, torch.Tensor]], object]


@pytest.fixture
def spoiled(folder_of: Callable[[str], Path], tmp_path: Path) -> Callable[[Spoil], Path]:
    def make(spoil: Spoil) -> Path:
        folder = shutil.copytree(folder_of("llava_clip"), tmp_path / "mine")
        tensors = load_file(folder / "model.safetensors")
        spoil(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return folder

    return make


def one(tensors: dict[str, torch.Tensor], part: str) -> torch.Tensor:
    return next(value for name, value in tensors.items() if part in name)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["layers.1.mlp.up", "lm_head", "multi_modal_projector.linear_1.weight", "norm.weight"])
def test_weights_that_give_no_finite_number_are_refused(value: float, part: str, spoiled: Callable[[Spoil], Path]) -> None:
    folder = spoiled(lambda tensors: one(tensors, part).view(-1)[:1].fill_(value))
    with pytest.raises(BrokenCheckpoint, match=r"mine gives scores that are not finite .* Its weights hold such numbers, or"):
        list(Core().load(parse_spec(str(folder))))


def test_float16_that_overflows_names_the_cure(spoiled: Callable[[Spoil], Path]) -> None:
    folder = spoiled(lambda tensors: one(tensors, "layers.1.mlp.down").fill_(60_000.0))
    with pytest.raises(BrokenCheckpoint, match="float16 is too small for this checkpoint: write :bfloat16 or :float32"):
        list(Core().load(parse_spec(f"{folder}:float16")))
    list(Core().load(parse_spec(f"{folder}:float32")))


def test_an_answer_ends_where_its_numbers_do_and_says_so(
    spoiled: Callable[[Spoil], Path], folder_of: Callable[[str], Path]
) -> None:
    """One word of the vocabulary is NaN. What was said before it stays; what comes after is not made up."""
    core = Core()
    whole = finished(list(core.generate(parse_spec(str(folder_of("llava_clip"))), ask("Is it?", picture()), Options(6))))
    said = tokens(list(core.generate(parse_spec(str(folder_of("llava_clip"))), ask("Is it?", picture()), Options(6))))
    bad = said[2].id
    assert bad not in [token.id for token in said[:2]]
    assert (whole.reason, whole.warnings) == ("length", ())
    folder = spoiled(lambda tensors: tensors[next(k for k in tensors if "embed_tokens" in k)][bad].fill_(float("nan")))
    recorder = Remembering()
    core = Core(recorder)
    events = list(core.generate(parse_spec(str(folder)), ask("Is it?", picture()), Options(6), session="talk"))
    assert [token.id for token in tokens(events)] == [token.id for token in said[:3]]
    end = finished(events)
    assert (end.reason, end.new_tokens) == ("not_finite", 3)
    assert end.warnings == (
        "The answer ends where the scores of the next token are not finite. Its weights hold such numbers, or it overflows: "
        "take another checkpoint, or its files from another place.",
    )
    [call] = recorder.ends
    assert (call.status, call.reason, call.warnings) == ("done", "not_finite", end.warnings)
    again = finished(list(core.generate(parse_spec(str(folder)), ask("Is it?", picture()), Options(2), session="talk")))
    assert (again.reason, again.text) == ("length", "".join(token.text for token in said[:2]))  # nothing of it is reused


@pytest.mark.parametrize(
    ("scores", "finite"),
    [
        ([0.0, 1.0, -torch.inf], True),
        ([0.0, torch.nan, -torch.inf], False),
        ([0.0, torch.inf, 1.0], False),
        ([-torch.inf] * 3, False),
    ],
)
def test_what_is_suppressed_is_minus_infinity_and_no_fault(scores: list[float], finite: bool) -> None:
    chooser = Chooser(Options(), lambda ids, given: given, torch.device("cpu"), lambda: None)
    if finite:
        chooser(torch.zeros(1, 1, dtype=torch.long), torch.tensor([scores]))
        assert chooser.choice is not None
        assert chooser.choice.id == 1
    else:
        with pytest.raises(NotFinite):
            chooser(torch.zeros(1, 1, dtype=torch.long), torch.tensor([scores]))
