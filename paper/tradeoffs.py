"""Two pictures of a network: accuracy against the time until the answer, and against energy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from paper.cell import ANN
from paper.chart import Axis, Curve, chart
from paper.plot import COLOURS, INK, accuracy_axis, on_white
from paper.rows import CONTROLS
from paper.tables import Entry, NetworkTable, rows_with
from spikewright.measure import wilson_interval

KINDS = ("latency", "energy")
"""What accuracy is shown against."""

_MARKS = ("o", "s", "^", "D", "v", "P", "X", "p")
"""The shapes of neurons' points, so that colour is not all that tells them apart."""

_ORDER = ("if", "shuffled", "tpp", "cos", "nearest", "srp", "unbiased", "tracer")
"""The neurons in the order of their looks; others come after them."""

_OF_RELU = {"if": "IF", "tpp": "TPP", "nearest": "nearest", "tracer": "spike tracer"}
"""The neurons of a ReLU network's rows, and how they are called."""


@dataclass(frozen=True)
class _Neuron:
    """A neuron and its look.

    Attributes:
        rows: that have it, a calibration each.
    """

    title: str
    rows: tuple[str, ...]
    colour: str
    mark: str


def tradeoffs(table: NetworkTable) -> dict[str, str]:
    """The pictures, SVG by what is on their horizontal axis, in the order of `KINDS`.

    Every point is a T, of the first seed, on the images that all points were measured on, with its
    Wilson 95 % interval. Where a neuron has several calibrations, the best at that T is shown.
    Energies are of arithmetic in integers. The star is the ANN at the energy of 8 bits, with the
    accuracy that it has in float32. A picture without any point is left out.
    """
    drawn = (
        _picture(table, "time steps until the answer", _latency),
        _picture(table, "energy of one answer in µJ, in integers", _microjoules, _star),
    )
    return {
        kind: on_white(picture, f"Accuracy against {kind}: {table.title}")
        for kind, picture in zip(KINDS, drawn, strict=True)
        if picture is not None
    }


def _neurons(table: NetworkTable) -> list[_Neuron]:
    if table.levels is None:
        titles = _OF_RELU
    else:
        titles = {row.name: row.title for row in table.rows if row.name not in CONTROLS}
    looks = [*_ORDER, *(name for name in titles if name not in _ORDER)]
    places = {name: looks.index(name) % len(COLOURS) for name in titles}
    return [
        _Neuron(title, rows_with(table, name), COLOURS[places[name]], _MARKS[places[name]])
        for name, title in titles.items()
    ]


def _picture(
    table: NetworkTable,
    title: str,
    at: Callable[[Entry], float],
    extra: Callable[[Axes, NetworkTable, int], object] | None = None,
) -> str | None:
    """One picture; entries where `at` gives 0 have no place in it."""
    entries = {neuron: _entries(table, neuron, at) for neuron in _neurons(table)}
    run = [entry for found in entries.values() for entry in found]
    ann = table.first_seed(ANN, 0)
    if not run or ann is None:
        return None
    images = min(entry.images for entry in (*run, ann))
    curves = [_curve(neuron, found, at, images) for neuron, found in entries.items() if found]
    x = Axis(title, _powers([at(entry) for entry in run]), base=2)
    level = 100 * ann.first_seed_accuracy(images)
    source = Curve("ANN", ((x.ticks[0], level), (x.ticks[-1], level)), INK, "--", 0.9)
    shown = [source, *curves]

    def add(axes: Axes) -> None:
        if extra is not None:
            extra(axes, table, images)

    return chart(x, accuracy_axis(shown), shown, add)


def _entries(table: NetworkTable, neuron: _Neuron, at: Callable[[Entry], float]) -> list[Entry]:
    """The best entry of a neuron at every T that it was run at."""
    found: list[Entry] = []
    for t in table.steps:
        entries = [e for row in neuron.rows if (e := table.first_seed(row, t)) and at(e)]
        if entries:
            found.append(max(entries, key=lambda entry: entry.first.accuracy))
    return found


def _curve(
    neuron: _Neuron, entries: Sequence[Entry], at: Callable[[Entry], float], images: int
) -> Curve:
    rights = [entry.first_seed_accuracy(images) for entry in entries]
    ends = [wilson_interval(right * images, images) for right in rights]
    points = zip(map(at, entries), (100 * right for right in rights), strict=True)
    return Curve(
        neuron.title,
        tuple(points),
        neuron.colour,
        bars=tuple((100 * low, 100 * high) for low, high in ends),
        mark=neuron.mark,
    )


def _powers(values: Sequence[float]) -> tuple[float, ...]:
    """The powers of two from below the least value to above the largest; two at least."""
    first = math.floor(math.log2(min(values)))
    last = max(math.ceil(math.log2(max(values))), first + 1)
    return tuple(2.0**k for k in range(first, last + 1))


def _latency(entry: Entry) -> float:
    return float(entry.latency)


def _microjoules(entry: Entry) -> float:
    return entry.energy.get("snn_integer_nj", 0.0) / 1000


def _star(axes: Axes, table: NetworkTable, images: int) -> None:
    """The ANN in int8, if its energy was counted."""
    ann, nanojoules = table.first_seed(ANN, 0), table.int8_nj
    if ann is None or nanojoules is None:
        return
    at = nanojoules / 1000, 100 * ann.first_seed_accuracy(images)
    axes.scatter(*at, s=170, marker="*", color=INK, zorder=4)
    axes.annotate(
        "int8 ANN",
        at,
        xytext=(0, 9),
        textcoords="offset points",
        ha="center",
        color=INK,
        weight="bold",
    )
