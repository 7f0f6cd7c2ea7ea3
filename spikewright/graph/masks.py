"""Numbers that stand for -inf: what masks write, such as `torch.finfo(dtype).min`."""

from __future__ import annotations

import torch
from torch import Tensor

_MASKS = 1e-3
"""The part of the largest number of a dtype from which on values are masks."""
_MASKS_OF_FLOAT16 = 0.5
"""The same of float16, whose largest number, 65,504, values come near themselves."""


def masked(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Which values are infinite, NaN, or what masks of a dtype write for them."""
    part = _MASKS_OF_FLOAT16 if dtype is torch.float16 else _MASKS
    return ~(values.abs() < part * torch.finfo(dtype).max)


def without_masks(values: Tensor) -> Tensor:
    """Values with 0 in place of those."""
    return values.masked_fill(masked(values, values.dtype), 0.0)


def largest(values: Tensor) -> float:
    """The largest magnitude among values that no mask wrote; 0 where there is none."""
    return float(without_masks(values).abs().amax()) if values.numel() else 0.0
