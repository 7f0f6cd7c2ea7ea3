"""How near a network's answers come to its ANN's, on calibration samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from spikewright.calibration.calibration import Calibration
from spikewright.calibration.design import Design
from spikewright.calibration.layer_simulation import LayerSimulation
from spikewright.calibration.layers import Layers
from spikewright.calibration.output_means import fitting
from spikewright.calibration.samples import Samples
from spikewright.graph.precision import Precision
from spikewright.graph.whole_numbers import in_bytes_before

_TINY = torch.finfo(torch.float64).tiny

_LEAST_TOLD = 1e-6
"""In nats; what a softmax that tells less says of a network is rounding, or a sample or two."""

_CONSTANT = 1e-12
"""An output whose variance is this part of its mean square or less is taken for a constant."""


@dataclass(frozen=True)
class Expected:
    """How near the answers of a network are expected to come to those of its ANN.

    It is measured on calibration samples that weights and biases were not fitted on.

    Attributes:
        samples: how many it was measured on.
        error: the squared error relative to the square of the ANN's answer. Of one vector a sample,
            which may be the logits of classes, it is the geometric mean of that and the mean
            Kullback-Leibler divergence of its softmax from the ANN's. Where that softmax tells
            samples apart by next to nothing, or is next to 1 for one output always, as of
            quantities in units of their own, it is the squared error of each output relative to
            its variance, the mean over outputs. Of several answers it is the mean. The least of it
            is what `Auto` chooses by.
        unexplained: the share of the variance of the ANN's answer over samples that the network's
            answer, times one factor, leaves unexplained: what no correction of means and scales
            could mend. Of several answers it is the mean.
        relative_error: the norm of the error relative to that of the ANN's answer; the root mean
            square of several.
        agreeing: samples whose largest logit is the ANN's; None where the answer is not one vector
            of at least two numbers a sample.
    """

    samples: int
    error: float
    unexplained: float
    relative_error: float
    agreeing: int | None = None

    @property
    def agreement(self) -> float | None:
        """The share of the samples that agree."""
        return None if self.agreeing is None else self.agreeing / self.samples

    def __str__(self) -> str:
        agreeing = ""
        if self.agreeing is not None:
            agreeing = f"{self.agreeing} of {self.samples} classified as the ANN does, "
        return f"{agreeing}relative error {self.relative_error:.3g}"

    def tensors(self) -> dict[str, Tensor]:
        """The figures, float64 `[]`, by name; see `of`."""
        figures = {name: figure for name, figure in asdict(self).items() if figure is not None}
        return {name: torch.tensor(float(f), dtype=torch.float64) for name, f in figures.items()}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Expected:
        """That whose `tensors()` these are."""
        agreeing = tensors.get("agreeing")
        return cls(
            int(tensors["samples"]),
            float(tensors["error"]),
            float(tensors["unexplained"]),
            float(tensors["relative_error"]),
            None if agreeing is None else int(agreeing),
        )


def expected_of(
    design: Design,
    calibration: Calibration,
    samples: Samples,
    steps: int,
    seed: int,
    precision: Precision | str = Precision.FLOAT32,
) -> Expected:
    """How near a network's answers to some samples come to those of its ANN.

    Args:
        design: the network's.
        calibration: whose neurons stand at the sites.
        samples: which.
        steps: T.
        seed: of the stochastic neurons' draws.
        precision: of weights that meet spikes; "int8" rounds them.
    """
    graph, neurons = samples.graph, calibration.neurons
    simulation = LayerSimulation(neurons, steps, seed, graph.tensors, calibration.signed)
    most = fitting(samples, simulation, len(samples))
    chosen = samples.spread(most, simulation.duration)
    given = _answers(design, chosen, simulation, Precision.named(precision))
    pairs = [(given[name].double(), wanted.double()) for name, wanted in chosen.answers.items()]
    squares = [_squares(one, wanted) for one, wanted in pairs]
    errors = [
        square if wanted.ndim != 2 or wanted.shape[1] == 1 else _of_vectors(square, one, wanted)
        for square, (one, wanted) in zip(squares, pairs, strict=True)
    ]
    unexplained = _mean([_unexplained(*pair) for pair in pairs])
    relative = math.sqrt(_mean(squares))
    return Expected(len(chosen), _mean(errors), unexplained, relative, _agreeing(pairs))


def _answers(
    design: Design, samples: Samples, simulation: LayerSimulation, precision: Precision
) -> dict[str, Tensor]:
    """The network's outputs where the ANN has `Samples.answers`."""
    own = samples.graph.tensors
    fitted = {name: weight.to(own[name].device) for name, weight in design.weights.items()}
    graph = replace(samples.graph, tensors={**own, **fitted})
    if precision is Precision.INT8:
        graph = in_bytes_before(graph, simulation.worth(graph, design))
    times = (simulation.duration, simulation.rehearsal)
    layers = Layers(graph, samples.parts, *times, whole=True)
    for layer in layers.units():
        simulation.send(layer, design, samples.ids)
    return {
        name: torch.cat([simulation.mean_over_steps(value) for value in layers.values(name)])
        for name in samples.answers
    }


def _squares(given: Tensor, wanted: Tensor) -> float:
    size = wanted.square().sum().clamp(min=_TINY)
    return float((given - wanted).square().sum() / size)


def _unexplained(given: Tensor, wanted: Tensor) -> float:
    """1 - r^2, of values from which their mean over samples is taken."""
    given, wanted = given - given.mean(0), wanted - wanted.mean(0)
    variances = given.square().sum() * wanted.square().sum()
    explained = (given * wanted).sum().square() / variances.clamp(min=_TINY)
    return 1 - float(explained)


def _of_vectors(squares: float, given: Tensor, wanted: Tensor) -> float:
    """The geometric mean of relative squares and the divergence of the softmax, if that tells."""
    logs, expected = given.log_softmax(1), wanted.log_softmax(1)
    shares = expected.exp()
    entropy = float(torch.special.entr(shares).sum(1).mean())
    told = float(torch.special.entr(shares.mean(0)).sum()) - entropy
    if min(entropy, told) < _LEAST_TOLD:
        return _of_outputs(squares, given, wanted)
    divergence = float((shares * (expected - logs)).sum(1).mean())
    return math.sqrt(squares * max(divergence, 0.0))


def _of_outputs(squares: float, given: Tensor, wanted: Tensor) -> float:
    """Squares relative to the variance of each output that varies; if none does, to squares."""
    variances = (wanted - wanted.mean(0)).square().sum(0)
    varies = variances > _CONSTANT * wanted.square().sum(0)
    if not bool(varies.any()):
        return squares
    return float(((given - wanted).square().sum(0) / variances)[varies].mean())


def _agreeing(pairs: Sequence[tuple[Tensor, Tensor]]) -> int | None:
    if len(pairs) != 1 or pairs[0][1].ndim != 2 or pairs[0][1].shape[1] < 2:
        return None
    given, wanted = pairs[0]
    answered = given.isnan().any(1).logical_not()
    return int((answered & (given.argmax(1) == wanted.argmax(1))).sum())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
