"""One colour and one marker for each network, the same in every plot of a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spikewright.neurons import TPP, IntegrateFire, Shuffled, SpikeTracer, TwoPhase
from spikewright.neurons.registry import labelled


@dataclass(frozen=True)
class Series:
    """How a network is drawn.

    Attributes:
        name: its label.
        slot: number of its colour, `--s1` ... in the style sheet.
        marker: Plotly's name of its marker.
        dash: Plotly's name of its line.
        meaning: what it is, for readers who do not know it yet.
    """

    name: str
    slot: int
    marker: str
    dash: str = "solid"
    meaning: str = ""

    @property
    def glyph(self) -> str:
        """A character that looks like the marker."""
        return GLYPHS[self.marker]

    @property
    def colour(self) -> str:
        """The name that the page's script replaces by the theme's colour."""
        return f"$s{self.slot}"


GLYPHS = {
    "circle": "●",
    "circle-open": "○",
    "square": "■",
    "square-open": "□",
    "diamond": "◆",
    "diamond-open": "◇",
    "triangle-up": "▲",
    "triangle-up-open": "△",
    "triangle-down": "▼",
    "cross": "✚",
    "star": "★",
    "hexagon": "⬢",
    "pentagon": "⬟",
    "x": "✖",
}
"""Characters that look like the markers used here."""
KNOWN = (
    Series("IF", 1, "circle", meaning=IntegrateFire().meaning),
    Series("shuffled IF", 2, "circle-open", "dot", Shuffled().meaning),
    Series("independent", 2, "circle-open", "dot", f"{Shuffled().meaning} Every neuron its own."),
    *(
        Series(order, slot, marker, meaning=Shuffled(order=order).meaning)
        for order, slot, marker in (
            ("shared", 6, "cross"),
            ("early", 7, "triangle-down"),
            ("late", 8, "star"),
            ("reversed", 9, "hexagon"),
        )
    ),
    Series("TPP", 3, "square", meaning=TPP().meaning),
    Series("unbiased", 4, "diamond", meaning=TwoPhase("unbiased").meaning),
    Series("nearest", 5, "triangle-up", meaning=TwoPhase("nearest").meaning),
    Series("tracer", 10, "pentagon", meaning=SpikeTracer().meaning),
)
"""Networks that look the same on all pages."""
_OTHERS = (
    (6, "cross"),
    (7, "triangle-down"),
    (8, "star"),
    (9, "hexagon"),
    (3, "square-open"),
    (4, "diamond-open"),
    (5, "triangle-up-open"),
    (1, "x"),
)


def series_of(names: Iterable[str]) -> dict[str, Series]:
    """A series for every name: known networks look the same on all pages."""
    known = {one.name: one for one in KNOWN}
    chosen = list(dict.fromkeys(names))
    series = {name: known[name] for name in chosen if name in known}
    taken = {(one.slot, one.marker) for one in series.values()}
    free = [look for look in _OTHERS if look not in taken]
    others = [name for name in chosen if name not in known]
    for number, name in enumerate(others):
        slot, marker = free[number % len(free)]
        neuron = labelled(name)
        meaning = "" if neuron is None else neuron.meaning
        series[name] = Series(
            name, slot, marker, "dash" if number >= len(free) else "solid", meaning
        )
    return {name: series[name] for name in chosen}
