"""What every neuron is: a small description that starts dynamics, and sometimes has a count law."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.neurons.counter_random import Draws, Fuse, StepDraws, unfused


@dataclass(frozen=True)
class Layer:
    """One layer of neurons about to run.

    Attributes:
        threshold: theta, positive, broadcastable to `[B, *S]`.
        levels: T, the largest count a neuron can emit.
        draws: the layer's random numbers.
        fuse: applied to the time loops of the dynamics.
        potential: charge that neurons hold before the first step, on top of their own v0; in the
            unit of the threshold, broadcastable to `[B, *S]`. Neurons with a count law
            are given it as a current of 1/T of it instead, which is the same to them.
    """

    threshold: Tensor
    levels: int
    draws: Draws
    fuse: Fuse = unfused
    potential: Tensor | float = 0.0


@dataclass(frozen=True)
class LayerLaw:
    """What a count law needs of its layer, all as tensors, so that it compiles once for every T.

    Attributes:
        levels: T, a scalar.
        draws: the layer's random numbers for rounding.
        law: `count_law.table(T)`.
    """

    levels: Tensor
    draws: StepDraws
    law: Tensor


StepFunction = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Dynamics(ABC):
    """A layer of neurons while it runs; its state lives here and nowhere else.

    Currents arrive and spikes leave step by step, in chunks `[t, B, *S]` of any length: cutting a
    run into other chunks does not change a bit of it.
    """

    @property
    @abstractmethod
    def residual(self) -> Tensor:
        """The charge taken in and not yet sent, in units of the threshold, `[B, *S]`."""


class StreamingDynamics(Dynamics):
    """A one-phase neuron: it emits while it integrates."""

    @abstractmethod
    def advance(self, current: Tensor) -> Tensor:
        """Take the next `[t, B, *S]` of current and return the spikes of the same steps."""


class WaitingDynamics(Dynamics):
    """A neuron that emits only when all of its input has arrived."""

    @abstractmethod
    def absorb(self, current: Tensor, weights: Tensor) -> None:
        """Take the next `[t, B, *S]` of current; `weights` `[t]` are the steps' weights.

        The weights of a window add up to T, so the weighted sum is T times the mean current.
        """

    @abstractmethod
    def rewind(self) -> None:
        """Make the next `emit` start at the first step again; the train it gives is the same."""

    @abstractmethod
    def emit(self, steps: int) -> Tensor:
        """The spikes of the next `steps` steps, `[steps, B, *S]`, 0 or 1."""


class Neuron(ABC):
    """A kind of spiking neuron: configuration only, no state.

    The value a train carries is `theta / T * sum_t weight[t] * spike[t]`, where the weights of the
    neuron's code are 1 for rate codes (see `step_weights`).
    """

    @property
    @abstractmethod
    def label(self) -> str:
        """A short name for tables."""

    @property
    @abstractmethod
    def waits(self) -> bool:
        """Whether it emits only after the whole of its input has arrived (two-phase)."""

    @property
    @abstractmethod
    def stochastic(self) -> bool:
        """Whether its spike count depends on the seed."""

    @property
    def has_count_law(self) -> bool:
        """Whether its count is a function of its total charge alone, so `count` may be called."""
        return False

    @property
    def reads_law(self) -> bool:
        """Whether its count law reads the table of the TPP law."""
        return False

    @property
    def rehearsal(self) -> int:
        """Time steps run before the T that count; their spikes weigh nothing, and cost as much."""
        return 0

    @abstractmethod
    def expected_count(self, charge: Tensor, levels: int) -> tuple[Tensor, Tensor]:
        """Mean and variance of the count when the charge arrives evenly in time.

        This is what thresholds are fitted to.

        Args:
            charge: `x = T * mean current / theta`, any shape, at least 0.
            levels: T.

        Returns:
            Mean and variance of the count, each of the shape of `charge`.
        """

    @abstractmethod
    def start(self, layer: Layer) -> WaitingDynamics | StreamingDynamics:
        """Fresh dynamics of a layer of these neurons: the step-wise reference."""

    @property
    def one_step(self) -> StepFunction | None:
        """One time step as a pure function of one state, for neurons that have one.

        It maps (potential `[B, *S]`, current `[B, *S]`, theta) to (spikes, new potential). Repeated
        from `initial`, it does what `start` does.
        """
        return None

    def initial(self, layer: Layer) -> tuple[Tensor, Tensor]:
        """For neurons with `one_step`: the first potential, and an offset of every current."""
        raise TypeError(f"{self.label} has no step that is a function of its potential alone")

    def count(self, charge: Tensor, layer: Layer | LayerLaw) -> Tensor:
        """Spike counts from total charge alone: the count law.

        Args:
            charge: `x = T * mean current / theta`, `[B, *S]`.
            layer: threshold, T and draws.

        Returns:
            Counts 0..T, floating, `[B, *S]`.
        """
        raise TypeError(f"{self.label} has no count law: its count depends on the order of spikes")

    def duration(self, levels: int) -> int:
        """Time steps a window of T = `levels` takes."""
        return levels

    def step_weights(self, levels: int) -> Tensor:
        """What a spike at each step counts for, float64 `[duration]`: ones for rate codes."""
        return torch.ones(self.duration(levels), dtype=torch.float64)

    def spikes_of(self, count: Tensor) -> Tensor:
        """Spikes that carry a count."""
        return count
