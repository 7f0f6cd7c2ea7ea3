"""The mean over samples of every value of a network, without running the samples again.

What stands between two layers is linear, and the mean of a linear function is that function of the
mean. So the mean input of a layer follows from the mean of what the layers before it sent; and that
is a sum of counts, which is exact however the samples were cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spikewright.calibration.segments import Segment
from spikewright.graph.evaluate import call
from spikewright.graph.inputs import Batch, tensors_of
from spikewright.graph.ir import Graph

_EXACT = 1 << 24
"""The whole number up to which sums in float32 are exact."""


class MeanValues:
    """Means `[1, *S]` by the name of the value, kept as long as a later layer reads them.

    Args:
        graph: scales not folded.
        parts: the samples, batches of all inputs, which are signals.
    """

    def __init__(self, graph: Graph, parts: Sequence[Batch]) -> None:
        self._graph = graph
        self._samples = sum(len(part) for part in parts)
        self._dtype = graph.dtype
        self._means: dict[str, Any] = {}
        for port, tensors in zip(
            graph.inputs, zip(*map(tensors_of, parts), strict=True), strict=True
        ):
            total = torch.stack([tensor.sum(0, dtype=torch.float64) for tensor in tensors]).sum(0)
            self._means[port.name] = self._mean(total)
        self._sums: dict[str, Tensor] = {}
        self._units: dict[str, Tensor] = {}

    def of(self, name: str) -> Tensor:
        """The mean of a value."""
        return self._means[name]

    def enter(self, segment: Segment) -> None:
        """Compute the means of a segment's linear operations."""
        for op in segment.operations:
            self._means[op.name] = call(op, self._means, self._graph.tensors, 1)

    def add(self, name: str, numbers: Tensor, unit: Tensor, narrow: Tensor) -> None:
        """Count in what a part of the samples sent.

        Args:
            name: of the value.
            numbers: `[B, *S]`.
            unit: what one stands for, the same for every part.
            narrow: the same numbers in the integers that hold them.
        """
        integers = not narrow.is_floating_point()
        exact = integers and len(numbers) * torch.iinfo(narrow.dtype).max < _EXACT
        if exact and numbers.dtype is torch.float32:
            sums = numbers.sum(0).double()
        else:
            sums = numbers.sum(0, dtype=torch.float64)
        self._sums[name] = self._sums[name] + sums if name in self._sums else sums
        self._units[name] = unit

    def leave(self, segment: Segment) -> None:
        """Turn the sums of a finished layer into means, and free what no later layer reads."""
        unread = {op.name for op in segment.operations} - segment.keeps
        for name in unread | segment.frees:
            self._means.pop(name, None)
        if segment.lasts:
            end = segment.end.name
            total = self._sums.pop(end) * self._units.pop(end).double()
            full = total.ndim > len(segment.end.shape)
            self._means[end] = self._mean(total[0] if full else total)

    def _mean(self, total: Tensor) -> Tensor:
        return (total / self._samples)[None].to(self._dtype)
