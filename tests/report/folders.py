"""Run folders as the commands write them, made of known numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spikewright.measure import (
    HOROWITZ_45NM,
    Counts,
    EnergyModel,
    Operations,
    OperationsRow,
    RunRecord,
)
from spikewright.report import Report, results_of

SWEPT: dict[str, Any] = {
    "spikewright": "0.1.0",
    "command": "sweep",
    "model": "zoo:small",
    "data": "digits",
    "split": "test",
    "threshold": "minerror:channel",
    "correction": "auto",
    "seed": 7,
    "limit": None,
    "neuron": "if,tpp",
    "steps": "4,8",
}


def sweep_results(report: Report, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What `sweep` writes as results.json."""
    return results_of(replace(report, configuration=configuration))


RECORD = RunRecord(
    spikewright="0.1.0",
    torch="2.15.0",
    python="3.11.0",
    platform="Linux",
    device="cpu",
    threads=1,
    started="",
    seconds=0.0,
    seed=7,
    samples=1000,
    configuration={},
)
ROWS = (
    OperationsRow(
        site="features.act<1>",
        neuron="IF",
        neurons=2000,
        spikes=1500.5,
        snn=Counts(input_macs=20_000, updates=16_000, comparisons=16_000, bias_additions=16_000),
        ann=Counts(input_macs=20_000, comparisons=2000, bias_additions=2000),
        kind="conv 3×3, 1 → 32",
    ),
    OperationsRow(
        site="features.act2",
        neuron="IF",
        neurons=500,
        spikes=300.25,
        snn=Counts(additions=120_000.75, updates=4000, comparisons=4000, draws=4000),
        ann=Counts(macs=100_000, comparisons=500),
        kind="avg pool + conv 3×3, 32 → 32",
    ),
    OperationsRow(
        site="output",
        neuron="",
        neurons=0,
        spikes=0.0,
        snn=Counts(additions=3002.5, bias_additions=10),
        ann=Counts(macs=5000, bias_additions=10),
        kind="linear, 500 → 10",
    ),
)
"""Three layers whose numbers can be told apart."""


def layered_of(
    networks: Mapping[tuple[str, int], Sequence[OperationsRow]],
    configuration: Mapping[str, Any],
    model: EnergyModel = HOROWITZ_45NM,
) -> dict[str, Any]:
    """What `energy` writes as results.json.

    Args:
        networks: rows by network and T.
        configuration: what was asked for.
        model: energies of single operations.
    """
    found = tuple(
        Operations(
            network=network,
            steps=steps,
            levels=steps,
            duration=steps,
            bits=1,
            latency=4 * steps,
            accuracy=0.9,
            rows=tuple(rows),
            model=model,
            footprint_bytes=4000,
            connection_sparsity=0.0,
            record=RECORD,
        )
        for (network, steps), rows in networks.items()
    )
    asked = {**configuration, "command": "energy"}
    return results_of(Report("T", "S.", (), "spikewright energy", asked, operations=found))


def operations_of(
    energies: Mapping[tuple[str, int], float], configuration: Mapping[str, Any]
) -> dict[str, Any]:
    """The same, of one layer, with these energies of the spiking network in nJ and 500 of the ANN.

    Args:
        energies: by network and T.
        configuration: what was asked for.
    """
    networks = {
        (network, steps): [
            OperationsRow(
                site="output",
                neuron="",
                neurons=10,
                spikes=100.0 * steps,
                snn=Counts(additions=1000 * energy),
                ann=Counts(additions=500_000),
                kind="linear",
            )
        ]
        for (network, steps), energy in energies.items()
    }
    return layered_of(networks, configuration, replace(HOROWITZ_45NM, fp32_add_pj=1.0))


def write(folder: Path, **documents: Any) -> Path:
    """A folder with these documents, each by its name without ".json"."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        text = document if isinstance(document, str) else json.dumps(document)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    return folder
