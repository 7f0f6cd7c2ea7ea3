"""Stochastic firing: a neuron near its threshold spikes with a probability."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor


class Escape(StrEnum):
    """How the probability of a spike grows with the potential; z is its distance / width."""

    LOGISTIC = "logistic"
    """`1 / (1 + exp(-z))`: one half at the threshold."""
    EXPONENTIAL = "exponential"
    """`1 - exp(-exp(z))`: of a hazard that grows exponentially and is one a step at threshold."""


@dataclass(frozen=True)
class EscapeNoise:
    """A neuron that spikes at every step with a probability of its distance from the threshold.

    With z = (u - theta) / width, `P(s = 1) = escape(z)`. Backward, a spike has the gradient of its
    probability: what the mean over all draws has. The narrower, the nearer to a threshold.

    Args:
        width: above 0, in units of potential. For no noise take a surrogate in place of this.
        escape: "logistic" or "exponential".

    Raises:
        ValueError: for a width that is not above 0 and finite, or another escape.

    Source: Gerstner, Kistler, Naud and Paninski, Neuronal Dynamics, 2014, section 9.1; stochastic
    neurons in Zhang et al., arXiv 2207.04876.

    Example:
        >>> EscapeNoise(0.5).probability(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([0.1192, 0.5000, 0.8808])
    """

    width: float
    escape: Escape | str = Escape.LOGISTIC

    def __post_init__(self) -> None:
        if not 0 < self.width < math.inf:
            raise ValueError(
                f"width must be above 0 and finite, got {self.width}; a neuron without noise has "
                "firing=MultiGaussian()"
            )
        if self.escape not in list(Escape):
            raise ValueError(f"escape is {' or '.join(Escape)}, got {self.escape!r}")

    def probability(self, distance: Tensor) -> Tensor:
        """P(s = 1) for potentials less their thresholds; same shape and dtype."""
        z = distance / self.width
        if self.escape == Escape.LOGISTIC:
            return torch.sigmoid(z)
        return -torch.expm1(-torch.exp(z.clamp(max=LARGEST_EXPONENT)))

    def slope(self, distance: Tensor) -> Tensor:
        """The gradient dP / du at every distance from the threshold; same shape."""
        z = distance / self.width
        if self.escape == Escape.LOGISTIC:
            p = torch.sigmoid(z)
            return p * (1 - p) / self.width
        return torch.exp(z - torch.exp(z)) / self.width

    def spikes(self, distance: Tensor, draw: Tensor) -> Tensor:
        """Spikes, 0 or 1, for draws that are uniform in `[0, 1)`; all of one shape."""
        sent: Tensor = _Drawn.apply(self.probability(distance), draw)
        return sent


LARGEST_EXPONENT = 10.0
"""exp(10) spikes a step are certain in any precision, and have a gradient of 0 in place of NaN."""


class _Drawn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, probability: Tensor, draw: Tensor) -> Tensor:
        return (draw < probability).to(probability.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return grad_outputs[0], None
