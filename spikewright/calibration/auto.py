"""Thresholds and a correction chosen by samples that none of the candidates was fitted on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spikewright.calibration.bias_correction import InputMeans
from spikewright.calibration.calibration import Calibration
from spikewright.calibration.correction import Correction
from spikewright.calibration.design import Design
from spikewright.calibration.holding_out import HELD_OUT, LEAST_SAMPLES, divided
from spikewright.calibration.layer_simulation import LayerSimulation
from spikewright.calibration.layers import Layers
from spikewright.calibration.output_means import fitting
from spikewright.calibration.refit import Refit
from spikewright.calibration.samples import Samples
from spikewright.calibration.thresholds import Headroom, Maximum, MinError, Threshold

NO_CORRECTION = "no correction"

MOST_HELD_OUT = 128
"""Samples held out whose answers are compared, at most, whether at once or in four folds."""


@dataclass(frozen=True)
class Auto(Correction):
    """The thresholds and the correction whose network answers most like the ANN.

    Every candidate is fitted on three quarters of the samples, and its network answers for the
    others, which it has not seen. Strategies for thresholds are compared first, without correction
    and with each quarter held out in turn, as values that clip are few. Then corrections are
    compared with the thresholds chosen, on one of the quarters. What is chosen is fitted again on
    all samples. Labels are not needed.

    The error of an answer is its squared error relative to the square of the ANN's. Where it is one
    vector a sample, which may be the logits of classes, it is the geometric mean of that and the
    mean Kullback-Leibler divergence of its softmax from the ANN's. Of several answers it is the
    mean.

    Fewer than 16 samples are too few to choose by: nothing is chosen then, and nothing corrected.

    Args:
        thresholds: strategies; that which the conversion names is always among them.
        corrections: to choose from; no correction is always among them.
    """

    thresholds: tuple[Threshold, ...] = (
        MinError(per="layer"),
        Maximum(per="channel"),
        Headroom(Maximum(per="channel")),
        Maximum(per="layer"),
    )
    corrections: tuple[Correction, ...] = (InputMeans(), Refit())

    def corrected(
        self, design: Design, calibration: Calibration, samples: Samples, steps: int, seed: int
    ) -> Design:
        if len(samples) < 2 * LEAST_SAMPLES:
            return design
        trials = [_Trial.of(calibration, samples, steps, seed, fold) for fold in range(HELD_OUT)]
        strategies = {repr(t): t for t in (calibration.threshold, *self.thresholds)}
        of_strategies = {
            name: sum(trial.error(trial.plain(one)) for trial in trials) / len(trials)
            for name, one in strategies.items()
        }
        strategy = strategies[least(of_strategies)]
        trial = replace(trials[0], most=MOST_HELD_OUT)
        plain = trial.plain(strategy)
        corrections = {repr(c): c for c in self.corrections}
        designs = {name: trial.corrected(plain, one) for name, one in corrections.items()}
        of_corrections = {
            name: trial.error(one) for name, one in {NO_CORRECTION: plain, **designs}.items()
        }
        errors = {**of_strategies, **{f"+ {name}": e for name, e in of_corrections.items()}}
        if strategy != calibration.threshold:
            design = Design(replace(calibration, threshold=strategy).thresholds_at(steps))
        chosen = corrections.get(least(of_corrections))
        if chosen is not None:
            design = chosen.corrected(design, calibration, samples, steps, seed)
        held_out = {n: torch.tensor(e, dtype=torch.float64) for n, e in errors.items()}
        return replace(design, held_out=held_out)


@dataclass(frozen=True)
class _Trial:
    """Samples to fit on, and others to compare answers on.

    Attributes:
        calibration: with the statistics of the samples to fit on.
        fitted: those.
        others: the others.
        steps: T.
        seed: of the stochastic neurons' draws.
        most: so many of the others at most.
    """

    calibration: Calibration
    fitted: Samples
    others: Samples
    steps: int
    seed: int
    most: int

    @classmethod
    def of(
        cls, calibration: Calibration, samples: Samples, steps: int, seed: int, fold: int
    ) -> _Trial:
        """Every fourth sample is held out, from number `fold` on."""
        division = divided(samples, calibration.statistics, fold)
        return cls(
            replace(calibration, statistics=division.statistics),
            division.fitted,
            division.others,
            steps,
            seed,
            MOST_HELD_OUT // HELD_OUT,
        )

    def plain(self, threshold: Threshold) -> Design:
        """The design without correction."""
        return Design(replace(self.calibration, threshold=threshold).thresholds_at(self.steps))

    def corrected(self, design: Design, correction: Correction) -> Design:
        """The design corrected on the samples to fit on."""
        arguments = (self.calibration, self.fitted, self.steps, self.seed)
        return correction.corrected(design, *arguments)

    def error(self, design: Design) -> float:
        """That of its network on the others."""
        others = self.others.spread(self.most)
        return error(design, self.calibration, others, self.steps, self.seed)


def least(errors: Mapping[str, float]) -> str:
    """The name of the least error; of equal ones the first."""
    return min(errors, key=errors.__getitem__)


def error(
    design: Design, calibration: Calibration, samples: Samples, steps: int, seed: int
) -> float:
    """The error of a network's answers to some samples, as `Auto` has it.

    Args:
        design: the network's.
        calibration: whose neurons stand at the sites.
        samples: which.
        steps: T.
        seed: of the stochastic neurons' draws.
    """
    graph, neurons = samples.graph, calibration.neurons
    simulation = LayerSimulation(neurons, steps, seed, graph.tensors, calibration.signed)
    most = fitting(samples, simulation, len(samples))
    chosen = samples.spread(most, simulation.duration)
    given = _answers(design, chosen, simulation)
    errors = [_distance(given[name], wanted) for name, wanted in chosen.answers.items()]
    return sum(errors) / len(errors)


def _answers(design: Design, samples: Samples, simulation: LayerSimulation) -> dict[str, Tensor]:
    """The network's outputs where the ANN has `Samples.answers`."""
    graph = replace(samples.graph, tensors={**samples.graph.tensors, **design.weights})
    times = (simulation.duration, simulation.rehearsal)
    layers = Layers(graph, samples.parts, *times, whole=True)
    for layer in layers.units():
        simulation.send(layer, design, samples.ids)
    return {
        name: torch.cat([simulation.mean_over_steps(value) for value in layers.values(name)])
        for name in samples.answers
    }


def _distance(given: Tensor, wanted: Tensor) -> float:
    given, wanted = given.double(), wanted.double()
    tiny = torch.finfo(torch.float64).tiny
    squares = float((given - wanted).square().sum() / wanted.square().sum().clamp(min=tiny))
    if wanted.ndim != 2 or wanted.shape[1] == 1:
        return squares
    logs, expected = given.log_softmax(1), wanted.log_softmax(1)
    divergence = float((expected.exp() * (expected - logs)).sum(1).mean())
    return math.sqrt(squares * max(divergence, 0.0))
