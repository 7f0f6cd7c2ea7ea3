"""What an engine runs: a scale-folded graph with its neurons, at one T."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.graph.ir import Graph, Operation
from spikewright.neurons import Draws, Layer, Neuron


@dataclass(frozen=True)
class Plan:
    """A network ready to be simulated at one T.

    Attributes:
        graph: its neuron operations emit 0 or 1; scales are in the weights.
        neurons: by site name.
        thresholds: by site name, broadcastable to `[B, *S]`.
        corrections: by site name, added to the current at every step; may be empty.
        levels: T, the largest count.
        weights: what a spike at each step counts for, `[duration]`, adding up to `levels` times
            `gain`.
    """

    graph: Graph
    neurons: Mapping[str, Neuron]
    thresholds: Mapping[str, Tensor]
    corrections: Mapping[str, Tensor]
    levels: int
    weights: Tensor

    @property
    def duration(self) -> int:
        """Time steps of one layer's window."""
        return len(self.weights)

    @property
    def total_weight(self) -> float:
        """The sum of the steps' weights; T for rate codes."""
        return float(self.weights.sum())

    def layer(self, site: str, seed: int, sample_ids: Tensor) -> Layer:
        """The layer of neurons at a site, with its random numbers."""
        return Layer(self.thresholds[site], self.levels, Draws.of(seed, site, sample_ids))

    def charge(self, site: str, current: Tensor) -> Tensor:
        """`x = T * (mean current + correction) / theta`, `[B, *S]`, from the mean current."""
        gain = self.levels / self.thresholds[site]
        correction = self.corrections.get(site)
        return current * gain if correction is None else (current + correction) * gain

    def corrected(self, site: str, current: Tensor) -> Tensor:
        """A site's current with its bias correction."""
        correction = self.corrections.get(site)
        return current if correction is None else current + correction


@dataclass(frozen=True)
class Observer:
    """Callbacks into a running simulation; those that are None cost nothing.

    Attributes:
        layer: called once a site with its operation, total charge `x = T * mean current / theta`
            `[B, *S]`, counts `[B, *S]` and, from the step engine, the residual charge left in the
            neurons, in thresholds (else None).
        spikes: called by the step engine with the operation, the first step and the spikes
            `[t, B, *S]` of each time chunk.
    """

    layer: Callable[[Operation, Tensor, Tensor, Tensor | None], None] | None = None
    spikes: Callable[[Operation, int, Tensor], None] | None = None


SILENT = Observer()
"""An observer that watches nothing."""


def common_weights(neurons: Mapping[str, Neuron], levels: int) -> Tensor:
    """The step weights that all neurons of a network share.

    Raises:
        ConversionError: when neurons of different codes meet in one network.
    """
    codes = {neuron.label: neuron.step_weights(levels) for neuron in neurons.values()}
    first = next(iter(codes))
    for label, weights in codes.items():
        if not torch.equal(weights, codes[first]):
            raise ConversionError(
                f"'{first}' and '{label}' write their counts in different codes; all neurons of a "
                "network must share one, so that their spikes can be added"
            )
    return codes[first]
