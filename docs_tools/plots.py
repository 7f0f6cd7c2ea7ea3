"""The plots of the theory pages, each computed by the library's own functions."""

from __future__ import annotations

from collections.abc import Callable

import torch

from docs_tools.chart import Axis, Curve, chart
from spikewright.neurons.count_law import upper_probability
from spikewright.neurons.rounding import Rounding

POINTS = 401


def small_charges() -> str:
    """Probability that a charge below one threshold fires, at several T, by the exact law."""
    fractions = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    curves = [
        Curve(f"TPP, T = {steps}", _points(fractions, upper_probability(steps, fractions)[0]))
        for steps in (32, 16, 8, 4)
    ]
    curves.append(Curve("unbiased", _points(fractions, fractions)))
    return chart(
        "Probability of one spike against charge, for TPP at T = 4, 8, 16 and 32",
        Axis("charge x, in thresholds", (0, 0.2, 0.4, 0.6, 0.8, 1)),
        Axis("probability of one spike", (0, 0.2, 0.4, 0.6, 0.8, 1)),
        curves,
    )


def bias() -> str:
    """Mean count minus charge over the whole range, at T = 8."""
    steps = 8
    charges = torch.linspace(0, steps, 8 * POINTS, dtype=torch.float64)
    named = {
        "TPP": Rounding.BERNOULLI,
        "unbiased": Rounding.UNBIASED,
        "nearest": Rounding.NEAREST,
    }
    curves = [
        Curve(name, _points(charges, rounding.expected_count(charges, steps)[0] - charges))
        for name, rounding in named.items()
    ]
    return chart(
        "Mean count minus charge for three roundings at T = 8",
        Axis("charge x, in thresholds (T = 8)", (0, 1, 2, 3, 4, 5, 6, 7, 8)),
        Axis("mean count − x", (-0.5, -0.25, 0, 0.25, 0.5)),
        curves,
    )


def noise() -> str:
    """Root mean square of count minus charge, at T = 8."""
    steps = 8
    charges = torch.linspace(0, steps, 8 * POINTS, dtype=torch.float64)
    curves: list[Curve] = []
    for name, rounding in (
        ("TPP", Rounding.BERNOULLI),
        ("unbiased", Rounding.UNBIASED),
        ("nearest", Rounding.NEAREST),
    ):
        mean, variance = rounding.expected_count(charges, steps)
        error = ((mean - charges) ** 2 + variance).sqrt()
        curves.append(Curve(name, _points(charges, error)))
    return chart(
        "Root mean square error of the count for three roundings at T = 8",
        Axis("charge x, in thresholds (T = 8)", (0, 1, 2, 3, 4, 5, 6, 7, 8)),
        Axis("RMS of count − x", (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
        curves,
    )


PLOTS: dict[str, Callable[[], str]] = {
    "small-charges": small_charges,
    "bias": bias,
    "noise": noise,
}
"""By the name that pages call them: `<!-- plot: bias -->`."""


def _points(x: torch.Tensor, y: torch.Tensor) -> tuple[tuple[float, float], ...]:
    return tuple(zip(x.tolist(), y.tolist(), strict=True))
