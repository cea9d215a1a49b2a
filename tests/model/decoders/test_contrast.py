"""A decoder may read the prompt in a second way at every step: the answer itself is written as if it had not."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from bed import Bed
from fakes import picture

from model.decoders.base import Decoder, Number, number
from model.events import Token
from model.families.base import Inputs, Parts
from model.generation.vlm import VisionLanguageModel
from model.options import Options
from model.prompt import ask

if TYPE_CHECKING:
    from model.decoders.base import Step

LENGTH = 6


def without_pictures(inputs: Inputs) -> torch.Tensor:
    """The prompt's token ids less the visual ones. int64 [1, N - T]."""
    return torch.tensor([[id for at, id in enumerate(inputs.ids) if at not in set(inputs.visual.tolist())]])


def read(parts: Parts, ids: torch.Tensor, **pictures: torch.Tensor) -> torch.Tensor:
    """Logits of the token after these. float32 [1, V]."""
    with torch.inference_mode():
        return parts.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **pictures).logits[:, -1].float()


@dataclass(frozen=True)
class Contrast(Decoder):
    """The scores less what the text alone would say."""

    slug: ClassVar[str] = "contrast"
    title: ClassVar[str] = "Contrast"
    says: ClassVar[str] = "Takes what the picture makes likelier."
    paper: ClassVar[str] = "No paper: a test."

    weight: float = number(Number("Weight", 1.0, 0.0, 4.0, 0.1, "Weight: of what the text alone says."))

    @property
    def sampled(self) -> bool:
        return False

    def begin(self, parts: Parts, inputs: Inputs) -> Step:
        said, start = without_pictures(inputs), len(inputs.ids)

        def step(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            return (1 + self.weight) * scores - self.weight * read(parts, torch.cat([said, ids[:, start:]], -1))

        return step


def answered(vlm: VisionLanguageModel, inputs_of: Any, options: Options) -> list[Token]:
    found: list[Any] = []
    vlm.answer(found.append, threading.Event(), "run", inputs_of, options)
    return [event for event in found if isinstance(event, Token)]


def longer(value: torch.Tensor, length: int, more: int) -> torch.Tensor:
    """A tensor of the prompt with as many zeros behind; what has no value for each token stays."""
    return torch.nn.functional.pad(value, (0, more)) if value.shape == (1, length) else value


@pytest.mark.parametrize("name", ["llava_clip", "qwen2_vl"])
def test_two_readings_are_contrasted_and_do_not_disturb_each_other(name: str, bed: Bed) -> None:
    """The same tokens and log-probabilities as reading everything anew at every step, both ways."""
    vlm, prompt = bed.vlm(name), ask("hello there", picture(1, (140, 100)))
    tokens = answered(vlm, prompt, Options(LENGTH, Contrast(2.0)))
    inputs = vlm.prepare(prompt)
    pictures = {key: value for key, value in inputs.tensors.items() if key not in ("input_ids", "attention_mask")}
    said, written = without_pictures(inputs), inputs.tensors["input_ids"]
    for token in tokens:
        vlm.family.forget_prompt(vlm.parts)
        more = written.shape[1] - len(inputs.ids)
        seen = read(vlm.parts, written, **{key: longer(value, len(inputs.ids), more) for key, value in pictures.items()})
        vlm.family.forget_prompt(vlm.parts)
        alone = read(vlm.parts, said)
        assert token.id == int((3 * seen - 2 * alone)[0].argmax())
        assert token.logprob == pytest.approx(float(torch.log_softmax(seen[0], -1)[token.id]), abs=1e-4)
        written, said = (torch.cat([ids, torch.tensor([[token.id]])], -1) for ids in (written, said))
    assert len(tokens) == LENGTH
    plain = answered(vlm, prompt, Options(LENGTH))
    assert [token.id for token in tokens] != [token.id for token in plain]
