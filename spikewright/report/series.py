"""One colour and one marker for each network, the same in every plot of a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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
    "x": "✖",
}
"""Characters that look like the markers used here."""
_SHUFFLED = "IF whose spikes leave each layer in a random order, their number unchanged."
KNOWN = (
    Series("IF", 1, "circle", "solid", "integrate-and-fire, one phase: it sends while it listens."),
    Series("shuffled IF", 2, "circle-open", "dot", _SHUFFLED),
    Series("independent", 2, "circle-open", "dot", f"{_SHUFFLED[:-1]}; every neuron its own."),
    Series("shared", 6, "cross", "solid", "IF with one random order for all neurons of a layer."),
    Series("early", 7, "triangle-down", "solid", "IF with all spikes of a neuron first."),
    Series("late", 8, "star", "solid", "IF with all spikes of a neuron last."),
    Series("reversed", 9, "hexagon", "solid", "IF with every spike train backwards in time."),
    Series(
        "TPP",
        3,
        "square",
        "solid",
        "two phases, listening and then sending; spikes by chance (arXiv 2502.14487).",
    ),
    Series(
        "unbiased",
        4,
        "diamond",
        "solid",
        "two phases, charge rounded up or down by chance, right on average.",
    ),
    Series("nearest", 5, "triangle-up", "solid", "two phases, charge rounded to nearest."),
)
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
    known = {series.name: series for series in KNOWN}
    chosen = list(dict.fromkeys(names))
    found = {name: known[name] for name in chosen if name in known}
    taken = {(series.slot, series.marker) for series in found.values()}
    free = [look for look in _OTHERS if look not in taken]
    others = [name for name in chosen if name not in known]
    for number, name in enumerate(others):
        slot, marker = free[number % len(free)]
        found[name] = Series(name, slot, marker, "dash" if number >= len(free) else "solid")
    return {name: found[name] for name in chosen}
