"""Values of a unit by its channels: the dimensions along which each place has its own threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from spikewright.graph.ir import Operation


def channels_of(op: Operation) -> int:
    """C, the number of thresholds that a unit may have."""
    return math.prod(op.shape[dim - 1] for dim in _dims(op))


def by_channel(values: Tensor, dims: Sequence[int] = (1,)) -> Tensor:
    """`[B, *S]` as `[B, C, P]`: the channels, and the places that share one; `[B]` is one channel.

    Args:
        values: one for each neuron.
        dims: the dimensions that are channels, ascending; none where the layer is one channel.
    """
    values = values.detach()
    dims = [dim for dim in dims if dim < values.ndim]
    channels = math.prod(values.shape[dim] for dim in dims)
    first = list(range(1, 1 + len(dims)))
    moved = values if list(dims) == first else values.movedim(list(dims), first)
    return moved.reshape(len(values), channels, -1)


def placed(values: Tensor, op: Operation) -> Tensor:
    """Numbers of a unit's channels, `[C]` or `[1]`, broadcastable to its values `[B, *S]`."""
    dims = _dims(op) if len(values) > 1 else ()
    return values.reshape(1, *(n if at in dims else 1 for at, n in enumerate(op.shape, 1)))


def _dims(op: Operation) -> tuple[int, ...]:
    assert op.site is not None
    return op.site.channels
