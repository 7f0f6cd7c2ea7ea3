"""The digits code: a count as a few signed powers of two (multi-threshold neurons)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from spikewright.checks import whole_number
from spikewright.neurons.codes.binary import popcount
from spikewright.neurons.codes.code import Code, register_code
from spikewright.neurons.work import Work

_BITS = {torch.float32: (torch.int32, 23), torch.float64: (torch.int64, 52)}
"""The integers that hold a float, and the places of its fraction."""


@register_code
@dataclass(frozen=True)
class Digits(Code):
    """T signed powers of two, each the one nearest to what is left; levels 2**(exponents - 3).

    A spike is +2**e or -2**e, e from 0 to `exponents` - 1: the event carries its sign and e, and
    the weight that it meets is shifted by e. Of 2**e and 2**(e - 1) the larger is sent from 3/4 of
    it on. In T = 2 steps 11 is 8 + 4 = 12, in T = 3 steps 8 + 4 - 1: a count that needs more digits
    than T is rounded to what T digits say, at most to a third of what is left a digit. As digits
    err relative to the value, room costs little: counts reach 4 times the levels, for values that
    calibration did not see. These are the multi-threshold neurons of Huang et al. (ACM MM 2024;
    ICML 2025).

    Args:
        exponents: how many powers of two an event can carry, 3 to 20.

    Raises:
        ValueError: for another number of exponents.
    """

    exponents: int = 12

    def __post_init__(self) -> None:
        exponents = whole_number(self.exponents, least=3)
        if exponents is None or exponents > 20:
            raise ValueError(f"exponents must be a whole number, 3 to 20, got {self.exponents!r}")
        object.__setattr__(self, "exponents", exponents)

    @property
    def name(self) -> str:
        return "digits" if self.exponents == 12 else f"digits of {self.exponents}"

    @property
    def meaning(self) -> str:
        return "its spikes are signed powers of two, the nearest to what is left of the count"

    @property
    def carries_all(self) -> bool:
        return False

    @property
    def largest_spike(self) -> int:
        return 2 ** (self.exponents - 1)

    @property
    def room(self) -> int:
        return 4

    @property
    def bits(self) -> int:
        """Of 2 signs, `exponents` powers, and no spike."""
        return (2 * self.exponents).bit_length()

    def levels(self, steps: int) -> int:
        return self.largest_spike // self.room

    def steps_for(self, levels: int) -> int:
        """Digits that write every count up to `levels`.

        The least counts of k digits are 1, 3, 11, 43, ...: `(2**(2 k - 1) + 1) / 3`.
        """
        return next(k for k in count(1) if (2 ** (2 * k + 1) + 1) // 3 > levels)

    def carried(self, count: Tensor, steps: int) -> Tensor:
        left = count
        for _ in range(min(steps, self.steps_for(self.largest_spike))):
            left = left - nearest_power(left)
        return count - left

    def spikes_of(self, count: Tensor) -> Tensor:
        """The digits other than 0 of n in its non-adjacent form, which are the ones of n XOR 3n."""
        whole = count.to(torch.int32)
        return popcount((whole ^ (3 * whole)).to(count.dtype))

    def spikes_at(self, step: int, count: Tensor, unsent: Tensor, steps: int) -> Tensor:
        return nearest_power(unsent)

    def work(self, steps: int) -> Work:
        """A comparison with each power and a subtraction from what is left, every step."""
        return Work(updates=steps, comparisons=steps * self.exponents)

    @classmethod
    def named(cls) -> Mapping[str, Code]:
        return {"digits": cls()}


def nearest_power(values: Tensor) -> Tensor:
    """The power of two nearest to whole numbers, with their sign; 0 for 0.

    From 3/4 of 2**e on that is 2**e: half a fraction added to a float carries into its exponent
    then, and what is left of it without its fraction is the power. It reads its argument once: a
    compiler that writes what is read where it is read doubles the code of each digit, no more.
    """
    if torch.compiler.is_exporting():  # its targets have no view of a float as an integer
        return _by_comparisons(values)
    whole, places = _BITS[values.dtype]
    bits = values.contiguous().view(whole) + (1 << (places - 1))
    return (bits & -(1 << places)).view(values.dtype)


def _by_comparisons(values: Tensor) -> Tensor:
    power, magnitude = torch.zeros_like(values), values.abs()
    for exponent in range(20):
        power = torch.where(magnitude >= 0.75 * 2**exponent, float(2**exponent), power)
    return power * values.sign()
