"""Networks with a code for every layer, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from spikewright.measure import CodeAssignment
from spikewright.measure.tables import aligned


def front_table(front: Sequence[CodeAssignment]) -> str:
    """A row for each network, from the fastest to the cheapest, which is the last one."""
    names = list(dict.fromkeys(name for one in front for name in one.codes.values()))
    rows = [["latency", "spikes", "nJ", *(f"layers of {name}" for name in names)]]
    for one in front:
        layers = Counter(one.codes.values())
        operations = one.operations
        figures = [f"{operations.total.spikes:,.0f}", f"{operations.energy.snn_nj:,.1f}"]
        rows.append([f"{operations.latency}", *figures, *(f"{layers[name]}" for name in names)])
    told = "codes of the same answers, for the mean calibration image; the last network is this one"
    return "\n".join([told, *aligned(rows)])


def front_document(front: Sequence[CodeAssignment]) -> list[dict[str, Any]]:
    """The same, with the code of every site."""
    return [
        {
            "latency": one.operations.latency,
            "spikes": one.operations.total.spikes,
            "snn_nj": one.operations.energy.snn_nj,
            "codes": dict(one.codes),
        }
        for one in front
    ]
