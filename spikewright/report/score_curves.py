"""The score of the networks of one run against time steps, latency, or time as it passes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from spikewright.measure import Sweep, SweepRow, Trajectories
from spikewright.measure.scores import Estimate, Score
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


def score_curves(sweep: Sweep, against: str) -> Figure:
    """The score of every network against "steps" or "latency", bands and labels at the end.

    Args:
        sweep: what was measured.
        against: the field of a row on the horizontal axis, both counted in time steps.
    """
    score, drawn = sweep.score, series_of(sweep.networks)
    places = sorted({getattr(row, against) for row in sweep.rows})
    span = log_span(places)
    y_range = _range(sweep)
    bands: list[Figure] = []
    curves: list[Figure] = []
    labels: list[tuple[str, str, float, str]] = []
    for name, known in _ann_lines(sweep, against, span):
        x, y = [at for at, _ in known], [score.shown(e.value) for _, e in known]
        bands += _bands(x, [e for _, e in known], score, "$ink")
        told = [f"{name}: {_told(score, e)}" for _, e in known]
        bands.append(ann_line(x, y, "%{customdata}", customdata=told))
        labels.append((name, "", y[-1], "$ink"))
    for network, series in drawn.items():
        known = [(row, e) for row in sweep.rows if row.network == network and (e := score.of(row))]
        known.sort(key=lambda pair: getattr(pair[0], against))
        if not known:
            continue
        x = [getattr(row, against) for row, _ in known]
        y = [score.shown(e.value) for _, e in known]
        bands += _bands(x, [e for _, e in known], score, series.colour)
        hover = [_hover(network, row, score, e) for row, e in known]
        curves.append(curve(x, y, series, hover))
        labels.append((escape(network), "", y[-1], series.colour))
    title = "time steps T" if against == "steps" else "latency (time steps)"
    shape = layout(
        HEIGHT,
        MARGIN,
        axis(title, type="log", range=list(span), **step_ticks(places)),
        axis(
            f"{escape(score.name)} (%)" if score.percent else escape(score.name), range=[*y_range]
        ),
        annotations=end_labels(labels, y_range, HEIGHT - MARGIN[2] - MARGIN[3]),
    )
    return {"data": [*bands, *curves], "layout": shape}


def trajectory_curves(measured: Trajectories) -> Figure:
    """The accuracy of every network after each time step, the ANN beside it."""
    drawn, times = series_of(measured.networks), sorted({p.time for p in measured.points})
    powers = [1 << power for power in range(times[-1].bit_length()) if 1 << power >= times[0]]
    ticks = step_ticks(powers or times)
    span, top = log_span(times), 100 * max(p.high for p in measured.points)
    lowest = 100 * min(p.low for p in measured.points)
    room = 0.04 * max(top - lowest, 1)
    y_range = (max(0.0, lowest - room), min(100.0, top + room) + 0.3 * room)
    traces: list[Figure] = []
    labels: list[tuple[str, str, float, str]] = []
    if measured.accuracy is not None:
        at = 100 * measured.accuracy
        traces.append(ann_line([10**end for end in span], [at, at], f"ANN: {at:.2f} %"))
        labels.append(("ANN", "", at, "$ink"))
    for network, series in drawn.items():
        points = measured.of(network)
        x, y = [p.time for p in points], [100 * p.accuracy for p in points]
        lows, highs = [100 * p.low for p in points], [100 * p.high for p in points]
        traces.insert(0, band(x, lows, highs, series.colour))
        hover = [
            f"<b>{escape(network)}</b>, after {p.time} time steps<br>"
            f"{100 * p.accuracy:.2f} % ({100 * p.low:.2f} to {100 * p.high:.2f})"
            for p in points
        ]
        traces.append(curve(x, y, series, hover, marker={"size": 5, "color": series.colour}))
        labels.append((escape(network), "", y[-1], series.colour))
    shape = layout(
        HEIGHT,
        MARGIN,
        axis("time steps since the first input", type="log", range=list(span), **ticks),
        axis("accuracy (%)", range=[*y_range]),
        annotations=end_labels(labels, y_range, HEIGHT - MARGIN[2] - MARGIN[3]),
    )
    return {"data": traces, "layout": shape}


def _ann_lines(
    sweep: Sweep, against: str, span: tuple[float, float]
) -> list[tuple[str, list[tuple[float, Estimate]]]]:
    """The lines of the ANN, each a name and its points.

    One over the whole axis; where the ANN differs from T to T one through them all, or, against
    latency, which no ANN has, one for each T.
    """
    anns, ends = sweep.ann_scores, [10**end for end in span]
    if not anns:
        return []
    if not sweep.references:
        (ann, *_) = anns.values()
        return [("ANN", [(end, ann) for end in ends])]
    if against == "steps":
        return [("ANN", sorted(anns.items(), key=lambda pair: pair[0]))]
    return [(f"ANN, T = {steps}", [(end, ann) for end in ends]) for steps, ann in anns.items()]


def _bands(
    x: Sequence[float], estimates: Sequence[Estimate], score: Score, colour: str
) -> list[Figure]:
    """The band of the intervals, where all have one."""
    ends = [(e.low, e.high) for e in estimates if e.low is not None and e.high is not None]
    if len(ends) < len(estimates):
        return []
    lows, highs = ([score.shown(end[k]) for end in ends] for k in (0, 1))
    return [band(x, lows, highs, colour)]


def _told(score: Score, estimate: Estimate) -> str:
    """A value with its interval."""
    unit = " %" if score.percent else ""
    value = f"{score.plain(estimate.value)}{unit}"
    if estimate.low is None:
        return value
    return f"{value} ({score.plain(estimate.low)} to {score.plain(estimate.high)})"


def _hover(network: str, row: SweepRow, score: Score, estimate: Estimate) -> str:
    where = f"<b>{escape(network)}</b>, T = {row.steps}, latency {row.latency}"
    return f"{where}<br>{_told(score, estimate)}"


def _range(sweep: Sweep) -> tuple[float, float]:
    """The vertical axis, within which all intervals lie."""
    score = sweep.score
    known = [e for row in sweep.rows if (e := score.of(row)) is not None]
    estimates = [*known, *sweep.ann_scores.values()]
    ends = [v for e in estimates for v in (e.value, e.low, e.high) if v is not None] or [0.0]
    low, high = score.shown(min(ends)), score.shown(max(ends))
    if score.field != "accuracy":
        room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        return low - room, high + 1.3 * room
    room = 0.04 * max(high - low, 1)
    return max(0.0, low - room), min(100.0, high + room) + 0.3 * room
