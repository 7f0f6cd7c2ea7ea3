"""The README's table of the demonstration is that of its record."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = {
    "IF, integrate-and-fire": "IF",
    "shuffled IF, the probe": "shuffled IF",
    "TPP, the paper's neuron": "TPP",
    "nearest, which rounds": "nearest",
    "spike tracer": "tracer",
}


@pytest.mark.parametrize("title", NAMES)
def test_a_row_is_that_of_the_record(title: str) -> None:
    with (ROOT / "docs" / "demo.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["source"] == "QCFS network"]
    measured = {int(r["steps"]): r for r in rows if r["network"] == NAMES[title]}
    readme = (ROOT / "README.md").read_text().splitlines()
    (line,) = (text for text in readme if text.startswith(f"| {title} |"))
    _, _, *accuracies, latency, _ = (cell.strip() for cell in line.split("|"))
    assert accuracies == [f"{100 * float(measured[t]['accuracy']):.1f}" for t in (2, 4, 8)]
    assert latency.split()[0].rstrip(",") == measured[8]["latency"]
