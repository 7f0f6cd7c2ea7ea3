"""Scales as small as they can be written."""

from __future__ import annotations

import torch
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


def compressed(scale: Tensor, free: Tensor | None = None) -> Tensor:
    """The scale with every dimension along which it is constant cut to size 1.

    Args:
        scale: `[1, *S]`.
        free: where it may be anything, as the value there is 0 whatever its scale; of its shape.
    """
    free = torch.zeros_like(scale, dtype=torch.bool) if free is None else free
    for dim in range(1, scale.ndim):
        if scale.shape[dim] < 2:
            continue
        least = scale.masked_fill(free, torch.inf).amin(dim, keepdim=True)
        most = scale.masked_fill(free, -torch.inf).amax(dim, keepdim=True)
        if bool((least >= most).all()):
            scale, free = most, free.all(dim, keepdim=True)
    return scale.masked_fill(free, 1.0).contiguous()
