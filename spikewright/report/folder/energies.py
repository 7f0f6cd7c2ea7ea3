"""energies_in(): what operations.json tells of every network and T, and of each of its layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, replace
from typing import Any

from spikewright.decoding import decoded
from spikewright.errors import RunError
from spikewright.report.folder.run import Energies, LayerCosts

_SUMMED = ("spikes", "snn_nj", "snn_with_memory_nj", "ann_nj", "ann_with_memory_nj")
"""Numbers of a total that are sums over its rows."""
_ANN = "ann_"
_CLOSE = 1e-6


def energies_in(document: Mapping[str, Any]) -> tuple[tuple[Energies, ...], dict[str, Any]]:
    """The entries of operations.json, and what was asked for.

    Raises:
        RunError: for values that are missing, of another type, out of range, or do not add up.
    """
    configuration = decoded(dict[str, Any], document.get("configuration"), "configuration")
    networks = decoded(list[dict[str, Any]], document.get("networks"), "networks")
    if not networks:
        raise RunError("networks is empty")
    entries = [_nested(one, f"networks[{n}]") for n, one in enumerate(networks)]
    found = decoded(tuple[Energies, ...], entries, "networks")
    for n, one in enumerate(found):
        _check(one, f"networks[{n}]")
    return tuple(one if _explained(one) else replace(one, layers=()) for one in found), (
        configuration
    )


def _nested(one: dict[str, Any], what: str) -> dict[str, Any]:
    """An entry as `Energies` has it: its totals beside its name, its rows taken apart."""
    total = decoded(dict[str, Any], one.get("total"), f"{what}.total")
    record = decoded(dict[str, Any], one.get("record"), f"{what}.record")
    rows = decoded(list[dict[str, Any]], one.get("rows") or [], f"{what}.rows")
    layers = [_layer(row) for row in rows]
    model = one.get("energy_model")
    return {**total, **one, "samples": record.get("samples"), "model": model, "layers": layers}


def _layer(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as `LayerCosts` has it: its columns parted into those of either network."""
    ann = {name.removeprefix(_ANN): value for name, value in row.items() if name.startswith(_ANN)}
    return {"operations": {**row, "snn": row, "ann": ann}, "energy": row}


def _check(one: Energies, what: str) -> None:
    """That numbers are in range, and totals the sums of the layers."""
    right = one.accuracy is None or 0 <= one.accuracy <= 1
    if not right or min(one.steps, one.latency, one.samples) < 1:
        raise RunError(f"{what} has an accuracy, T, latency or samples out of range")
    if min(one.snn_nj, one.snn_integer_nj, one.snn_with_memory_nj, one.spikes) < 0:
        raise RunError(f"{what} has a negative energy or number of spikes")
    if any(min(_numbers(layer)) < 0 for layer in one.layers):
        raise RunError(f"{what}.rows has a number below 0")
    for name in _SUMMED if one.layers else ():
        summed = sum(
            layer.operations.spikes if name == "spikes" else getattr(layer.energy, name)
            for layer in one.layers
        )
        if not math.isclose(summed, getattr(one, name), rel_tol=_CLOSE, abs_tol=_CLOSE):
            raise RunError(f"{what}.total.{name} is not the sum of its rows")


def _numbers(layer: LayerCosts) -> tuple[float, ...]:
    counted = (*astuple(layer.operations.snn), *astuple(layer.operations.ann))
    return (layer.operations.neurons, layer.operations.spikes, *counted, *astuple(layer.energy))


def _explained(one: Energies) -> bool:
    """Whether the counts of every layer make up its energies by the constants in the file."""
    return all(
        math.isclose(made, told, rel_tol=_CLOSE, abs_tol=_CLOSE)
        for layer in one.layers
        for counts, arithmetic, memory in (
            (layer.operations.snn, layer.energy.snn_nj, layer.energy.snn_memory_nj),
            (layer.operations.ann, layer.energy.ann_nj, layer.energy.ann_memory_nj),
        )
        for made, told in (
            (one.model.fp32_nj(counts), arithmetic),
            (one.model.memory_nj(counts), memory),
        )
    )
