"""Made-up tables: the first so many of 200 images are right, so that paired tests are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from paper.cell import ANN, ANN_IN_DOUBLE, Cell, CellRecord, packed
from paper.rows import IN_DOUBLE, rows_for
from paper.tables import Entry, NetworkTable, entry_of
from spikewright.measure import wilson_interval

IMAGES = 200
STEPS = (2, 4)
LEVELS = 4
LAYERS = 3
WAITING = ("shuffled", "cos", "tpp", "unbiased", "nearest")

Rights = Mapping[tuple[str, int], int]
"""How many images are right, by row and T."""


def record(row: str, steps: int, right: int, seed: int = 0, differs: int = 0) -> CellRecord:
    """A cell of a network of three layers; waiting neurons answer after 4 T steps.

    The energies of the ANN are 6 nJ and another one a bit, so 14 in int8; those of the spiking
    network 7 T in integers and 90 with memory, beside the ANN's 100.
    """
    bits = steps.bit_length()
    low, high = wilson_interval(right, IMAGES)
    energy = {
        "ann_nj": 50.0,
        "ann_quantised_nj": 6.0 + bits,
        "ann_bits": bits,
        "ann_with_memory_nj": 100.0,
        "snn_nj": 40.0,
        "snn_integer_nj": 7.0 * steps,
        "snn_with_memory_nj": 90.0,
    }
    return CellRecord(
        cell=Cell(row, steps, seed),
        method="",
        neuron="",
        images=IMAGES,
        right=right,
        low=low,
        high=high,
        differs=differs,
        only_network=0,
        only_ann=0,
        p_value=1.0,
        spikes_per_image=1.0,
        spikes_by_site={f"act{i}": 1.0 for i in range(LAYERS)},
        energy=energy if row != ANN else {},
        energy_images=1,
        latency=(LAYERS + 1) * steps
        if row.partition("-")[2] in WAITING or row in WAITING
        else steps,
        hits=packed(torch.arange(IMAGES) < right) if seed == 0 else None,
        run={},
    )


def table(
    rights: Rights, levels: int | None = LEVELS, ann: int | None = 180, name: str = "made"
) -> NetworkTable:
    """A table of these cells.

    Args:
        rights: of every cell that was run.
        levels: L of a QCFS network; None for ReLU.
        ann: how many images the source network gets right; None where it was not run.
    """
    entries = {cell: entry(record(*cell, right)) for cell, right in rights.items()}
    measured = {row for row, _ in rights}
    rows = [r for r in rows_for(levels) if r.calibration_samples is None or r.name in measured]
    source = None if ann is None else record(ANN, 0, ann)
    return NetworkTable(configuration(name, levels), source, tuple(rows), STEPS, entries, {})


def entry(*records: CellRecord) -> Entry:
    """The entry of these seeds."""
    found = entry_of(records)
    assert found is not None
    return found


def in_double(made: NetworkTable, differs: int) -> NetworkTable:
    """The same with `nearest` in float64, which differs from the ANN on so many images."""
    found = {IN_DOUBLE.name: record(IN_DOUBLE.name, LEVELS, 180, differs=differs)}
    return replace(made, in_double={**found, ANN_IN_DOUBLE: record(ANN_IN_DOUBLE, 0, 180)})


def configuration(name: str, levels: int | None) -> dict[str, Any]:
    """What `network.json` would hold."""
    return {
        "name": name,
        "architecture": "ResNet-18",
        "data": "cifar10",
        "levels": levels,
        "note": "",
        "images": IMAGES,
        "one_phase_images": IMAGES,
        "weights_sha256": "0" * 64,
        "calibration_samples": 8,
    }
