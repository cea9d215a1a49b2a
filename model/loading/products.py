"""Linear layers of a float32 checkpoint on a CPU, multiplied through oneDNN.

PyTorch gives them to MKL, which takes half of what an AMD processor can do: 105 GFLOP/s of one core against 245. Few rows
stay with MKL, whose calls cost less, and so does a layer that is trained. oneDNN makes and keeps code of 0.7 MB for every
number of rows it meets, so it gets whole blocks, and MKL what is left over.
"""

from __future__ import annotations

import functools
from typing import Any

from ..late import torch

BLOCK_ROWS, LARGE_ROWS = 128, 4096
"""Rows of a block; from so many rows on blocks are as large as that."""


def quicken(model: torch.nn.Module) -> None:
    """Have a model's linear layers multiply through oneDNN where PyTorch has it. Results differ by rounding."""
    if not torch.backends.mkldnn.is_available():
        return
    for module in model.modules():
        if type(module) is torch.nn.Linear and module.weight.dtype == torch.float32 and module.weight.is_cpu:
            module.__class__ = quick_linear()  # not a replaced method, which a copy of the layer would share


@functools.cache
def quick_linear() -> type[torch.nn.Linear]:
    """`torch.nn.Linear` with its product through oneDNN."""

    def product(states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        rows = states.reshape(-1, states.shape[-1])
        block = BLOCK_ROWS if len(rows) < LARGE_ROWS else LARGE_ROWS
        whole = len(rows) // block * block
        found = torch.ops.mkldnn._linear_pointwise(rows[:whole], weight, bias, "none", [], "")
        if whole < len(rows):
            found = torch.cat([found, torch.nn.functional.linear(rows[whole:], weight, bias)])
        return found.view(*states.shape[:-1], len(weight))

    class Product(torch.autograd.Function):
        """The product with a gradient for its rows alone."""

        @staticmethod
        def forward(ctx: Any, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
            ctx.weight = weight
            return product(rows, weight, bias)

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
            return product(grad.contiguous(), ctx.weight.t().contiguous(), None), None, None

    class QuickLinear(torch.nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            float32 = input.dtype == self.weight.dtype == torch.float32 and input.is_cpu
            if not float32 or self.weight.requires_grad or input.numel() < BLOCK_ROWS * self.in_features:
                return super().forward(input)
            rows = input.contiguous()
            if torch.is_grad_enabled() and rows.requires_grad:
                return Product.apply(rows, self.weight, self.bias)
            return product(rows, self.weight, self.bias)

    return QuickLinear
