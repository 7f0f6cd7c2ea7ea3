"""The fewest time steps at which a network answers as its ANN does, found on samples held out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.calibration import Correction, Threshold
from spikewright.calibration.settled import AUTO
from spikewright.convert import Prepared
from spikewright.devices import cpu_by_default
from spikewright.errors import AnalysisError, ConversionError
from spikewright.graph.evaluate import answered, evaluate
from spikewright.graph.inputs import Batch
from spikewright.measure.accuracy import logits_of, predictions
from spikewright.measure.statistics import wilson_interval
from spikewright.network import Precision, SpikingNetwork
from spikewright.network.plan import SILENT
from spikewright.neurons import Binary, Neuron, TwoPhase


@dataclass(frozen=True)
class FewestSteps:
    """What `fewest_steps` found.

    Attributes:
        neuron: with the fewest time steps; the first one of equals.
        steps: T.
        agreement: the part of the samples held out with the ANN's predicted class, 0 .. 1.
        interval: the 95 % Wilson interval of that.
        samples: how many were held out.
        tried: the agreement at every T tried, by the neuron's label, or by all of its fields where
            another one has that label too.
    """

    neuron: Neuron
    steps: int
    agreement: float
    interval: tuple[float, float]
    samples: int
    tried: Mapping[str, Mapping[int, float]]


@cpu_by_default()
def fewest_steps(
    prepared: Prepared,
    agreement: float = 0.99,
    neurons: Iterable[Neuron] = (TwoPhase("nearest", code=Binary()), TwoPhase("nearest")),
    threshold: Threshold | None = None,
    correction: Correction | None = AUTO,
    most: int = 64,
    seed: int = 0,
    precision: Precision | str = Precision.FLOAT32,
) -> FewestSteps:
    """The smallest T at which a network predicts what its ANN does, for so many samples.

    Three quarters of the calibration samples fit each network; the others, which it has not seen,
    are predicted. Labels and test data are not read. T is found by bisection, which takes the
    agreement to grow with T: it is that of a T at which it is reached and T - 1 is not, and small
    differences are noise, as `interval` tells.

    Args:
        prepared: of a model whose answer is the logits of classes, `[B, classes]`.
        agreement: asked for, in (0, 1].
        neurons: to choose from.
        threshold: as for `convert`.
        correction: as for `convert`.
        most: the largest T to try, at least 1; less where a code cannot count so far.
        seed: of the spikes of stochastic neurons.
        precision: as for `convert`.

    Returns:
        The neuron and its T, for `prepared.convert(found.neuron, steps=found.steps, ...)`.

    Raises:
        ConversionError: where no neuron reaches it by `most`, telling how far each comes.
        CalibrationError: for fewer than 8 calibration samples.
        AnalysisError: for a model whose answers are not logits.
        ValueError: for `agreement`, `most` or `neurons` out of range.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> found = sw.fewest_steps(sw.prepare(model, torch.rand(256, 4)), agreement=0.9)
        >>> snn = sw.convert(model, torch.rand(256, 4), found.neuron, steps=found.steps)
    """
    candidates = tuple(dict.fromkeys(neurons))
    if not 0 < agreement <= 1 or most < 1 or not candidates:
        raise ValueError(
            f"fewest_steps takes an agreement in (0, 1], most >= 1 and at least one neuron, got "
            f"{agreement}, {most} and {len(candidates)} neurons"
        )
    for neuron in candidates:
        if isinstance(neuron, TwoPhase) and neuron.steps is not None:
            raise ValueError(
                f"fewest_steps looks for T, and {neuron.label} has {neuron.steps} steps of its own "
                "at any T: give the neuron without steps="
            )
    fitted, others = prepared.held_out()
    expected = torch.cat([_predicted(_ann(fitted, part), "the model") for part in others])
    tried: dict[str, dict[int, float]] = {}
    found: dict[Neuron, int] = {}
    limit = most
    for neuron in candidates:
        known = tried[_name_of(neuron, candidates)] = {}

        def reached(steps: int, neuron: Neuron = neuron, known: Any = known) -> bool:
            snn = fitted.convert(neuron, threshold, steps, correction, seed, precision)
            known[steps] = _agreement(snn, others, expected, seed)
            return known[steps] >= agreement

        low, high = 0, _countable(neuron, limit)
        if not reached(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if reached(middle) else (middle, high)
        found[neuron], limit = high, high
    if not found:
        seen = ", ".join(f"{label} {max(known.values()):.2%}" for label, known in tried.items())
        raise ConversionError(
            f"no neuron agrees with the ANN on {agreement:.2%} of {len(expected)} samples held out "
            f"by T = {most}: {seen}; raise most, or lower the agreement"
        )
    best = min(found, key=found.__getitem__)
    share = tried[_name_of(best, candidates)][found[best]]
    interval = wilson_interval(round(share * len(expected)), len(expected))
    return FewestSteps(best, found[best], share, interval, len(expected), tried)


def _name_of(neuron: Neuron, candidates: Sequence[Neuron]) -> str:
    """Its label, or all of its fields where another one has that label too."""
    alone = [one.label for one in candidates].count(neuron.label) == 1
    return neuron.label if alone else repr(neuron)


def _countable(neuron: Neuron, most: int) -> int:
    """The largest T up to `most` whose counts a neuron can hold: 24 of the binary code."""
    for steps in range(most, 1, -1):
        try:
            neuron.levels(steps)
        except ConversionError:
            continue
        return steps
    return 1


def _agreement(snn: SpikingNetwork, parts: Iterable[Batch], expected: Tensor, seed: int) -> float:
    answers = (snn.observe(part, SILENT, seed=seed) for part in parts)
    predicted = torch.cat([_predicted(answer, "the network") for answer in answers])
    return float((predicted == expected).cpu().double().mean())


def _ann(prepared: Prepared, part: Batch) -> Any:
    graph = prepared.samples.graph
    with torch.no_grad():
        return answered(graph, evaluate(graph, part))


def _predicted(answer: Any, who: str) -> Tensor:
    logits = logits_of(answer, who)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise AnalysisError(
            f"fewest_steps compares predicted classes, and {who} answers {list(logits.shape)}, not "
            "logits [B, classes] of two classes or more: look at sw.sweep(..., metric=...) over T "
            "instead"
        )
    return predictions(logits)
