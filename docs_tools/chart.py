"""Line charts as inline SVG that takes its colours from the page, light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 58, 130, 14, 46


@dataclass(frozen=True)
class Curve:
    """A named line.

    Attributes:
        name: written at its end.
        points: (x, y), at least two, x rising.
    """

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        title: what it measures, with its unit.
        ticks: where numbers stand; the first and last are its ends.
    """

    title: str
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0..1."""
        return (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])


def chart(title: str, x: Axis, y: Axis, curves: Sequence[Curve]) -> str:
    """The picture.

    Args:
        title: told to those who cannot see it.
        x, y: the axes.
        curves: at most six; coloured by the classes `curve-0`, `curve-1`, ... of the style sheet.
    """
    parts = [*_axes(x, y)]
    ends: list[tuple[float, int, str]] = []
    for number, curve in enumerate(curves):
        places = [_place(x, y, point) for point in curve.points]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        parts.append(f'<polyline class="curve-{number}" points="{path}"/>')
        ends.append((places[-1][1], number, curve.name))
    parts += _names(ends)
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
    return "\n".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>"])


def _place(x: Axis, y: Axis, point: tuple[float, float]) -> tuple[float, float]:
    across = LEFT + x.share(point[0]) * (WIDTH - LEFT - RIGHT)
    return across, HEIGHT - BOTTOM - y.share(point[1]) * (HEIGHT - TOP - BOTTOM)


def _axes(x: Axis, y: Axis) -> list[str]:
    parts: list[str] = []
    for tick in y.ticks:
        _, at = _place(x, y, (x.ticks[0], tick))
        kind = "zero" if tick == 0 else "grid"
        parts.append(
            f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        parts.append(_text(LEFT - 8, at + 4, f"{tick:g}", "end"))
    for tick in x.ticks:
        at, _ = _place(x, y, (tick, y.ticks[0]))
        parts.append(_text(at, HEIGHT - BOTTOM + 19, f"{tick:g}", "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x.title, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'<g transform="translate(14 {middle:.1f}) rotate(-90)">'
    parts.append(f"{turned}{_text(0, 0, y.title, 'middle')}</g>")
    return parts


def _names(ends: Sequence[tuple[float, int, str]]) -> list[str]:
    """Names at the ends of the curves, moved apart where they would overlap."""
    parts: list[str] = []
    lowest = TOP - 20.0
    for at, number, name in sorted(ends):
        lowest = max(at, lowest + 17)
        parts.append(_text(WIDTH - RIGHT + 8, lowest + 4, name, "start", f"curve-{number}"))
    return parts


def _text(x: float, y: float, text: str, anchor: str, kind: str = "label") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'
