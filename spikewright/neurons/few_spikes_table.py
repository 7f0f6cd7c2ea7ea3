"""The table of a few-spikes neuron: what it compares, takes and sends at each of its K steps."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.checks import whole_number

MARK = 32
"""Every weight is 1 more than a multiple of it, so a count modulo it tells its spikes."""

LARGEST_WEIGHTS = 2**21
"""What weights add up to, about: fine enough for any table, and float32 holds their sums."""


@dataclass(frozen=True)
class FewSpikesTable:
    """T, h and d of the K steps of a few-spikes neuron, in counts.

        z_t = 1 if v_t >= T_t, else 0;  v_(t+1) = v_t - h_t z_t;  n = sum_t d_t z_t

    from v_1 = x / unit, with x the mean current; what it sends is worth `unit * n`. Of the authors'
    names T is `thresholds` here, h `resets` and d `weights`. Weights are whole, so that a count is,
    and each is 1 more than a multiple of 32: then n modulo 32 is the number of spikes.

    Args:
        thresholds: T, K numbers, 1 to 31 of them.
        resets: h, K numbers.
        weights: d, K whole numbers, 1 more than multiples of 32, below 0 or above.
        unit: what a count of 1 is worth, above 0.

    Raises:
        ValueError: for other numbers; `of_reals` takes any.
    """

    thresholds: tuple[float, ...]
    resets: tuple[float, ...]
    weights: tuple[int, ...]
    unit: float

    def __post_init__(self) -> None:
        rows = (self.thresholds, self.resets, self.weights)
        if len({len(row) for row in rows}) != 1 or not 1 <= self.steps < MARK:
            lengths = ", ".join(str(len(row)) for row in rows)
            raise ValueError(
                f"a table has one threshold, reset and weight for each of 1 to {MARK - 1} steps, "
                f"got {lengths}"
            )
        if not all(math.isfinite(x) for x in (*self.thresholds, *self.resets, self.unit)):
            raise ValueError("the thresholds, resets and unit of a table must be finite numbers")
        if self.unit <= 0:
            raise ValueError(f"the unit of a table must be above 0, got {self.unit}")
        weights = [whole_number(d, least=-sys.maxsize) for d in self.weights]
        if any(d is None or d % MARK != 1 for d in weights):
            raise ValueError(
                f"the weights of a table are whole numbers, 1 more than multiples of {MARK}; "
                "FewSpikesTable.of_reals makes them of any"
            )
        object.__setattr__(self, "weights", tuple(weights))
        if self.levels > 2**24:
            raise ValueError("the weights of a table add up to more than 2**24")

    @classmethod
    def of_reals(
        cls, thresholds: Sequence[float], resets: Sequence[float], weights: Sequence[float]
    ) -> FewSpikesTable:
        """The table of real T, h and d, as papers give them: in the unit of x.

        Weights are rounded to about a 60,000th of their sum.

        Raises:
            ValueError: where there are not as many of each, or a number is not finite, or all
                weights are 0.
        """
        total = sum(abs(d) for d in weights)
        if not (math.isfinite(total) and total > 0):
            raise ValueError("the weights of a table must be finite, and not all of them 0")
        unit = total / LARGEST_WEIGHTS
        whole = tuple(MARK * round(d / unit / MARK) + 1 for d in weights)
        return cls(
            tuple(x / unit for x in thresholds), tuple(x / unit for x in resets), whole, unit
        )

    @property
    def steps(self) -> int:
        """K."""
        return len(self.weights)

    @property
    def levels(self) -> int:
        """The largest magnitude of a count that the weights could add up to."""
        above = sum(d for d in self.weights if d > 0)
        return max(above, above - sum(self.weights))

    def step(self, number: int, potential: Tensor) -> tuple[Tensor, Tensor]:
        """The spikes of a step, from 0, and the potential after it, both `[B, *S]`."""
        spikes = (potential >= self.thresholds[number]).to(potential.dtype)
        return spikes, potential - spikes * self.resets[number]

    def count(self, charge: Tensor) -> Tensor:
        """The counts n of charges x / unit, `[B, *S]`, whole."""
        count, potential = torch.zeros_like(charge), charge
        for number, weight in enumerate(self.weights):
            spikes, potential = self.step(number, potential)
            count = count + spikes * weight
        return count

    def __call__(self, x: Tensor) -> Tensor:
        """What the neuron sends of a mean current, in its unit: its approximation of a function."""
        return self.count(x / self.unit) * self.unit
