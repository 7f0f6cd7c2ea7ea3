"""Which layers cost the energy, as bars: a layer a row, the spiking network above its ANN."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from spikewright.report.costs import Energies, LayerCosts
from spikewright.report.energy.parts import Part, present, share
from spikewright.report.plotting import Figure, axis, layout
from spikewright.report.summary import percent

ROW_PIXELS = ((12, 36), (30, 26), (None, 20))
"""Height of a row, by how many there may be at most."""
SNN = ("SNN", -0.14, 0.44, 1.0)
ANN = ("ANN", 0.27, 0.26, 0.45)
"""The name of either network, the place of its bar in the row, its thickness and opacity."""
LONGEST_NAME = 22
ROOM = 1.16
"""The axis in lengths of the longest bar, so that its share fits beside it."""


def layer_bars(one: Energies, parts: Sequence[Part], title: str) -> Figure:
    """The energy of every layer by its parts, one after another from the left.

    Args:
        one: the energies, with at least one layer.
        parts: the parts to show, in the order of the bars.
        title: the title of the axis.
    """
    traces: list[Figure] = []
    ends: dict[str, list[float]] = {}
    rows = [layer.operations for layer in one.layers]
    for place, counts in ((ANN, [row.ann for row in rows]), (SNN, [row.snn for row in rows])):
        energies = [one.model.parts(each) for each in counts]
        whole = [sum(part.of(p) for part in parts) for p in energies]
        base = [0.0] * len(energies)
        for part in present(parts, energies):
            own = [part.of(p) for p in energies]
            traces.append(_bars(one.layers, part, own, base, whole, place))
            base = [at + more for at, more in zip(base, own, strict=True)]
        ends[place[0]] = whole
    traces.append(_shares(ends["SNN"]))
    longest = max((*ends["SNN"], *ends["ANN"])) or 1.0
    number = len(one.layers)
    height = next(height for most, height in ROW_PIXELS if most is None or number <= most)
    x = axis(title, range=[0, ROOM * longest], nticks=6)
    y = axis("", range=[number - 0.45, -0.55], automargin=True, showgrid=False, ticks="")
    y |= {"tickvals": list(range(number)), "ticktext": [_short(e) for e in one.layers]}
    return {"data": traces, "layout": layout(66 + height * number, (56, 10, 8, 52), x, y)}


def _bars(
    layers: Sequence[LayerCosts],
    part: Part,
    values: Sequence[float],
    base: Sequence[float],
    whole: Sequence[float],
    place: tuple[str, float, float, float],
) -> Figure:
    network, shift, thickness, opacity = place
    hover = [
        f"<b>{escape(layer.operations.site)}</b>, {network}<br>{part.name}: {value:,.1f} nJ, "
        f"{percent(share(value, all_), 0)} of its {all_:,.1f} nJ"
        for layer, value, all_ in zip(layers, values, whole, strict=True)
    ]
    return {
        "type": "bar",
        "orientation": "h",
        "name": f"{network}, {part.name}",
        "x": list(values),
        "y": [number + shift for number in range(len(layers))],
        "base": list(base),
        "width": thickness,
        "offset": -thickness / 2,
        "marker": {"color": part.colour, "line": {"width": 0}},
        "opacity": opacity,
        "text": hover,
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
    }


def _shares(ends: Sequence[float]) -> Figure:
    """The share of every bar of the spiking network, beside it."""
    total = sum(ends)
    return {
        "type": "scatter",
        "mode": "text",
        "name": "share",
        "x": list(ends),
        "y": [number + SNN[1] for number in range(len(ends))],
        "text": [f" {percent(share(end, total), 0)}" for end in ends],
        "textposition": "middle right",
        "hoverinfo": "skip",
        "cliponaxis": False,
    }


def _short(layer: LayerCosts) -> str:
    """A name that leaves room for the bars: its end is kept, as it differs most."""
    name = layer.operations.site
    return escape(name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}")
