"""Line charts as SVG, drawn by matplotlib: the plots of the theory pages and of the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GRID = "#5b6472", "#e4e7ec"
"""The colours of text and of the lines behind the curves."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "spikewright",  # the same picture each time
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": GRID,
    "grid.color": GRID,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
FONTS = "'DejaVu Sans', 'Bitstream Vera Sans', 'Computer Modern Sans Serif'"
"""What matplotlib writes first among the fonts of a text; readers have others."""

Dash = str | tuple[int, tuple[int, ...]]
"""A dash pattern: its name in matplotlib, or an offset and the lengths of strokes and gaps."""

NAME_HEIGHT = 0.043
"""The space for the name of a curve, as a share of the chart's height."""


@dataclass(frozen=True)
class Curve:
    """A named line.

    Attributes:
        name: written at its end.
        points: (x, y), at least two, x rising.
        colour: of the line and its name.
        dash: of the line, as matplotlib takes it.
        width: of the line in points.
        bars: the ends (low, high) of a bar at every point; without any, points have no marks.
        mark: the shape of the points, as matplotlib names it, drawn at the name too; discs, and
            none at the name, for None.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    colour: str
    dash: Dash = "-"
    width: float = 1.8
    bars: tuple[tuple[float, float], ...] = ()
    mark: str | None = None


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        title: what it measures, with its unit.
        ticks: where numbers stand; the first and last are its ends.
        base: of a logarithmic axis; None for a linear one.
    """

    title: str
    ticks: tuple[float, ...]
    base: int | None = None


def chart(
    x: Axis, y: Axis, curves: Sequence[Curve], extra: Callable[[Axes], object] | None = None
) -> str:
    """The chart as an `<svg>` element; the same arguments give the same text.

    Args:
        x, y: the axes.
        curves: drawn in this order.
        extra: draws what else there is to show.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4.1))
        axes = figure.add_axes((0.075, 0.12, 0.69, 0.85))
        for curve in curves:
            _draw(axes, curve)
        _scale(axes, x, y)
        _name_ends(axes, curves)
        if extra is not None:
            extra(axes)
        return svg(figure)


def svg(figure: Figure) -> str:
    """A figure as an `<svg>` element, under `STYLE`; the same figure gives the same text."""
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return "<svg" + text.getvalue().partition("<svg")[2].replace(FONTS, "system-ui")


def on_white(picture: str, title: str) -> str:
    """An `<svg>` element that is read on white ground in a dark page too, with its title."""
    head, _, rest = picture.partition(">")
    return f'{head} style="background: #ffffff">\n<title>{title}</title>{rest}'


def _draw(axes: Axes, curve: Curve) -> None:
    xs, ys = zip(*curve.points, strict=True)
    (line,) = axes.plot(xs, ys, color=curve.colour, linestyle=curve.dash, linewidth=curve.width)
    line.set_gid(f"curve: {curve.name}")
    if curve.bars:
        lows, highs = zip(*curve.bars, strict=True)
        axes.vlines(xs, lows, highs, color=curve.colour, linewidth=0.9)
        size, mark = (8, "o") if curve.mark is None else (18, curve.mark)
        axes.scatter(xs, ys, s=size * curve.width, color=curve.colour, marker=mark, zorder=3)


def _scale(axes: Axes, x: Axis, y: Axis) -> None:
    if x.base is not None:
        axes.set_xscale("log", base=x.base)
        axes.minorticks_off()
    axes.set_xticks(x.ticks, [f"{tick:g}" for tick in x.ticks])
    axes.set_yticks(y.ticks, [f"{tick:g}" for tick in y.ticks])
    axes.set_xlabel(x.title)
    axes.set_ylabel(y.title)
    axes.set_ylim(y.ticks[0], y.ticks[-1])
    axes.grid(axis="y")
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _name_ends(axes: Axes, curves: Sequence[Curve]) -> None:
    """Write the names beside the ends of the curves, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    shares = [((c.points[-1][1] - low) / (high - low), c) for c in curves]
    ends = sorted(shares, key=lambda end: (-end[0], end[1].name))
    heights = [height for height, _ in ends]
    for i in range(1, len(heights)):
        heights[i] = min(heights[i], heights[i - 1] - NAME_HEIGHT)
    limit = 0.0
    for i in reversed(range(len(heights))):
        heights[i] = max(heights[i], limit)
        limit = heights[i] + NAME_HEIGHT
    for height, (_, curve) in zip(heights, ends, strict=True):
        place, at = axes.transAxes, 1.02
        if curve.mark is not None:
            axes.scatter(
                1.03,
                height,
                s=30,
                marker=curve.mark,
                color=curve.colour,
                transform=place,
                clip_on=False,
            )
            at = 1.055
        axes.text(at, height, curve.name, color=curve.colour, transform=place, va="center")
