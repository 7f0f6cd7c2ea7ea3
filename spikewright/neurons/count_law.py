"""The exact law of a TPP neuron's spike count, as a table.

A TPP neuron with total charge `x = k + f` (0 <= k < T, 0 <= f < 1) emits `k` or `k + 1` spikes
in its T steps and nothing else. With `q(k, f, R)` the probability of the larger count when R steps
remain (ours; the paper, arXiv 2502.14487, defines the process and does not give its law):

    q(-1, f, R) = 1,   q(R, f, R) = 0,
    q(k, f, R)  = (k+f)/R * q(k-1, f, R-1)  +  (1 - (k+f)/R) * q(k, f, R-1)

TPP is therefore a biased rounding: q(0, f, T) = 1 - prod_R (1 - f/R) is far above f.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.neurons.counter_random import DITHER_RANGE, DRAW_RANGE

INTERVALS = 256
"""Intervals of the grid over f; q is a polynomial in f, read by linear interpolation."""

MAXIMUM_LEVELS = 4096
"""Largest L of the table: time and memory grow as L squared and L."""


_NO_SIGN = 2**31 - 1


def interpolation_bound(levels: int) -> float:
    """Largest difference between the table's q and the exact recursion, in float64 or float32.

    Linear interpolation errs by at most `max |q''| / (8 * INTERVALS**2)`; the second derivative
    stays below the square of the harmonic number of T (seen for every T up to 256, where the bound
    is 7e-5). The last term is float32's own rounding.
    """
    harmonic = math.fsum(1 / r for r in range(1, levels + 1))
    return harmonic**2 / (8 * INTERVALS**2) + 1e-6


def upper_probability(levels: int, fractions: Tensor) -> Tensor:
    """The recursion itself: `q(k, f, levels)` for every k at the given f.

    Args:
        levels: T, at least 1.
        fractions: float64 `[F]`, in `[0, 1]`.

    Returns:
        float64 `[levels, F]`, row k for `x = k + f`.
    """
    q = torch.zeros(levels, len(fractions), dtype=torch.float64)
    q[0] = fractions  # one step left: x = f fires with probability f
    whole = torch.arange(levels, dtype=torch.float64)[:, None]
    for remaining in range(2, levels + 1):
        fire = (whole[:remaining] + fractions) / remaining
        after_spike = torch.cat([torch.ones_like(q[:1]), q[: remaining - 1]])
        q[:remaining] = fire * after_spike + (1 - fire) * q[:remaining]
    return q


@lru_cache(maxsize=16)
def _grid(levels: int) -> Tensor:
    fractions = torch.linspace(0, 1, INTERVALS + 1, dtype=torch.float64)
    return upper_probability(levels, fractions)


def table(levels: int, *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The table that `lookup` reads: flat `[levels * (INTERVALS + 1)]`, row k after row k - 1.

    Raises:
        ConversionError: when `levels` is outside 1..4096.
    """
    return _checked_grid(levels).to(device=device, dtype=dtype).flatten()


def draw_table(levels: int, device: torch.device) -> Tensor:
    """The table that `drawn` reads: one entry for each grid point of the charge, T the last.

    An entry is q times `DRAW_RANGE`, rounded up: of so many draws, those below it send one spike
    more than `floor(x)`.

    Returns:
        int32 `[levels * INTERVALS + 1]`.

    Raises:
        ConversionError: when `levels` is outside 1..4096.
    """
    points = _checked_grid(levels)[:, :INTERVALS].flatten()  # f = 1 is f = 0 of the next k
    return F.pad((points * DRAW_RANGE).ceil().to(torch.int32), (0, 1)).to(device)


def _checked_grid(levels: int) -> Tensor:
    if not 1 <= levels <= MAXIMUM_LEVELS:
        raise ConversionError(
            f"the count law of TPP is tabulated for counts up to {MAXIMUM_LEVELS}, got {levels}: "
            "give fewer steps, or another rounding"
        )
    return _grid(levels)


def lookup(q: Tensor, whole: Tensor, fraction: Tensor) -> Tensor:
    """`q(k, f, T)` by linear interpolation in f.

    Args:
        q: from `table(T)`.
        whole: k, floating and integral, any shape, in 0..T-1.
        fraction: f, same shape, in `[0, 1]`.

    Returns:
        The probability of `k + 1` spikes, same shape, within `interpolation_bound(T)` of the law.
    """
    position = fraction * INTERVALS
    cell = position.floor().clamp(max=INTERVALS - 1)
    index = (whole * (INTERVALS + 1) + cell).long()
    return torch.lerp(q[index], q[index + 1], position - cell)


def grid_point(charge: Tensor, dither: Tensor) -> Tensor:
    """The grid point on one side of a charge or the other, whose entry `drawn` reads.

    A point is taken with just the probability that linear interpolation gives it as weight. All of
    it is whole numbers in 32 bits: cheap, and the same on every machine.

    Args:
        charge: x, floating, any shape, in 0..T.
        dither: int32, same shape, uniform below `DITHER_RANGE`.

    Returns:
        int32, same shape, in 0..T * INTERVALS; 0 for NaN.
    """
    fine = charge if charge.dtype is torch.float64 else charge.float()
    place = (fine * (INTERVALS * DITHER_RANGE)).round().to(torch.int32)
    return ((place + dither) & _NO_SIGN) >> 8  # NaN became the least of all numbers


def drawn(law: Tensor, charge: Tensor, draw: Tensor, dither: Tensor) -> Tensor:
    """A count of the law, with a single read of the table.

    The count follows the interpolated law, within `dither_bound(T)` of the exact one.

    Args:
        law: from `draw_table(T)`; what stands behind its end is not read.
        charge: x, floating, any shape, in 0..T; NaN stays NaN.
        draw: int32, same shape, uniform below `DRAW_RANGE`.
        dither: int32, same shape, uniform below `DITHER_RANGE`.

    Returns:
        Counts, of the dtype of `charge`.
    """
    point = grid_point(charge, dither)
    # unsafe: points are in range, and a check of every one would cost as much as reading it
    upper = draw < torch.ops.aten._unsafe_index.Tensor(law, [point])
    count = (point >> 8).to(charge.dtype) + upper
    return torch.where(charge == charge, count, charge)  # `isnan` would take as long as the read


def dither_bound(levels: int) -> float:
    """Largest difference between the law drawn from with a dither of 256 values, and the exact one.

    To `interpolation_bound` comes the slope of q in f, at most the harmonic number of T, times half
    of a 256th of an interval.
    """
    harmonic = math.fsum(1 / r for r in range(1, levels + 1))
    return interpolation_bound(levels) + harmonic / (2 * DITHER_RANGE * INTERVALS)
