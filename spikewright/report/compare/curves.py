"""Plots of a comparison: every network of every run against T, and fronts against each cost.

A network keeps its colour and marker whatever its run; the line's dashes name the run. A trace and
a label name in `meta` and `name` their run and network, so that the page's script can leave some
out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from spikewright.report.compare.points import COSTS, Point, Source, front_of, in_order
from spikewright.report.plotting import (
    Figure,
    ann_line,
    axis,
    curve,
    end_labels,
    layout,
    log_span,
    step_ticks,
    upright,
)
from spikewright.report.series import Series, series_of

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
"""The dashes of runs, in their order."""
HEIGHT = 460
MARGIN = (56, 140, 18, 52)
BARE_MARGIN = (56, 20, 18, 52)
MOST_LABELS = 22
TOP = 10.0
"""Percentage points below the best that the closer look shows."""
SEPARATOR = "\u241f"
"""Between the marks (apart by commas) and the network in the name of a label."""

TITLES = {
    "latency": "latency (time steps to the answer)",
    "spikes": "spikes an image",
    "energy": "estimated nJ an image, fp32",
    "integer energy": "estimated nJ an image, 8-bit weights",
    "memory energy": "estimated nJ an image, with memory",
}
_ANN_ENERGY = {
    "energy": "ann_nj",
    "integer energy": "ann_quantised_nj",
    "memory energy": "ann_with_memory_nj",
}


def dashes_of(sources: Sequence[Source]) -> dict[str, str]:
    """Plotly's dash of every mark."""
    return {source.mark: DASHES[n % len(DASHES)] for n, source in enumerate(sources)}


def accuracy_figure(points: Sequence[Point], sources: Sequence[Source]) -> Figure:
    """Accuracy against T, a curve a network and run, and the ANNs."""
    drawn, dashes = series_of(p.network for p in points), dashes_of(sources)
    curves = list(in_order(points))
    span = log_span([p.steps for p in points])
    ranges = _accuracy_ranges(points)
    traces = _ann_lines(points, span)
    traces += [
        _curve(own, [p.steps for p in own], drawn[network], dashes[mark], sources)
        for (mark, network), own in curves
    ]
    places = sorted({p.steps for p in points})
    x = axis("time steps T", type="log", range=list(span), **step_ticks(places))
    y = axis("accuracy (%)", range=ranges["whole"])
    labels = _labels([own[-1] for _, own in curves], drawn, ranges["whole"], len(sources) > 1)
    margin = MARGIN if labels else BARE_MARGIN
    shape = layout(HEIGHT, margin, x, y, annotations=labels, meta=ranges)
    return {"data": traces, "layout": shape}


def front_figure(points: Sequence[Point], sources: Sequence[Source], cost: str) -> Figure | None:
    """Accuracy against one of `points.COSTS`, with the front of each data set.

    None where no point has that cost.
    """
    drawn, dashes = series_of(p.network for p in points), dashes_of(sources)
    value = COSTS[cost]
    known = [p for p in points if (at := value(p)) is not None and at > 0]
    if not known:
        return None
    span = log_span([value(p) or 1.0 for p in known] + [e for e, _ in _ann_costs(known, cost)])
    ranges = _accuracy_ranges(known)
    traces = [
        _front([p for p in known if p.data == data], cost, span)
        for data in dict.fromkeys(p.data for p in known)
    ]
    for (mark, network), own in in_order(known):
        at = [value(p) for p in own]
        traces.append(_curve(own, at, drawn[network], dashes[mark], sources, width=1))
    lines = _ann_costs(known, cost)
    x = axis(TITLES[cost], type="log", range=list(span), **_readable_ticks(span))
    y = axis("accuracy (%)", range=ranges["whole"])
    more = {"shapes": [upright(e, 1.5, "dash") for e, _ in lines], "meta": ranges}
    labels = [_top_label(e, name) for e, name in lines]
    shape = layout(HEIGHT, BARE_MARGIN, x, y, annotations=labels, **more)
    return {"data": traces, "layout": shape}


def hover_text(point: Point, sources: Sequence[Source]) -> str:
    """Everything about a point, shown when the mouse points at it."""
    source = next(s for s in sources if s.mark == point.mark)
    p, e = point, point.energies
    interval = f"{100 * p.low:.2f} to {100 * p.high:.2f}"
    if e is None:
        energy = "energy not measured"
    else:
        other = "" if p.energy_mark == p.mark else f" (measured in {p.energy_mark})"
        energy = f"{e.energy.snn_nj:,.1f} nJ estimated{other}; ANN {e.energy.ann_nj:,.1f} nJ"
    return "<br>".join(
        [
            f"<b>{escape(source.title)}</b>",
            f"<b>{escape(p.network)}</b>, T = {p.steps}",
            f"accuracy {100 * p.accuracy:.2f} % (95 %: {interval})",
            f"latency {p.latency:,} time step{'' if p.latency == 1 else 's'}",
            f"{p.spikes:,.0f} spikes an image",
            energy,
        ]
    )


def _curve(
    points: Sequence[Point],
    at: Sequence[float | None],
    series: Series,
    dash: str,
    sources: Sequence[Source],
    width: float = 2,
) -> Figure:
    return curve(
        at,
        [100 * p.accuracy for p in points],
        series,
        [hover_text(p, sources) for p in points],
        name=f"{points[0].mark} {escape(series.name)}",
        meta={"marks": [points[0].mark], "network": series.name},
        line={"color": series.colour, "width": width, "dash": dash},
    )


def _front(points: Sequence[Point], cost: str, span: tuple[float, float]) -> Figure:
    """A staircase: the best accuracy that each cost buys, up to the right edge."""
    value = COSTS[cost]
    front = sorted(front_of(points, cost), key=lambda p: (value(p) or 0.0, p.accuracy))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"front, {escape(points[0].data)}",
        "meta": {"marks": sorted({p.mark for p in points})},
        "x": [*(value(p) for p in front), 10 ** span[1]],
        "y": [*(100 * p.accuracy for p in front), 100 * front[-1].accuracy],
        "line": {"color": "$ink/0.22", "width": 7, "shape": "hv"},
        "hoverinfo": "skip",
    }


def _ann_lines(points: Sequence[Point], span: tuple[float, float]) -> list[Figure]:
    """A dashed line for each accuracy of an ANN, named with the runs that it belongs to.

    One line a run where the ANN's accuracy differs from T to T.
    """
    by_mark: dict[str, dict[int, float]] = {}
    for p in points:
        if p.ann is not None:
            by_mark.setdefault(p.mark, {})[p.steps] = p.ann
    moving = {m: sorted(anns.items()) for m, anns in by_mark.items() if len({*anns.values()}) > 1}
    still = _ann_marks([p for p in points if p.mark not in moving])
    ends = [10**end for end in span]
    lines = [
        ann_line(
            ends,
            [100 * accuracy] * 2,
            f"ANN of {', '.join(marks)}: {100 * accuracy:.2f} %",
            meta={"marks": marks},
        )
        for accuracy, marks in still.items()
    ]
    return lines + [
        ann_line(
            [steps for steps, _ in anns],
            [100 * accuracy for _, accuracy in anns],
            f"ANN of {mark}, on the data of each T: %{{y:.2f}} %",
            meta={"marks": [mark]},
        )
        for mark, anns in moving.items()
    ]


def _ann_marks(points: Sequence[Point]) -> dict[float, list[str]]:
    """The accuracies of ANNs, each with the marks of the runs that it belongs to."""
    marks: dict[float, list[str]] = {}
    for p in points:
        if p.ann is not None and p.mark not in marks.setdefault(p.ann, []):
            marks[p.ann].append(p.mark)
    return marks


def _labels(
    ends: Sequence[Point],
    drawn: Mapping[str, Series],
    y_range: Sequence[float],
    several: bool,
) -> list[Figure]:
    """Run and network beside the end of each curve, none where there are too many to read."""
    entries = [
        (f"{p.mark} {p.network}" if several else p.network, f"{p.mark}{SEPARATOR}{p.network}",
         100 * p.accuracy, drawn[p.network].colour)
        for p in ends
    ]  # fmt: skip
    entries += [
        (f"{', '.join(marks)} ANN" if several else "ANN", f"{','.join(marks)}{SEPARATOR}",
         100 * accuracy, "$ink")
        for accuracy, marks in _ann_marks(ends).items()
    ]  # fmt: skip
    if len(entries) > MOST_LABELS:
        return []
    shown = [(escape(e[0] if len(e[0]) <= 20 else f"{e[0][:19]}…"), *e[1:]) for e in entries]
    return end_labels(shown, y_range, HEIGHT - MARGIN[2] - MARGIN[3])


def _ann_costs(points: Sequence[Point], cost: str) -> list[tuple[float, str]]:
    """Energies of the ANNs, each once, ascending, with what to call it."""
    if cost not in _ANN_ENERGY:
        return []
    by_energy: dict[float, set[int]] = {}
    for p in points:
        assert p.energies is not None
        energy = float(getattr(p.energies.energy, _ANN_ENERGY[cost]))
        by_energy.setdefault(energy, set()).add(p.energies.energy.ann_bits)
    quantised = cost == "integer energy"
    return [
        (energy, f"ANN, {min(bits)} bit" if quantised else "ANN")
        for energy, bits in sorted(by_energy.items())
        if energy > 0
    ]


def _top_label(at: float, text: str) -> Figure:
    return {
        "text": text,
        "x": math.log10(at),
        "xanchor": "right",
        "y": 0,
        "yref": "paper",
        "yanchor": "bottom",
        "textangle": -90,
        "showarrow": False,
        "font": {"color": "$ink", "size": 12},
    }


def _accuracy_ranges(points: Sequence[Point]) -> dict[str, list[float]]:
    """The whole range of accuracies, and the best `TOP` points of it."""
    values = [100 * p.accuracy for p in points] + [100 * p.ann for p in points if p.ann is not None]
    low, high = min(values), max(values)
    room = 0.05 * max(high - low, 1)
    top = min(100.5, high + room)
    return {
        "whole": [max(0.0, low - room), top],
        "top": [max(0.0, low - room, high - TOP), min(100.5, high + 0.05 * TOP)],
    }


def _readable_ticks(span: tuple[float, float]) -> dict[str, Any]:
    """At 1, 2, 5 of every power of ten within the span, or at the powers alone when many."""
    powers = range(math.floor(span[0]), math.ceil(span[1]) + 1)
    fine = [d * 10.0**k for k in powers for d in (1, 2, 5)]
    inside = [v for v in fine if span[0] <= math.log10(v) <= span[1]]
    if len(inside) > 7:
        inside = [v for v in inside if math.log10(v).is_integer()] or inside[:: len(inside) // 6]
    return {"tickvals": inside, "ticktext": [f"{v:,.10g}" for v in inside]}
