"""The adaptive leaky integrate-and-fire neuron: one time step, state in and state out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from spikewright.recurrent.leaky import leaky_step
from spikewright.recurrent.surrogate import MultiGaussian


class State(NamedTuple):
    """What neurons remember from one time step to the next, `[B, H]` each.

    Attributes:
        potential: u.
        adaptation: b, in 0 .. 1: a running mean of the neuron's own spikes.
        spikes: s, 0 or 1, of the last step.
    """

    potential: Tensor
    adaptation: Tensor
    spikes: Tensor


@dataclass(frozen=True)
class ALIF:
    """A leaky integrate-and-fire neuron whose threshold rises with its own spikes.

    Time is counted in steps. Every neuron has time constants of its own, and they are trained:

        alpha = exp(-1 / tau),  rho = exp(-1 / tau_adaptation)
        b <- rho b + (1 - rho) s,     theta = threshold + beta b
        u <- alpha u + (1 - alpha) I - theta s
        s <- 1 where u > theta, else 0

    Args:
        threshold: of a neuron that has long been silent, above 0.
        beta: how far spikes raise the threshold, at least 0. With 0 it is a LIF neuron, which has
            no adaptation and no second time constant.
        time_constant: mean and standard deviation of the normal distribution that the first tau are
            drawn from, in time steps; the mean above 0. Draws below 1 are raised to it.
        adaptation_time_constant: the same of tau_adaptation. Default: 150 and 10; LIF has none.
        surrogate: the gradient of a spike.

    Raises:
        ValueError: for a number out of its range, or adaptation_time_constant without adaptation.

    Source: Yin, Corradi, Bohte, Nature Machine Intelligence 2021, arXiv 2103.12593. Departure: the
    logarithm of a time constant is trained, so that it stays above 0.

    Example:
        >>> ALIF(beta=0.0).adapts
        False
    """

    threshold: float = 0.01
    beta: float = 1.8
    time_constant: tuple[float, float] = (20.0, 5.0)
    adaptation_time_constant: tuple[float, float] | None = None
    surrogate: MultiGaussian = field(default_factory=MultiGaussian)

    def __post_init__(self) -> None:
        if not 0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be above 0 and finite, got {self.threshold}")
        if not 0 <= self.beta < math.inf:
            raise ValueError(f"beta must be at least 0 and finite, got {self.beta}")
        if self.adaptation_time_constant is not None and not self.adapts:
            raise ValueError(
                "adaptation_time_constant has no effect with beta=0, where the threshold stays; "
                "leave it out"
            )
        for name in ("time_constant", "adaptation_time_constant"):
            drawn = getattr(self, name)
            if drawn is not None and not (0 < drawn[0] < math.inf and 0 <= drawn[1] < math.inf):
                raise ValueError(
                    f"{name} is a mean above 0 and a standard deviation of at least 0, got {drawn}"
                )

    @property
    def adapts(self) -> bool:
        """Whether spikes raise the threshold."""
        return self.beta > 0

    @property
    def drawn_adaptation(self) -> tuple[float, float]:
        """Mean and standard deviation of the first tau_adaptation."""
        return self.adaptation_time_constant or (150.0, 10.0)

    def start(self, batch: int, units: int, like: Tensor) -> State:
        """Neurons at rest that have sent nothing: `[B, H]`, in the dtype of another tensor."""
        nothing = like.new_zeros(batch, units)
        return State(nothing, nothing, nothing)

    def step(
        self,
        current: Tensor,
        state: State,
        alpha: Tensor,
        rho: Tensor | None,
        spike: Callable[[Tensor], Tensor] | None = None,
    ) -> State:
        """One time step.

        Args:
            current: I `[B, H]`.
            state: of the step before.
            alpha: `[H]`, in 0 .. 1.
            rho: `[H]`, in 0 .. 1; None without adaptation.
            spike: of the distance from the threshold; by default the surrogate's.

        Returns:
            The state after this step, with its spikes.
        """
        u, b, s = state
        theta: Tensor | float = self.threshold
        if rho is not None:
            b = rho * b + (1 - rho) * s
            theta = self.threshold + self.beta * b
        u = leaky_step(u, s, current, alpha, theta)
        return State(u, b, (spike or self.surrogate)(u - theta))


def decay(log_tau: Tensor) -> Tensor:
    """What is left after one time step, `exp(-1 / tau)`, from the logarithm of tau in steps."""
    return torch.exp(-torch.exp(-log_tau))


def first_log_tau(units: int, drawn: tuple[float, float]) -> Tensor:
    """The logarithms `[H]` of time constants drawn from a normal distribution, at least 1 step."""
    mean, deviation = drawn
    return (mean + deviation * torch.randn(units)).clamp(min=1.0).log()
