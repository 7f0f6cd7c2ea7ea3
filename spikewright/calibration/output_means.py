"""Calibration of bias and initial potential by what layers send (Li et al., ICML 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.calibration.bias_correction import per_channel
from spikewright.calibration.calibration import Calibration
from spikewright.calibration.correction import Correction, Offsets
from spikewright.calibration.layer_simulation import LayerSimulation, spread_samples
from spikewright.graph.evaluate import apply, evaluate
from spikewright.graph.ir import Graph, Kind, Operation


@dataclass(frozen=True)
class OutputMeans(Correction):
    """SNN calibration without gradients (Li et al., ICML 2021, arXiv 2106.06984).

    With a the ANN's activation, s the mean of what the spiking layer sends over T steps, measured
    with all earlier layers calibrated and running:

        bias:       b_c  <- b_c + mean over samples and places of (a - s)    per channel
        potential:  v_i  <- T * mean over samples of (a - s)                 per neuron

    one layer after the other, the bias first; the potential makes up for what the bias leaves.

    One-phase neurons are simulated step by step, so that the error of spikes that come unevenly is
    part of what is measured. Every step of a layer lies in memory then: no more samples are taken
    than fit in about 2 GB, spread evenly over those given.

    Args:
        bias: calibrate the bias of every channel.
        potential: calibrate the initial potential of every neuron.
        samples: at most so many where time steps are simulated, at least 1 (the paper's program
            takes one batch of 128).

    Raises:
        ValueError: when there is nothing to calibrate, or for samples below 1.
    """

    bias: bool = True
    potential: bool = True
    samples: int = 128

    def __post_init__(self) -> None:
        if not (self.bias or self.potential):
            raise ValueError("OutputMeans calibrates the bias, the potential or both; got neither")
        if self.samples < 1:
            raise ValueError(f"OutputMeans needs at least 1 sample, got {self.samples}")

    def offsets(
        self,
        graph: Graph,
        calibration: Calibration,
        thresholds: Mapping[str, Tensor],
        samples: Tensor,
        steps: int,
        seed: int,
    ) -> Offsets:
        neuron = calibration.neuron
        chosen = spread_samples(graph, neuron, steps, samples, self.samples)
        simulation = LayerSimulation(graph, neuron, steps, chosen, seed)
        currents: dict[str, Tensor] = {}
        potentials: dict[str, Tensor] = {}

        def calibrated(op: Operation, current: Tensor) -> Tensor:
            assert op.site is not None
            name = op.site.name
            theta = per_channel(thresholds[name], current[0])
            trains = simulation.trains(name, current, theta, 0.0)
            if self.bias:
                error = wanted[name] - _mean(simulation.mean(trains))
                currents[name] = error.reshape(len(error), -1).mean(1)
                current = current + per_channel(currents[name], current[0])
                trains = simulation.trains(name, current, theta, 0.0)
            if self.potential:
                error = wanted[name] - _mean(simulation.mean(trains))
                potentials[name] = steps * error
                trains = simulation.trains(name, current, theta, potentials[name].to(current))
            return trains

        with torch.no_grad():
            wanted = _mean_activations(graph, chosen)
            simulation.run(calibrated)
        return Offsets(currents, potentials)


def _mean_activations(graph: Graph, samples: Tensor) -> dict[str, Tensor]:
    """The ANN's mean activation of every neuron, by site, float64 `[*S]` on the CPU."""
    found: dict[str, Tensor] = {}

    def keep(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
        assert op.site is not None
        activations: Tensor = apply(op, inputs, graph.tensors)
        found[op.site.name] = _mean(activations)
        return activations

    evaluate(graph, samples, {Kind.UNIT: keep})
    return found


def _mean(values: Tensor) -> Tensor:
    """Over samples, `[B, *S]` to float64 `[*S]` on the CPU."""
    return values.mean(dim=0, dtype=torch.float64).cpu()
