"""Scales as small as they can be written."""

from __future__ import annotations

from torch import Tensor

from spikewright.graph.ir import Operation


def along_reduced(op: Operation, scale: Tensor) -> Tensor | None:
    """The scale behind `reduce(x, dim, keepdim)`, or None where it varies along a dimension.

    Args:
        op: the reduction.
        scale: of its input, broadcastable to `[1, *S]`.
    """
    dims = [d % scale.ndim for d in op.argument(1, "dim")]
    if any(scale.shape[d] != 1 for d in dims):
        return None
    return scale.amax(dims, keepdim=op.argument(2, "keepdim", False))


def summed(op: Operation, events: Tensor) -> Tensor:
    """What arrives at every value of a reduction, of events `[R, *S]`."""
    return events.sum(op.argument(1, "dim"), keepdim=op.argument(2, "keepdim", False))


def compressed(scale: Tensor) -> Tensor:
    """The scale with every dimension along which it is constant cut to size 1.

    Where it is 0, values are filled in that are 0 as well: these have any scale.
    """
    for dim in range(1, scale.ndim):
        largest = scale.amax(dim, keepdim=True)
        if scale.shape[dim] > 1 and bool(((scale == largest) | (scale == 0)).all()):
            scale = largest
    return scale.where(scale != 0, 1.0).contiguous()
