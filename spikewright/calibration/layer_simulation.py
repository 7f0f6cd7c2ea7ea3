"""One layer after the other, each over its whole window at once: what corrections are measured on.

The engines run a finished network and never hold a whole train. A correction must be settled before
the next layer may run, so here every value of a window lies in memory, `[D * B, *S]` with D steps.
Neurons with a count law take their count from their mean current, and D is 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.graph.evaluate import apply, evaluate
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.neurons import Draws, Layer, Neuron, StreamingDynamics, sample_ids_of

MEMORY = 2 << 30
"""Bytes that the values of a simulation may take, roughly."""


@dataclass(frozen=True)
class LayerSimulation:
    """A network of one kind of neuron at one T, on the same samples at every step.

    Attributes:
        graph: scales not folded.
        neuron: at every site.
        steps: T.
        samples: `[B, *S]`.
        seed: of the draws.
    """

    graph: Graph
    neuron: Neuron
    steps: int
    samples: Tensor
    seed: int

    @property
    def duration(self) -> int:
        """D, the steps whose values are held."""
        return 1 if self.neuron.has_count_law else self.neuron.duration(self.steps)

    def run(self, layer: Callable[[Operation, Tensor], Tensor]) -> None:
        """Run the network; `layer` gets each site's current `[D, B, *S]` and gives its trains."""
        together = (self.duration, len(self.samples))

        def spiking(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
            (current,) = inputs
            return layer(op, current.unflatten(0, together)).flatten(0, 1)

        def pooled(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
            trains = tuple(each.unflatten(0, together) for each in inputs)
            return self._pooled(op, trains).flatten(0, 1)

        repeated = self.samples.repeat(self.duration, *[1] * (self.samples.ndim - 1))
        evaluate(self.graph, repeated, {Kind.UNIT: spiking, Kind.MAX: pooled})

    def trains(
        self, site: str, current: Tensor, theta: Tensor, potential: Tensor | float
    ) -> Tensor:
        """What a layer sends.

        Args:
            site: its name.
            current: `[D, B, *S]`.
            theta: broadcastable to `[B, *S]`.
            potential: charge before the first step, broadcastable too.

        Returns:
            `[D, B, *S]`: a spike is worth theta.
        """
        draws = Draws.of(self.seed, site, sample_ids_of(self.samples))
        layer = Layer(theta, self.steps, draws, potential=potential)
        if self.neuron.has_count_law:
            levels = self.neuron.levels(self.steps)
            charge = (current[0] * levels + potential * (levels / self.steps)) / theta
            return (self.neuron.count(charge, layer) * (theta / levels))[None]
        dynamics = self.neuron.start(layer)
        if isinstance(dynamics, StreamingDynamics):
            return dynamics.advance(current) * theta
        dynamics.absorb(current, self.neuron.step_weights(self.steps))
        dynamics.rewind()
        return dynamics.emit(self.duration) * theta

    def mean(self, trains: Tensor) -> Tensor:
        """The mean over the steps that count, `[B, *S]`."""
        return trains[self._rehearsal :].mean(dim=0)

    @property
    def _rehearsal(self) -> int:
        return 0 if self.neuron.has_count_law else self.neuron.rehearsal

    def _pooled(self, op: Operation, trains: tuple[Tensor, ...]) -> Tensor:
        """A maximum as the rise of the largest sum, a rehearsal apart from the rest."""
        rehearsed = tuple(train[: self._rehearsal] for train in trains)
        counted = tuple(train[self._rehearsal :] for train in trains)
        parts = (rehearsed, counted)
        return torch.cat([self._rises(op, part) for part in parts if len(part[0])])

    def _rises(self, op: Operation, trains: tuple[Tensor, ...]) -> Tensor:
        sums = [train.cumsum(dim=0).flatten(0, 1) for train in trains]
        highest: Tensor = apply(op, sums, self.graph.tensors)
        highest = highest.unflatten(0, trains[0].shape[:2])
        return torch.cat([highest[:1], highest[1:] - highest[:-1]])


def spread_samples(
    graph: Graph, neuron: Neuron, steps: int, samples: Tensor, most: int, memory: int = MEMORY
) -> Tensor:
    """As many samples as a simulation may hold, evenly spread over those given.

    Args:
        graph: of the network.
        neuron: at every site.
        steps: T.
        samples: `[N, *S]`.
        most: at most so many, where time steps must be held.
        memory: bytes.

    Returns:
        `[B, *S]`; all of them for neurons with a count law.
    """
    if neuron.has_count_law:
        return samples
    largest = max(math.prod(op.shape) for op in graph.operations)
    each = 6 * largest * neuron.duration(steps) * samples.element_size()
    number = min(len(samples), most, max(1, memory // each))
    chosen = torch.linspace(0, len(samples) - 1, number).round().long()
    return samples[chosen.to(samples.device)]
