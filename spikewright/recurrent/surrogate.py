"""The gradient that a spike is given in training: that of three Gaussians around the threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class MultiGaussian:
    """A spike, 1 where the potential is above its threshold, with a gradient for backpropagation.

    With x the potential less the threshold and N(x; m, s) a normal density,

        ds/dx = gamma [(1 + h) N(x; 0, s) - h N(x; s, k s) - h N(x; -s, k s)]:

    a bump around the threshold, and below zero further off, so that silent neurons and those far
    above their threshold are moved, too.

    Args:
        gamma: the size of the gradient, above 0.
        width: s, above 0, in units of potential.
        height: h, at least 0: the share of the negative parts.
        spread: k, above 1: how much wider these are.

    Raises:
        ValueError: for a number out of its range.

    Source: Yin, Corradi, Bohte, Nature Machine Intelligence 2021, arXiv 2103.12593.

    Example:
        >>> x = torch.tensor([-1.0, 0.5], requires_grad=True)
        >>> MultiGaussian()(x).tolist()
        [0.0, 1.0]
    """

    gamma: float = 0.5
    width: float = 0.5
    height: float = 0.15
    spread: float = 6.0

    def __post_init__(self) -> None:
        ranges = {
            "gamma": (self.gamma > 0, "above 0"),
            "width": (self.width > 0, "above 0"),
            "height": (self.height >= 0, "at least 0"),
            "spread": (self.spread > 1, "above 1"),
        }
        for name, (fits, told) in ranges.items():
            if not (fits and math.isfinite(getattr(self, name))):
                raise ValueError(f"{name} must be {told} and finite, got {getattr(self, name)}")

    def __call__(self, distance: Tensor) -> Tensor:
        """Spikes, 0 or 1, of potentials less their thresholds; same shape and dtype."""
        spikes: Tensor = _Spike.apply(distance, self)
        return spikes

    def slope(self, distance: Tensor) -> Tensor:
        """The gradient ds/dx at every distance x from the threshold; same shape."""
        wide = self.spread * self.width
        sides = _normal(distance - self.width, wide) + _normal(distance + self.width, wide)
        middle = _normal(distance, self.width)
        return self.gamma * ((1 + self.height) * middle - self.height * sides)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, distance: Tensor, surrogate: MultiGaussian) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.surrogate = surrogate
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        return grad_outputs[0] * ctx.surrogate.slope(distance), None


def _normal(x: Tensor, width: float) -> Tensor:
    return torch.exp(-0.5 * (x / width) ** 2) / (width * math.sqrt(2 * math.pi))
