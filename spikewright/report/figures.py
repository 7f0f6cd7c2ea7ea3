"""Plots as Plotly figures: plain dictionaries whose colours are names.

A colour such as "$s1", "$ink" or "$s1/0.2" (with opacity) is replaced by the page's script with
the style sheet's colour of that name, so a figure fits the light theme, the dark one and paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from spikewright.measure import Reference, Sweep, SweepRow
from spikewright.report.series import Series, series_of

Figure = dict[str, Any]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
CURVE_HEIGHT = 400
LABEL_SPACING = 16
"""Pixels between the centres of two labels at the end of curves."""
MARGIN = {"l": 56, "r": 104, "t": 14, "b": 52}


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis in the page's style; `title` carries the unit."""
    return {
        "title": {"text": title, "standoff": 10},
        "gridcolor": "$grid",
        "linecolor": "$axis",
        "tickcolor": "$axis",
        "ticks": "outside",
        "ticklen": 4,
        "showline": True,
        "zeroline": False,
        "fixedrange": True,
        **more,
    }


def layout(height: int, x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A layout in the page's style, transparent so that the page shows through."""
    return {
        "height": height,
        "margin": dict(MARGIN),
        "font": {"family": FONT, "size": 13, "color": "$ink"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"bgcolor": "$panel", "bordercolor": "$axis", "font": {"color": "$ink"}},
        "hovermode": "closest",
        "showlegend": False,
        "dragmode": False,
        "xaxis": x,
        "yaxis": y,
        **more,
    }


def accuracy_curves(sweep: Sweep, against: str) -> Figure:
    """Accuracy of every network against "steps" or "latency", with bands and labels at the end.

    Args:
        sweep: the accuracies.
        against: the field of a row on the horizontal axis, both counted in time steps.
    """
    drawn = series_of(sweep.networks)
    rows = {n: [row for row in sweep.rows if row.network == n] for n in sweep.networks}
    rows = {n: sorted(own, key=lambda r: getattr(r, against)) for n, own in rows.items()}
    places = sorted({getattr(row, against) for row in sweep.rows})
    span = (math.log10(places[0]) - 0.06, math.log10(places[-1]) + 0.06)
    low, high = _accuracy_range(sweep)
    traces: list[Figure] = []
    if sweep.reference is not None:
        traces += _reference_traces(sweep.reference, span)
    traces += [_band(rows[n], drawn[n], against) for n in sweep.networks]
    traces += [_curve(rows[n], drawn[n], against) for n in sweep.networks]
    ends = {n: (getattr(rows[n][-1], against), 100 * rows[n][-1].accuracy) for n in sweep.networks}
    title = "time steps T" if against == "steps" else "latency (time steps)"
    x = axis(title, type="log", range=list(span), **_ticks(places))
    y = axis("accuracy (%)", range=[low, high])
    labels = _end_labels(ends, drawn, sweep.reference, (low, high), span)
    return {"data": traces, "layout": layout(CURVE_HEIGHT, x, y, annotations=labels)}


def _ticks(places: Sequence[int]) -> dict[str, Any]:
    """Powers of two, or the places themselves when they are few."""
    shown = [p for p in places if p & (p - 1) == 0] if len(places) > 8 else list(places)
    shown = shown or [places[0], places[-1]]
    return {"tickvals": shown, "ticktext": [str(p) for p in shown], "minor": {"ticks": ""}}


def _accuracy_range(sweep: Sweep) -> tuple[float, float]:
    lows = [row.low for row in sweep.rows] + ([sweep.reference.low] if sweep.reference else [])
    highs = [row.high for row in sweep.rows] + ([sweep.reference.high] if sweep.reference else [])
    low, high = 100 * min(lows), 100 * max(highs)
    room = 0.04 * max(high - low, 1)
    return max(0.0, low - room), min(100.0, high + room) + 0.3 * room


def _reference_traces(reference: Reference, span: tuple[float, float]) -> list[Figure]:
    ends = [10 ** span[0], 10 ** span[1]]
    low, high, at = (100 * v for v in (reference.low, reference.high, reference.accuracy))
    band = {
        "type": "scatter",
        "mode": "lines",
        "x": [*ends, *reversed(ends)],
        "y": [low, low, high, high],
        "fill": "toself",
        "fillcolor": "$ink/0.07",
        "line": {"width": 0},
        "hoverinfo": "skip",
    }
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": "ANN",
        "x": ends,
        "y": [at, at],
        "line": {"color": "$ink", "width": 1.5, "dash": "dash"},
        "hovertemplate": f"ANN: {at:.2f} % ({low:.2f} to {high:.2f})<extra></extra>",
    }
    return [band, line]


def _band(rows: Sequence[SweepRow], series: Series, against: str) -> Figure:
    x = [getattr(row, against) for row in rows]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*x, *reversed(x)],
        "y": [100 * r.low for r in rows] + [100 * r.high for r in reversed(rows)],
        "fill": "toself",
        "fillcolor": f"{series.colour}/0.07",
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def _curve(rows: Sequence[SweepRow], series: Series, against: str) -> Figure:
    hover = [
        f"<b>{r.network}</b>, T = {r.steps}, latency {r.latency}<br>{100 * r.accuracy:.2f} % "
        f"({100 * r.low:.2f} to {100 * r.high:.2f})"
        for r in rows
    ]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": series.name,
        "x": [getattr(row, against) for row in rows],
        "y": [100 * row.accuracy for row in rows],
        "text": hover,
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": series.colour, "width": 2, "dash": series.dash},
        "marker": {
            "color": series.colour,
            "size": 8,
            "symbol": series.marker,
            "line": {"width": 1.5, "color": series.colour},
        },
    }


def _end_labels(
    ends: Mapping[str, tuple[int, float]],
    drawn: Mapping[str, Series],
    reference: Reference | None,
    y_range: tuple[float, float],
    span: tuple[float, float],
) -> list[Figure]:
    """Names beside the ends of the curves, moved apart where they would overlap."""
    entries = [(n, math.log10(x), y, drawn[n].colour) for n, (x, y) in ends.items()]
    if reference is not None:
        entries.append(("ANN", span[1], 100 * reference.accuracy, "$ink"))
    entries.sort(key=lambda entry: -entry[2])
    inside = CURVE_HEIGHT - MARGIN["t"] - MARGIN["b"]
    per_pixel = (y_range[1] - y_range[0]) / inside
    wanted = [(y_range[1] - y) / per_pixel for _, _, y, _ in entries]
    placed = spread(wanted, LABEL_SPACING, inside)
    return [
        {
            "text": name,
            "x": 1,
            "xref": "paper",
            "xanchor": "left",
            "xshift": 14,
            "y": y_range[1] - at * per_pixel,
            "yanchor": "middle",
            "showarrow": False,
            "font": {"color": colour, "size": 13},
        }
        for (name, _, _, colour), at in zip(entries, placed, strict=True)
    ]


def spread(wanted: Sequence[float], spacing: float, limit: float) -> list[float]:
    """Positions near the wanted ones (ascending), at least `spacing` apart, in 0 .. `limit`."""
    placed = list(wanted)
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + spacing)
    overflow = limit
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], overflow)
        overflow = placed[i] - spacing
    return placed


def upright(at: float, width: float, dash: str) -> Figure:
    """A line over the whole height of a plot, at a place of its x axis."""
    return {
        "type": "line",
        "x0": at,
        "x1": at,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": "$ink", "width": width, "dash": dash},
    }
