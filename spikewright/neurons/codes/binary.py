"""The binary code: the spikes of a count are its bits (Datta et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.neurons.codes.code import Code, register_code
from spikewright.neurons.work import Work


@register_code
@dataclass(frozen=True)
class Binary(Code):
    """The bits of n, most significant first; levels 2**T - 1.

    A spike at step t (from 0) counts 2**(T - 1 - t). In T = 4 steps, n = 11 = 8 + 2 + 1 is the
    train 1, 0, 1, 1.
    """

    @property
    def name(self) -> str:
        return "binary"

    @property
    def meaning(self) -> str:
        return "its spikes are the bits of the count"

    def levels(self, steps: int) -> int:
        return (1 << steps) - 1

    def steps_for(self, levels: int) -> int:
        return levels.bit_length()

    def step_weights(self, steps: int) -> Tensor:
        return 2.0 ** torch.arange(steps - 1, -1, -1, dtype=torch.float64)

    def spikes_of(self, count: Tensor) -> Tensor:
        return popcount(count)

    def spikes_at(self, step: int, count: Tensor, unsent: Tensor, steps: int) -> Tensor:
        return (unsent >= 2 ** (steps - 1 - step)).to(count.dtype)

    def work(self, steps: int) -> Work:
        """One comparison of what is unsent a step, and one subtraction from it."""
        return Work(updates=steps, comparisons=steps)


def popcount(count: Tensor, places: int | None = None) -> Tensor:
    """The number of ones in the binary writing of integers in 0..2**24, in their own dtype.

    Legendre: the ones of n are `n - sum_k floor(n / 2**k)`, k from 1; all exact in floating point.

    Args:
        count: any shape.
        places: bits that the largest one takes; found when None.
    """
    if places is None:
        places = 24
        if not torch.compiler.is_compiling() and count.numel():
            places = int(count.max()).bit_length()
    ones = count
    for place in range(1, places):
        ones = ones - (count * 0.5**place).floor()
    return ones
