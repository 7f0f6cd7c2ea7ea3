"""Accuracy over T as a small SVG picture, readable on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from paper.rows import CONTROLS, Row
from paper.store import ANN
from paper.tables import Entry, NetworkTable

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 52, 168, 16, 44
LABEL_SPACING = 15.0

_COLOURS = ("#b8501c", "#96700a", "#8a3d97", "#007a66", "#1b62b5", "#b0306a", "#3f7f2f", "#50607a")
_QUIET = "#8b929c"
_INK = "#1d2430"
_DASHES = ("", "6 3", "2 3")


def plot(table: NetworkTable) -> str | None:
    """The picture; None when there is nothing to show.

    Curves carry Wilson 95 % intervals as bars; controls are drawn thin and grey. What was measured
    on fewer images than the ANN has a star, and the ANN a second line on those images.
    """
    curves = [(row, _points(table, row)) for row in table.rows]
    curves = [(row, points) for row, points in curves if points]
    if not curves:
        return None
    entries = [entry for _, points in curves for _, entry in points]
    few = min(entry.images for entry in entries)
    sources = _sources(table, few)
    lows = [entry.low for entry in entries] + [accuracy for _, accuracy in sources]
    highs = [entry.high for entry in entries] + [accuracy for _, accuracy in sources]
    bottom = 10 * math.floor(10 * min(lows))
    top = min(100, 10 * math.ceil(10 * max(highs)))
    frame = _Frame(table.steps, bottom, max(top, bottom + 10))
    parts = _axes(frame)
    ends: list[tuple[float, str, str]] = []
    for (title, accuracy), dash in zip(sources, ("5 4", "1 3"), strict=False):
        y = frame.y(accuracy)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y, _INK, 1, dash))
        ends.append((y, title, _INK))
    if len(sources) > 1:
        parts.append(
            _text(WIDTH - 8, HEIGHT - 8, f"* on the first {few:,} images", "#5b6472", "end")
        )
    loud = [row for row in table.rows if row.name not in CONTROLS]  # colours, run or not
    for row, points in curves:
        colour, dash, width = _look(table, loud.index(row) if row in loud else None)
        parts += _curve(points, frame, colour, dash, width)
        last = points[-1][1]
        star = " *" if table.ann is not None and last.images < table.ann.images else ""
        ends.append((frame.y(last.accuracy), row.title + star, colour))
    parts += _labels(ends)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="12">'
    )
    about = f"<title>Accuracy over T: {escape(table.title)}</title>"
    paper = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    return "\n".join([head, about, paper, *parts, "</svg>"]) + "\n"


def _look(table: NetworkTable, number: int | None) -> tuple[str, str, float]:
    """Colour, dash and width of a curve; of a ReLU network neurons have colours, methods dashes."""
    if number is None:
        return _QUIET, "", 1.0
    if table.levels is None:
        return _COLOURS[(0, 2, 4)[number % 3]], _DASHES[number // 3], 2.0
    return _COLOURS[number % len(_COLOURS)], "", 2.0


class _Frame:
    """Where values stand in the picture: T on a logarithmic axis, accuracies in %."""

    def __init__(self, steps: Sequence[int], bottom: int, top: int) -> None:
        self.steps, self.bottom, self.top = steps, bottom, top
        self._first = math.log2(steps[0])
        self._span = max(math.log2(steps[-1]) - self._first, 1e-9)

    def x(self, steps: int) -> float:
        """Of a T."""
        share = (math.log2(steps) - self._first) / self._span
        return LEFT + 12 + share * (WIDTH - LEFT - RIGHT - 24)

    def y(self, accuracy: float) -> float:
        """Of an accuracy, a fraction."""
        share = (100 * accuracy - self.bottom) / (self.top - self.bottom)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _points(table: NetworkTable, row: Row) -> list[tuple[int, Entry]]:
    entries = ((t, table.entry(row.name, t)) for t in table.steps)
    return [(t, entry) for t, entry in entries if entry is not None]


def _axes(frame: _Frame) -> list[str]:
    parts: list[str] = []
    stride = 10 if frame.top - frame.bottom > 20 else 2
    for value in range(frame.bottom, frame.top + 1, stride):
        y = frame.y(value / 100)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y, "#e4e7ec", 1))
        parts.append(_text(LEFT - 8, y + 4, str(value), "#5b6472", "end"))
    for steps in frame.steps:
        parts.append(_text(frame.x(steps), HEIGHT - BOTTOM + 18, str(steps), "#5b6472", "middle"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(_text(middle, HEIGHT - 8, "time steps T", "#5b6472", "middle"))
    side = f'<g transform="translate(13 {(TOP + HEIGHT - BOTTOM) / 2:.1f}) rotate(-90)">'
    parts.append(f"{side}{_text(0, 0, 'accuracy (%)', '#5b6472', 'middle')}</g>")
    return parts


def _sources(table: NetworkTable, few: int) -> list[tuple[str, float]]:
    """Title and accuracy of the ANN: on all images, and on the first few where rows have fewer."""
    ann = table.entry(ANN, 0)
    if ann is None:
        return []
    found = [("ANN", ann.accuracy)]
    return found if few >= ann.images else [*found, ("ANN *", ann.first_seed_accuracy(few))]


def _curve(
    points: Sequence[tuple[int, Entry]], frame: _Frame, colour: str, dash: str, width: float
) -> list[str]:
    at = [(frame.x(t), frame.y(entry.accuracy)) for t, entry in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    stroke = f'stroke="{colour}" stroke-width="{width:g}"{dashed}'
    parts = [f'<polyline points="{path}" fill="none" {stroke}/>']
    for (x, y), (_, entry) in zip(at, points, strict=True):
        parts.append(_line(x, frame.y(entry.low), x, frame.y(entry.high), colour, 1))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{1.2 + width:g}" fill="{colour}"/>')
    return parts


def _labels(ends: Sequence[tuple[float, str, str]]) -> list[str]:
    """Names at the ends of the curves, moved apart where they would overlap."""
    entries = sorted(ends)
    limit = HEIGHT - BOTTOM + 4.0
    placed = [y for y, _, _ in entries]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + LABEL_SPACING)
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - LABEL_SPACING
    x = WIDTH - RIGHT + 10
    return [
        _text(x, y + 4, title, colour, "start")
        for y, (_, title, colour) in zip(placed, entries, strict=True)
    ]


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, width: int, dash: str = ""
) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width}"{dashed}/>'
    )


def _text(x: float, y: float, text: str, colour: str, anchor: str) -> str:
    look = f'fill="{colour}" text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(text)}</text>'
