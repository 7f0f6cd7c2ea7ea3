"""A layer of neurons about to run, as its neurons see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from spikewright.neurons.counter_random import Draws, Fuse, StepDraws, unfused


@dataclass(frozen=True)
class Layer:
    """One layer of neurons about to run.

    Attributes:
        threshold: theta, positive, broadcastable to `[B, *S]`.
        steps: T, the time steps of a window; how far a neuron counts in it is its own `levels(T)`.
        draws: the layer's random numbers.
        fuse: applied to the time loops of the dynamics.
        potential: charge that neurons hold before the first step, on top of their own v0; in the
            unit of the threshold, broadcastable to `[B, *S]`. Neurons with a count law
            are given it as a current of 1/T of it instead, which is the same to them.
        function: what neurons round, from the mean current, both in the unit of the threshold; None
            for the current itself.
        signed: whether counts run from -L to L, and not from 0.
    """

    threshold: Tensor
    steps: int
    draws: Draws
    fuse: Fuse = unfused
    potential: Tensor | float = 0.0
    function: Callable[[Tensor], Tensor] | None = None
    signed: bool = False


@dataclass(frozen=True)
class LayerLaw:
    """What a count law needs of its layer, all as tensors, so that it compiles once for every T.

    Attributes:
        levels: L, the largest count, a scalar.
        draws: the layer's random numbers for rounding.
        law: `count_law.draw_table(L)`, where the neuron reads it.
        signed: whether counts run from -L to L, and not from 0.
        steps: T, for neurons that read it (`Neuron.reads_steps`), which compile for each.
    """

    levels: Tensor
    draws: StepDraws
    law: Tensor
    signed: bool = False
    steps: int = 0
