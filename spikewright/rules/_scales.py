"""Scales as small as they can be written."""

from __future__ import annotations

from torch import Tensor


def compressed(scale: Tensor) -> Tensor:
    """The scale with every dimension along which it is constant cut to size 1."""
    for dim in range(1, scale.ndim):
        first = scale.narrow(dim, 0, 1)
        if scale.shape[dim] > 1 and bool((scale == first).all()):
            scale = first
    return scale.contiguous()
