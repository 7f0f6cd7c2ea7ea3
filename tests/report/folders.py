"""Run folders as the commands write them, made of known numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spikewright.report import FORMAT, Report, page_record

SWEPT: dict[str, Any] = {
    "spikewright": "0.1.0",
    "command": "sweep",
    "model": "zoo:small",
    "data": "digits",
    "split": "test",
    "threshold": "minerror:channel",
    "bias_correction": True,
    "seed": 7,
    "limit": None,
    "neuron": "if,tpp",
    "steps": "4,8",
}


def results_of(report: Report, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What `sweep` writes as results.json."""
    (study,) = report.studies
    return {
        "format": FORMAT,
        "configuration": dict(configuration),
        "subject": report.subject,
        **study.sweep.to_dict(),
        "histograms": [asdict(h) for h in study.histograms],
        "layers": [asdict(e) for e in study.layers],
        "errors": [asdict(e) for e in study.errors],
        "residuals": [asdict(r) for r in study.residuals],
        "page": page_record(report),
    }


def operations_of(
    energies: Mapping[tuple[str, int], float], configuration: Mapping[str, Any]
) -> dict[str, Any]:
    """What `energy` writes as operations.json, as far as a page reads it.

    Args:
        energies: of the spiking network in nJ, by network and T.
        configuration: what was asked for.
    """
    return {
        "configuration": {**configuration, "command": "energy"},
        "networks": [
            {
                "network": network,
                "steps": steps,
                "duration": steps,
                "latency": 4 * steps,
                "accuracy": 0.9,
                "total": {
                    "spikes": 100.0 * steps,
                    "snn_nj": energy,
                    "snn_integer_nj": energy / 10,
                    "snn_with_memory_nj": energy * 20,
                    "ann_nj": 500.0,
                    "ann_quantised_nj": 50.0 + steps.bit_length(),
                    "ann_with_memory_nj": 5000.0,
                },
                "energy_model": {"source": "Horowitz, ISSCC 2014, 45 nm"},
                "record": {"samples": 1000},
            }
            for (network, steps), energy in energies.items()
        ],
    }


def write(folder: Path, **documents: Any) -> Path:
    """A folder with these documents, each by its name without ".json"."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        text = document if isinstance(document, str) else json.dumps(document)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    return folder
