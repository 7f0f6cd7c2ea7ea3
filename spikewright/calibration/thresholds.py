"""Threshold strategies: from a site's statistics to its firing threshold at a given T."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import torch
from torch import Tensor

from spikewright.calibration.statistics import SiteStatistics
from spikewright.checks import is_finite
from spikewright.errors import CalibrationError, wrong_kind
from spikewright.graph.ir import Site
from spikewright.neurons import Neuron
from spikewright.neurons.registry import Registry

_SLICE = 1 << 18
"""Errors that are computed at once: more do not profit from caches."""

A_STRATEGY = "a strategy such as MinError() or Percentile()"
"""What is wanted where something else was given, for messages."""


class Per(StrEnum):
    """What shares one threshold."""

    LAYER = "layer"
    CHANNEL = "channel"

    def __repr__(self) -> str:
        return repr(self.value)


class Threshold(ABC):
    """A way to choose thresholds: configuration only."""

    def depends_on(self, neuron: Neuron) -> Neuron:
        """What the strategy knows of a neuron; neurons of one answer get the same thresholds.

        A class derived from another one answers with the neuron itself, as it may choose otherwise.
        """
        return neuron

    @abstractmethod
    def choose(
        self,
        site: Site,
        statistics: SiteStatistics,
        neuron: Neuron,
        steps: int,
        learned: Tensor | None,
    ) -> Tensor:
        """Thresholds of a site.

        Args:
            site: where.
            statistics: of its activation.
            neuron: what will stand there.
            steps: T.
            learned: the site's learned threshold, where it has one.

        Returns:
            float64 `[C]`, or `[1]` when the layer shares one; positive.

        Raises:
            CalibrationError: when the strategy does not apply to this site.
        """


THRESHOLDS: Registry[Threshold] = Registry("threshold strategy")
"""Every strategy that a saved network can name; a class of your own joins with `.register`."""


@THRESHOLDS.register
@dataclass(frozen=True)
class Maximum(Threshold):
    """The largest magnitude seen (Diehl et al., IJCNN 2015): nothing clips, small values suffer.

    Args:
        per: "layer" or "channel". A channel that never fired takes the layer's threshold.
    """

    per: Per | str = Per.LAYER

    def __post_init__(self) -> None:
        object.__setattr__(self, "per", Per(self.per))

    def depends_on(self, neuron: Neuron) -> Neuron:
        return neuron.evenly_driven if type(self) is Maximum else neuron

    def choose(
        self,
        site: Site,
        statistics: SiteStatistics,
        neuron: Neuron,
        steps: int,
        learned: Tensor | None,
    ) -> Tensor:
        return filled(grouped(statistics, self.per).maximum, statistics)


@THRESHOLDS.register
@dataclass(frozen=True)
class Percentile(Threshold):
    """The q-th percentile of all magnitudes, zeros counted (Rueckauer et al., 2017).

    Read from the histogram: the upper edge of the bin in which it falls, at most the maximum.
    Where it falls among the zeros of a sparse layer or channel, the maximum is taken instead, as a
    threshold must be positive.

    Args:
        q: in (0, 100].
        per: "layer" or "channel".

    Raises:
        ValueError: for q out of range, and for a tensor.
    """

    q: float = 99.9
    per: Per | str = Per.LAYER

    def __post_init__(self) -> None:
        object.__setattr__(self, "per", Per(self.per))
        if isinstance(self.q, Tensor) or not 0 < self.q <= 100:
            raise ValueError(f"a percentile lies in (0, 100], got {self.q}")

    def depends_on(self, neuron: Neuron) -> Neuron:
        return neuron.evenly_driven if type(self) is Percentile else neuron

    def choose(
        self,
        site: Site,
        statistics: SiteStatistics,
        neuron: Neuron,
        steps: int,
        learned: Tensor | None,
    ) -> Tensor:
        group = grouped(statistics, self.per)
        rank = math.ceil(Fraction(str(self.q)) * group.values / 100)  # floats are off by one value
        above = group.values - rank  # how many values may stand above the threshold
        edge = (from_each_bin_on(group.histogram) > above).sum(1)
        bins = group.histogram.shape[1]
        threshold = (edge.double() / bins * group.span).minimum(group.maximum)
        return filled(threshold.where(threshold > 0, group.maximum), statistics)


@THRESHOLDS.register
@dataclass(frozen=True)
class MinError(Threshold):
    """Minimises the mean squared error of the neuron's output for this T and this neuron.

    The error of an activation a under threshold theta is `(theta/L * E[n] - a)^2 + (theta/L)^2
    Var[n]`, with the mean and variance of the neuron's count at charge `L * a / theta`, averaged
    over the histogram of activations; so a stochastic rounding pays for its noise. A signed count
    errs as its magnitude does, so magnitudes are all that is asked.

    Args:
        per: "layer" or "channel".
        candidates: how many thresholds, evenly spaced up to the maximum, are tried.
    """

    per: Per | str = Per.CHANNEL
    candidates: int = 64

    def __post_init__(self) -> None:
        object.__setattr__(self, "per", Per(self.per))
        if self.candidates < 2:
            raise ValueError(f"MinError needs at least 2 candidates, got {self.candidates}")

    def depends_on(self, neuron: Neuron) -> Neuron:
        return neuron.evenly_driven if type(self) is MinError else neuron

    def choose(
        self,
        site: Site,
        statistics: SiteStatistics,
        neuron: Neuron,
        steps: int,
        learned: Tensor | None,
    ) -> Tensor:
        group = grouped(statistics, self.per)
        maximum = filled(group.maximum, statistics)
        activation = (group.centres / maximum[:, None]).float()  # in maxima: no under- or overflow
        weight = group.histogram.float()
        fractions = torch.arange(self.candidates, 0, -1).double() / self.candidates
        errors = [
            (weight * _squared_error(activation, some, neuron, steps)).sum(-1)
            for some in fractions.split(max(1, _SLICE // activation.numel()))
        ]
        best = torch.cat(errors).argmin(0)  # of equal ones the first, which is the largest
        return maximum * fractions[best]


@THRESHOLDS.register
@dataclass(frozen=True)
class Headroom(Threshold):
    """Thresholds of another strategy times a factor: room for values that calibration did not see.

    Where a rectifier has a ceiling, as ReLU6 has, or has learned one, that is the largest
    threshold: neurons with a larger one would count beyond it.

    Args:
        threshold: the other strategy.
        factor: at least 1.

    Raises:
        ValueError: for a factor below 1, and anything but a strategy.
    """

    threshold: Threshold
    factor: float = 1.5

    def __post_init__(self) -> None:
        if not isinstance(self.threshold, Threshold):
            raise ValueError(wrong_kind("threshold of Headroom", A_STRATEGY, self.threshold))
        if not (is_finite(self.factor) and self.factor >= 1):
            raise ValueError(f"Headroom takes a factor of at least 1, got {self.factor!r}")

    def depends_on(self, neuron: Neuron) -> Neuron:
        return self.threshold.depends_on(neuron) if type(self) is Headroom else neuron

    def choose(
        self,
        site: Site,
        statistics: SiteStatistics,
        neuron: Neuron,
        steps: int,
        learned: Tensor | None,
    ) -> Tensor:
        chosen = self.threshold.choose(site, statistics, neuron, steps, learned)
        ceiling = site.ceiling if learned is None else float(learned)
        return torch.maximum(chosen, (self.factor * chosen).clamp(max=ceiling))


@THRESHOLDS.register
@dataclass(frozen=True)
class Learned(Threshold):
    """The threshold that the network was trained with (QCFS's lambda).

    Args:
        otherwise: the strategy for sites without one; None refuses them.

    Raises:
        ValueError: for anything else.
    """

    otherwise: Threshold | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.otherwise, Threshold | None):
            wanted = f"None or {A_STRATEGY}"
            raise ValueError(wrong_kind("otherwise of Learned", wanted, self.otherwise))

    def depends_on(self, neuron: Neuron) -> Neuron:
        if type(self) is not Learned:
            return neuron
        other = self.otherwise
        return neuron.evenly_driven if other is None else other.depends_on(neuron)

    def choose(
        self,
        site: Site,
        statistics: SiteStatistics,
        neuron: Neuron,
        steps: int,
        learned: Tensor | None,
    ) -> Tensor:
        if learned is not None:
            require_positive({site.name: learned})
            return learned.detach().double().reshape(1).cpu()
        if self.otherwise is None:
            raise CalibrationError(
                f"site '{site.name}' has no learned threshold (it is not a QCFS activation); use "
                "Learned(otherwise=MinError()) (--threshold learned:minerror) or another strategy; "
                "the methods QCFS, SRP and COS are for networks trained with QCFS throughout"
            )
        return self.otherwise.choose(site, statistics, neuron, steps, learned)


def require_positive(learned: Mapping[str, Tensor]) -> None:
    """See that learned thresholds can be firing thresholds.

    Args:
        learned: by site name.

    Raises:
        CalibrationError: naming the sites where they cannot.
    """
    wrong = [
        f"site '{site}': its learned threshold is {t.item():.4g}"
        for site, t in learned.items()
        if not bool(t > 0)
    ]
    if wrong:
        raise CalibrationError(
            f"{'; '.join(wrong)}. A firing threshold must be positive, so the network was not "
            "trained well: start the thresholds of its QCFS activations at a larger value, or "
            "train with a smaller learning rate"
        )


def _squared_error(activation: Tensor, thresholds: Tensor, neuron: Neuron, steps: int) -> Tensor:
    """Expected squared error `[K, C, BINS]` of activations `[C, BINS]` under thresholds `[K]`."""
    unit = (thresholds / neuron.levels(steps))[:, None, None]
    one, square = unit.to(activation.dtype), unit.square().to(activation.dtype)
    mean, variance = neuron.expected_count(activation / one, steps)
    return (mean * one - activation) ** 2 + variance * square


def grouped(statistics: SiteStatistics, per: Per | str) -> SiteStatistics:
    """The statistics of what shares one threshold."""
    return statistics.pooled() if per is Per.LAYER else statistics


def from_each_bin_on(values: Tensor) -> Tensor:
    """Sums over a bin and all higher ones, of `[C, BINS]`, alike."""
    return values.flip(1).cumsum(1).flip(1)


def filled(threshold: Tensor, statistics: SiteStatistics) -> Tensor:
    """Channels that never fired take the largest threshold of the layer; 1 if none did."""
    largest = statistics.maximum.max()
    return threshold.where(threshold > 0, largest.where(largest > 0, 1.0))
