"""What one neuron does in a window besides taking in what arrives, for the account of energy."""

from __future__ import annotations

import operator
from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Work:
    """Operations of one neuron in one window of T time steps, synaptic additions apart.

    Attributes:
        updates: times that its state is read and written.
        comparisons: with a threshold, a count or a step.
        draws: random numbers.
    """

    updates: float = 0.0
    comparisons: float = 0.0
    draws: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(*map(operator.add, astuple(self), astuple(other)))
