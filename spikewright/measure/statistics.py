"""How sure an accuracy is, and whether two classifiers really differ on the same samples."""

from __future__ import annotations

import math
from statistics import NormalDist

_NEGLIGIBLE = 1e-20
"""A term this small, relative to the sum so far, cannot change a p-value's float64."""


def wilson_interval(successes: float, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a proportion.

        centre = (p + z^2 / 2n) / (1 + z^2 / n)
        half   = z / (1 + z^2 / n) * sqrt(p (1 - p) / n + z^2 / 4n^2)

    Unlike the normal interval it stays inside 0..1 and is not empty at p = 0 and p = 1.

    Args:
        successes: 0..trials; a mean over repetitions may be fractional.
        trials: n, at least 1.
        confidence: the level of confidence, in (0, 1).

    Returns:
        The lower and upper end, in 0..1.

    Raises:
        ValueError: for an argument out of its range.

    Example:
        >>> wilson_interval(90, 100)
        (0.8256343384950865, 0.9447708629393249)

    Source: Wilson, JASA 22 (1927).
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"successes lie in 0..trials and trials are at least 1, got {successes} of {trials}"
        )
    z = _quantile(confidence)
    p, shrink = successes / trials, 1 + z * z / trials
    centre = (p + z * z / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def mean_interval(
    mean: float, mean_of_squares: float, samples: int, confidence: float = 0.95
) -> tuple[float, float]:
    """The normal interval of a mean.

        mean -+ z sqrt((mean_of_squares - mean^2) / (n - 1))

    Args:
        mean: of the samples' values.
        mean_of_squares: of the same.
        samples: n, at least 1; one sample alone has no width.
        confidence: the level of confidence, in (0, 1).

    Returns:
        The lower and upper end.

    Example:
        >>> mean_interval(0.5, 0.5, 101)
        (0.4020018007729973, 0.5979981992270027)
    """
    variance = max(0.0, mean_of_squares - mean * mean) / max(1, samples - 1)
    half = _quantile(confidence) * math.sqrt(variance)
    return mean - half, mean + half


def paired_interval(
    only_first: int, only_second: int, samples: int, confidence: float = 0.95
) -> tuple[float, float]:
    """The interval of the difference of two proportions on the same samples, of Agresti and Min.

    With half a sample added to each of the four outcomes, b = only_first + 1/2, c = only_second +
    1/2 and n = samples + 2:

        (b - c) / n  -+  z / n * sqrt(b + c - (b - c)^2 / n)

    Args:
        only_first: samples that only the first classifier gets right.
        only_second: samples that only the second gets right.
        samples: all of them, at least 1.
        confidence: the level of confidence, in (0, 1).

    Returns:
        The lower and upper end, in -1..1; positive where the first is better.

    Raises:
        ValueError: for an argument out of its range.

    Example:
        >>> paired_interval(12, 2, 100)
        (0.026091691789371443, 0.16998673958317756)

    Source: Agresti and Min, Statistics in Medicine 24 (2005).
    """
    if samples < 1 or min(only_first, only_second) < 0 or only_first + only_second > samples:
        raise ValueError(
            f"only_first and only_second are counts of at most all samples, got {only_first} and "
            f"{only_second} of {samples}"
        )
    z = _quantile(confidence)
    b, c, n = only_first + 0.5, only_second + 0.5, samples + 2
    middle, half = (b - c) / n, z / n * math.sqrt(b + c - (b - c) ** 2 / n)
    return max(-1.0, middle - half), min(1.0, middle + half)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """The exact McNemar test: do two classifiers err equally often on the same samples?

    Under the null hypothesis each discordant sample is a fair coin, so with n = b + c

        p = min(1, 2 * sum_{k = 0..min(b, c)} C(n, k) / 2^n)

    Args:
        only_first: b, samples that only the first classifier gets right.
        only_second: c, samples that only the second gets right.

    Returns:
        The two-sided p-value in (0, 1] (0 where float64 cannot hold it); 1 without discordant
        samples.

    Raises:
        ValueError: for a negative count.

    Example:
        >>> mcnemar_exact(1, 6)
        0.125

    Source: McNemar, Psychometrika 12 (1947); the exact form is the binomial sign test.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError(f"counts are at least 0, got {only_first} and {only_second}")
    n, k = only_first + only_second, min(only_first, only_second)
    if 2 * k >= n - 1:  # half of all outcomes or more lie on either side
        return 1.0
    # Of the tail the last term is the largest: relative to it, going down, C(n,k-1)/C(n,k).
    total = term = 1.0
    for below in range(k, 0, -1):
        term *= below / (n - below + 1)
        total += term
        if term < _NEGLIGIBLE * total:
            break
    return min(1.0, 2 * total * (math.comb(n, k) / (1 << n)))  # whole numbers: never overflows


def _quantile(confidence: float) -> float:
    """How many standard deviations to either side hold that share of a normal distribution."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence lies in (0, 1), got {confidence}; 0.95 is usual")
    return NormalDist().inv_cdf((1 + confidence) / 2)
