"""A decoder without what it learned: its layers drawn anew, and put back afterwards.

Maps of a model and of its random twin must differ (Adebayo et al. 1810.03292): a map that stays shows the picture or
the architecture, not what the model does with the picture.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from model.generation.vlm import VisionLanguageModel
from model.internals.roles import decoder_layers, prefixes
from model.late import torch, without_gradients


@contextmanager
def random_decoder(vlm: VisionLanguageModel, seed: int = 0) -> Iterator[None]:
    """While open, copies of the decoder's layers with random weights stand in for them. The layers themselves are not touched.

    Matrices are drawn from the normal distribution the config names for a new model, vectors of scale are 1, biases 0.
    The tower, the connector, embeddings and output matrix stay. On the model thread; no other call may come between.
    """
    model = vlm.parts.model
    names = decoder_layers(model, prefixes(vlm.family, vlm.parts))
    trained = {name: model.get_submodule(name) for name in names}
    deviation = float(vlm.parts.config.get_text_config(decoder=True).to_dict().get("initializer_range", 0.02))
    random = torch.Generator().manual_seed(seed)
    try:
        for name, layer in trained.items():
            model.set_submodule(name, _redrawn(layer, deviation, random))
        yield
    finally:
        for name, layer in trained.items():
            model.set_submodule(name, layer)


@without_gradients
def _redrawn(layer: torch.nn.Module, deviation: float, random: torch.Generator) -> torch.nn.Module:
    configs = {id(config): config for module in layer.modules() if (config := vars(module).get("config")) is not None}
    twin = copy.deepcopy(layer, configs)  # configs stay shared: they say through which attention function the model goes
    for name, weight in twin.named_parameters():
        if weight.ndim >= 2:
            weight.copy_(torch.randn(weight.shape, generator=random) * deviation)
        else:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
    return twin
