"""What time constants and thresholds are drawn from: one value for all neurons, or one for each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class Distribution(Protocol):
    """Positive numbers with a mean that is known, so that a control can have the same."""

    @property
    def mean(self) -> float:
        """The mean of all that could be drawn."""
        ...

    def draw(self, count: int, generator: np.random.Generator) -> Values:
        """So many numbers above 0, float64 `[count]`."""
        ...


@dataclass(frozen=True)
class Homogeneous:
    """The same number for every neuron: the control.

    Args:
        mean: the number, above 0.

    Raises:
        ValueError: for a mean that is not above 0 and finite.

    Example:
        >>> Homogeneous(10.0).draw(2, np.random.default_rng(0)).tolist()
        [10.0, 10.0]
    """

    mean: float

    def __post_init__(self) -> None:
        _positive(mean=self.mean)

    def draw(self, count: int, generator: np.random.Generator) -> Values:
        """The mean, `[count]`; nothing is taken from the generator."""
        return np.full(count, self.mean)


@dataclass(frozen=True)
class Gamma:
    """Gamma distributed: shape 1 / variation^2, scale mean * variation^2.

    Args:
        mean: above 0.
        variation: standard deviation in units of the mean, above 0. 1 is the exponential
            distribution; for none take `Homogeneous`.

    Raises:
        ValueError: for a number that is not above 0 and finite.

    Source: Chakraborty and Mukhopadhyay, arXiv 2407.06452, draw time constants so; Perez-Nieves et
    al., Nature Communications 2021, before them.

    Example:
        >>> drawn = Gamma(10.0, variation=0.5).draw(10_000, np.random.default_rng(0))
        >>> round(float(drawn.mean())), round(float(drawn.std()))
        (10, 5)
    """

    mean: float
    variation: float = 1.0

    def __post_init__(self) -> None:
        _positive(mean=self.mean, variation=self.variation)

    def draw(self, count: int, generator: np.random.Generator) -> Values:
        """Independent draws, `[count]`."""
        square = self.variation**2
        return _above_zero(generator.gamma(1 / square, self.mean * square, count))


@dataclass(frozen=True)
class LogNormal:
    """Log-normally distributed: the logarithm has the variance log(1 + variation^2).

    Args:
        mean: of the numbers, not of their logarithms; above 0.
        variation: standard deviation in units of the mean, above 0; for none take `Homogeneous`.

    Raises:
        ValueError: for a number that is not above 0 and finite.

    Example:
        >>> drawn = LogNormal(10.0, variation=0.5).draw(10_000, np.random.default_rng(0))
        >>> round(float(drawn.mean())), round(float(drawn.std()))
        (10, 5)
    """

    mean: float
    variation: float = 1.0

    def __post_init__(self) -> None:
        _positive(mean=self.mean, variation=self.variation)

    def draw(self, count: int, generator: np.random.Generator) -> Values:
        """Independent draws, `[count]`."""
        variance = math.log1p(self.variation**2)
        middle = math.log(self.mean) - variance / 2
        return _above_zero(generator.lognormal(middle, math.sqrt(variance), count))


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {number}")


def _above_zero(drawn: Values) -> Values:
    """A gamma distribution of large variation rounds some draws to 0, which no neuron can have."""
    return np.maximum(drawn, np.finfo(np.float64).tiny)
