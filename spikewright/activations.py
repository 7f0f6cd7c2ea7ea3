"""Activations made for conversion, registered as operators so that capture sees one node each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


@torch.library.custom_op("spikewright::qcfs", mutates_args=())
def qcfs(x: Tensor, threshold: Tensor, levels: int) -> Tensor:
    """Quantization clip-floor-shift (Bu et al., ICLR 2022, arXiv 2303.04347).

        h(x) = lambda / L * clip(floor(x * L / lambda + 1/2), 0, L)

    Args:
        x: any shape, floating.
        threshold: lambda, a positive scalar tensor.
        levels: L, at least 1.

    Returns:
        Same shape and dtype as `x`.
    """
    return (x * (levels / threshold) + 0.5).floor().clamp(0, levels) * (threshold / levels)


@qcfs.register_fake
def _(x: Tensor, threshold: Tensor, levels: int) -> Tensor:
    return torch.empty_like(x)


def _remember(
    ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Any, ...], output: Tensor
) -> None:
    x, threshold, levels = inputs
    ctx.save_for_backward(x, threshold)
    ctx.levels = levels  # pyright: ignore[reportAttributeAccessIssue]


def _straight_through(
    ctx: torch.autograd.function.FunctionCtx, gradient: Tensor
) -> tuple[Tensor, Tensor, None]:
    """Gradients with the floor passed straight through, as autograd of the formula gives them.

    Inside the range dh/dx = 1, dh/dlambda = (h - x) / lambda; above it 0 and 1; below it 0 and 0.
    """
    x, threshold = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
    levels: int = ctx.levels  # pyright: ignore[reportAttributeAccessIssue]
    position = x * (levels / threshold) + 0.5
    inside = (position >= 0) & (position <= levels)
    output = position.floor().clamp(0, levels) / levels
    per_lambda = torch.where(inside, output - x / threshold, (position > levels).to(x.dtype))
    return gradient * inside, (gradient * per_lambda).sum().reshape(threshold.shape), None


qcfs.register_autograd(_straight_through, setup_context=_remember)


class QCFS(nn.Module):
    """The QCFS activation with a learned threshold, to train networks that convert without loss.

    Converted with `TwoPhase("nearest")`, `Learned()` thresholds and steps = levels, the spiking
    network computes the same function.

    Args:
        levels: L, quantisation levels above zero, at least 1.
        threshold: initial lambda, positive (the reference implementation starts at 8).

    Raises:
        ValueError: when levels or threshold is out of range.
    """

    def __init__(self, levels: int = 8, threshold: float = 8.0) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"QCFS needs at least 1 level, got {levels}")
        if not threshold > 0:
            raise ValueError(f"QCFS needs a positive threshold, got {threshold}")
        self.levels = levels
        self.threshold = nn.Parameter(torch.tensor(float(threshold)))

    def forward(self, x: Tensor) -> Tensor:
        """`h(x)`, elementwise; same shape and dtype."""
        return qcfs(x, self.threshold, self.levels)

    def extra_repr(self) -> str:
        return f"levels={self.levels}, threshold={self.threshold.item():.4g}"
