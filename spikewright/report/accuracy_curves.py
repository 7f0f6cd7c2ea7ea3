"""Accuracy of the networks of one run against time steps or latency."""

from __future__ import annotations

from html import escape

from spikewright.measure import Sweep
from spikewright.report.plotting import (
    Figure,
    ann_line,
    axis,
    band,
    curve,
    end_labels,
    layout,
    log_span,
    step_ticks,
)
from spikewright.report.series import series_of

HEIGHT = 400
MARGIN = (56, 104, 14, 52)


def accuracy_curves(sweep: Sweep, against: str) -> Figure:
    """Accuracy of every network against "steps" or "latency", with bands and labels at the end.

    Args:
        sweep: the accuracies.
        against: the field of a row on the horizontal axis, both counted in time steps.
    """
    drawn = series_of(sweep.networks)
    places = sorted({getattr(row, against) for row in sweep.rows})
    span = log_span(places)
    y_range = _accuracy_range(sweep)
    bands: list[Figure] = []
    curves: list[Figure] = []
    labels: list[tuple[str, str, float, str]] = []
    if (ann := sweep.reference) is not None:
        low, high, at = (100 * v for v in (ann.low, ann.high, ann.accuracy))
        bands.append(band([10**end for end in span], [low] * 2, [high] * 2, "$ink"))
        bands.append(ann_line(span, at, f"ANN: {at:.2f} % ({low:.2f} to {high:.2f})"))
        labels.append(("ANN", "", at, "$ink"))
    for network, series in drawn.items():
        rows = [row for row in sweep.rows if row.network == network]
        rows.sort(key=lambda row: getattr(row, against))
        x = [getattr(row, against) for row in rows]
        low, high = [100 * r.low for r in rows], [100 * r.high for r in rows]
        hover = [
            f"<b>{escape(network)}</b>, T = {r.steps}, latency {r.latency}<br>"
            f"{100 * r.accuracy:.2f} % ({100 * r.low:.2f} to {100 * r.high:.2f})"
            for r in rows
        ]
        bands.append(band(x, low, high, series.colour))
        curves.append(curve(x, [100 * r.accuracy for r in rows], series, hover))
        labels.append((escape(network), "", 100 * rows[-1].accuracy, series.colour))
    title = "time steps T" if against == "steps" else "latency (time steps)"
    shape = layout(
        HEIGHT,
        MARGIN,
        axis(title, type="log", range=list(span), **step_ticks(places)),
        axis("accuracy (%)", range=list(y_range)),
        annotations=end_labels(labels, y_range, HEIGHT - MARGIN[2] - MARGIN[3]),
    )
    return {"data": [*bands, *curves], "layout": shape}


def _accuracy_range(sweep: Sweep) -> tuple[float, float]:
    lows = [row.low for row in sweep.rows] + ([sweep.reference.low] if sweep.reference else [])
    highs = [row.high for row in sweep.rows] + ([sweep.reference.high] if sweep.reference else [])
    low, high = 100 * min(lows), 100 * max(highs)
    room = 0.04 * max(high - low, 1)
    return max(0.0, low - room), min(100.0, high + room) + 0.3 * room
