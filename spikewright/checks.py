"""What a number that a caller gave is, be it of Python, numpy or torch."""

from __future__ import annotations

import math
import operator
from typing import Any

from torch import Tensor


def whole_number(value: Any, least: int) -> int | None:
    """A whole number as an int of Python; None for anything else, truth values and tensors too.

    Args:
        value: what was given; integers of numpy are whole numbers.
        least: the smallest one that will do; None is the answer for those below.
    """
    if isinstance(value, bool | Tensor):
        return None
    try:
        number = operator.index(value)
    except TypeError:
        return None
    return number if number >= least else None


def is_finite(value: Any) -> bool:
    """Whether it is a finite number, of Python, numpy or torch."""
    try:
        return math.isfinite(value)
    except (TypeError, ValueError, OverflowError):  # no number, several, one beyond all floats
        return False
