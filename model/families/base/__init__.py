"""What a family file says: which models it answers for, how they are asked, where their visual tokens look."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ...errors import Unsupported
from ...geometry.grid import ImageGrid
from ...late import Pretrained, torch
from ...memory import ByteCache
from ...prompt import Prompt

PICTURE_BYTES = 64 * 2**20


class Capability(str, Enum):
    """What a checkpoint can be used for. Panels say which they need."""

    GENERATE = "generate"
    GRID = "grid"
    MULTI_IMAGE = "multi_image"
    ATTENTION = "attention"
    GRADIENTS = "gradients"


FULL = frozenset(Capability)
"""All of it: what a family can be used for whose visual tokens are placed and whose layers are reached."""
LLAVA_PATHS = {
    "vision": "model.vision_tower", "connector": "model.multi_modal_projector",
    "layers": "model.language_model.layers", "norm": "model.language_model.norm", "head": "lm_head",
}  # fmt: skip
"""`Family.paths` of the architectures transformers builds like LLaVA."""
IDEFICS_PATHS = {
    "vision": "model.vision_model", "connector": "model.connector",
    "layers": "model.text_model.layers", "norm": "model.text_model.norm", "head": "lm_head",
}  # fmt: skip
"""`Family.paths` of those it builds like Idefics."""


@dataclass
class Parts:
    """A loaded checkpoint, in pieces."""

    model: Pretrained
    tokenizer: Any
    image_processor: Any
    processor: Any | None
    chat_template: str | None
    device: torch.device
    dtype: torch.dtype
    control: re.Pattern[str] | None = None
    """Spellings of the tokens that structure a conversation, as `chat_text.control_tokens` finds them."""
    pictures: ByteCache[dict[str, torch.Tensor]] = field(default_factory=lambda: ByteCache(PICTURE_BYTES))
    """What the image processor made of pictures lately, by their id."""
    warnings: tuple[str, ...] = ()
    """What is wrong with the checkpoint's files, though it loaded."""
    asides: tuple[str, ...] = ()
    """What its files ask for and is not done, with the reason."""

    @property
    def config(self) -> Any:
        return self.model.config

    @cached_property
    def image_token_id(self) -> int | None:
        settings = self.model.config.to_dict()
        return settings.get("image_token_id", settings.get("image_token_index"))


@dataclass(frozen=True)
class ImageInput:
    """One picture's share of the inputs. `tensors` are what `get_image_features` takes for it alone.

    A family that cannot take pictures apart gives one for all `pictures` together.
    """

    id: str
    tensors: Mapping[str, torch.Tensor]
    tokens: int
    pictures: int = 1


@dataclass
class Inputs:
    """What a prompt becomes.

    `tensors` is exactly what `model(**tensors)` takes, on the model's device. `ids` are the prompt's
    token ids. `visual` int64 [T] are the positions of the visual tokens in `ids`. `images` are the
    pictures one by one; empty where there are none, or none can be encoded apart from the text.
    `pixel_names` are the tensors that encoder outputs can stand in for. `pictures` counts those of the prompt.
    """

    tensors: dict[str, torch.Tensor]
    ids: list[int]
    visual: np.ndarray
    grid: ImageGrid | None
    images: tuple[ImageInput, ...] = ()
    pixel_names: tuple[str, ...] = ("pixel_values",)
    pictures: int = 0


@dataclass(frozen=True)
class SeenPicture:
    """One picture as it entered the encoder. `pixels` uint8 [H, W, 3]; `box` is what it shows of source `image`."""

    pixels: np.ndarray
    image: int
    name: str
    box: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class TowerPlaces:
    """Where the visual tokens of one picture, or of one tile of it, come from in the vision tower.

    `tokens` int64 [n], ascending, index the prompt's visual tokens; `positions` int64 [n, p] are the p patches of each
    in the sequence the tower runs over what it is shown. `picture` counts the prompt's pictures. When the tower takes
    all of them at once, that sequence is sample `sample` of its batch and begins at `offset`.
    """

    tokens: np.ndarray
    positions: np.ndarray
    picture: int = 0
    sample: int = 0
    offset: int = 0


class Family(ABC):
    """How one family of checkpoints is asked and looked into. One file, no state."""

    slug: ClassVar[str]
    title: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]] = ()
    capabilities: ClassVar[frozenset[Capability]]
    limits: ClassVar[str] = ""
    """One sentence on what cannot be done and why, shown beside the badges. Empty where all can."""
    paths: ClassVar[Mapping[str, str]] = {}
    """Role -> dotted module path: "vision", "connector", "layers", "norm", "head"."""

    def answers_for(self, config: Mapping[str, Any]) -> bool:
        """Whether this file is the one for a checkpoint with this config.json."""
        return config.get("model_type") in self.model_types

    @abstractmethod
    def inputs(self, parts: Parts, prompt: Prompt) -> Inputs:
        """The prompt as tensors, with the geometry of its visual tokens. Raises PromptError."""

    @abstractmethod
    def seen(self, parts: Parts, inputs: Inputs) -> list[SeenPicture]:
        """Every picture, crop or tile as the encoder got it, un-normalised."""

    def positions(self, parts: Parts, inputs: Inputs, start: int, depths: torch.Tensor) -> torch.Tensor:
        """Position ids of tokens that follow the first `start` tokens of a prompt, at these depths. int64 [S] -> [1, S]."""
        return (start + depths)[None]

    def forget_prompt(self, parts: Parts) -> None:
        """Make the model let go of what it keeps, outside keys and values, of the prompt before. Most keep nothing."""
        return None

    def tower_places(self, parts: Parts, inputs: Inputs) -> list[TowerPlaces]:
        """For each picture, or each of its tiles, which patches of the tower its visual tokens stand for.

        In order of the tower's samples. A token that no patch stands for, a line break, is in none. Raises Unsupported
        where it is not known.
        """
        raise Unsupported(f"It is not known which patches of its tower the visual tokens of {self.title} stand for.")
