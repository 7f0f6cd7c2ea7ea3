"""What the plots of a page share: axes, layouts, curves, bands, ticks and labels.

A plot is a Plotly figure: a plain dictionary whose colours are names. A colour such as "$s1",
"$ink" or "$s1/0.2" (with opacity) is replaced by the page's script with the style sheet's colour of
that name, so a figure fits the light theme, the dark one and paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from spikewright.report.series import Series

Figure = dict[str, Any]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
LABEL_SPACING = 16
"""Pixels between the centres of two labels at the end of curves."""


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


def layer_axis(**more: Any) -> dict[str, Any]:
    """A vertical axis of layers by name, the first on top."""
    return axis("", autorange="reversed", automargin=True, type="category", **more)


def step_ticks(steps: Sequence[int]) -> dict[str, Any]:
    """Ticks at numbers of time steps, ascending; at powers of two alone where they are many."""
    shown = [p for p in steps if p & (p - 1) == 0] if len(steps) > 8 else list(steps)
    shown = shown or [steps[0], steps[-1]]
    return {"tickvals": shown, "ticktext": [f"{p:,}" for p in shown]}


def log_span(values: Sequence[float]) -> tuple[float, float]:
    """The range of a logarithmic axis that holds all values, as powers of ten."""
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max(0.06, 0.04 * (high - low))
    return low - room, high + room


def layout(
    height: int, margin: tuple[int, int, int, int], x: Figure, y: Figure, **more: Any
) -> dict[str, Any]:
    """A layout in the page's style, transparent so that the page shows through.

    Args:
        height: the height of the plot in pixels.
        margin: pixels left, right, above and below the axes.
        x, y: the axes.
        **more: other parts of a Plotly layout.
    """
    return {
        "height": height,
        "margin": dict(zip("lrtb", margin, strict=True)),
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


def curve(
    x: Sequence[float | None], y: Sequence[float], series: Series, hover: Sequence[str], **more: Any
) -> Figure:
    """A network's points, joined by a line; `more` replaces parts of the trace."""
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": series.name,
        "x": list(x),
        "y": list(y),
        "text": list(hover),
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": series.colour, "width": 2, "dash": series.dash},
        "marker": {
            "color": series.colour,
            "size": 8,
            "symbol": series.marker,
            "line": {"width": 1.5, "color": series.colour},
        },
        **more,
    }


def band(x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str) -> Figure:
    """The pale area between two curves."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*x, *reversed(x)],
        "y": [*low, *reversed(high)],
        "fill": "toself",
        "fillcolor": f"{colour}/0.07",
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def ann_line(x: Sequence[float], y: Sequence[float], hover: str, **more: Any) -> Figure:
    """A dashed line through the scores of an ANN, such as the same one at both ends of an axis."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "ANN",
        "x": [*x],
        "y": [*y],
        "line": {"color": "$ink", "width": 1.5, "dash": "dash"},
        "hovertemplate": f"{hover}<extra></extra>",
        **more,
    }


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


def end_labels(
    entries: Sequence[tuple[str, str, float, str]], y_range: Sequence[float], inside: float
) -> list[Figure]:
    """Names beside the ends of curves, moved apart where they would overlap.

    Args:
        entries: text, name for the page's script, height in units of the axis, colour.
        y_range: the lower and upper end of the axis.
        inside: the length of the axis in pixels.
    """
    entries = sorted(entries, key=lambda entry: -entry[2])
    per_pixel = (y_range[1] - y_range[0]) / inside
    placed = spread([(y_range[1] - e[2]) / per_pixel for e in entries], LABEL_SPACING, inside)
    return [
        {
            "text": text,
            "name": name,
            "x": 1,
            "xref": "paper",
            "xanchor": "left",
            "xshift": 8,
            "y": 1 - at / inside,
            "yref": "paper",
            "yanchor": "middle",
            "showarrow": False,
            "font": {"color": colour, "size": 12},
        }
        for (text, name, _, colour), at in zip(entries, placed, strict=True)
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
