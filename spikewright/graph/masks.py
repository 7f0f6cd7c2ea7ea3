"""Numbers that stand for -inf: what masks write, such as `torch.finfo(dtype).min`."""

from __future__ import annotations

import torch
from torch import Tensor

_MASKS = 1e-3
"""The part of the largest number of a dtype from which on values are masks."""


def masked(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Which values are infinite, NaN, or what masks of a dtype write for them."""
    return ~(values.abs() < _MASKS * torch.finfo(dtype).max)


def without_masks(values: Tensor) -> Tensor:
    """Values with 0 in place of those."""
    return values.masked_fill(masked(values, values.dtype), 0.0)


def largest(values: Tensor) -> float:
    """The largest magnitude among values that no mask wrote; 0 where there is none."""
    return float(without_masks(values).abs().amax()) if values.numel() else 0.0
