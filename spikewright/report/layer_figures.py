"""Plots that look inside: spikes of one image, spike times, errors of layers."""

from __future__ import annotations

from collections.abc import Sequence

from spikewright.measure import LayerEffect, LayerError, SpikeTimeHistogram
from spikewright.report.contents import NetworkRaster, Raster
from spikewright.report.plotting import Figure, axis, layer_axis, layout, upright
from spikewright.report.series import series_of

ROW_PIXELS = 7
GAP_ROWS = 3
TERMS = (
    ("inherited", "from earlier layers", "circle", "$s6"),
    ("clipping", "clipping", "square", "$s7"),
    ("rounding", "rounding", "diamond", "$s8"),
    ("unevenness", "unevenness", "triangle-up", "$s9"),
    ("total", "total", "line-ns", "$ink"),
)
"""Causes of a layer's error; colours that no network of the usual tables has."""


def raster_figure(raster: Raster, picture: NetworkRaster) -> Figure:
    """The spikes of one network: steps across, neurons down, layer under layer.

    All pictures of one image share their time axis, up to the longest latency.
    """
    series = series_of(p.network for p in raster.networks)[picture.network]
    tops, rows = _tops(picture)
    end = max(p.latency for p in raster.networks)
    points = [
        (layer.start + step, top + number)
        for layer, top in zip(picture.layers, tops, strict=True)
        for number, train in enumerate(layer.trains)
        for step in train
    ]
    middles = [
        top + (len(layer.trains) - 1) / 2 for layer, top in zip(picture.layers, tops, strict=True)
    ]
    windows = [
        _window(layer.start, layer.window, top, top + max(len(layer.trains), 1) - 1)
        for layer, top in zip(picture.layers, tops, strict=True)
    ]
    spikes: Figure = {
        "type": "scatter",
        "mode": "markers",
        "x": [step for step, _ in points],
        "y": [row for _, row in points],
        "marker": {
            "symbol": "line-ns",
            "size": ROW_PIXELS - 3,
            "line": {"width": 2, "color": series.colour},
        },
        "hovertemplate": "step %{x}<extra></extra>",
    }
    x = axis("time step", range=[0, end + 1], showgrid=False)
    y = {
        "range": [rows, 0],
        "tickvals": middles,
        "ticktext": [layer.site for layer in picture.layers],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
        "automargin": True,
    }
    shapes = [*windows, _answer_line(picture.latency, rows)]
    shape = layout(rows * ROW_PIXELS + 66, (56, 14, 10, 48), x, y, shapes=shapes)
    return {"data": [spikes], "layout": shape}


def _tops(picture: NetworkRaster) -> tuple[list[int], int]:
    """The first row of every layer, and the number of rows in all, gaps included."""
    tops: list[int] = []
    row = 1
    for layer in picture.layers:
        tops.append(row)
        row += max(len(layer.trains), 1) + GAP_ROWS - 1
    return tops, row


def _window(start: int, length: int, top: int, bottom: int) -> Figure:
    return {
        "type": "rect",
        "layer": "below",
        "x0": start + 0.5,
        "x1": start + length + 0.5,
        "y0": top - 1,
        "y1": bottom + 1,
        "line": {"width": 0},
        "fillcolor": "$ink/0.06",
    }


def _answer_line(latency: int, rows: int) -> Figure:
    return {
        "type": "line",
        "x0": latency + 0.5,
        "x1": latency + 0.5,
        "y0": 0,
        "y1": rows,
        "line": {"color": "$ink", "width": 1.5, "dash": "dot"},
    }


def histogram_figure(histogram: SpikeTimeHistogram, highest: float) -> Figure:
    """When the spikes of one layer leave, before and after shuffling.

    Args:
        histogram: the layer's histogram.
        highest: the largest value of all layers, so that their axes agree.
    """
    drawn = series_of(("IF", "shuffled IF"))
    steps = list(range(1, histogram.steps + 1))
    traces = [
        _steps_trace(steps, histogram.before, "before", drawn["IF"].colour, "solid"),
        _steps_trace(steps, histogram.after, "after", drawn["shuffled IF"].colour, "dot"),
    ]
    x = axis("time step", range=[0.4, histogram.steps + 0.6], showgrid=False)
    y = axis("spikes per neuron", range=[0, 1.08 * highest])
    return {"data": traces, "layout": layout(230, (60, 10, 8, 48), x, y)}


def _steps_trace(
    steps: Sequence[int], values: Sequence[float], name: str, colour: str, dash: str
) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(steps),
        "y": list(values),
        "line": {"shape": "hvh", "width": 2, "color": colour, "dash": dash},
        "hovertemplate": f"{name}, step %{{x}}: %{{y:.4f}}<extra></extra>",
    }


def layer_figure(effects: Sequence[LayerEffect]) -> Figure:
    """Accuracy with one layer shuffled at a time, as dots with 95 % intervals."""
    colour = series_of(("shuffled IF",))["shuffled IF"].colour
    base = 100 * effects[0].baseline
    dots: Figure = {
        "type": "scatter",
        "mode": "markers",
        "x": [100 * e.accuracy for e in effects],
        "y": [e.site for e in effects],
        "marker": {"color": colour, "size": 9, "symbol": "circle"},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [100 * (e.high - e.accuracy) for e in effects],
            "arrayminus": [100 * (e.accuracy - e.low) for e in effects],
            "color": colour,
            "thickness": 1.5,
            "width": 0,
        },
        "hovertemplate": "%{y}: %{x:.2f} %<extra></extra>",
    }
    y = layer_axis()
    shape = layout(
        90 + 24 * len(effects),
        (56, 20, 10, 52),
        axis("accuracy (%)"),
        y,
        shapes=[upright(base, 1.5, "dash")],
    )
    return {"data": [dots], "layout": shape}


def error_figure(errors: Sequence[LayerError], highest: float) -> Figure:
    """The parts of every layer's error, of one network at one T.

    Args:
        errors: one a layer.
        highest: the largest error of all figures, so that their axes agree.
    """
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [100 * getattr(e, term) for e in errors],
            "y": [e.site for e in errors],
            "marker": {
                "symbol": marker,
                "size": 14 if term == "total" else 9,
                "color": colour,
                "line": {"width": 2.5 if term == "total" else 0, "color": colour},
            },
            "hovertemplate": f"{name}, %{{y}}: %{{x:.1f}} %<extra></extra>",
            "cliponaxis": False,
        }
        for term, name, marker, colour in TERMS
    ]
    y = layer_axis()
    x = axis("root mean square, % of the ANN's activation", range=[-1.5, 105 * highest])
    x |= {"zeroline": True, "zerolinecolor": "$axis"}
    y["showline"] = False
    return {"data": traces, "layout": layout(84 + 32 * len(errors), (56, 20, 8, 52), x, y)}
