"""Accuracy over T as an SVG picture on white ground."""

from __future__ import annotations

import math
from html import escape

from matplotlib.axes import Axes

from paper.cell import ANN
from paper.chart import Axis, Curve, Dash, chart
from paper.rows import CONTROLS, Row
from paper.tables import Entry, NetworkTable, by_method

COLOURS = ("#b8501c", "#96700a", "#8a3d97", "#007a66", "#1b62b5", "#b0306a", "#3f7f2f", "#50607a")
_QUIET = "#8b929c"
INK = "#1d2430"
_NEURONS = {
    "if": COLOURS[0],
    "tpp": COLOURS[2],
    "nearest": COLOURS[4],
    "tracer": COLOURS[7],
}
_DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))


def plot(table: NetworkTable) -> str | None:
    """The picture; None when there is nothing to show.

    Curves carry Wilson 95 % intervals as bars; controls are drawn thin and grey. A row that was
    measured on fewer images than the ANN has a star, and the ANN a second line on those images.
    Rows that are calibrated on images of their own are in the tables alone.
    """
    shown = [row for row in table.rows if row.calibration_samples is None]
    points = {row: _points(table, row) for row in shown}
    curves = [_curve(table, row, entries) for row, entries in points.items() if entries]
    if not curves:
        return None
    few = min(entry.images for entries in points.values() for _, entry in entries)
    sources = _sources(table, few)
    footnote = f"* on the first {few:,} images" if len(sources) > 1 else ""

    def note(axes: Axes) -> None:
        axes.text(1.3, -0.12, footnote, transform=axes.transAxes, ha="right")

    steps = Axis("time steps T", table.steps, base=2)
    picture = chart(steps, accuracy_axis([*curves, *sources]), [*sources, *curves], note)
    return on_white(picture, f"Accuracy over T: {table.title}")


def on_white(picture: str, title: str) -> str:
    """A chart with a title, on white ground: light and dark pages show it alike."""
    head, _, rest = picture.partition(">")
    return f'{head} style="background: #ffffff">\n<title>{escape(title)}</title>{rest}'


def _points(table: NetworkTable, row: Row) -> list[tuple[int, Entry]]:
    entries = ((t, table.entry(row.name, t)) for t in table.steps)
    return [(t, entry) for t, entry in entries if entry is not None]


def _curve(table: NetworkTable, row: Row, points: list[tuple[int, Entry]]) -> Curve:
    colour, dash, width = look(table, row)
    last = points[-1][1]
    star = " *" if table.ann is not None and last.images < table.ann.images else ""
    return Curve(
        row.title + star,
        tuple((t, 100 * entry.accuracy) for t, entry in points),
        colour,
        dash,
        width,
        tuple((100 * entry.low, 100 * entry.high) for _, entry in points),
    )


def look(table: NetworkTable, row: Row) -> tuple[str, Dash, float]:
    """Colour, dash and width of a curve, whichever others were run.

    The rows of a ReLU network have a colour for each neuron and a dash for each method.
    """
    if row.name in CONTROLS:
        return _QUIET, "-", 1.0
    if table.levels is None:
        _, neuron = row.name.split("-")
        methods = [title for title, *_ in by_method(table)]
        dash = _DASHES[methods.index(row.title.partition(",")[0])]
        return _NEURONS[neuron], dash, 1.8
    number = [r.name for r in table.rows if r.name not in CONTROLS].index(row.name)
    return COLOURS[number % len(COLOURS)], "-", 1.8


def _sources(table: NetworkTable, few: int) -> list[Curve]:
    """The ANN's level on all images, and on the first few where rows have fewer."""
    ann = table.entry(ANN, 0)
    if ann is None:
        return []
    levels = [("ANN", ann.accuracy, "--")]
    if few < ann.images:
        levels.append(("ANN *", ann.first_seed_accuracy(few), ":"))
    ends = table.steps[0], table.steps[-1]
    return [
        Curve(name, tuple((t, 100 * level) for t in ends), INK, dash, 0.9)
        for name, level, dash in levels
    ]


def accuracy_axis(curves: list[Curve]) -> Axis:
    """The axis from the multiple of ten below everything shown to the one above it."""
    ends = [end for curve in curves for bar in curve.bars for end in bar]
    ends += [value for curve in curves for _, value in curve.points]
    bottom = 10 * math.floor(min(ends) / 10)
    top = max(min(100, 10 * math.ceil(max(ends) / 10)), bottom + 10)
    return Axis("accuracy (%)", tuple(range(bottom, top + 1, 10 if top - bottom > 20 else 2)))
