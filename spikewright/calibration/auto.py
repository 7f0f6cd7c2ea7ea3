"""A correction chosen among several by samples that none of them was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spikewright.calibration.bias_correction import InputMeans
from spikewright.calibration.calibration import Calibration
from spikewright.calibration.correction import Correction, Offsets
from spikewright.calibration.layer_simulation import LayerSimulation
from spikewright.calibration.layers import Layers, Sent
from spikewright.calibration.output_means import fitting
from spikewright.calibration.refit import HELD_OUT, LEAST_SAMPLES, Refit
from spikewright.calibration.samples import Samples
from spikewright.graph.evaluate import evaluate
from spikewright.graph.per_channel import placed

MOST_HELD_OUT = 128
"""Samples held out whose answers are compared, at most."""


@dataclass(frozen=True)
class Auto(Correction):
    """The correction, of several or none, whose network answers most like the ANN.

    Every candidate is fitted on three quarters of the samples, and its network answers for the
    others, which none has seen. That with the least error is fitted again on all of them. So on
    samples held out it is never worse than no correction. Labels are not needed.

    The error of answers that are one vector a sample is the mean Kullback-Leibler divergence of
    their softmax from the ANN's, in nats; of others, the squared error relative to the square of
    the ANN's. Of several answers it is the mean.

    Fewer than 16 samples are too few to choose by: nothing is corrected then.

    Args:
        candidates: at least one; None, which stands for no correction, is always among them.
    """

    candidates: tuple[Correction, ...] = (InputMeans(), Refit())

    def __post_init__(self) -> None:
        if not self.candidates:
            raise ValueError("Auto needs at least one correction to choose from")

    def offsets(
        self,
        calibration: Calibration,
        thresholds: Mapping[str, Tensor],
        samples: Samples,
        steps: int,
        seed: int,
    ) -> Offsets:
        if len(samples) < 2 * LEAST_SAMPLES:
            return Offsets()
        fitted, others = samples.divided(HELD_OUT)
        others = others.spread(MOST_HELD_OUT)
        arguments = (calibration, thresholds, fitted, steps, seed)
        errors: dict[str, float] = {}
        for name, candidate in self._by_name().items():
            offsets = Offsets() if candidate is None else candidate.offsets(*arguments)
            errors[name] = error(calibration, thresholds, others, steps, seed, offsets)
        best = self._by_name()[min(errors, key=errors.__getitem__)]
        chosen = (
            Offsets()
            if best is None
            else best.offsets(calibration, thresholds, samples, steps, seed)
        )
        return replace(
            chosen,
            held_out={n: torch.tensor(e, dtype=torch.float64) for n, e in errors.items()},
        )

    def _by_name(self) -> dict[str, Correction | None]:
        """The candidates as they are told, none first: of equal ones the first is taken."""
        return {"no correction": None, **{repr(one): one for one in self.candidates}}


def error(
    calibration: Calibration,
    thresholds: Mapping[str, Tensor],
    samples: Samples,
    steps: int,
    seed: int,
    offsets: Offsets,
) -> float:
    """The error of a network's answers to some samples, as `Auto` has it.

    Args:
        calibration: whose neuron stands at every site.
        thresholds: by site, float64 `[C]` or `[1]`.
        samples: which.
        steps: T.
        seed: of the stochastic neurons' draws.
        offsets: the correction.
    """
    neuron, graph = calibration.neuron, samples.graph
    simulation = LayerSimulation(neuron, steps, seed, graph.tensors, calibration.signed)
    most = fitting(samples, neuron, steps, len(samples))
    chosen = samples.spread(most, simulation.duration)
    given = _answers(chosen, simulation, thresholds, offsets)
    wanted = [evaluate(graph, part) for part in chosen.parts]
    errors = [
        _distance(torch.cat(got), torch.cat(want))
        for got, want in zip(given, zip(*wanted, strict=True), strict=True)
        if want[0].is_floating_point()
    ]
    return sum(errors) / len(errors)


def _answers(
    samples: Samples,
    simulation: LayerSimulation,
    thresholds: Mapping[str, Tensor],
    offsets: Offsets,
) -> list[list[Tensor]]:
    """Every output of the network, of every part, `[B, ...]`."""
    tensors = {**samples.graph.tensors, **offsets.weights}
    graph = replace(samples.graph, tensors=tensors)
    times = (simulation.duration, simulation.rehearsal)
    layers = Layers(graph, samples.parts, *times, whole=True)
    for layer in layers.units():
        op, site = layer.operation, layer.site
        for number, current in layer.currents():
            ids = samples.ids[number]
            theta = placed(thresholds[site], op).to(current)
            if site in offsets.currents:
                current = current + placed(offsets.currents[site], op).to(current)
            potential = offsets.potentials.get(site)
            trains = simulation.trains(
                op,
                current.unflatten(0, (simulation.duration, len(ids))),
                theta,
                0.0 if potential is None else potential.to(current),
                ids,
            )
            layer.send(number, Sent(trains.numbers.flatten(0, 1), trains.unit))
    return [
        [simulation.mean_over_steps(value) for value in layers.values(name)]
        for name in graph.outputs
    ]


def _distance(given: Tensor, wanted: Tensor) -> float:
    if wanted.ndim == 2 and wanted.shape[1] > 1:
        logs, expected = given.double().log_softmax(1), wanted.double().log_softmax(1)
        return float((expected.exp() * (expected - logs)).sum(1).mean())
    missing = (given.double() - wanted).square().sum()
    return float(missing / wanted.double().square().sum().clamp(min=1e-30))
