"""Calibration of bias and initial potential by what layers send (Li et al., ICML 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spikewright.calibration.bias_correction import channel_means
from spikewright.calibration.calibration import Calibration
from spikewright.calibration.correction import Correction
from spikewright.calibration.design import Design
from spikewright.calibration.layer_simulation import LayerSimulation
from spikewright.calibration.layers import AtLayer, Layers, Sent
from spikewright.calibration.samples import MEMORY, Samples
from spikewright.graph.per_channel import by_channel, placed


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

    The rule takes it that so much more input gives so much more output. Of units that are no
    rectifiers, the bias puts the mean input back where the ANN had it, as in `InputMeans`, and the
    potential stays 0.

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

    def corrected(
        self, design: Design, calibration: Calibration, samples: Samples, steps: int, seed: int
    ) -> Design:
        held = (calibration.neurons, steps, seed, samples.graph.tensors, calibration.signed)
        simulation = LayerSimulation(*held)
        chosen = samples.spread(fitting(samples, simulation, self.samples), simulation.duration)
        currents: dict[str, Tensor] = {}
        potentials: dict[str, Tensor] = {}
        with torch.no_grad():
            times = (simulation.duration, simulation.rehearsal)
            for layer in Layers(chosen.graph, chosen.parts, *times).units():
                site = layer.operation.site
                assert site is not None
                run = _Run(layer, simulation, chosen, design.thresholds[site.name])
                if self.bias and site.rectifies:
                    (rows,) = by_channel(run.error()[None], site.channels)
                    currents[site.name] = run.shift = rows.mean(1)
                elif self.bias:
                    currents[site.name] = run.shift = run.input_error()
                if self.potential and site.rectifies:
                    potentials[site.name] = run.potential = steps * run.error()
                run.send()
        return replace(design, corrections=currents, potentials=potentials)


class _Run:
    """One layer, simulated again with what has been settled so far; one use."""

    shift: Tensor | None = None
    potential: Tensor | None = None

    def __init__(
        self, layer: AtLayer, simulation: LayerSimulation, samples: Samples, threshold: Tensor
    ) -> None:
        self._layer = layer
        self._simulation = simulation
        self._samples = samples
        self._threshold = threshold
        self._currents = layer.remembered_currents()

    def error(self) -> Tensor:
        """The ANN's mean activation less what the layer sends, float64 `[*S]` on the CPU."""
        total = torch.zeros(())
        for _, sent in self._each():
            total = total + self._simulation.mean(sent).sum(0, dtype=torch.float64).cpu()
        return self._samples.activation_means[self._layer.site] - total / len(self._samples)

    def input_error(self) -> Tensor:
        """The ANN's mean input less the layer's, float64 `[C]`, on the CPU."""
        total = torch.zeros(())
        for _, current in self._currents():
            total = total + current.sum(0, keepdim=True, dtype=torch.float64).cpu()
        times = len(self._samples) * self._simulation.duration
        return self._samples.input_means[self._layer.site] - channel_means(
            total / times, self._layer.operation
        )

    def send(self) -> None:
        """Let the layer send for good."""
        for number, sent in self._each():
            self._layer.send(number, replace(sent, numbers=sent.numbers.flatten(0, 1)))

    def _each(self) -> Iterator[tuple[int, Sent]]:
        op = self._layer.operation
        for number, current in self._currents():
            ids = self._samples.ids[number]
            current = current.unflatten(0, (self._simulation.duration, len(ids)))
            theta = placed(self._threshold, op).to(current)
            if self.shift is not None:
                current = current + placed(self.shift, op).to(current)
            potential = 0.0 if self.potential is None else self.potential.to(current)
            yield (
                number,
                self._simulation.trains(op, current, theta, potential, ids),
            )


def fitting(samples: Samples, simulation: LayerSimulation, most: int, memory: int = MEMORY) -> int:
    """How many samples a simulation may hold: all of them for neurons with a count law.

    Args:
        samples: the calibration samples.
        simulation: of the network's layers.
        most: at most so many, where time steps must be held.
        memory: bytes.
    """
    if simulation.by_counts:
        return len(samples)
    largest = max(math.prod(op.shape) for op in samples.graph.operations)
    each = 6 * largest * simulation.duration * samples.graph.dtype.itemsize
    return min(len(samples), most, max(1, memory // each))
