"""Figures that others published, to stand beside ours: read from `published.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("published.json")


@dataclass(frozen=True)
class Published:
    """One row of somebody else's table.

    Attributes:
        method: the name that the table gives it.
        citation: the paper of the table.
        read_in: where the figures were read; None when they were not read in the paper itself.
        data, architecture: of the network.
        levels: L of its network; None where that is not known for certain, or there is none.
        ann: accuracy of the source network in %; None where it was not found.
        steps: accuracy in % by T.
        bits: accuracy in % of an ANN quantised after training, by the bits of its weights and
            activations.
        loss: points below the ANN by T, where the accuracy is not known.
    """

    method: str
    citation: str
    read_in: str | None
    data: str
    architecture: str
    levels: int | None
    ann: float | None
    steps: Mapping[int, float]
    bits: Mapping[str, float]
    loss: Mapping[int, float]


def all_published() -> list[Published]:
    """Every figure of the file, in its order."""
    figures: list[dict[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8"))["figures"]
    return [_published(figure) for figure in figures]


def _published(figure: dict[str, Any]) -> Published:
    for key in ("steps", "loss"):
        figure[key] = {int(steps): value for steps, value in figure.get(key, {}).items()}
    figure.setdefault("bits", {})
    return Published(**figure)


def published_for(data: str, architecture: str, levels: int | None) -> list[Published]:
    """The figures for a network like ours: same data set, architecture and L.

    Where the L of a figure is not known, it stands beside every L, but never beside ReLU.
    """
    if levels is None:
        return []
    return [
        figure
        for figure in all_published()
        if (figure.data, figure.architecture) == (data, architecture)
        and figure.levels in (levels, None)
    ]
