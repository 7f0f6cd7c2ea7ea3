"""Histograms of all layers of a network as one picture: a row a layer, a cell a bin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from spikewright.measure import ResidualSummary
from spikewright.report.contents import Thresholds
from spikewright.report.plotting import Figure, axis, layer_axis, layout, upright

ROW_PIXELS = 22
_RATE_LABELS = ("silent", "0 to 10", *(f"{k}0 to {k + 1}0" for k in range(1, 10)))


def threshold_histogram(thresholds: Thresholds) -> Figure:
    """How the thresholds of every layer lie, in the ANN's own units."""
    edges = thresholds.threshold_edges
    rows = [(row.site, row.threshold_counts) for row in thresholds.rows]
    bins = [f"{a:.3g} to {b:.3g}" for a, b in pairwise(edges)]
    x = axis("threshold (units of the ANN’s activation)", type="log", nticks=6)
    return _picture(rows, edges, bins, x, "thresholds")


def rate_histogram(thresholds: Thresholds) -> Figure:
    """How far the neurons of every layer count: the mean of each over the images."""
    rows = [(row.site, row.rate_counts) for row in thresholds.rows]
    x = axis("mean count (% of the largest count)", type="category", showgrid=False)
    labels = [
        label if label == "silent" else f"{label} % of the largest count" for label in _RATE_LABELS
    ]
    return _picture(rows, _RATE_LABELS, labels, x, "neurons")


def residual_histogram(residuals: Sequence[ResidualSummary]) -> Figure:
    """What the neurons of every layer keep after the last step, in thresholds."""
    edges = residuals[0].edges
    rows = [(r.site, r.counts) for r in residuals]
    bins = [f"{a:g} to {b:g}" for a, b in pairwise(edges)]
    x = axis("potential left after the last step (thresholds)", dtick=1)
    figure = _picture(rows, edges, bins, x, "neurons and images")
    figure["layout"]["shapes"] = [upright(0, 1, "dot"), upright(1, 1, "dot")]
    return figure


def _picture(
    rows: Sequence[tuple[str, Sequence[int]]],
    x: Sequence[Any],
    bins: Sequence[str],
    x_axis: dict[str, Any],
    what: str,
) -> Figure:
    """Shares of a row by colour, as their square roots so that small ones can be seen."""
    shares = [[count / max(1, sum(counts)) for count in counts] for _, counts in rows]
    hover = [
        [
            f"{site}<br>{bin_}: {count:,} {what}, {100 * share:.1f} %"
            for bin_, count, share in zip(bins, counts, own, strict=True)
        ]
        for (site, counts), own in zip(rows, shares, strict=True)
    ]
    trace: Figure = {
        "type": "heatmap",
        "x": list(x),
        "y": [site for site, _ in rows],
        "z": [[share**0.5 for share in own] for own in shares],
        "zmin": 0,
        "zmax": 1,
        "text": hover,
        "hovertemplate": "%{text}<extra></extra>",
        "colorscale": [[0, "$tint"], [1, "$s5"]],
        "showscale": False,
        "xgap": 1,
        "ygap": 2,
    }
    y = layer_axis(showgrid=False)
    height = 70 + ROW_PIXELS * max(2, len(rows))
    return {"data": [trace], "layout": layout(height, (56, 14, 8, 52), x_axis, y)}
