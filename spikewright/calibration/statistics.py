"""What one pass over the calibration data keeps of every site: running maxima and histograms.

Everything is merged by maxima, integer counts and float64 sums, so neither the order of batches nor
how they were cut changes a threshold by a bit, where the model's own values stay the same: at
another batch size its sums may be rounded otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spikewright.errors import CalibrationError
from spikewright.graph.masks import masked, without_masks
from spikewright.graph.per_channel import by_channel

BINS = 512
"""Histogram bins of a channel; at least half of them lie below its maximum."""

_SMALLEST_EXPONENT = -1000
"""Of a channel that has not fired; float64 holds this range and the width of its bins."""

_SLICE = 1 << 20
"""Values binned at once, which bounds the memory of a pass."""


@dataclass
class SiteStatistics:
    """Statistics of one site's activation, per channel (see `Site.channels`).

    The histogram of a channel spans `[0, 2**exponent)`, the smallest such range above its maximum.
    When the maximum grows, neighbouring bins merge exactly, so only the final maximum matters.

    Attributes:
        maximum: float64 `[C]`, largest magnitude of an activation seen.
        exponent: int64 `[C]`.
        histogram: int64 `[C, BINS]`, counts of the magnitudes of activations other than 0.
        values: how many activations of each channel were seen, zeros included.
        input_sum: float64 `[C]`, sum of the activation's input (the pre-activation); inputs of
            -inf or `torch.finfo(dtype).min`, which a mask before a softmax makes, are left out.
        signed: whether a negative activation was seen, in any channel.
    """

    maximum: Tensor
    exponent: Tensor
    histogram: Tensor
    values: int
    input_sum: Tensor
    signed: bool = False
    _per_unit: Tensor | None = field(default=None, init=False, repr=False, compare=False)

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
        """The magnitude each bin stands for, float64 `[C, BINS]`."""
        middle = (torch.arange(BINS, dtype=torch.float64) + 0.5) / BINS
        return middle * self.span[:, None]

    def add(self, inputs: Tensor, activations: Tensor, channels: Sequence[int] = (1,)) -> Tensor:
        """Take in one batch.

        Args:
            inputs: `[B, *S]`, or `[B]` for a single channel.
            activations: alike.
            channels: the dimensions that are channels.

        Returns:
            The sum of the inputs, float64 `[C]`.
        """
        values, currents = by_channel(activations, channels), by_channel(inputs, channels)
        if bool(values.amin() < 0):
            self.signed = True
            values = values.abs()
        peak = values.amax((0, 2)).cpu().double()
        self.maximum = torch.maximum(self.maximum, peak)
        self._widen(torch.frexp(peak)[1].long().where(peak > 0, self.exponent))
        self.values += values.shape[0] * values.shape[2]
        total = torch.zeros_like(self.input_sum)
        samples = max(1, _SLICE // values[0].numel())
        for some in currents.split(samples):
            total += finite_sum(some, (0, 2)).cpu()
        for some in values.split(samples):
            self._count(some.cpu())
        self.input_sum += total
        return total

    def _count(self, values: Tensor) -> None:
        """Add magnitudes `[B, C, P]` to the histogram."""
        if self._per_unit is None:
            self._per_unit = BINS / self.span  # powers of two: the product below is exact
        first = torch.arange(len(values[0]), dtype=torch.int32) * BINS
        bins = (values * self._per_unit[:, None]).to(torch.int32) + first[:, None]
        size, flat = self.histogram.numel(), bins.flatten()
        if len(flat) < size:  # few values do not touch all bins
            one = torch.ones((), dtype=torch.int64)
            self.histogram.view(-1).index_add_(0, flat, one.expand(len(flat)))
        else:
            self.histogram += torch.bincount(flat, minlength=size).reshape(self.histogram.shape)
        zeros = values.shape[0] * values.shape[2] - values.count_nonzero((0, 2))
        self.histogram[:, 0] -= zeros

    def merged(self, other: SiteStatistics) -> SiteStatistics:
        """The statistics of both data sets together."""
        both = SiteStatistics.empty(len(self.maximum))
        both.maximum = torch.maximum(self.maximum, other.maximum)
        both.exponent = torch.maximum(self.exponent, other.exponent)
        for part in (self, other):
            both.histogram += rebinned(part.histogram, both.exponent - part.exponent)
            both.values += part.values
            both.input_sum += part.input_sum
            both.signed |= part.signed
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
            self.signed,
        )

    def _widen(self, exponent: Tensor) -> None:
        if bool((exponent > self.exponent).any()):
            wider = torch.maximum(self.exponent, exponent)
            self.histogram = rebinned(self.histogram, wider - self.exponent)
            self.exponent, self._per_unit = wider, None


def finite_sum(values: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    """The sum over dimensions of the values that are finite and that no mask wrote, float64."""
    if values.dtype is not torch.float16:  # whose masks are no larger than sums of values
        total = values.sum(dims, dtype=torch.float64)
        if not bool(masked(total, values.dtype).any()):
            return total
    return without_masks(values).sum(dims, dtype=torch.float64)


def rebinned(histogram: Tensor, doublings: Tensor) -> Tensor:
    """Counts in bins twice as wide, `doublings` `[C]` times over; exact, as bins align at zero."""
    if not bool((doublings > 0).any()):
        return histogram.clone()
    target = torch.arange(BINS)[None] >> doublings.clamp(max=62)[:, None]
    return torch.zeros_like(histogram).scatter_add_(1, target, histogram)


def require_alive(
    statistics: Mapping[str, SiteStatistics], silent: Container[str] = frozenset()
) -> None:
    """See that every site fired.

    Args:
        silent: names of the sites that may be silent all the same.

    Raises:
        CalibrationError: naming those that did not.
    """
    dead = [
        name
        for name, site in statistics.items()
        if not bool((site.maximum > 0).any()) and name not in silent
    ]
    if dead:
        raise CalibrationError(
            f"{len(dead)} sites never gave an activation other than 0 on the calibration data "
            f"({', '.join(dead)}), so no threshold can be chosen for them; give calibration data "
            "like the data the network will see, with the same normalisation, or remove dead layers"
        )
