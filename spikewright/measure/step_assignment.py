"""Longer windows for the few layers whose rounding costs most, found on samples held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from spikewright.calibration import Calibration, Threshold
from spikewright.calibration.design import Design
from spikewright.calibration.expected import expected_of
from spikewright.calibration.holding_out import folds_of
from spikewright.calibration.samples import Samples
from spikewright.calibration.settled import settled
from spikewright.convert import Prepared, learned_thresholds
from spikewright.devices import cpu_by_default
from spikewright.errors import AnalysisError
from spikewright.network.stages import longest_path
from spikewright.neurons import Neuron, TwoPhase

BINARY = TwoPhase("nearest", code="binary")


@dataclass(frozen=True)
class StepAssignment:
    """The windows of a network's layers.

    Attributes:
        neurons: by site, for `prepared.convert(one.neurons, steps=...)`.
        longer: the layers whose window is longer, the one that gains most by it first: a site, or
            what the names of alike ones have in common.
        error: of the answers on samples held out, relative to the ANN's, without correction.
        samples: how many that was measured on.
        latency: time steps from the first input to the answer.
    """

    neurons: Mapping[str, Neuron]
    longer: tuple[str, ...]
    error: float
    samples: int
    latency: int


@cpu_by_default()
def assign_steps(
    prepared: Prepared,
    neuron: TwoPhase = BINARY,
    steps: int = 4,
    more: int = 4,
    layers: int = 3,
    *,
    latency: int | None = None,
    threshold: Threshold | None = None,
    samples: int = 32,
    seed: int = 0,
) -> tuple[StepAssignment, ...]:
    """Give the layers whose rounding costs most a longer window than the others.

    Rounding to few levels does not harm all layers alike: where a kernel takes the difference of
    large, nearly equal values, as the first depthwise convolution of a mobile network does, a
    fine difference is lost in coarse steps. The error of the answers is measured on every fourth
    calibration sample with a longer window at one layer alone, layer after layer; then the layers
    that gain most get it together. Each delays the answer by `more` time steps at most, one that
    reads the network's input by twice as many.

    Neither labels nor test data are read. It is uncorrected networks that are compared.

    Args:
        prepared: of a model; what its answers are does not matter.
        neuron: of all layers.
        steps: T of all windows but the longer ones.
        more: time steps by which those are longer, at least 1.
        layers: how many may be longer, at least 1. Sites that are alike, such as one gate of a
            recurrent layer at all its time steps, are one layer.
        latency: time steps from the first input to the answer, at most; None for any.
        threshold: as for `convert`; None for what `convert` takes without a correction.
        samples: held out, at most; fewer are quicker.
        seed: of the spikes of stochastic neurons.

    Returns:
        Windows with no longer one, with one, and so on, each of less error than the one before:
        take the last whose latency you can afford.

    Raises:
        AnalysisError: for a neuron that is not two-phase or whose window is set already, `more` or
            `layers` below 1, and a latency that no windows keep.
        CalibrationError: for fewer than 8 calibration samples.
        ConversionError: where the neuron's code cannot count so far.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> prepared = sw.prepare(model, torch.rand(64, 4))
        >>> best = sw.assign_steps(prepared, steps=3)[-1]
        >>> best.longer
        ('1',)
        >>> snn = prepared.convert(best.neurons, steps=3)
    """
    if not isinstance(neuron, TwoPhase):
        raise AnalysisError(
            "assign_steps chooses windows of two-phase neurons, TwoPhase(...), as other neurons "
            f"have none of their own: got {neuron!r}"
        )
    if neuron.steps is not None or more < 1 or layers < 1:
        raise AnalysisError(
            f"assign_steps chooses windows: give a neuron without steps= (got {neuron.steps}), "
            f"more and layers of at least 1 (got {more} and {layers})"
        )
    trial = _Trial.of(prepared, neuron, steps, more, threshold, samples, seed)

    def in_time(longer: Sequence[str]) -> bool:
        return latency is None or trial.latency(longer) <= latency

    if not in_time(()):
        raise AnalysisError(
            f"no windows answer within {latency} time steps: with all of them alike it "
            f"takes {trial.latency(())}; allow more, or convert for fewer steps"
        )
    alone = [trial.assigned([layer]) for layer in prepared.graph.groups if in_time([layer])]
    kept, together = [trial.assigned(())], list[StepAssignment]()
    for one in sorted(alone, key=lambda one: one.error):
        longer = [layer for each in (*together, one) for layer in each.longer]
        if len(together) == layers or not in_time(longer):
            continue
        together.append(one)
        found = trial.assigned(longer) if together[1:] else one
        if found.error < kept[-1].error:
            kept.append(found)
    return tuple(kept)


@dataclass(frozen=True)
class _Trial:
    """Networks that differ in their windows, on samples that thresholds do not know.

    Attributes:
        short, long: the neuron with either window.
        steps: T.
        seed: of the draws.
        others: the samples held out.
        calibration: of the network with short windows everywhere.
        thresholds: by either neuron, for all sites.
    """

    short: TwoPhase
    long: TwoPhase
    steps: int
    seed: int
    others: Samples
    calibration: Calibration
    thresholds: Mapping[TwoPhase, Mapping[str, torch.Tensor]]

    @classmethod
    def of(
        cls,
        prepared: Prepared,
        neuron: TwoPhase,
        steps: int,
        more: int,
        threshold: Threshold | None,
        samples: int,
        seed: int,
    ) -> _Trial:
        fitted, _ = prepared.held_out()
        others = folds_of(prepared.samples, prepared.statistics).held_out(0).spread(samples)
        long = replace(neuron, steps=steps + more)
        learned = learned_thresholds(prepared.graph)
        strategy, _ = settled(threshold, None, learned)
        sites, seen = prepared.graph.sites, fitted.statistics
        of_each = {
            one: Calibration(sites, seen, {s.name: one for s in sites}, strategy, learned)
            for one in (neuron, long)
        }
        thresholds = {one: known.thresholds_at(steps) for one, known in of_each.items()}
        return cls(neuron, long, steps, seed, others, of_each[neuron], thresholds)

    def neurons(self, longer: Sequence[str]) -> dict[str, TwoPhase]:
        """The neurons of the network with longer windows at some layers."""
        return {
            site: self.long if layer in longer else self.short
            for layer, sites in self.others.graph.groups.items()
            for site in sites
        }

    def latency(self, longer: Sequence[str]) -> int:
        """Its time steps until the answer."""
        return sum(longest_path(self.others.graph, self.neurons(longer), self.steps))

    def assigned(self, longer: Sequence[str]) -> StepAssignment:
        """It, measured."""
        neurons = self.neurons(longer)
        design = Design({site: self.thresholds[n][site] for site, n in neurons.items()})
        calibration = replace(self.calibration, neurons=neurons)
        with torch.no_grad():
            expected = expected_of(design, calibration, self.others, self.steps, self.seed)
        error, samples = expected.relative_error, expected.samples
        return StepAssignment(neurons, tuple(longer), error, samples, self.latency(longer))
