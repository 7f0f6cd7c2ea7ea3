"""What one pass over the calibration data keeps of every site: running maxima and histograms.

Everything is merged by maxima, integer counts and float64 sums, so neither the order of batches nor
how they were cut changes a threshold by a bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.errors import CalibrationError
from spikewright.graph.evaluate import apply, evaluate
from spikewright.graph.ir import Graph, Kind, Operation

BINS = 512
"""Histogram bins of a channel; at least half of them lie below its maximum."""

_SMALLEST_EXPONENT = -1000
"""Of a channel that has not fired; float64 holds this range and the width of its bins."""

_SLICE = 1 << 22
"""Values binned at once, which bounds the memory of a pass."""


@dataclass
class SiteStatistics:
    """Statistics of one site's activation, per channel (dimension 1 of `[B, C, ...]`).

    The histogram of a channel spans `[0, 2**exponent)`, the smallest such range above its maximum.
    When the maximum grows, neighbouring bins merge exactly, so only the final maximum matters.

    Attributes:
        maximum: float64 `[C]`, largest activation seen.
        exponent: int64 `[C]`.
        histogram: int64 `[C, BINS]`, counts of positive activations.
        values: how many activations of each channel were seen, zeros included.
        input_sum: float64 `[C]`, sum of the activation's input (the pre-activation).
    """

    maximum: Tensor
    exponent: Tensor
    histogram: Tensor
    values: int
    input_sum: Tensor

    @classmethod
    def empty(cls, channels: int) -> SiteStatistics:
        """Statistics before any batch."""
        return cls(
            torch.zeros(channels, dtype=torch.float64),
            torch.full((channels,), _SMALLEST_EXPONENT),
            torch.zeros(channels, BINS, dtype=torch.int64),
            0,
            torch.zeros(channels, dtype=torch.float64),
        )

    @property
    def input_mean(self) -> Tensor:
        """Mean pre-activation per channel, float64 `[C]`."""
        return self.input_sum / max(self.values, 1)

    @property
    def span(self) -> Tensor:
        """The upper end of each channel's histogram, `2**exponent`, float64 `[C]`."""
        ends = [math.ldexp(1.0, exponent) for exponent in self.exponent.tolist()]
        return torch.tensor(ends, dtype=torch.float64)

    @property
    def centres(self) -> Tensor:
        """The activation each bin stands for, float64 `[C, BINS]`."""
        middle = (torch.arange(BINS, dtype=torch.float64) + 0.5) / BINS
        return middle * self.span[:, None]

    def add(self, inputs: Tensor, activations: Tensor) -> None:
        """Take in one batch, `[B, C, ...]` each."""
        rows = activations.detach().transpose(0, 1).flatten(1).cpu()
        peak = rows.amax(dim=1).double()
        self.maximum = torch.maximum(self.maximum, peak)
        self._widen(torch.frexp(peak)[1].long().where(peak > 0, self.exponent))
        self.values += rows.shape[1]
        self.input_sum += (
            inputs.detach().transpose(0, 1).flatten(1).sum(1, dtype=torch.float64).cpu()
        )
        first = torch.arange(len(rows))[:, None] * BINS
        per_unit = BINS / self.span[:, None]  # powers of two: the product below is exact
        counts = torch.zeros(self.histogram.numel(), dtype=torch.int64)
        for part in rows.split(max(1, _SLICE // len(rows)), dim=1):
            bins = (part * per_unit).long() + first
            counts += torch.bincount(bins[part > 0], minlength=len(counts))
        self.histogram += counts.reshape(self.histogram.shape)

    def merged(self, other: SiteStatistics) -> SiteStatistics:
        """The statistics of both data sets together."""
        both = SiteStatistics.empty(len(self.maximum))
        both.maximum = torch.maximum(self.maximum, other.maximum)
        both.exponent = torch.maximum(self.exponent, other.exponent)
        for part in (self, other):
            both.histogram += rebinned(part.histogram, both.exponent - part.exponent)
            both.values += part.values
            both.input_sum += part.input_sum
        return both

    def pooled(self) -> SiteStatistics:
        """The same with all channels taken as one."""
        exponent = self.exponent.amax(0, keepdim=True)
        histogram = rebinned(self.histogram, exponent - self.exponent)
        return SiteStatistics(
            self.maximum.amax(0, keepdim=True),
            exponent,
            histogram.sum(0, keepdim=True),
            self.values * len(self.maximum),
            self.input_sum.sum(0, keepdim=True),
        )

    def _widen(self, exponent: Tensor) -> None:
        wider = torch.maximum(self.exponent, exponent)
        self.histogram = rebinned(self.histogram, wider - self.exponent)
        self.exponent = wider


def rebinned(histogram: Tensor, doublings: Tensor) -> Tensor:
    """Counts in bins twice as wide, `doublings` `[C]` times over; exact, as bins align at zero."""
    if not bool((doublings > 0).any()):
        return histogram.clone()
    target = torch.arange(BINS)[None] >> doublings.clamp(max=62)[:, None]
    return torch.zeros_like(histogram).scatter_add_(1, target, histogram)


def collect(graph: Graph, batches: Iterable[Tensor]) -> dict[str, SiteStatistics]:
    """Run the ANN over calibration batches and keep the statistics of every site.

    Args:
        graph: the captured network.
        batches: `[B, *S]` each, on the graph's device; any sizes, any order.

    Returns:
        Statistics by site name, on the CPU.

    Raises:
        CalibrationError: when no batch came, an activation is not finite, or a site never fired.
    """
    statistics = collected(graph, batches)
    require_alive(statistics)
    return statistics


def collected(graph: Graph, batches: Iterable[Tensor]) -> dict[str, SiteStatistics]:
    """`collect` of a part of the data, in which a site may be silent; arguments are those of it."""
    statistics: dict[str, SiteStatistics] = {}

    def observe(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
        assert op.site is not None
        activations: Tensor = apply(op, inputs, graph.tensors)
        if not bool(activations.isfinite().all()):
            raise CalibrationError(
                f"NaN or infinite activations at site '{op.site.name}' ({op.source or op.module}) "
                "during calibration; check the calibration data and the model's weights"
            )
        if op.site.name not in statistics:
            statistics[op.site.name] = SiteStatistics.empty(activations.shape[1])
        statistics[op.site.name].add(inputs[0], activations)
        return activations

    seen = 0
    with torch.no_grad():
        for batch in batches:
            evaluate(graph, batch, {Kind.UNIT: observe})
            seen += len(batch)
    if seen == 0:
        raise CalibrationError("the calibration data held no batch")
    return statistics


def require_alive(statistics: Mapping[str, SiteStatistics]) -> None:
    """See that every site fired.

    Raises:
        CalibrationError: naming those that did not.
    """
    dead = [name for name, site in statistics.items() if not bool((site.maximum > 0).any())]
    if dead:
        raise CalibrationError(
            f"{len(dead)} sites never gave a positive activation on the calibration data "
            f"({', '.join(dead)}), so no threshold can be chosen for them; give calibration data "
            "like the data the network will see, with the same normalisation, or remove dead layers"
        )
