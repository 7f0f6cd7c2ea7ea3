"""Emissions: how a two-phase neuron writes its count n in spikes.

Every emission carries the same integer, `sum_t weight[t] * spike[t] = n`; they differ in the steps
and the spikes that it takes (PAPERS: Datta et al. 2023 for the binary code, LC-TTFS 2310.14978 for
the single spike).
"""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor


class Emission(StrEnum):
    """How a count n in 0..L becomes spikes."""

    RANDOM = "random"
    """n spikes in uniformly random order, L steps."""
    BURST = "burst"
    """n spikes at once from the first step, L steps."""
    LATE = "late"
    """n spikes in the last steps of L; a control of the misalignment experiment."""
    BINARY = "binary"
    """The bits of n, most significant first, a spike at step t weighing 2**(K-1-t);
    K = ceil(log2(L + 1)) steps."""
    FIRST_SPIKE = "first-spike"
    """One spike whose time tells n: at step t (from 0) it weighs L - t; none for n = 0. L steps."""

    def duration(self, levels: int) -> int:
        """Steps it takes to emit a count of 0..levels."""
        return levels.bit_length() if self is Emission.BINARY else levels

    def step_weights(self, levels: int) -> Tensor:
        """What a spike at each step counts for, float64 `[duration]`."""
        steps = self.duration(levels)
        if self is Emission.BINARY:
            return 2.0 ** torch.arange(steps - 1, -1, -1, dtype=torch.float64)
        if self is Emission.FIRST_SPIKE:
            return torch.arange(levels, 0, -1, dtype=torch.float64)
        return torch.ones(steps, dtype=torch.float64)

    def spikes_of(self, count: Tensor) -> Tensor:
        """The number of spikes that carry each count."""
        if self is Emission.BINARY:
            return popcount(count)
        if self is Emission.FIRST_SPIKE:
            return (count > 0).to(count.dtype)
        return count

    def spikes_at(self, step: int, count: Tensor, unsent: Tensor, levels: int) -> Tensor:
        """The spikes of one step, as booleans, of every emission but `RANDOM` (`RandomOrder`).

        Args:
            step: 0 .. duration - 1.
            count: n in 0..levels, floating and integral, `[B, *S]`.
            unsent: what the spikes before this step have not carried yet, `[B, *S]`.
            levels: L.

        Returns:
            bool `[B, *S]`.

        Raises:
            ValueError: of `RANDOM`, which draws.
        """
        if self is Emission.BURST:
            return count > step
        if self is Emission.LATE:
            return count >= levels - step
        if self is Emission.BINARY:
            return unsent >= 2 ** (self.duration(levels) - 1 - step)
        if self is Emission.FIRST_SPIKE:
            return (count > 0) & (count == levels - step)
        raise ValueError("a random emission draws its spikes")


def popcount(count: Tensor) -> Tensor:
    """The number of ones in the binary writing of integers in 0..2**24, in their own dtype.

    Legendre: the ones of n are `n - sum_k floor(n / 2**k)`, k from 1; all exact in floating point.
    """
    places = 24
    if not torch.compiler.is_compiling() and count.numel():
        places = int(count.max()).bit_length()
    ones = count
    for place in range(1, places):
        ones = ones - (count * 0.5**place).floor()
    return ones
