"""Energies that pages compare by."""

from __future__ import annotations

from spikewright.measure import Operations


def over_int8(used: Operations) -> float:
    """A spiking network's arithmetic in integers over that of its ANN in 8 bits."""
    int8_nj = sum(used.model.integer_nj(row.ann) for row in used.rows)
    return used.energy.snn_integer_nj / int8_nj
