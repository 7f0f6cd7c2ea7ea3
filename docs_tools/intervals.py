"""The uncertainty of a mean of few values, as the pages tell it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 10: 2.262}
"""The 97.5 % quantile of Student's distribution for the mean of so many values."""


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean of few values, and half of its 95 % interval by Student's distribution."""
    half = STUDENT_T[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values), half
