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
        levels: L of its network; None where that is not known for certain.
        ann: accuracy of the source network in %.
        steps: accuracy in % by T.
    """

    method: str
    citation: str
    read_in: str | None
    levels: int | None
    ann: float
    steps: Mapping[int, float]


def published_for(data: str, architecture: str, levels: int | None) -> list[Published]:
    """The figures for a network like ours: same data set, architecture and L.

    Where the L of a figure is not known, it stands beside every L, but never beside ReLU.
    """
    if levels is None:
        return []
    figures: list[dict[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8"))["figures"]
    return [
        Published(
            figure["method"],
            figure["citation"],
            figure["read_in"],
            figure["levels"],
            figure["ann"],
            {int(steps): value for steps, value in figure["steps"].items()},
        )
        for figure in figures
        if (figure["data"], figure["architecture"]) == (data, architecture)
        and figure["levels"] in (levels, None)
    ]
