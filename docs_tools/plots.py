"""The plots of the theory pages, each computed by the library's own functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from matplotlib.axes import Axes
from torch import Tensor

from paper.chart import GRID, INK, Axis, Curve, chart
from spikewright.neurons.count_law import upper_probability
from spikewright.neurons.rounding import Rounding

POINTS = 401

COLOURS = ("#b8501c", "#1b62b5", "#007a66", "#8a3d97", "#50607a")
"""The colours of curves on a light page; the style sheet has those of a dark one."""

THEME = {
    **{colour: f"var(--curve-{number})" for number, colour in enumerate(COLOURS)},
    INK: "var(--md-default-fg-color--light)",
    GRID: "var(--md-default-fg-color--lightest)",
}
"""What stands in the page for the colours of a chart, so that it follows light and dark."""


def small_charges() -> str:
    """Probability that a charge below one threshold fires, at several T, by the exact law."""
    fractions = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    curves = {
        f"TPP, T = {steps}": upper_probability(steps, fractions)[0] for steps in (32, 16, 8, 4)
    }
    return _page_chart(
        "Probability of one spike against charge, for TPP at T = 4, 8, 16 and 32",
        Axis("charge x, in thresholds", (0, 0.2, 0.4, 0.6, 0.8, 1)),
        Axis("probability of one spike", (0, 0.2, 0.4, 0.6, 0.8, 1)),
        fractions,
        {**curves, "unbiased": fractions},
    )


def bias() -> str:
    """Mean count minus charge over the whole range, at T = 8."""
    charges, laws = _roundings(8)
    return _page_chart(
        "Mean count minus charge for three roundings at T = 8",
        Axis("charge x, in thresholds (T = 8)", tuple(range(9))),
        Axis("mean count − x", (-0.5, -0.25, 0, 0.25, 0.5)),
        charges,
        {name: mean - charges for name, (mean, _) in laws.items()},
    )


def noise() -> str:
    """Root mean square of count minus charge, at T = 8."""
    charges, laws = _roundings(8)
    return _page_chart(
        "Root mean square error of the count for three roundings at T = 8",
        Axis("charge x, in thresholds (T = 8)", tuple(range(9))),
        Axis("RMS of count − x", (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
        charges,
        {
            name: ((mean - charges) ** 2 + variance).sqrt()
            for name, (mean, variance) in laws.items()
        },
    )


def _roundings(steps: int) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Charges 0 .. T, and mean and variance of the count by rounding."""
    charges = torch.linspace(0, steps, steps * POINTS, dtype=torch.float64)
    kinds = {"TPP": Rounding.BERNOULLI, "unbiased": Rounding.UNBIASED, "nearest": Rounding.NEAREST}
    return charges, {name: kind.expected_count(charges, steps) for name, kind in kinds.items()}


def _page_chart(title: str, x: Axis, y: Axis, at: Tensor, curves: Mapping[str, Tensor]) -> str:
    """A chart within a page: it takes its colours from there and leaves the page's style alone.

    `title` describes it to those who cannot see it.
    """

    def zero(axes: Axes) -> None:
        axes.axhline(0, color=INK, linewidth=0.8)

    drawn = [
        Curve(name, tuple(zip(at.tolist(), values.tolist(), strict=True)), colour)
        for (name, values), colour in zip(curves.items(), COLOURS, strict=False)
    ]
    picture = re.sub(r"<(metadata|style).*?</\1>", "", chart(x, y, drawn, zero), flags=re.DOTALL)
    for colour, variable in THEME.items():
        picture = picture.replace(colour, variable)
    return picture.replace("<svg", f'<svg class="chart" role="img" aria-label="{title}"', 1)


PLOTS: dict[str, Callable[[], str]] = {
    "small-charges": small_charges,
    "bias": bias,
    "noise": noise,
}
"""By the name that pages call them: `<!-- plot: bias -->`."""
